"""How a site reads paths and the names of query parameters: which spellings reach the same page or the same parameter.

A reading is a value that `paths:` in the settings makes; each preset is what one kind of server was measured to take for one.
Folding goes one way only: two spellings that are one page for the site become one text. Knows nothing of rules.
"""

from __future__ import annotations

import re
from binascii import a2b_hex, a2b_qp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import re2

from proxyguard.core.frozen import pickle_by_fields


def _without_case(pattern: bytes) -> Any:
    """Finds it in a path in time that hardly depends on how often it nearly matches; one byte is one character."""
    options = re2.Options()
    options.case_sensitive = False
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern, options)


_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SLASHES: Final = re.compile(rb"//+")
_SCRIPT: Final = _without_case(rb"\.(?:php[0-9]?|phtml|phar|cgi|fcgi|pl|py|rb|asp|aspx|ashx|asmx|axd|cfm)/")
"""The end of a segment that ends like a program, where others follow it."""
_INDEX: Final = re.compile(rb"/(?:index\.(?:php[0-9]?|phtml|html?|jsp|cgi)|default\.(?:aspx?|html?))", re.IGNORECASE)
_FRONT: Final = _without_case(rb"/(?:index|app)\.php/")
_SETTLED_BYTES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_-/"
_IF_SETTLED: Final = bytes(byte if byte in _SETTLED_BYTES else _SETTLED_BYTES[0] for byte in range(256))
"""Translates a text of such bytes to itself, and no other."""
_SETTLED_FILE: Final = re.compile(rb"(?:/[a-z0-9_-]++)++\.[a-z0-9]++")
"""Paths with a dot that every reading leaves alone, unless they end in the name of an index."""
_STREAM: Final = re.compile(rb":[^/]*+")
"""A stream of a file, such as `::$DATA`, which Windows drops from a name."""
_SESSION: Final = re.compile(rb"/(?:\([A-Za-z]\([^/()]*\)\))(?=/|\Z)|/\((?:[A-Za-z]\([^/()]*\))+\)(?=/|\Z)")
"""A segment that holds the session of ASP.NET without cookies: `(S(lit3py55t21z5v55vlm25s55))`."""
_PLAIN_NAMES: Final = re.compile(rb"[a-z0-9_&-]*+")
"""Names that no reading changes, with `&` between them."""
_FROM_NUL: Final = re.compile(rb"\0[^&]*+")
_FROM_BRACKET: Final = re.compile(rb"\[[^&]*+")
# Each of the next two stops at the next bracket, so that a name full of them is read once. What they find takes the long way.
_DOTTED_BRACKET: Final = re.compile(rb"\[[^&. \[]*+[. ]")
_OPEN_BRACKET: Final = re.compile(rb"\[[^&\[\]]*+(?=&|\Z)")
_BEFORE_NAMES: Final = (b"[", b"]", b" ")
_FROM_ANY_BRACKET: Final = re.compile(rb"[\[\]][^&]*+")
_UNICODE_ESCAPE: Final = re.compile(rb"%[uU]([0-9A-Fa-f]{4})")
_FIFTH_DIGIT: Final = "\U00010000"
"""A character that no such escape stands for."""
_FIFTH_DIGIT_ESCAPE: Final = b"%F0%90%80%80%"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReading:
    """What a site takes for the same path or parameter. All False is the reading of rules.md: decoded, slashes merged."""

    ignore_case: bool = False
    trailing_slash: bool = False
    """`/signup/` is `/signup`."""
    semicolon_parameters: bool = False
    """`/signup;a=1` and `/;a/signup` are `/signup`."""
    path_info: bool = False
    """`/signup.php/any/thing` is `/signup.php`."""
    index_files: bool = False
    """`/admin/index.php` is `/admin/`."""
    format_suffix: bool = False
    """`/signup.json` is `/signup`, where a rule gives the whole path."""
    front_controller: bool = False
    """`/index.php/signup` is `/signup`."""
    windows_names: bool = False
    """`/signup.aspx.`, `/signup.aspx::$DATA` and `/(S(x))/signup.aspx` are `/signup.aspx`."""
    name_brackets: bool = False
    """The parameters `page[]`, `page[0]` and `[page]` are also `page`."""
    php_names: bool = False
    """Parameters are named as PHP does: blanks before it dropped, cut at a NUL, dots and blanks as underscores."""
    query_semicolons: bool = False
    """`;` parts parameters as `&` does."""

    def __str__(self) -> str:
        """As an operator would write it."""
        for name, preset in PRESETS.items():
            if preset == self:
                return name
        return f"{{{', '.join(f'{each.name}: true' for each in fields(self) if getattr(self, each.name))}}}"

    @property
    def folds_paths(self) -> bool:
        """Whether any path is read otherwise than as it was written."""
        return (
            self.ignore_case
            or self.trailing_slash
            or self.semicolon_parameters
            or self.path_info
            or self.index_files
            or self.format_suffix
            or self.front_controller
            or self.windows_names
        )

    @property
    def folds_names(self) -> bool:
        """Whether any parameter has more names than the one that was written."""
        return self.name_brackets or self.php_names or self.query_semicolons or self.windows_names

    def path(self, target: bytes) -> bytes:
        """The path of a target as this site reads it."""
        return self.fold(self.decoded(target))

    def decoded(self, target: bytes) -> bytes:
        """The path of a target, decoded, before it is folded."""
        written = target.partition(b"?")[0]
        if self.semicolon_parameters and b";" in written:
            written = _without_parameters(written)  # before decoding too: `/signup;a%2Fb` has one segment
        return decoded_path(written)

    def fold(self, path: bytes) -> bytes:
        """A decoded path as this site reads it."""
        return path if is_settled(path) else self.fold_pages(self.fold_names(path))

    def fold_names(self, path: bytes) -> bytes:
        """The first half of `fold`: what differs inside of segments."""
        if self.ignore_case:
            path = self.fold_case(path)
        if self.semicolon_parameters and b";" in path:
            path = _merged(_without_parameters(path))
        if self.windows_names:
            path = _windows_names(path)
        return path

    def fold_pages(self, path: bytes) -> bytes:
        """The second half of `fold`: which page the segments name."""
        if self.front_controller:
            front = _FRONT.search(path)
            if front is not None:
                path = path[: front.start()] + path[front.end() - 1 :]
        if self.path_info:
            script = _SCRIPT.search(path)
            if script is not None:
                path = path[: script.end() - 1]
        if self.trailing_slash:
            path = path.rstrip(b"/")
        if self.index_files:
            last = path.rfind(b"/")
            if last >= 0 and _INDEX.fullmatch(path, last) is not None:
                path = path[: last + 1]
                if self.trailing_slash:
                    path = path.rstrip(b"/")
        return path or b"/"

    def whole(self, path: bytes) -> bytes:
        """A path that was read, as whole paths are compared and counted."""
        dot = _ending(path) if self.format_suffix else -1
        return path if dot < 0 else path[:dot]

    def without_ending(self, target: bytes) -> bytes | None:
        """The path of a target as this site reads it, less an ending that has escapes; None when it has none, or keeps it.

        Rails looks for the ending before it decodes: `/signup.a%2Fb` is `/signup`, although nothing shows it in `/signup.a/b`.
        """
        if not self.format_suffix or target.find(b"%") < 0:
            return None
        written = target.partition(b"?")[0].rstrip(b"/")
        dot = _ending(written)
        return None if dot < 0 or written.find(b"%", dot) < 0 else self.path(written[:dot])

    @staticmethod
    def fold_case(text: bytes) -> bytes:
        """A text in lower case, as Unicode has it where the text is UTF-8."""
        if text.isascii():
            return text.lower()
        try:
            return text.decode().casefold().encode()
        except UnicodeDecodeError:
            return text.lower()

    def names(self, name: bytes) -> tuple[bytes, ...]:
        """The names by which the site may know a parameter, decoded as it came; the first is the one that rules' names become."""
        written, bases = self.names_of((name,))
        return (written[0], bases[0]) if bases[0] else (written[0],)

    def names_of(self, names: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The names by which the site may know each parameter: as it is written, and without brackets (empty: no other name).

        All names are read as one text, with `&` between them, since a query may have hundreds.
        """
        text = b"&".join(names)
        if _PLAIN_NAMES.fullmatch(text) is not None:
            return names, (b"",) * len(names)
        if text.count(b"&") != len(names) - 1:  # one that was written with `%26`
            written, bases = self.names_of([name.replace(b"\\", b"\\b").replace(b"&", b"\\a") for name in names])
            return _unescaped(written), _unescaped(bases)
        if self.php_names:
            text = _as_php(text)
        if self.windows_names:
            text = text.lower()
        written = text.split(b"&")
        if not self.name_brackets or _FROM_ANY_BRACKET.search(text) is None:
            return written, (b"",) * len(written)
        trimmed, inner = written, text
        if text.startswith(_BEFORE_NAMES) or any(text.find(b"&" + byte) >= 0 for byte in _BEFORE_NAMES):
            trimmed = [name.lstrip(b" ") for name in written]
            inner = b"&".join([name.lstrip(b"[]") for name in trimmed])
        bases = _FROM_ANY_BRACKET.sub(b"", inner).split(b"&")
        return written, [b"" if len(base) == len(name) else base for name, base in zip(trimmed, bases, strict=True)]

    def raw_query(self, query: bytes) -> bytes:
        """A query before it is parted: without what PHP skips at its start, with `%u0070` of ASP.NET as UTF-8 escapes."""
        if self.php_names:
            query = query.lstrip(b"?")
        if self.windows_names and b"%u" in query.lower():
            parts: list[bytes] = _UNICODE_ESCAPE.split(query)
            if len(parts) == 1:
                return query
            parts[1::2] = _utf8_escapes(parts[1::2])
            return b"".join(parts)
        return query


def decoded_path(path: bytes) -> bytes:
    """A path without a query: percent-decoded once, without what follows a `#`, runs of slashes merged."""
    if path.find(b"#") >= 0:
        path = path.partition(b"#")[0]
    if path.find(b"%") >= 0:
        path = percent_decode(path)
    return _merged(path)


def percent_decode(text: bytes) -> bytes:
    """Decode `%XX` once; malformed escapes stay as they are.

    Quoted-printable (RFC 2045 section 6.7) is the same but for the sign, and is decoded without a call for each escape.
    """
    return decode_mended(mended(text))


def mended(text: bytes) -> bytes:
    """The same text without malformed escapes."""
    return text if _BROKEN_ESCAPE.search(text) is None else _BROKEN_ESCAPE.sub(b"%25", text)


def decode_mended(text: bytes) -> bytes:
    """Decode `%XX` once in a text, or a part of one, that has no malformed escapes."""
    if text.find(b"=") >= 0:
        text = text.replace(b"=", b"=3D")
    return a2b_qp(text.replace(b"%", b"="))


def _ending(path: bytes) -> int:
    """Where the ending of the last segment begins, with a dot: any text (Rails, Spring); -1 when it has none."""
    dot = path.rfind(b".")
    if dot < 0 or dot == len(path) - 1:  # as most
        return -1
    return dot if dot >= path.rfind(b"/") + 2 else -1


def _merged(path: bytes) -> bytes:
    return _SLASHES.sub(b"/", path) if path.find(b"//") >= 0 else path


def _without_parameters(path: bytes) -> bytes:
    """Each segment up to its first `;`."""
    return b"/".join([name if (end := name.find(b";")) < 0 else name[:end] for name in path.split(b"/")])


def is_settled(path: bytes) -> bool:
    """Whether every reading leaves a decoded path alone."""
    if path.translate(_IF_SETTLED) == path:
        return path.startswith(b"/") and path.find(b"//") < 0 and (not path.endswith(b"/") or len(path) == 1)
    if path.translate(None, _SETTLED_BYTES) != b".":
        return False
    return _SETTLED_FILE.fullmatch(path) is not None and path.find(b"/index.") < 0 and path.find(b"/default.") < 0


def _windows_names(path: bytes) -> bytes:
    """Without sessions, and without what Windows drops from the end of a name: dots, blanks, a stream."""
    if path.find(b"(") >= 0:
        path = _SESSION.sub(b"", path)
    if path.find(b":") >= 0:
        path = _STREAM.sub(b"", path)
    if path.find(b"./") >= 0 or path.find(b" /") >= 0 or path.endswith((b".", b" ")):
        path = b"/".join([name.rstrip(b". ") for name in path.split(b"/")])
    return _merged(path)


def _unescaped(names: Sequence[bytes]) -> list[bytes]:
    return [name.replace(b"\\a", b"&").replace(b"\\b", b"\\") for name in names]


def _as_php(text: bytes) -> bytes:
    """Names with `&` between them, each as PHP reads it: with underscores, and an opening bracket that nothing closes as one."""
    if text.find(b" ") >= 0:
        text = b"&".join([name.lstrip(b" ") for name in text.split(b"&")])
    if text.find(b"\0") >= 0:
        text = _FROM_NUL.sub(b"", text)
    if _DOTTED_BRACKET.search(text) is None:
        text = text.replace(b".", b"_").replace(b" ", b"_")
    else:
        heads = _FROM_BRACKET.sub(b"", text).replace(b".", b"_").replace(b" ", b"_").split(b"&")
        text = b"&".join([head + name[len(head) :] for head, name in zip(heads, text.split(b"&"), strict=True)])
    if _OPEN_BRACKET.search(text) is None:
        return text
    names = text.split(b"&")
    return b"&".join([name if name.find(b"]", name.find(b"[")) >= 0 else name.replace(b"[", b"_", 1) for name in names])


def _utf8_escapes(codes: Sequence[bytes]) -> list[bytes]:
    """The escapes in UTF-8 of characters given as four hexadecimal digits, all as one text, since there may be a thousand."""
    text = a2b_hex(b"".join([b"0000" + code for code in codes])).decode("utf-32-be", "surrogatepass")
    escapes = _FIFTH_DIGIT.join(text).encode("utf-8", "replace").hex("%").upper().encode()
    return [b"%" + escape for escape in escapes.split(_FIFTH_DIGIT_ESCAPE)]


pickle_by_fields(SiteReading)

STRICT: Final = SiteReading()
LOOSE: Final = SiteReading(
    ignore_case=True,
    trailing_slash=True,
    semicolon_parameters=True,
    path_info=True,
    index_files=True,
    format_suffix=True,
    windows_names=True,
    name_brackets=True,
    php_names=True,
    query_semicolons=True,
)
"""What any server takes for the same, but for front controllers: see LOOSE_FRONT."""

LOOSE_FRONT: Final = replace(LOOSE, front_controller=True)
"""The other reading of what goes on after a script: `/index.php/signup` is `/index.php` to Apache, `/signup` to Laravel."""

PRESETS: Final[Mapping[str, SiteReading]] = {
    "strict": STRICT,
    "nginx": SiteReading(index_files=True),
    "express": SiteReading(ignore_case=True, trailing_slash=True, name_brackets=True),
    "php": SiteReading(trailing_slash=True, path_info=True, index_files=True, name_brackets=True, php_names=True),
    "django": SiteReading(trailing_slash=True),
    "rails": SiteReading(trailing_slash=True, format_suffix=True, name_brackets=True, query_semicolons=True),
    "tomcat": SiteReading(trailing_slash=True, semicolon_parameters=True, index_files=True, format_suffix=True),
    "iis": SiteReading(
        ignore_case=True, trailing_slash=True, semicolon_parameters=True, path_info=True, index_files=True, windows_names=True
    ),
}
"""By kind of server."""
