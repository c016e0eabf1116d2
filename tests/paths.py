"""Where things lie in this checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
BUNDLED_RULES: Final = ROOT / "rules"
DOCS: Final = ROOT / "docs"
RULESETS: Final = ROOT / "tests/rulesets"
