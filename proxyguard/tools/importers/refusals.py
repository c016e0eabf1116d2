"""The status that a server refuses with, as the action of a rule."""

from __future__ import annotations

from typing import Final

from proxyguard.tools.importers.draft import Draft, Plain

STATUSES: Final = frozenset(
    ("400", "402", "403", "404", "406", "409", "410", "418", "422", "423", "429", "451", "500", "502", "503", "504")
)
"""Those that a rule may answer with."""


def refusal(status: str, draft: Draft, line: int, file: str = "") -> Plain | None:
    """The action for a status; None when it refuses nobody. A status that rules do not have becomes 403, with a note.

    444 is nginx's: close without an answer. 401 and 407 ask for a log-in, which rules do not; a note says so.
    """
    if status == "444":
        return "drop"
    if status in {"401", "407"}:
        draft.note(line, f"a refusal with {status} was left out: it asks for a log-in", file)
        return None
    if not (status.isdigit() and len(status) == 3 and status[0] in "45"):
        return None
    if status == "403":
        return "reject"
    if status not in STATUSES:
        draft.note(line, f"the status {status} became 403: a rule cannot answer with {status}", file)
        return "reject"
    return {"reject": {"status": status}}
