"""The answer to a request that is not forwarded: status, header fields and body, made of a decision or a fault.

Every answer is `Cache-Control: no-store` and carries an opaque reference; none says which rule decided or what stands behind
us, unless a limit is announced: then the answer says what it is, why, and when it ends. The form (HTML, JSON or plain text)
follows Accept. Knows nothing of sockets, framing or HTTP versions. The HTML is `templates/refusal.html`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from math import ceil
from typing import Final, NamedTuple

from proxyguard.core.decision import Decision, Reject, Tarpit
from proxyguard.core.request import Headers
from proxyguard.http.ratelimit_fields import ending_text, format_wait, iso_time, limit_text, quota_fields
from proxyguard.http.reason_phrases import reason_phrase

DEFAULT_MESSAGES: Final = {
    400: "The request could not be understood, so it was not passed on.",
    403: "Automated access to this part of the site is not allowed.",
    404: "There is no such site here.",
    405: "This method is not available here.",
    408: "The request took too long to arrive.",
    413: "The request is larger than this site accepts.",
    414: "The address of the request is longer than this site accepts.",
    417: "This expectation cannot be met here.",
    421: "This server does not answer for that site.",
    429: "Too many requests came from your address or network in a short time.",
    431: "The header fields of the request are larger than this site accepts.",
    500: "The request could not be handled.",
    501: "This method is not available here.",
    502: "The site sent an answer that could not be understood.",
    503: "The site cannot answer just now.",
    504: "The site took too long to answer.",
    505: "This version of HTTP is not spoken here.",
    508: "The request would have gone round in circles.",
}
"""What a page says when the rule gives no message, by status."""

TARPIT_BODY: Final = (
    b"<!doctype html><html lang=en><head><meta charset=utf-8><title>Loading</title></head><body><main><ul>\n"
    + b"".join(b"<li>Entry %d of the list is being prepared.</li>\n" % number for number in range(1, 61))
    + b"</ul></main></body></html>\n"
)
"""What a tarpit drips, over and over until its time or bytes are used up."""

TARPIT_HEADERS: Final = (
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"X-Robots-Tag", b"noindex"),
)


HTML: Final = b"text/html; charset=utf-8"
JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"
"""The forms of an answer, by their Content-Type."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `headers` has Content-Type, Cache-Control and what else belongs; Content-Length is the front's."""

    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def refusal_status(decision: Decision) -> int:
    """The status that the client reads: of a reject the rule's own, else 429 for a limit and 403 for anything else; of a tarpit
    200, so that it waits for the rest; 0 of a drop, which sends nothing."""
    match decision.action:
        case Reject(status=status):
            return status or (429 if decision.quota else 403)
        case Tarpit():
            return 200
        case _:
            return 0


def render(decision: Decision, reference: str, *, accept: bytes = b"") -> Answer:
    """The answer to a rejected request."""
    action = decision.action
    reject = action if isinstance(action, Reject) else Reject()
    status = reject.status or (429 if decision.quota else 403)
    wait = reject.retry_after_seconds
    if wait is None and decision.quota is not None:
        wait = decision.quota.retry_after_seconds
    notice = None
    if decision.quotas or decision.restriction:
        ends = decision.ends
        if ends is not None and wait is not None and decision.restriction:
            wait = min(wait, ends.seconds_left)
        announced = decision.quota if decision.quota is not None and decision.quota.name else None
        notice = LimitNotice(
            title=RESTRICTED_TITLE if decision.restriction else "",
            limit=limit_text(announced) if announced is not None else "",
            ends="" if ends is None else ending_text(ends),
            ends_at="" if ends is None else iso_time(ends.at),
            temporary=bool(decision.restriction),
            fields=quota_fields(decision.quotas),
        )
    return _answer(status, reject.message, reference, accept, wait, notice)


def error_page(status: int, reference: str, *, accept: bytes = b"", retry_after_seconds: float | None = None) -> Answer:
    """The answer to a request that is malformed, too large, or that no upstream could answer."""
    return _answer(status, None, reference, accept, retry_after_seconds)


def to_https(method: bytes, host: bytes, target: bytes) -> Answer:
    """Send a client from http to https, to the same host and target: 301 where the method stays the same anyhow, else 308."""
    status = 301 if method in (b"GET", b"HEAD") else 308
    location = b"https://%b%b" % (host, b"/" if target == b"*" else target)
    fields = ((b"Location", location), (b"Content-Type", TEXT), (b"Cache-Control", b"no-store"))
    return Answer(status, reason_phrase(status), fields, b"This site is served over https.\n")


