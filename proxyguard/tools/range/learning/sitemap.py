"""Reads sitemaps (sitemaps.org, protocol 0.9) into families of paths, within bounds.

A document type is refused unread: no sitemap has one, and entities that grow are made with it. An index names other sitemaps by
URL; they are read from files of that name beside it, as the range asks nobody anything.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit
from xml.parsers import expat

from proxyguard.tools.range.learning.families import NUMBER, WORD, Vocabulary
from proxyguard.tools.range.learning.learned import MAX_FAMILIES, LearnedFamily
from proxyguard.tools.replay.traits import is_asset

MAX_BYTES: Final = 50 * 1024 * 1024
"""Of one sitemap, unpacked: what the protocol allows."""

MAX_URLS: Final = 50_000
MAX_FILES: Final = 100
MAX_URL: Final = 2_048
MAX_DEPTH: Final = 8
PIECE: Final = 64 * 1024
PAGE_BYTES: Final = 30_000
GZIP: Final = b"\x1f\x8b"


class SitemapError(Exception):
    """A sitemap cannot be used; the message says which and why."""


class _Reader:
    """Collects what stands in `loc`, and whether the root is an index."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.urls: list[str] = []
        self.is_index = False
        self._path: list[str] = []
        self._text: list[str] = []
        self._size = 0
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse(self, *_: object) -> None:
        raise SitemapError(f"{self.name}: has a document type, which no sitemap has; it is not read")

    def _start(self, tag: str, _: object) -> None:
        name = tag.rpartition(":")[2]
        if not self._path:
            self.is_index = name == "sitemapindex"
            if name not in {"urlset", "sitemapindex"}:
                raise SitemapError(f"{self.name}: is no sitemap: its root is <{name[:40]}>, not <urlset> or <sitemapindex>")
        if len(self._path) >= MAX_DEPTH:
            raise SitemapError(f"{self.name}: elements lie more than {MAX_DEPTH} deep")
        self._path.append(name)
        self._text.clear()
        self._size = 0

    def _characters(self, text: str) -> None:
        if self._path[-1:] == ["loc"]:
            self._size += len(text)
            if self._size > MAX_URL:
                raise SitemapError(f"{self.name}: a URL has more than {MAX_URL} characters")
            self._text.append(text)

    def _end(self, _: str) -> None:
        if self._path.pop() == "loc" and self._path[1:] in (["url"], ["sitemap"]):
            if len(self.urls) >= MAX_URLS:
                raise SitemapError(f"{self.name}: more than {MAX_URLS:,} URLs, which the protocol does not allow")
            self.urls.append("".join(self._text).strip())


def _pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked when they are packed, up to MAX_BYTES."""
    total = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            while piece := stream.read(PIECE):
                total += len(piece)
                if total > MAX_BYTES:
                    raise SitemapError(
                        f"{path}: more than {MAX_BYTES // 1024**2} MiB unpacked, which the protocol does not allow"
                    )
                yield piece
    except (OSError, EOFError, zlib.error) as error:
        raise SitemapError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _read(path: Path) -> _Reader:
    reader = _Reader(str(path))
    try:
        for piece in _pieces(path):
            reader.parser.Parse(piece, False)  # noqa: FBT003 - expat's own
        reader.parser.Parse(b"", True)  # noqa: FBT003 - as above
    except expat.ExpatError as error:
        raise SitemapError(f"{path}:{error.lineno}:{error.offset + 1}: {expat.errors.messages[error.code]}") from error
    return reader


def read_sitemap(path: Path, vocabulary: Vocabulary) -> tuple[list[LearnedFamily], list[str]]:
    """The families of its paths, the most frequent first, and notes of what was not there. Raises SitemapError."""
    counts: Counter[str] = Counter()
    notes: list[str] = []
    first = _read(path)
    files = _named(first, path, notes) if first.is_index else []
    for reader in (first, *map(_read, files)):
        if reader.is_index:
            if reader is not first:
                notes.append(f"{reader.name}: an index in an index, which the protocol does not allow, is left out")
            continue
        counts.update(vocabulary.family(each.encode() or b"/") for each in map(_path_of, reader.urls) if each is not None)
    if not counts:
        raise SitemapError(f"{path}: it has no URL of http or https")
    return [_family(each) for each, _ in counts.most_common(MAX_FAMILIES)], notes


def _path_of(url: str) -> str | None:
    """The path of a URL; None for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.path if parts.scheme in {"http", "https"} else None


def _named(index: _Reader, path: Path, notes: list[str]) -> list[Path]:
    """The files beside an index whose names are the last part of its URLs."""
    found = []
    for url in index.urls[:MAX_FILES]:
        name = PurePosixPath(_path_of(url) or "").name
        beside = path.parent / name
        if name not in {"", "..", "."} and beside.is_file() and not beside.samefile(path):
            found.append(beside)
        else:
            notes.append(f"{path}: {name or url} is not beside it and is left out")
    if len(index.urls) > MAX_FILES:
        notes.append(f"{path}: only the first {MAX_FILES} of {len(index.urls):,} sitemaps are read")
    return found


def _family(name: str) -> LearnedFamily:
    is_item = (NUMBER in name or WORD in name) and not is_asset(name.encode())
    return LearnedFamily(name, 200, PAGE_BYTES, int(is_item))
