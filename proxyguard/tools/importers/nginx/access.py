"""`allow` and `deny`: the first line that has the client's address decides."""

from __future__ import annotations

from collections.abc import Sequence

from proxyguard.tools.importers.conditions import Condition, every, negated, some
from proxyguard.tools.importers.draft import Draft
from proxyguard.tools.importers.networks import Network, clients, network_of
from proxyguard.tools.importers.nginx.syntax import Directive


def unknown_exception(lines: Sequence[Directive]) -> str:
    """Where all are denied: what may let in somebody that nobody knows of here, an include or an `allow` of no address."""
    if not any(each.name == "deny" and each.args == ("all",) for each in lines):
        return ""
    for each in lines:
        text = " ".join((each.name, *each.args))[:80]
        is_address = each.args and (each.args[0] in {"all", "unix:"} or network_of(each.args[0]) is not None)
        if each.name == "include" or (each.name == "allow" and not is_address):
            return text
    return ""


def refused_clients(found: Sequence[Directive], draft: Draft) -> Condition | None:
    """Whom the lines refuse; None when they refuse nobody."""
    parts: list[Condition | None] = []
    allowed: list[Condition | None] = []
    denied: list[Network] = []
    for each in found:
        address = each.args[0] if each.args else ""
        network = network_of("0.0.0.0/0" if address == "all" else address)
        if network is None:
            if address != "unix:":
                draft.note(each.line, f"{each.name} {address[:60]} was left out: it is not an address", each.file)
        elif each.name == "deny":
            denied.append(network)
        else:
            parts.append(every([clients(denied), negated(some(allowed))]))
            denied = []
            allowed.append(clients([network]))
    parts.append(every([clients(denied), negated(some(allowed))]))
    return some(parts)
