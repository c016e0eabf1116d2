"""What many paths have in common: `/posts/*` of `/posts/4711`, so that a list of paths stays short and names nobody.

Segments that look like words of the site stay; numbers, identifiers, addresses and long or odd segments become `*`. A word with
a dot is one of the site only when it ends as a file does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_extensions import i64  # compiled, a machine's integer

MAX_SEGMENTS: Final = 4
"""Of a path's family; `/…` stands for the rest."""

MAX_WORD: Final = 24
"""Characters of a segment that may be a word of the site."""

FILES: Final = (
    rb"action|asmx?|ashx|aspx?|atom|avif|axd|bak|bin|bmp|br|cab|cfm|cgi|cnf|conf|config|css|csv|dat|db|deb|dll|dmg|do|docx?|ejs|env|eot|"
    rb"epub|exe|flac|flv|gif|git|gpx|gz|har|html?|ico|ics|img|inc|ini|iso|jar|jpe?g|jsp?x?|json5?|jsonld|key|less|lock|log|map|md|mjs|"
    rb"mkv|mov|mp3|mp4|mpe?g|msi|m3u8?|m4a|odt|ogg|old|opml|orig|otf|pdf|pem|php\d?|phtml|pht|pl|png|pptx?|ps1|py|rar|rb|rdf|rpm|rss|rtf|"
    rb"scss|sh|shtml|sql|sqlite|svc|svg|swf|tar|tgz|tiff?|toml|ts|tsx|ttf|txt|vcf|wasm|wav|webm|webmanifest|webp|woff2?|wsdl|xhtml|"
    rb"xlsx?|xml|xsd|xsl|xz|ya?ml|zip|zst"
)
"""Ends of names of files that servers have."""

_WORD: Final = re.compile(rb"[A-Za-z][A-Za-z_~-]{0,23}\d{0,2}(?:\.min)?(?:\.(?:" + FILES + rb"))?", re.ASCII)
"""Letters, with at most two digits at the end: `search`, `wp-login.php`, `v2`."""

_NAME: Final = re.compile(rb"[A-Za-z\x80-\xff][A-Za-z\x80-\xff_.~+' -]{0,63}\d{0,4}")
"""Letters of any language, as UTF-8 has them, with a year or so at the end."""

_SUFFIX: Final = re.compile(rb"\.(?:" + FILES + rb")\Z", re.ASCII)

_MAX_PLAIN: Final = 64
"""Bytes of a segment that are looked at one by one; a name has no more of them before its digits."""

# Shapes of segments.
_ODD: Final = 0  # only expressions tell
_SHORT: Final = 1  # as words of the site are
_LONG: Final = 2  # as names are that are too long for these, or have a year
_NEITHER: Final = 3


def path_family(path: bytes) -> str:
    """The family of a decoded path without its query."""
    segments = path.split(b"/", MAX_SEGMENTS + 2)
    family = ""
    for at in range(1, min(len(segments), MAX_SEGMENTS + 1)):
        family = f"{family}/{_segment(segments[at])}"
    if len(segments) > MAX_SEGMENTS + 1:
        family += "/…"
    return family or "/"


def is_word_or_name(segment: bytes) -> bool:
    """Whether a segment has the shape of a word of the site, and so of a person's name, and not of a file's."""
    shape = _shape(segment)
    if shape != _ODD:
        return shape != _NEITHER
    return _NAME.fullmatch(segment) is not None and _SUFFIX.search(segment[-16:]) is None


def _segment(segment: bytes) -> str:
    shape = _shape(segment)
    if shape == _SHORT:
        return segment.decode("ascii")
    if shape != _ODD:
        return "*"
    if not segment or (len(segment) <= MAX_WORD and _WORD.fullmatch(segment)):
        return segment.decode("ascii")
    suffix = _SUFFIX.search(segment[-16:])
    return "*" + suffix[0].decode("ascii") if suffix else "*"


def _shape(segment: bytes) -> int:
    """What `_WORD` and `_NAME` say of a segment, where one look at each byte tells: of most, for a tenth of the cost."""
    length = len(segment)
    if not 0 < length <= _MAX_PLAIN:
        return _ODD
    digits, is_mixed = 0, not _is_letter(segment[0])
    at: i64
    for at in range(length):
        byte = segment[at]
        if _is_letter(byte) or byte in (0x2D, 0x5F, 0x7E):
            is_mixed = is_mixed or digits > 0
        elif 0x30 <= byte <= 0x39:
            digits += 1
        else:
            return _ODD
    if is_mixed or digits > 4:
        return _NEITHER
    return _SHORT if length <= MAX_WORD and digits <= 2 else _LONG


def _is_letter(byte: int) -> bool:
    return 0x61 <= byte <= 0x7A or 0x41 <= byte <= 0x5A
