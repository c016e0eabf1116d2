"""The firewall's own cookie, and how a client comes by it."""

from __future__ import annotations

from typing import Final

from proxyguard.core.jar import JarState
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType
from proxyguard.policy.fields.words import one_of

JAR: Final = FieldType(
    kind="jar",
    description="The cookie that proxyguard gives: `none`, `asked` (came back without it), `followed` (the same, but at once), "
    "`fresh`, `proven` or `old`.",
    source=AnyValues(lambda request: request.jar.states),
    matchers=EXACT,
    check=one_of("state of a jar", JarState),
    share=0.5,
)
