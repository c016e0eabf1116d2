"""The files of the dashboard's page, as they lie beside this module: read once, held in memory."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "pages"

KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """A file: its type, its bytes, and a tag that changes with them."""

    kind: str
    content: bytes
    tag: str


def page_files() -> dict[str, PageFile]:
    """Every file by its name."""
    found = {}
    for path in sorted(FOLDER.iterdir()):
        content = path.read_bytes()
        found[path.name] = PageFile(KINDS[path.suffix], content, f'"{blake2b(content, digest_size=12).hexdigest()}"')
    return found
