"""The token that the post of a guarded form brought, as `form_guard` of the rule files asks for it."""

from __future__ import annotations

from typing import Final

from proxyguard.core.form import FormState
from proxyguard.core.problems import Fault, quoted
from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType
from proxyguard.policy.model import TextKind

_WORDS: Final = tuple(map(str, FormState))


def _states(request: Request) -> Values:
    return () if request.form is None else request.form.states


def _word(_kind: TextKind, text: str) -> str:
    if text not in _WORDS:
        raise Fault(f"{quoted(text)} is no state of a form's token", ", ".join(_WORDS))
    return text


FORM: Final = FieldType(
    kind="form",
    description="The token that the post of a guarded form brought: `none`, `early`, `good`, `late`, `foreign` or `used`.",
    source=AnyValues(_states),
    matchers=EXACT,
    check=_word,
    share=0.02,
)
