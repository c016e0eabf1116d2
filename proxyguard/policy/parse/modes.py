"""`mode:` of a rule, a restriction, a rule set or the process."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_choice

MEANT_MODE: Final = {
    **dict.fromkeys(("on", "enabled", "active", "true", "yes", "live", "block"), "did you mean 'enforce'?"),
    **dict.fromkeys(("dry_run", "log", "monitor", "report", "observe", "test", "count"), "did you mean 'shadow'?"),
    **dict.fromkeys(("disabled", "false", "no", "none", "inactive"), "did you mean 'off'?"),
}


def read_mode(values: dict[str, Node], report: Report) -> Mode | None:
    """The value of `mode`; enforce when it is left out, None when it is faulty."""
    if "mode" not in values:
        return Mode.ENFORCE
    word = read_choice(values["mode"], report, "mode", tuple(Mode), MEANT_MODE)
    return None if word is None else Mode(word)
