"""From a decision, or a fault of ours, to what the client reads: status, header fields and body.

Every answer is `Cache-Control: no-store` and carries an opaque reference; none says which rule decided or what stands behind
us, unless a limit is announced: then the answer says what it is, why, and when it ends. The form (HTML, JSON or plain text)
follows Accept. Knows nothing of sockets, framing or HTTP versions.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final, NamedTuple

from proxyguard.core.decision import Decision, Quota, Reject, Tarpit
from proxyguard.core.request import Headers
from proxyguard.http.ratelimit_fields import ending_text, iso_time, limit_text, quota_fields, spoken
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
}
"""What a page says when the rule gives no message, by status."""

PERSON_HINT: Final = "If you are a person and this should not have happened, tell the site's owner this reference:"

_TEMPLATE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title>
<style>
:root{{color-scheme:light dark}}
body{{font:1.0625rem/1.6 system-ui,sans-serif;max-width:36rem;margin:12vh auto;padding:0 1.5rem}}
h1{{font-size:1.5rem;line-height:1.3;margin:0 0 .75rem}}
code{{font:.95em ui-monospace,monospace;overflow-wrap:anywhere}}
dl{{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:1.5rem 0;padding:1rem}}
dl{{border:1px solid #8884;border-radius:.5rem}}
dt{{opacity:.75}}dd{{margin:0;font-weight:600}}
.ref{{margin-top:2rem;padding-top:1rem;border-top:1px solid #8884;font-size:.9375rem}}
</style></head>
<body><main><h1>{title}</h1><p>{message}</p>{facts}{wait}
<p class="ref">{hint}<br><code>{reference}</code></p></main></body></html>
"""

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


def render(decision: Decision, reference: str, *, accept: bytes = b"", now_seconds_left: float | None = None) -> Answer:
    """The answer to a rejected request. `now_seconds_left` is how long a ban goes on, when one decided."""
    action = decision.action
    reject = action if isinstance(action, Reject) else Reject()
    status = reject.status or (429 if decision.quota else 403)
    wait = reject.retry_after_seconds
    if wait is None:
        wait = now_seconds_left if now_seconds_left is not None else _quota_wait(decision.quota)
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


def _quota_wait(quota: Quota | None) -> float | None:
    return quota.retry_after_seconds if quota else None


@dataclass(frozen=True, slots=True)
class LimitNotice:
    """What an answer says of an announced limit, in words; empty where there is nothing to say."""

    title: str = ""
    limit: str = ""
    ends: str = ""
    ends_at: str = ""
    temporary: bool = False
    fields: Headers = ()


NOTHING_TOLD: Final = LimitNotice()

RESTRICTED_TITLE: Final = "This part of the site is limited for a time"


def _answer(
    status: int,
    message: str | None,
    reference: str,
    accept: bytes,
    wait: float | None,
    notice: LimitNotice | None = None,
) -> Answer:
    seconds = max(1, ceil(wait)) if wait is not None else None
    form = HTML if accept.find(b"html") >= 0 else JSON if accept.find(b"json") >= 0 else TEXT
    page = (
        _plain_page(form, status, message, seconds) if notice is None else _page(form, status, message, seconds, notice)
    )
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
    return _page(form, status, message, seconds, NOTHING_TOLD)


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
    """What is said of the limit, each with its name."""
    facts = [("Limit", notice.limit), ("Ends" if notice.temporary else "Again", notice.ends)]
    return tuple((name, value) for name, value in facts if value)


def _html(status: int, text: str, seconds: int | None, notice: LimitNotice) -> bytes:
    """The page, with a NUL where its reference stands."""
    wait = f"<p>Please try again in {spoken(seconds)}.</p>" if seconds is not None else ""
    listed = "".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in _facts(notice))
    return _TEMPLATE.format(
        title=html.escape(notice.title or _title(status)),
        message=html.escape(text),
        facts=f"<dl>{listed}</dl>" if listed else "",
        wait=wait,
        hint=html.escape(PERSON_HINT),
        reference="\0",
    ).encode()


def _title(status: int) -> str:
    if status == 429:
        return "Please slow down"
    if status >= 500:
        return "The site is not available just now"
    return "This request was stopped"
