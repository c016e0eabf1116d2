"""What refused clients read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from proxyguard.core.decision import Decision, Drop, EndTime, Quota, Reject, Tarpit
from proxyguard.core.settings import RefusalPage
from proxyguard.http.http1.serialise import end_of_head, own_head
from proxyguard.http.languages import CODES, MAX_HEADER, _preferred, language, preferred
from proxyguard.http.page_template import TemplateFault, load_page_template
from proxyguard.http.responses import MAX_ASKED, MAX_ASKED_BYTES, MAX_PAGES, Pages, refusal_status

PAGES = Pages()
render, error_page = PAGES.render, PAGES.error

STATUSES = sorted(int(key) for key in language("en").messages if key.isdigit())

QUOTA = Quota(limit=10, period_seconds=60.0, remaining=0, retry_after_seconds=4.2)


def headers(answer: object) -> dict[bytes, bytes]:
    return dict(answer.headers)  # type: ignore[attr-defined] # an Answer


@pytest.mark.parametrize(
    ("decision", "status", "retry_after"),
    [
        (Decision(Reject(), "r"), 403, None),
        (Decision(Reject(), "r", quota=QUOTA), 429, b"5"),
        (Decision(Reject(status=451), "r", quota=QUOTA), 451, b"5"),
        (Decision(Reject(retry_after_seconds=90.0), "r"), 403, b"90"),
        (Decision(Tarpit(), "r", quota=QUOTA), 429, b"5"),
    ],
)
def test_status_and_retry_after_follow_the_decision(decision: Decision, status: int, retry_after: bytes | None) -> None:
    answer = render(decision, "00ff", accept=b"text/html")
    assert (answer.status, headers(answer).get(b"Retry-After")) == (status, retry_after)
    assert headers(answer)[b"Cache-Control"] == b"no-store"
    assert headers(answer)[b"X-Proxyguard-Reference"] == b"00ff"


def test_the_form_follows_accept() -> None:
    decision = Decision(Reject(message="No <robots> & co"), "secret-rule", "secret reason")
    page, data, text = (render(decision, "00ff", accept=kind) for kind in (b"text/html,*/*", b"application/json", b"*/*"))
    assert b"No &lt;robots&gt; &amp; co" in page.body
    assert json.loads(data.body) == {
        "type": "about:blank", "title": "This request was stopped", "status": 403, "detail": "No <robots> & co",
        "reference": "00ff",
    }  # fmt: skip
    assert headers(data)[b"Content-Type"] == b"application/problem+json"
    assert text.body == b"No <robots> & co\nReference: 00ff\n"
    for answer in (page, data, text):
        assert b"00ff" in answer.body
        assert b"secret" not in answer.body


@pytest.mark.parametrize("status", STATUSES)
def test_every_page_is_whole_html_and_names_no_software_behind(status: int) -> None:
    opened: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, _attrs: object) -> None:
            if tag not in {"meta", "br", "img"}:
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    body = error_page(status, "00ff", accept=b"text/html", retry_after_seconds=5).body.decode()
    Balance().feed(body)
    assert opened == []
    assert "mitmproxy" not in body.lower()


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 second"), (45, "45 seconds"), (600, "10 minutes"), (90_000, "25 hours")])
def test_waits_are_said_in_words(seconds: float, words: str) -> None:
    assert f"try again in {words}." in error_page(503, "x", accept=b"text/html", retry_after_seconds=seconds).body.decode()


def test_a_refusal_has_the_status_that_the_client_reads() -> None:
    assert refusal_status(Decision(Reject(), "r")) == 403
    assert refusal_status(Decision(Reject(status=451), "r")) == 451
    assert refusal_status(Decision(Tarpit(), "r")) == 200


def test_a_drop_has_no_status() -> None:
    assert refusal_status(Decision(Drop(), "r")) == 0


def test_a_page_keeps_what_looks_like_a_template_in_a_message() -> None:
    message = 'Don\'t {{ wait }} {% if %} {0} "now" \0'
    body = error_page(429, "00ff", accept=b"text/html", retry_after_seconds=5).body
    own = render(Decision(Reject(status=429, message=message, retry_after_seconds=5.0), "r"), "00ff", accept=b"text/html").body
    default = language("en").message(429).encode()
    assert own == body.replace(default, b"Don&#x27;t {{ wait }} {% if %} {0} &quot;now&quot; \0")


@pytest.mark.slow
def test_tools_that_write_no_page_load_no_template_engine() -> None:
    code = "import sys, proxyguard.cli.rules, proxyguard.cli.explain, proxyguard.cli.replay; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("code", CODES)
def test_every_language_has_every_text(code: str) -> None:
    english, texts = language("en"), language(code)
    assert texts.direction == ("rtl" if code == "ar" else "ltr")
    for part in ("titles", "words", "counts"):
        mine, theirs = getattr(texts, part), getattr(english, part)
        assert mine.keys() == theirs.keys()
        assert [re.findall(r"\{\w+\}", mine[key]) for key in mine] == [re.findall(r"\{\w+\}", theirs[key]) for key in mine]
    assert {"other", "held", "400", "403", "408", "413", "421", "429", "500", "502", "503", "504"} <= texts.messages.keys()
    assert texts.messages.keys() <= english.messages.keys()
    if code != "en":
        assert not set(texts.messages.values()) & set(english.messages.values())


@pytest.mark.parametrize("code", CODES)
def test_every_language_makes_a_whole_page_of_a_restriction(code: str) -> None:
    quota = Quota(limit=300, period_seconds=86_400.0, remaining=0, retry_after_seconds=10_800.0, name="views")
    decision = Decision(Reject(), "r", quota=quota, quotas=(quota,), restriction="july", ends=EndTime(1_688_486_400.0, 10_800.0))
    answer = render(decision, "00ff", accept=b"text/html", languages=code.encode())
    page = answer.body.decode()
    texts = language(code)
    assert headers(answer)[b"Content-Language"] == code.encode()
    assert f'<html lang="{code}" dir="{texts.direction}">' in page
    assert texts.titles["restricted"] in page
    assert escape(texts.words["person"]) in page.replace("&#39;", "&#x27;")
    assert "\0" not in page
    assert "16:00" in page
    assert b"00ff" in error_page(503, "00ff", languages=code.encode(), retry_after_seconds=600.0).body


@pytest.mark.parametrize(
    ("field", "code"),
    [
        (b"de-AT,de;q=0.9,en;q=0.8", "de"),
        (b"en;q=0.5, fr", "fr"),
        (b"tlh, zh-Hant-TW;q=0.4", "zh"),
        (b"*", "en"),
        (b"", "en"),
        (b"fr;q=0", "en"),
        (b"fr;q=2, de;q=0.1", "de"),
        (b"fr;q=x", "en"),
        (b"fr;q=nan", "en"),
        (b"\xff\xfe", "en"),
        (b"x," * 5000 + b"de", "en"),
        (b"ES", "es"),
    ],
)
def test_the_language_that_a_client_prefers(field: bytes, code: str) -> None:
    assert preferred(field) == code


def test_what_is_remembered_of_a_long_field_is_as_short_as_what_is_looked_at() -> None:
    before = _preferred.cache_info().currsize
    for number in range(50):
        assert preferred(b"ko;q=0.123," + b" " * MAX_HEADER + b"%d" % number * 4000) == "ko"
    assert _preferred.cache_info().currsize <= before + 1


def test_the_fallback_is_a_setting() -> None:
    pages = Pages(RefusalPage(language="ja"))
    assert headers(pages.error(503, "x"))[b"Content-Language"] == b"ja"
    assert headers(pages.error(503, "x", languages=b"de"))[b"Content-Language"] == b"de"


def test_what_clients_choose_fills_no_memory() -> None:
    pages = Pages()
    for seconds in range(2 * MAX_PAGES):
        pages.error(503, "x", retry_after_seconds=seconds)
    assert len(pages._made) <= MAX_PAGES


def test_how_clients_ask_fills_no_memory() -> None:
    pages = Pages()
    for number in range(2 * MAX_ASKED):
        pages.error(503, "x", accept=b"text/%d" % number)
    assert len(pages._asked) <= MAX_ASKED
    kept = len(pages._asked)
    pages.error(503, "x", accept=b"a" * MAX_ASKED_BYTES, languages=b"d")
    assert len(pages._asked) == kept


DECISIONS = (
    Decision(Reject(), "r"),
    Decision(Reject(), "r", quota=QUOTA),
    Decision(Reject(status=451, message="No"), "r"),
    Decision(Reject(retry_after_seconds=90.0), "r", quotas=(QUOTA._replace(name="a"),)),
    Decision(Tarpit(), "r", restriction="x", ends=EndTime(1e9, 60.0), quota=QUOTA),
)


def test_a_page_that_is_kept_is_the_one_that_would_be_made() -> None:
    ways = ((b"", b""), (b"*/*", b""), (b"text/html", b"de, en;q=0.5"), (b"application/json", b"ja"), (b"b" * 300, b"ar"))
    kept = Pages()
    for number in range(3):
        for decision in DECISIONS:
            for accept, languages in ways:
                reference = f"{number:016x}"
                answer = kept.render(decision, reference, accept=accept, languages=languages)
                assert answer == Pages().render(decision, reference, accept=accept, languages=languages)
                assert answer.page is not None
                for version, keep_alive in ((b"1.1", True), (b"1.1", False), (b"1.0", True), (b"1.0", False)):
                    end = end_of_head(version, keep_alive=keep_alive)
                    fields = (*answer.headers, (b"Date", b"now"), (b"Content-Length", b"%d" % len(answer.body)))
                    assert answer.page.head(answer.reference, b"now", len(answer.body), end) == own_head(
                        answer.status, fields, version=version, keep_alive=keep_alive
                    )


def test_a_page_shows_whom_to_ask() -> None:
    pages = Pages(RefusalPage(site_name="A & B", logo="/logo.svg", contact="help@example.org", link="/help?a=1&b=2"))
    page = pages.error(403, "00ff", accept=b"text/html").body.decode()
    for piece in ('<img src="/logo.svg" alt="A &amp; B">', "help@example.org", '<a href="/help?a=1&amp;b=2">'):
        assert piece in page
    assert b"help@example.org" in pages.held("00ff", b"")


def test_what_a_held_person_reads() -> None:
    begins = PAGES.held("00ff", b"ar").decode()
    assert '<html lang="ar" dir="rtl">' in begins
    assert "<code>00ff</code>" in begins
    assert language("ar").messages["held"] in begins


TEMPLATE = (
    "<title>{{ title }}</title>{{ message }} {{ reference }}{% for name, value in facts %}{{ name }} {{ value }}{% endfor %}"
)


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(TEMPLATE + "{{ try_again }}")
    pages = Pages(RefusalPage(template=path))
    assert pages.error(503, "00ff", accept=b"text/html", retry_after_seconds=5.0).body.decode() == (
        "<title>The site is not available just now</title>The site cannot answer just now. 00ffPlease try again in 5 seconds."
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<p>{{ message }}</p>", "shows no reference"),
        ("{{ reference|upper }}", "shows no reference"),
        ("{{ reference }}{{ wait[:1] }}", "changes a value"),
        ("line\n{% if %}{{ reference }}", ":2: "),
        ("{{ reference }}{{ nothing }}", "'nothing' is undefined"),
        ("{{ reference }}{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ reference }}{{ 'x' * 70000 }}", "larger than 64 KiB"),
        ("x" * 70_000, "larger than 64 KiB"),
    ],
)
def test_a_template_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(text)
    with pytest.raises(TemplateFault, match=re.escape(says)) as caught:
        load_page_template(path)
    assert str(caught.value).startswith(str(path))


def test_a_template_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TemplateFault, match="No such file"):
        load_page_template(tmp_path / "page.html")
