"""Terms of HAProxy's conditions: what an `acl` or an anonymous `{ … }` asks for, as a condition or as a rate to be exceeded."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.networks import clients, network_of
from proxyguard.tools.importers.patterns import escaped, pattern_condition, text_condition
from proxyguard.tools.importers.request_line import target_condition
from proxyguard.tools.importers.sources import Sources


class Rate(NamedTuple):
    """A counter of a stick table that must be above a number.

    `counter` is its index; or the name of a table that is kept by the client's address, empty for the section's own.
    """

    what: str
    counter: str
    above: int


Term = Condition | Rate | None

_SAMPLE: Final = re.compile(r"([\w.]+?)(?:_(beg|end|sub|reg|dir|dom|len))?(?:\(([^)]*)\))?((?:,[\w.]+(?:\([^)]*\))?)*)")
_RATE: Final = re.compile(
    r"(?:sc|src)(\d?)_(http_req_rate|http_err_rate|conn_cur|conn_rate|bytes_out_rate|get_gpc\d|gpc\d_rate|http_req_cnt|conn_cnt|get_gpt\d|http_fail_rate|inc_gpc\d|trackers|sess_rate)"
)
_MATCHERS: Final = {"beg": "prefix", "end": "suffix", "sub": "contains", "str": "equal", "": "equal"}
_HEADERS: Final = frozenset({"hdr", "req.hdr", "req.fhdr", "fhdr", "hdr_ip"})
_PREDEFINED: Final[dict[str, Condition | None]] = {
    "TRUE": ALWAYS, "FALSE": None, "METH_GET": {"method": ["GET", "HEAD"]}, "METH_POST": {"method": "POST"},
    "METH_HEAD": {"method": "HEAD"}, "METH_OPTIONS": {"method": "OPTIONS"}, "METH_TRACE": {"method": "TRACE"},
    "METH_CONNECT": {"method": "CONNECT"}, "METH_PUT": {"method": "PUT"}, "METH_DELETE": {"method": "DELETE"},
    "HTTP_1.0": {"http_version": "1.0"}, "HTTP_1.1": {"http_version": "1.1"}, "HTTP_2.0": {"http_version": "2"},
    "LOCALHOST": {"client": ["127.0.0.0/8", "::1"]}, "HTTP": ALWAYS,
}  # fmt: skip
_REASONS: Final = (
    ("ssl_fc_", "rules do not see TLS"), ("ssl_c_", "rules do not see certificates"),
    ("nbsrv", "it is about servers, not clients"),
    ("dst", "rules do not see where a connection ends"), ("so_id", "rules do not see where a connection ends"),
    ("var", "it was set by another line"), ("http_auth", "it asks for a log-in"), ("req.body", "rules do not see bodies"),
    ("fe_", "it is about all clients"), ("be_", "it is about all clients"), ("src_port", "rules do not see ports"),
    ("req.ssl", "rules do not see TLS"), ("req_ssl", "rules do not see TLS"), ("res.", "it is about the answer"),
)  # fmt: skip


def predefined(name: str) -> Condition | None:
    """One of HAProxy's own ACLs. Raises NotCarried."""
    if name not in _PREDEFINED:
        raise NotCarried(f"the acl {name[:60]} is not in this file")
    return _PREDEFINED[name]


def term_of(words: list[str], sources: Sources) -> Term:
    """`CRITERION [flags] [operator] VALUES`. Raises NotCarried."""
    if not words:
        raise NotCarried("a condition without a criterion")
    criterion, rest = words[0], words[1:]
    rate = _RATE.match(criterion)
    if rate:
        argument = criterion.partition("(")[2].partition(")")[0].partition(",")[0].strip()
        return _rate(rate[2], argument if criterion.startswith("src") else rate[1] or argument or "0", rest)
    method, ignore_case, values = _flags(rest, sources)
    found = _SAMPLE.fullmatch(criterion)
    if found is None:
        raise NotCarried(f"'{criterion[:60]}' is not known")
    kind, suffix, argument, converters = found[1], found[2] or "", found[3] or "", found[4]
    for converter in converters.split(",")[1:]:
        if converter not in {"lower", "url_dec", "url_dec(1)"}:
            raise NotCarried(f"'{criterion[:60]}' converts with {converter[:30]}, which rules do not")
        ignore_case = ignore_case or converter == "lower"
    return _compared(kind, method or suffix, argument, values, ignore_case=ignore_case)