@dataclass(frozen=True, slots=True)
class LimitNotice:
    """An announced limit in words, for the client. A field is empty when there is nothing to announce."""

    title: str = ""
    limit: str = ""
    ends: str = ""
    ends_at: str = ""
    temporary: bool = False
    fields: Headers = ()


NO_NOTICE: Final = LimitNotice()

RESTRICTED_TITLE: Final = "This part of the site is limited for a time"


def _answer(
    status: int, message: str | None, reference: str, accept: bytes, wait: float | None, notice: LimitNotice | None = None
) -> Answer:
    seconds = max(1, ceil(wait)) if wait is not None else None
    form = HTML if accept.find(b"html") >= 0 else JSON if accept.find(b"json") >= 0 else TEXT
    page = _plain_page(form, status, message, seconds) if notice is None else _page(form, status, message, seconds, notice)
    name = reference.encode("ascii")
    fields = (*page.first, (b"X-Proxyguard-Reference", name), *page.last)
    return Answer(status, reason_phrase(status), fields, page.before + name + page.after)


class _Page(NamedTuple):
    """An answer's header fields and body before and after where its reference stands."""

    first: Headers
    last: Headers
    before: bytes
    after: bytes


@lru_cache(maxsize=256)
def _plain_page(form: bytes, status: int, message: str | None, seconds: int | None) -> _Page:
    """Statuses and messages are few, and seconds are rounded: nearly every refusal finds its page made."""
    return _page(form, status, message, seconds, NO_NOTICE)


def _page(form: bytes, status: int, message: str | None, seconds: int | None, notice: LimitNotice) -> _Page:
    text = message or DEFAULT_MESSAGES.get(status, "The request was not passed on.")
    mark = b"\0"
    if form == HTML:
        whole = _html(status, text, seconds, notice)
    elif form == JSON:
        fields: dict[str, object] = {"status": status, "message": text, "reference": "\0"}
        if seconds is not None:
            fields["retry_after_seconds"] = seconds
        if notice.limit:
            fields["limit"] = notice.limit
        if notice.ends_at:
            fields["ends" if notice.temporary else "again_at"] = notice.ends_at
        mark = b"\\u0000"
        whole = json.dumps(fields).encode("ascii") + b"\n"
    else:
        lines = [text, *(f"{name}: {value}" for name, value in _facts(notice)), "Reference: \0", ""]
        whole = "\n".join(lines).encode()
    before, _, after = whole.rpartition(mark)  # the last one: a rule's message comes before it
    retry: Headers = () if seconds is None else ((b"Retry-After", b"%d" % seconds),)
    first = ((b"Content-Type", form), (b"Cache-Control", b"no-store"))
    return _Page(first, (*retry, *notice.fields), before, after)


def _facts(notice: LimitNotice) -> tuple[tuple[str, str], ...]:
    """What the page shows of the limit: names and values."""
    facts = [("Limit", notice.limit), ("Ends" if notice.temporary else "Again", notice.ends)]
    return tuple((name, value) for name, value in facts if value)


def _html(status: int, text: str, seconds: int | None, notice: LimitNotice) -> bytes:
    """The page, with a NUL where its reference stands."""
    facts = _facts(notice)
    values = {f"\0{name}\0": escape(value) for name, value in facts}
    values["\0wait\0"] = "" if seconds is None else format_wait(seconds)
    values["\0reference\0"] = "\0"
    names = tuple([name for name, _ in facts])
    pieces = _html_pieces(notice.title or _title(status), text, names, seconds is not None)
    return "".join([values.get(piece, piece) for piece in pieces]).encode()


@lru_cache(maxsize=256)
def _html_pieces(title: str, text: str, facts: tuple[str, ...], has_wait: bool) -> list[str]:  # noqa: FBT001 - a cache's key
    """The page in pieces; one with a name between NULs stands for a value of the answer, so that few pages are rendered."""
    from proxyguard.http.page_template import render_page  # noqa: PLC0415 - loads a template engine, which few tools need

    marks = [(name, f"\0{name}\0") for name in facts]
    page = render_page(title, text, marks, "\0wait\0" if has_wait else "", "\0reference\0")
    return re.split("(\0[A-Za-z]+\0)", page)


def _title(status: int) -> str:
    if status == 429:
        return "Please slow down"
    if status >= 500:
        return "The site is not available just now"
    return "This request was stopped"
