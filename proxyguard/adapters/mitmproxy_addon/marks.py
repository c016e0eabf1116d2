"""What a flow shows of a decision: comment, marker and metadata, for eyes and filters (`~comment`, `~marker`, `~meta`).

The comment reads as tests in rule files do: `reject by scripted-clients`. Only what is worth a look gets a marker.
"""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy_addon.public import HTTPFlow
from proxyguard.core.decision import Decision
from proxyguard.core.printable import printable
from proxyguard.guard.interfaces import Ticket

MARKERS: Final = {
    "reject": ":no_entry:",
    "tarpit": ":snail:",
    "maze": ":cyclone:",
    "drop": ":scissors:",
    "ban": ":lock:",
    "delay": ":hourglass:",
}
"""By the name of the action; names of emoji that mitmproxy knows."""

SHADOW_MARKER: Final = ":ghost:"
"""Forwarded, and a rule in shadow would have done something else."""

FAULT_MARKER: Final = ":warning:"
"""Refused for its form, or for a bound, before or beside the rules."""


def mark(flow: HTTPFlow, ticket: Ticket) -> None:
    """Write a decision on its flow."""
    decision = ticket.decision
    flow.comment = comment(decision)
    flow.marked = MARKERS.get(decision.name, SHADOW_MARKER if decision.shadow else "")
    facts = {
        "action": decision.name,
        "rule": decision.rule,
        "reason": printable(decision.reason),
        "reference": ticket.reference,
        "client": ticket.request.client.text,
        "class": ticket.class_,
        "score": f"{decision.score:g}" if decision.score else "",
        "tags": " ".join(sorted(decision.tags)),
        "shadow": ", ".join(f"{hit.action} by {hit.rule}" for hit in decision.shadow),
    }
    flow.metadata.update({f"proxyguard_{name}": value for name, value in facts.items() if value})


def mark_fault(flow: HTTPFlow, what: str) -> None:
    """Write on a flow why it was refused without a rule."""
    flow.comment = what
    flow.marked = FAULT_MARKER
    flow.metadata["proxyguard_fault"] = what


def comment(decision: Decision) -> str:
    """A decision on one line: action, rule, why, and what rules in shadow would have done."""
    text = f"{decision.name} by {decision.rule}"
    if decision.reason:
        text += f": {printable(decision.reason)}"
    if decision.score:
        text += f"; score {decision.score:g}"
    if decision.shadow:
        text += "; in shadow: " + ", ".join(f"{hit.action} by {hit.rule}" for hit in decision.shadow)
    return text
