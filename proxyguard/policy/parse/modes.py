"""`mode:` of a rule, a restriction, a rule set or the process."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.yaml.kinds import word

_MEANT: Final = {
    **dict.fromkeys(("on", "enabled", "active", "true", "yes", "live", "block"), "did you mean 'enforce'?"),
    **dict.fromkeys(("dry_run", "log", "monitor", "report", "observe", "test", "count"), "did you mean 'shadow'?"),
    **dict.fromkeys(("disabled", "false", "no", "none", "inactive"), "did you mean 'off'?"),
}


MODE: Final = word(Mode, _MEANT)
