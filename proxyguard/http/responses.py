"""The answer to a request that is not forwarded: status, header fields and body, made of a decision or a fault.

Every answer is `Cache-Control: no-store` and carries an opaque reference; none says which rule decided or what stands behind
us, unless a limit is announced: then the answer says what it is, why, and when it ends. The form (HTML, JSON or plain text)
follows Accept. Knows nothing of sockets or framing. The HTML is `templates/refusal.html`.

A page is made once and kept: answers with it differ in their reference, which stands between two halves of the body, and of the
head as HTTP/1 writes it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import escape
from math import ceil
from string import punctuation
from typing import Any, Final
from urllib.parse import quote_from_bytes

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.decision import Decision, Maze, Prove, Reject, Tarpit
from proxyguard.core.request import Headers
from proxyguard.core.settings import RefusalPage
from proxyguard.core.value import Value
from proxyguard.http.http1.serialise import field_lines, own_lines
from proxyguard.http.languages import Language, language, preferred
from proxyguard.http.languages.phrases import ending_phrase, limit_phrase, wait_phrase
from proxyguard.http.ratelimit_fields import iso_time, quota_fields
from proxyguard.http.reason_phrases import reason_phrase

TARPIT_BODY: Final = b"".join(b"<li>Entry %d of the list is being prepared.</li>\n" % number for number in range(1, 61))
"""What a tarpit drips after the words for people, over and over until its time or bytes are used up."""

TARPIT_HEADERS: Final = (
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"X-Robots-Tag", b"noindex"),
)


REFERENCE: Final = b"X-Proxyguard-Reference"

HTML: Final = b"text/html; charset=utf-8"
JSON: Final = b"application/problem+json"
TEXT: Final = b"text/plain; charset=utf-8"
"""The forms of an answer, by their Content-Type; JSON is that of RFC 9457."""

ONE_MOMENT: Final = (
    b'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
    b'<title>One moment</title>\n<h1>One moment</h1>\n<p><a href="%b">Go on to the page</a></p>\n'
)

MAX_PAGES: Final = 1024
"""Answers without a limit that are kept made: statuses, messages and languages are few, and seconds are rounded."""

MAX_ASKED: Final = 1024
"""Ways to ask for such an answer whose page is known at once: clients send few values of Accept and Accept-Language."""

MAX_ASKED_BYTES: Final = 256
"""Of both fields together; browsers send about 200. With MAX_ASKED ways to ask at most 0.5 MiB."""

MAX_TEMPLATES: Final = 256
"""HTML pages that are kept in pieces."""


DEFAULT_PAGE: Final = RefusalPage()


class AnswerPage:
    """What answers have in common that differ in their reference alone. The reference stands between `before` and `after` in the
    body, and between `first` and `last` among the header fields."""

    __slots__ = ("_last_lines", "_start", "after", "before", "first", "last", "reason", "status")

    def __init__(self, status: int, first: Headers, last: Headers, before: bytes, after: bytes) -> None:
        self.status = status
        self.reason = reason_phrase(status)
        self.first = first
        self.last = last
        self.before = before
        self.after = after
        self._start = b""
        self._last_lines = b""

    def answer(self, reference: str) -> Answer:
        """The page with a reference."""
        name = reference.encode("ascii")
        return Answer(self.status, self.reason, self.first, b"%b%b%b" % (self.before, name, self.after), name, self)

    def head(self, reference: bytes, date: bytes, length: int, end: bytes) -> bytes:
        """The head of an answer with this page as HTTP/1 writes it; `end` is what `serialise.end_of_head` says."""
        if not self._start:
            self._start = b"%b%b: " % (own_lines(self.status, self.first), REFERENCE)
            self._last_lines = b"\r\n" + field_lines(self.last)
        return b"%b%b%bDate: %b\r\nContent-Length: %d\r\n%b" % (self._start, reference, self._last_lines, date, length, end)


class Answer(Value):
    """A complete answer. `page` and `reference` say what it was made of, where it is one of the pages that are kept."""

    __slots__ = ("_fields", "body", "page", "reason", "reference", "status")

    def __init__(
        self, status: int, reason: bytes, headers: Headers, body: bytes, reference: bytes = b"", page: AnswerPage | None = None
    ) -> None:
        self.status = status
        self.reason = reason
        self._fields = headers
        self.body = body
        self.reference = reference
        self.page = page

    @property
    def headers(self) -> Headers:
        """Content-Type, Cache-Control and what else belongs; Content-Length is the front's."""
        return self._fields if self.page is None else (*self._fields, (REFERENCE, self.reference), *self.page.last)

    def held(self) -> tuple[object, ...]:
        return self.status, self.reason, self.headers, self.body


def refusal_wait(decision: Decision) -> float | None:
    """After how many seconds a refused client may come again: what the rule says, else its limit; None when neither does."""
    action = decision.action
    if isinstance(action, Reject) and action.retry_after_seconds is not None:
        return action.retry_after_seconds
    return decision.quota.retry_after_seconds if decision.quota is not None else None


