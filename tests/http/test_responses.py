"""What refused clients read."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from proxyguard.core.decision import Decision, Drop, Quota, Reject, Tarpit
from proxyguard.http.responses import DEFAULT_MESSAGES, error_page, refusal_status, render

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
    assert json.loads(data.body) == {"status": 403, "message": "No <robots> & co", "reference": "00ff"}
    assert text.body == b"No <robots> & co\nReference: 00ff\n"
    for answer in (page, data, text):
        assert b"00ff" in answer.body
        assert b"secret" not in answer.body


@pytest.mark.parametrize("status", sorted(DEFAULT_MESSAGES))
def test_every_page_is_whole_html_and_names_no_software_behind(status: int) -> None:
    opened: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, _attrs: object) -> None:
            if tag not in {"meta", "br"}:
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
    default = DEFAULT_MESSAGES[429].encode()
    assert own == body.replace(default, b"Don&#x27;t {{ wait }} {% if %} {0} &quot;now&quot; \0")


def test_tools_that_write_no_page_load_no_template_engine() -> None:
    code = "import sys, proxyguard.cli.rules, proxyguard.cli.explain, proxyguard.cli.replay; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