def _rate(what: str, counter: str, rest: list[str]) -> Rate:
    words = [word for word in rest if word not in {"-m", "int"}]
    if len(words) != 2 or words[0] not in {"gt", "ge"} or not words[1].isdigit():
        raise NotCarried(f"{what} {' '.join(rest)[:40]} is not: more than a number")
    return Rate(what, counter, int(words[1]) - (words[0] == "ge"))


def _flags(words: list[str], sources: Sources) -> tuple[str, bool, list[str]]:
    """The method of `-m`, whether case is ignored, and the values, those of files included. Raises NotCarried."""
    method, ignore_case = "", False
    values: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        match word:
            case "-i":
                ignore_case = True
            case "-m" | "-f" | "-M" | "-u" | "-n":
                argument = words[at] if at < len(words) else ""
                at += word not in {"-M", "-n"}
                if word == "-m":
                    method = argument
                elif word == "-f":
                    values += _of_file(argument, sources)
            case "--":
                values += words[at:]
                break
            case _:
                values.append(word)
    return method, ignore_case, values


def _of_file(name: str, sources: Sources) -> list[str]:
    found = sources.beside(name)
    if not found:
        raise NotCarried(f"the file {name[:80]} does not lie beside this one")
    lines = [line.strip() for source in found for line in source.text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _compared(kind: str, method: str, argument: str, values: list[str], *, ignore_case: bool) -> Condition | None:
    if kind == "ssl_fc":
        return {"scheme": "https"}
    field = "" if kind in {"src", "method", "req.ver", "url", "base"} else _field(kind, argument)
    if not values and method != "found":
        raise NotCarried(f"{kind[:40]} is compared with nothing")
    if kind == "src":
        networks = [network for value in values if (network := network_of(value)) is not None]
        if len(networks) < len(values):
            raise NotCarried("one of its values is not an address")
        return clients(networks)
    if kind == "method":
        return equal("method", [value.upper() for value in values])
    if kind == "req.ver":
        return equal("http_version", [value.replace("2.0", "2") for value in values])
    if kind in {"url", "base"}:
        return _target(kind, method, values, ignore_case=ignore_case)
    if method == "found":
        return {field: "present"}
    if method == "len" or (method == "int" or values[:1] in (["gt"], ["lt"], ["eq"], ["ge"], ["le"])):
        if method == "len" and values == ["0"]:
            return {field: ["absent", ""]}
        raise NotCarried("rules do not compare lengths or counts")
    return _text(field, method, values, ignore_case=ignore_case)


def _text(field: str, method: str, values: list[str], *, ignore_case: bool) -> Condition | None:
    match method:
        case "reg":
            return some(pattern_condition(field, value, ignore_case=ignore_case) for value in values)
        case "dir":
            return some(
                pattern_condition(field, f"(^|/){escaped(value.strip('/'))}(/|$)", ignore_case=ignore_case) for value in values
            )
        case "dom":
            return some(
                pattern_condition(field, f"(^|[./:]){escaped(value)}($|[./:])", ignore_case=ignore_case) for value in values
            )
        case _ if method in _MATCHERS:
            return text_condition(field, _MATCHERS[method], values, ignore_case=ignore_case)
        case _:
            raise NotCarried(f"rules do not compare with -m {method[:20]}")


def _target(kind: str, method: str, values: list[str], *, ignore_case: bool) -> Condition | None:
    if kind == "base" or method not in {"sub", "reg", "beg", "", "str"}:
        raise NotCarried(f"{kind} is composed, and rules compare one field at a time")
    start = "^" if method in {"beg", "", "str"} else ""
    end = "$" if method in {"", "str"} else ""
    patterns = values if method == "reg" else [f"{start}{escaped(value)}{end}" for value in values]
    return some(target_condition(pattern, ignore_case=ignore_case) for pattern in patterns)


def _field(kind: str, argument: str) -> str:
    name = argument.partition(",")[0].strip("'\"")
    if kind in _HEADERS and name:
        lower = name.lower()
        if "|" in lower:
            raise NotCarried(f"{name[:60]}: it is one name, and no header has it")
        return {"user-agent": "user_agent", "host": "host"}.get(lower, f"header.{lower}")
    if kind in {"path", "capture.req.uri", "pathq"}:
        return "path"
    if kind == "query":
        return "query_string"
    if kind in {"urlp", "url_param"} and name:
        return f"query.{name}"
    if kind in {"cook", "req.cook"} and name:
        return f"cookie.{name}"
    reason = next((why for prefix, why in _REASONS if kind.startswith(prefix)), "rules have no such field")
    raise NotCarried(f"{kind}: {reason}")