def refusal_status(decision: Decision) -> int:
    """The status that the client reads: of a reject the rule's own, else 429 for a limit and 403 for anything else; of a tarpit
    and a maze 200, so that it goes on; 303 of a proof; 0 of a drop, which sends nothing."""
    match decision.action:
        case Reject(status=status):
            return status or (429 if decision.quota else 403)
        case Tarpit() | Maze():
            return 200
        case Prove():
            return 303
        case _:
            return 0


def to_https(method: bytes, host: bytes, target: bytes) -> Answer:
    """Send a client from http to https, to the same host and target: 301 where the method stays the same anyhow, else 308."""
    status = 301 if method in (b"GET", b"HEAD") else 308
    location = b"https://%b%b" % (host, b"/" if target == b"*" else target)
    fields = ((b"Location", location), (b"Content-Type", TEXT), (b"Cache-Control", b"no-store"))
    return Answer(status, reason_phrase(status), fields, b"This site is served over https.\n")


def to_itself(target: bytes, fields: Headers) -> Answer:
    """Send a client to where it is, with more fields. The page has a link for those that follow no redirect to where they are.

    Two slashes at the beginning would name a host, and to browsers a backslash is a slash (WHATWG URL, "relative slash state").
    """
    location = b"/" if target == b"*" else b"/." + target if target.startswith((b"//", b"/\\")) else target
    headers = ((b"Location", location), (b"Content-Type", HTML), (b"Cache-Control", b"no-store"), *fields)
    link = escape(quote_from_bytes(location, safe=punctuation)).encode()
    return Answer(303, reason_phrase(303), headers, ONE_MOMENT % link)


@dataclass(frozen=True, slots=True)
class LimitNotice:
    """An announced limit in words, for the client. A field is empty when there is nothing to announce."""

    limit: str = ""
    ends: str = ""
    ends_at: str = ""
    temporary: bool = False
    fields: Headers = ()


NO_NOTICE: Final = LimitNotice()


