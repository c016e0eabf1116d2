"""The segments of a path, by their number: that of `/blog/2024/a` has three."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from proxyguard.core.key_values import canonical_parameter
from proxyguard.core.problems import Fault, quoted
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import FieldType, KeyForm, NamedValues
from proxyguard.policy.model import TextKind

MAX_SEGMENT: Final = 32
"""Sites have a dozen at most; what stands behind the last one that can be asked for is not even parted."""

_NUMBERS: Final = tuple(b"%d" % number for number in range(1, MAX_SEGMENT + 1))

_CASELESS: Final = SiteReading(ignore_case=True)


def _read_number(name: str) -> str:
    if not (name.isascii() and name.isdecimal() and name[0] != "0" and int(name[:3]) <= MAX_SEGMENT):
        hint = "regex counts from the end: path: {regex: '/[^/]+$'}" if name[:1] == "-" else "the first is path_segment.1"
        raise Fault(f"{quoted(name)} is no number of a segment, 1 to {MAX_SEGMENT}", hint)
    return name


def _segments(request: Request) -> Mapping[bytes, Values]:
    found: dict[bytes, Values] = {number: (part,) for number, part in _parts(request.path) if part}
    if request.reading.format_suffix:
        for number, part in _parts(request.whole_path):
            if found.get(number, (part,)) != (part,):
                found[number] = (*found[number], part)
    return found


def _parts(path: bytes) -> Iterator[tuple[bytes, bytes]]:
    return zip(_NUMBERS, path.split(b"/", MAX_SEGMENT + 1)[1:], strict=False)


def _counted(request: Request, number: bytes) -> Values:
    """The segment as limits count by it: without a format suffix, where the site drops one, and in every spelling."""
    return tuple(canonical_parameter(part) for each, part in _parts(request.whole_path) if each == number and part)


def _segment(kind: TextKind, text: str) -> str:
    if "/" in text and kind is not TextKind.GLOB:
        raise Fault(f"{quoted(text)} has a /, and no segment has", "use path, or one path_segment.N for each part")
    return text


PATH_SEGMENT: Final = FieldType(
    kind="path_segment",
    description="A segment of the path, decoded, the first is 1: `path_segment.1: blog`; absent when there are not so many.",
    source=NamedValues(_segments, "segment", "1", _read_number, (bytes, _counted)),
    check=_segment,
    has_stars=False,
    reading=lambda site: _CASELESS if site.ignore_case else STRICT,
    of_path=True,
    key=KeyForm.HASHED,
    derived_from=(),
)
