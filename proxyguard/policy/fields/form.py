"""The token that the post of a guarded form brought, as `form_guard` of the rule files asks for it."""

from __future__ import annotations

from typing import Final

from proxyguard.core.form import FormState
from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType
from proxyguard.policy.fields.words import one_of


def _states(request: Request) -> Values:
    return () if request.form is None else request.form.states


FORM: Final = FieldType(
    kind="form",
    description="The token that the post of a guarded form brought: `none`, `early`, `good`, `late`, `foreign` or `used`.",
    source=AnyValues(_states),
    matchers=EXACT,
    check=one_of("state of a form's token", FormState),
    share=0.02,
)
