"""The page that explains a code: docs/lints/CODE.md, which is packaged beside this module."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

_IN_REPOSITORY: Final = Path(__file__).parents[3] / "docs/lints"


def read_page(code: str) -> str:
    """The text of a code's page. `code` is one of LINTS."""
    packaged = files("proxyguard.tools.lint") / "pages" / f"{code}.md"
    return packaged.read_text("utf-8") if packaged.is_file() else (_IN_REPOSITORY / f"{code}.md").read_text("utf-8")
