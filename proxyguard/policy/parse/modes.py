"""`mode:` of a rule, a restriction, a rule set or the process."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.yaml.kinds import word
from proxyguard.policy.meant import meant

MODE: Final = word(Mode, meant("mode"))
