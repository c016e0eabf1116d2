"""The kinds of values that settings have: how each is read, what the reference calls it, and what editors know of it.

A schema cannot say all that the reader checks: it accepts what the reader accepts, written without needless quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from proxyguard.core.problems import Fault, Report
from proxyguard.core.units import UNIT_BYTES, UNIT_SECONDS
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import (
    MAX_NAME_CHARACTERS,
    NAME,
    complain,
    read_choice,
    read_duration,
    read_integer,
    read_name,
    read_number,
    read_size,
    read_text,
    read_truth,
)
from proxyguard.policy.model import FieldKind
from proxyguard.policy.parse.texts import read_field_name
from proxyguard.settings.values import (
    CERTIFICATE_KEYS,
    MAX_UPSTREAMS,
    MIN_SECRET_CHARACTERS,
    SITE_KEYS,
    UPSTREAM_TLS_KEYS,
    read_file_path,
    read_listen,
    read_networks,
    read_path,
    read_secret,
    read_secret_file,
    read_sites,
    read_store_url,
    read_upstreams,
)

NOTHING: Final = object()
"""What a reader returns for a setting that is switched off: None in Settings."""

type Schema = dict[str, Any]

type Reader = Callable[[Node, Report, str, Path], object | None]
"""Reads a node; the text is the setting's name, the path what relative paths are relative to."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value. `takes` is its name in the reference, `schema` its JSON Schema, `off` a word that switches it off."""

    read: Reader
    takes: str
    schema: Schema
    off: str = ""


def _plain(read: Callable[[Node, Report, str], object | None]) -> Reader:
    return lambda node, report, subject, _base: read(node, report, subject)


def whole(low: int, high: int, takes: str = "number") -> Kind:
    """A whole number."""
    return Kind(
        lambda node, report, subject, _base: read_integer(node, report, subject, low, high),
        takes,
        {"type": "integer", "minimum": low, "maximum": high},
    )


def duration(low: float, high: float, off: str = "") -> Kind:
    """Seconds; `off` is a word that switches the setting off."""

    def read(node: Node, report: Report, subject: str, _base: Path) -> object | None:
        if off and isinstance(node, Scalar) and node.text == off:
            return NOTHING
        return read_duration(node, report, subject, low, high, off)

    written = rf"[0-9]+(\.[0-9]+)?({'|'.join(UNIT_SECONDS)})"
    return Kind(read, _or_off("duration", off), {"type": "string", "pattern": _whole_text(written, off)}, off)


def size(low: int, high: int, off: str = "") -> Kind:
    """Bytes; `off` is a word that switches the setting off."""

    def read(node: Node, report: Report, subject: str, _base: Path) -> object | None:
        if off and isinstance(node, Scalar) and node.text == off:
            return NOTHING
        return read_size(node, report, subject, low, high, off)

    pattern = _whole_text(rf"[0-9]+({'|'.join(UNIT_BYTES)})?", off)
    schema = {"type": ["integer", "string"], "pattern": pattern, "minimum": low, "maximum": high}
    return Kind(read, _or_off("size", off), schema, off)


def word(choices: type[StrEnum], meant: Mapping[str, str] | None = None) -> Kind:
    """One of a few words."""

    def read(node: Node, report: Report, subject: str, _base: Path) -> object | None:
        chosen = read_choice(node, report, subject, tuple(choices), meant)
        return None if chosen is None else choices(chosen)

    *others, last = (str(choice) for choice in choices)
    return Kind(read, f"{', '.join(others)} or {last}", {"enum": [*others, last]})


def _or_off(takes: str, off: str) -> str:
    return f"{takes} or {off}" if off else takes


def _whole_text(pattern: str, off: str) -> str:
    return f"^({pattern}|{off})$" if off else f"^{pattern}$"


def _header(node: Node, report: Report, subject: str, _base: Path) -> object | None:
    text = read_text(node, report, subject, 256)
    try:
        return None if text is None else read_field_name(FieldKind.HEADER, text)
    except Fault as fault:
        complain(report, node, fault.message, fault.hint)
        return None


def _audit_path(node: Node, report: Report, subject: str, base: Path) -> object | None:
    text = read_text(node, report, subject, 4096)
    return text if text is None or text == "-" else str(base / text)


def _name_of_server(node: Node, report: Report, subject: str, _base: Path) -> object | None:
    return read_text(node, report, subject, 253)


def _share(node: Node, report: Report, subject: str, _base: Path) -> object | None:
    return read_number(node, report, subject, 0, 1)


def _one_or_more(item: Schema, **bounds: int) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, **bounds}]}


def _mapping(keys: tuple[str, ...], values: Schema, required: tuple[str, ...] = ()) -> Schema:
    """A mapping with exactly these keys; a key without a schema is a KeyError at once."""
    properties = {key: values[key] for key in keys}
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_TRUTH: Final[Schema] = {"type": "boolean"}
_NAME: Final[Schema] = {"type": "string", "pattern": f"^{NAME.pattern}$", "maxLength": MAX_NAME_CHARACTERS}
_URLS: Final = _one_or_more({"type": "string", "pattern": "^https?://[^/]+/?$"}, minItems=1, maxItems=MAX_UPSTREAMS)
_SITE: Final = _mapping(
    SITE_KEYS,
    {
        "hosts": _one_or_more(_TEXT, minItems=1),
        "upstream": _URLS,
        "certificate": _mapping(CERTIFICATE_KEYS, {"chain": _TEXT, "key": _TEXT}, CERTIFICATE_KEYS),
        "upstream_tls": _mapping(UPSTREAM_TLS_KEYS, {"verify": _TRUTH, "ca": _TEXT, "name": _TEXT}),
        "rule_sets": _one_or_more(_NAME),
    },
    ("hosts", "upstream"),
)

LISTEN: Final = Kind(
    _plain(read_listen), "HOST:PORT", {"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):[0-9]{1,5}$"}
)
UPSTREAMS: Final = Kind(_plain(read_upstreams), "URL, or a list of URLs", _URLS)
SITES: Final = Kind(read_sites, f"list of {{{', '.join(SITE_KEYS)}}}", {"type": "array", "minItems": 1, "items": _SITE})
NETWORKS: Final = Kind(_plain(read_networks), "list of networks", _one_or_more(_TEXT))
PATH: Final = Kind(read_path, "path", _TEXT)
FILE: Final = Kind(read_file_path, "path", _TEXT)
AUDIT_PATH: Final = Kind(_audit_path, "path or -", _TEXT)
FILE_OF_SECRET: Final = Kind(read_secret_file, "path", _TEXT)
SECRET: Final = Kind(_plain(read_secret), "text", {"type": "string", "minLength": MIN_SECRET_CHARACTERS})
STORE_URL: Final = Kind(_plain(read_store_url), "URL", {"type": "string", "pattern": "^(rediss?|unix)://"})
KEBAB: Final = Kind(_plain(read_name), "name", _NAME)
SERVER_NAME: Final = Kind(_name_of_server, "name", _TEXT)
HEADER: Final = Kind(_header, "name", _TEXT)
TRUTH: Final = Kind(_plain(read_truth), "true or false", _TRUTH)
SHARE: Final = Kind(_share, "0 to 1", {"type": "number", "minimum": 0, "maximum": 1})
TIMEOUT: Final = duration(0.1, 86_400.0)
