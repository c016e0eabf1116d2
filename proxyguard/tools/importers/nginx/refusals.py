"""What nginx does to a request that it refuses, as the action of a rule."""

from __future__ import annotations

from typing import Final

from proxyguard.tools.importers.draft import Draft, Plain
from proxyguard.tools.importers.nginx.syntax import Directive

STATUSES: Final = frozenset(
    ("400", "402", "403", "404", "406", "409", "410", "418", "422", "423", "429", "451", "500", "502", "503", "504")
)
"""Those that a rule may answer with."""


def refusal(status: str, draft: Draft, place: Directive) -> Plain | None:
    """The action for a status; None when it refuses nobody. A status that rules do not have becomes 403, with a note."""
    if status == "444":
        return "drop"
    if not (status.isdigit() and len(status) == 3 and status[0] in "45") or status in {"401", "407"}:
        return None
    if status == "403":
        return "reject"
    if status not in STATUSES:
        draft.note(place.line, f"the status {status} became 403: a rule cannot answer with {status}", place.file)
        return "reject"
    return {"reject": {"status": status}}