class Pages:
    """Makes the answers of one instance, in the client's language. Pages that were made are kept."""

    def __init__(self, page: RefusalPage = DEFAULT_PAGE) -> None:
        self._page = page
        self._made: dict[tuple[bytes, int, str | None, int | None, str], AnswerPage] = {}
        self._asked: dict[Any, AnswerPage] = {}
        """The same by Accept and Accept-Language, status, message and seconds, so that those are not read for each answer."""
        self._pieces: dict[tuple[str, str, tuple[str, ...], bool, str], list[str]] = {}

    def render(self, decision: Decision, reference: str, *, accept: bytes = b"", languages: bytes = b"") -> Answer:
        """The answer to a rejected request. `accept` and `languages` are the client's Accept and Accept-Language."""
        action = decision.action
        reject = action if isinstance(action, Reject) else Reject()
        status = reject.status or (429 if decision.quota else 403)
        wait = refusal_wait(decision)
        if not (decision.quotas or decision.restriction):
            return self._page_of(status, reject.message, accept, languages, wait).answer(reference)
        ends = decision.ends
        if ends is not None and wait is not None and decision.restriction:
            wait = min(wait, ends.seconds_left)
        code = preferred(languages, self._page.language)
        notice = _notice(decision, language(code))
        return self._make(_form(accept), status, reject.message, _whole_seconds(wait), code, notice).answer(reference)

    def error(
        self,
        status: int,
        reference: str,
        *,
        accept: bytes = b"",
        languages: bytes = b"",
        retry_after_seconds: float | None = None,
    ) -> Answer:
        """The answer to a request that is malformed, too large, or that no upstream could answer."""
        return self._page_of(status, None, accept, languages, retry_after_seconds).answer(reference)

    def held(self, reference: str, languages: bytes) -> bytes:
        """How the page of a tarpit begins: what a person who is caught in it needs to know."""
        texts = language(preferred(languages, self._page.language))
        words = (texts.titles["held"], texts.messages["held"], texts.words["person"])
        title, message, person = map(escape, words)
        contact = f"<p>{escape(texts.words['contact'])}: {escape(self._page.contact)}</p>" if self._page.contact else ""
        return (
            f'<!doctype html><html lang="{texts.code}" dir="{texts.direction}"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title></head><body><main>'
            f"<h1>{title}</h1><p>{message}</p><p>{person} <code>{reference}</code></p>{contact}<ul>\n"
        ).encode()

    def _page_of(self, status: int, message: str | None, accept: bytes, languages: bytes, wait: float | None) -> AnswerPage:
        """The page without a limit."""
        seconds = _whole_seconds(wait)
        asked: Any = (accept, languages, status, message, seconds)  # Any: else mypyc makes the tuple again for each use
        page = self._asked.get(asked)
        if page is None:
            page = self._kept(_form(accept), status, message, seconds, preferred(languages, self._page.language))
            if len(accept) + len(languages) <= MAX_ASKED_BYTES:
                keep_at_hand(self._asked, MAX_ASKED, asked, page)
        return page

    def _kept(self, form: bytes, status: int, message: str | None, seconds: int | None, code: str) -> AnswerPage:
        key = (form, status, message, seconds, code)
        kept = self._made.get(key)
        if kept is None:
            if len(self._made) >= MAX_PAGES:
                self._made.clear()
                self._asked.clear()
            kept = self._made[key] = self._make(form, status, message, seconds, code, NO_NOTICE)
        return kept

    def _make(
        self, form: bytes, status: int, message: str | None, seconds: int | None, code: str, notice: LimitNotice
    ) -> AnswerPage:
        texts = language(code)
        text = message or texts.message(status)
        title = texts.titles["restricted" if notice.temporary else _title(status)]
        mark = b"\0"
        if form == HTML:
            whole = self._html(title, text, seconds, notice, texts)
        elif form == JSON:
            fields: dict[str, object] = {
                "type": "about:blank",
                "title": title,
                "status": status,
                "detail": text,
                "reference": "\0",
            }
            if seconds is not None:
                fields["retry_after_seconds"] = seconds
            if notice.limit:
                fields["limit"] = notice.limit
            if notice.ends_at:
                fields["ends" if notice.temporary else "again_at"] = notice.ends_at
            mark = b"\\u0000"
            whole = json.dumps(fields).encode("ascii") + b"\n"
        else:
            lines = [text, *(f"{name}: {value}" for name, value in _facts(notice, texts)), f"{texts.words['reference']}: \0", ""]
            whole = "\n".join(lines).encode()
        before, _, after = whole.rpartition(mark)  # the last one: a rule's message comes before it
        retry: Headers = () if seconds is None else ((b"Retry-After", b"%d" % seconds),)
        first = ((b"Content-Type", form), (b"Content-Language", code.encode()), (b"Cache-Control", b"no-store"))
        return AnswerPage(status, first, (*retry, *notice.fields), before, after)

    def _html(self, title: str, text: str, seconds: int | None, notice: LimitNotice, texts: Language) -> bytes:
        """The page, with a NUL where its reference stands."""
        facts = _facts(notice, texts)
        values = {f"\0fact{at}\0": escape(value) for at, (_, value) in enumerate(facts)}
        values["\0wait\0"] = "" if seconds is None else escape(wait_phrase(seconds, texts))
        values["\0reference\0"] = "\0"
        names = tuple([name for name, _ in facts])
        pieces = self._html_pieces(title, text, names, seconds is not None, texts)
        return "".join([values.get(piece, piece) for piece in pieces]).encode()

    def _html_pieces(self, title: str, text: str, facts: tuple[str, ...], has_wait: bool, texts: Language) -> list[str]:  # noqa: FBT001 - a cache's key
        """The page in pieces; one with a name between NULs stands for a value of the answer, so that few pages are rendered."""
        from proxyguard.http.page_template import load_page_template, render_page  # noqa: PLC0415 - loads a template engine

        key = (title, text, facts, has_wait, texts.code)
        kept = self._pieces.get(key)
        if kept is None:
            if len(self._pieces) >= MAX_TEMPLATES:
                self._pieces.clear()
            marks = [(name, f"\0fact{at}\0") for at, name in enumerate(facts)]
            template = load_page_template(self._page.template)
            page = render_page(template, self._page, texts, title, text, marks, "\0wait\0" if has_wait else "", "\0reference\0")
            kept = self._pieces[key] = re.split("(\0[a-z0-9]+\0)", page)
        return kept


def _form(accept: bytes) -> bytes:
    """The form that an Accept field asks for."""
    return HTML if accept.find(b"html") >= 0 else JSON if accept.find(b"json") >= 0 else TEXT


def _whole_seconds(wait: float | None) -> int | None:
    return max(1, ceil(wait)) if wait is not None else None


def _notice(decision: Decision, texts: Language) -> LimitNotice:
    ends = decision.ends
    announced = decision.quota if decision.quota is not None and decision.quota.name else None
    return LimitNotice(
        limit=limit_phrase(announced, texts) if announced is not None else "",
        ends="" if ends is None else ending_phrase(ends, texts),
        ends_at="" if ends is None else iso_time(ends.at),
        temporary=bool(decision.restriction),
        fields=quota_fields(decision.quotas),
    )


def _facts(notice: LimitNotice, texts: Language) -> tuple[tuple[str, str], ...]:
    """What the page shows of the limit: names and values."""
    words = texts.words
    facts = [(words["limit"], notice.limit), (words["ends" if notice.temporary else "again"], notice.ends)]
    return tuple((name, value) for name, value in facts if value)


def _title(status: int) -> str:
    """The key of a status's title."""
    if status == 429:
        return "slow_down"
    return "unavailable" if status >= 500 else "stopped"
