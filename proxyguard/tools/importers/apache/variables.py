"""What mod_rewrite's and mod_setenvif's variables stand for, and questions about them."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, negated, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.networks import clients, network_of
from proxyguard.tools.importers.patterns import ALWAYS_THERE, alternatives, pattern_condition
from proxyguard.tools.importers.request_line import target_condition

_FIELDS: Final = {
    "HTTP_USER_AGENT": "user_agent", "HTTP_REFERER": "header.referer", "HTTP_COOKIE": "header.cookie", "HTTP_HOST": "host",
    "HTTP_ACCEPT": "header.accept", "HTTP_FORWARDED": "header.forwarded", "SERVER_NAME": "host", "REMOTE_ADDR": "client",
    "REQUEST_METHOD": "method", "QUERY_STRING": "query_string", "REQUEST_URI": "path", "SCRIPT_NAME": "path",
    "SERVER_PROTOCOL": "http_version", "REQUEST_SCHEME": "scheme", "HTTP_X_FORWARDED_FOR": "header.x-forwarded-for",
}  # fmt: skip
_ATTRIBUTES: Final = {
    "user-agent": "user_agent", "remote_addr": "client", "request_uri": "path", "request_method": "method", "host": "host",
    "request_protocol": "http_version",
}  # fmt: skip
_ATTRIBUTE: Final = re.compile(r"\^?([\w-]+)\$?")
"""The attribute of a SetEnvIf is a pattern for names; one that finds a single name is that name."""

_VARIABLE: Final = re.compile(r"%\{(?:(HTTP|ENV):)?([\w-]+)\}", re.IGNORECASE)
_REASONS: Final = (
    ("REMOTE_HOST", "rules do not look names of addresses up"), ("REQUEST_FILENAME", "rules do not see the site's files"),
    ("DOCUMENT_ROOT", "rules do not see the site's files"), ("GEOIP", "rules know no countries"),
    ("MM_", "rules know no countries"),
    ("TIME", "rules know no time of day"), ("SSL", "rules do not see TLS"), ("SERVER_PORT", "rules do not see ports"),
    ("REMOTE_USER", "rules do not see log-ins"), ("REMOTE_PORT", "rules do not see ports"),
)  # fmt: skip
_METHOD_FIRST: Final = re.compile(
    r"\^?(?:\[A-Z\](?:\{\d+,\d*\}|\+)|\(?(?:GET|POST|HEAD)(?:\|(?:GET|POST|HEAD))*\)?|\.\*|\\w\+|\\S\+)(?:\\s\+?|\\? )"
)
_PROTOCOL_LAST: Final = re.compile(r"(?:\\s\+?|\\? )HTTP(?:/.*)?$")

Environment = dict[str, Condition | None]
"""When a variable is set."""


def reason_of(name: str) -> str:
    """Why a variable cannot be asked for."""
    return next((why for prefix, why in _REASONS if name.upper().startswith(prefix)), "rules have no such field")


def tested(source: str, pattern: str, environment: Environment, *, ignore_case: bool) -> Condition | None:
    """A RewriteCond: when its text fits. Raises NotCarried."""
    is_negated = pattern.startswith("!")
    text = pattern.removeprefix("!")
    found = _VARIABLE.fullmatch(source)
    if text in {"-f", "-d", "-s", "-l", "-F", "-U", "-x"}:
        raise NotCarried("rules do not see the site's files")
    if found is None:
        raise NotCarried(f"'{source[:60]}' is composed, and rules compare one field at a time")
    holds = _asked(found, text, environment, ignore_case=ignore_case)
    return negated(holds) if is_negated else holds


def _asked(found: re.Match[str], text: str, environment: Environment, *, ignore_case: bool) -> Condition | None:
    kind, name = (found[1] or "").upper(), found[2]
    if kind == "ENV":
        if name not in environment or text not in {"1", "^1$", ".", ".+", "=1", "^.+$", "^true$", "true"}:
            raise NotCarried(f"%{{ENV:{name}}} is set by something else")
        return environment[name]
    if kind != "HTTP" and name.upper() == "THE_REQUEST":
        return _request_line(text, ignore_case=ignore_case)
    if kind != "HTTP" and name.upper() == "HTTPS":
        return {"scheme": "https" if text.strip("^$=").lower() == "on" else "http"}
    field = f"header.{name.lower()}" if kind == "HTTP" else _FIELDS.get(name.upper())
    if field == "header.user-agent":
        field = "user_agent"
    if field is None:
        raise NotCarried(f"%{{{name}}}: {reason_of(name)}")
    return _compared(field, text, ignore_case=ignore_case)


def _compared(field: str, text: str, *, ignore_case: bool) -> Condition | None:
    if text.startswith("="):
        value = text[1:].strip('"')
        if not value:
            return None if field in ALWAYS_THERE else {field: ["absent", ""]}
        return equal(field, [value])
    if text[:1] in {"<", ">"} or (text.startswith("-") and text[1:3] in {"eq", "ge", "gt", "le", "lt", "ne", "ip"}):
        raise NotCarried(f"'{text[:60]}' compares in a way that rules do not")
    return pattern_condition(field, text, ignore_case=ignore_case)


def _request_line(pattern: str, *, ignore_case: bool) -> Condition | None:
    """`%{THE_REQUEST}`: the method before the target and the protocol after it are left out of the pattern. Raises NotCarried."""
    parts: list[Condition | None] = []
    for part in alternatives(pattern) if pattern.startswith("^(") else [pattern]:
        method = _METHOD_FIRST.match(part)
        text = "^" + part[method.end() :] if method else part
        if method is None and (text.startswith("^") or "HTTP/" in text[:7]):
            raise NotCarried(f"'{pattern[:60]}' looks at the whole request line")
        cut = _PROTOCOL_LAST.sub("$", text)
        parts.append(target_condition(cut, ignore_case=ignore_case))
    return some(parts)


def attribute_condition(attribute: str, pattern: str, environment: Environment, *, ignore_case: bool) -> Condition | None:
    """A SetEnvIf: when its pattern finds the attribute. Raises NotCarried."""
    if attribute in environment:
        return environment[attribute]
    whole = _ATTRIBUTE.fullmatch(attribute)
    if whole is None:
        raise NotCarried(f"'{attribute[:60]}': names of headers by pattern")
    name = whole[1].lower()
    if attribute.upper().startswith(("REMOTE_HOST", "SERVER_", "GEOIP", "MM_", "REMOTE_USER", "SSL_")):
        raise NotCarried(f"{attribute}: {reason_of(attribute)}")
    field = _ATTRIBUTES.get(name, f"header.{name}")
    return pattern_condition(field, pattern, ignore_case=ignore_case)


def addresses(words: tuple[str, ...], environment: Environment) -> Condition | None:
    """Clients as in `Deny from` and `Require ip`: networks, parts of addresses, `env=NAME`, `all`. Raises NotCarried."""
    parts: list[Condition | None] = []
    for word in words:
        network = network_of(word)
        if word.lower() == "all":
            parts.append(ALWAYS)
        elif word.lower().startswith("env="):
            parts.append(environment_condition(word[4:], environment))
        elif network is not None:
            parts.append(clients([network]))
        else:
            raise NotCarried(f"'{word[:60]}' is a name: rules do not look names of addresses up")
    return some(parts)


def environment_condition(name: str, environment: Environment) -> Condition | None:
    """When a variable is set, or with `!` when it is not. Raises NotCarried for one that nothing sets."""
    bare = name.removeprefix("!")
    if bare not in environment:
        raise NotCarried(f"the variable {bare[:60]} is not set in this file")
    return negated(environment[bare]) if name.startswith("!") else environment[bare]
