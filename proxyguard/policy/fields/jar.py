"""The firewall's own cookie, and how a client comes by it."""

from __future__ import annotations

from typing import Final

from proxyguard.core.jar import JarState
from proxyguard.core.problems import Fault, quoted
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType
from proxyguard.policy.model import TextKind

_WORDS: Final = tuple(map(str, JarState))


def _state(_kind: TextKind, text: str) -> str:
    if text not in _WORDS:
        raise Fault(f"{quoted(text)} is no state of a jar", ", ".join(_WORDS))
    return text


JAR: Final = FieldType(
    kind="jar",
    description="The cookie that proxyguard gives: `none`, `asked` (came back without it), `fresh`, `proven` or `old`.",
    source=AnyValues(lambda request: request.jar.states),
    matchers=EXACT,
    check=_state,
    share=0.5,
)
