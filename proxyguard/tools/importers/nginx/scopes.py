"""Where a directive of nginx holds: the hosts of its `server`, the paths of its `location`, without those that have their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, every, negated, some
from proxyguard.tools.importers.draft import Draft, NotCarried, not_carried
from proxyguard.tools.importers.nginx.choices import host_condition
from proxyguard.tools.importers.nginx.syntax import Directive
from proxyguard.tools.importers.patterns import pattern_condition

_NOBODY: Final = frozenset({"_", "", "localhost", "$hostname", "--", "*"})
"""Names of servers that stand for every host."""


def server_hosts(server: Directive, others: Sequence[Directive], draft: Draft) -> Condition | None:
    """The hosts that a server answers for. One without a name, or the default one, answers for all that the others do not."""
    own = _names(server)
    is_default = not own or any("default" in arg for listen in server.named("listen") for arg in listen.args)
    if not is_default or (own and len(others) <= 1):
        return _hosts(own, draft, server)
    named = [name for other in others if other is not server for name in _names(other) if name not in own]
    return negated(_hosts(named, draft, server)) if named else ALWAYS


def _names(server: Directive) -> list[str]:
    return [name for found in server.named("server_name") for name in found.args if name not in _NOBODY]


def _hosts(names: Sequence[str], draft: Draft, server: Directive) -> Condition | None:
    plain = [name.lower() for name in names if "*" not in name and name[0] not in "~.$"]
    parts: list[Condition | None] = [equal("host", plain)] if plain else []
    for name in names:
        try:
            if name.startswith("~"):
                parts.append(pattern_condition("host", name[1:], ignore_case=True))
            elif "$" in name:
                not_carried(f"the name '{name[:60]}' has a variable")
            elif name.lower() not in plain:
                parts.append(host_condition(name))
        except NotCarried as error:
            draft.note(server.line, f"a server_name was left out: {error}", server.file)
    return some(parts)


def location_paths(location: Directive, siblings: Sequence[Directive], draft: Draft) -> Condition | None:
    """The paths that a location answers for: without longer ones, and without patterns, which come before plain prefixes."""
    sign, text = _location(location)
    own = _paths(location, draft)
    if own is None or sign == "=":
        return own
    taken: list[Condition | None] = []
    seen = False
    for other in siblings:
        seen = seen or other is location
        other_sign, other_text = _location(other)
        if other is location or other_text.startswith("@"):
            continue
        if other_sign in {"~", "~*"}:
            comes_first = sign == "" or (sign != "^~" and not seen)
        elif sign in {"", "^~"}:
            comes_first = other_text.startswith(text) and (other_text != text or other_sign == "=")
        else:
            comes_first = other_sign in {"=", "^~"}
        if comes_first:
            taken.append(_paths(other, draft))
    return every([own, negated(some(taken))])


def _location(location: Directive) -> tuple[str, str]:
    args = location.args
    if len(args) == 2:
        return args[0], args[1]
    text = args[0] if args else ""
    for sign in ("~*", "^~", "~", "="):
        if text.startswith(sign):
            return sign, text.removeprefix(sign)
    return "", text


def _paths(location: Directive, draft: Draft) -> Condition | None:
    """Its own paths; None with a note when it has none that a client asks for, or that cannot be said."""
    sign, text = _location(location)
    if text.startswith("@"):
        return None
    try:
        if sign in {"~", "~*"}:
            return pattern_condition("path", text, ignore_case=sign == "~*")
    except NotCarried as error:
        draft.note(location.line, f"the location {text[:60]} was left out: {error}", location.file)
        return None
    if sign == "=":
        return equal("path", [text])
    return ALWAYS if text in {"/", ""} else {"path": {"prefix": text}}


def blocks_in(block: Directive, name: str) -> Iterator[Directive]:
    """Blocks of a name directly in a block, or in its `http`."""
    for each in block.block or ():
        if each.name == name and each.block is not None:
            yield each
        elif each.name == "http" and each.block is not None:
            yield from blocks_in(each, name)
