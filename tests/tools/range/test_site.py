"""The site of the range: the same answer for the same request, and how many items it discloses."""

from __future__ import annotations

import pytest

from proxyguard.tools.range.site import ROBOTS, SiteAnswer, account_class, answer, disclosed, is_taken, page_body


def ask(target: bytes, method: bytes = b"GET", body: bytes = b"", now: float = 0.0, **headers: bytes) -> SiteAnswer:
    fields = tuple((name.replace("_", "-").encode(), value) for name, value in headers.items())
    return answer(method, target, fields, body, now)


@pytest.mark.parametrize(
    ("target", "status", "items"),
    [
        (b"/", 200, 10), (b"/profiles/1", 200, 1), (b"/profiles/50000", 200, 1),
        (b"/profiles/50001", 404, 0), (b"/profiles/0", 404, 0),
        (b"/profiles?page=2", 200, 20), (b"/posts/7", 200, 1), (b"/search?q=a&page=1", 200, 10), (b"/api/posts?page=3", 200, 50),
        (b"/api/profiles/9", 200, 1), (b"/feed.xml", 200, 20), (b"/calendar/2026/05", 200, 1), (b"/calendar/999999/12", 200, 1),
        (b"/code/blame/3", 200, 1), (b"/code/diff/123456", 200, 1), (b"/assets/3.css", 200, 0), (b"/robots.txt", 200, 0),
        (b"/sitemap.xml", 200, 0), (b"/api/check-username?name=ada", 200, 1), (b"/nowhere", 404, 0), (b"/healthz", 200, 0),
    ],
)  # fmt: skip
def test_each_page_says_how_many_items_it_discloses(target: bytes, status: int, items: int) -> None:
    found = ask(target)
    assert (found.status, found.items) == (status, items)
    assert ask(target) == found
    assert len(page_body(target, found)) == found.length


def test_the_sign_up_form_gives_one_bit_away_whatever_it_answers() -> None:
    taken = next(b"name=%d" % at for at in range(100) if is_taken(b"name=%d" % at))
    free = next(b"name=%d" % at for at in range(100) if not is_taken(b"name=%d" % at))
    assert (ask(b"/signup", b"POST", taken).status, ask(b"/signup", b"POST", taken).items) == (409, 1)
    made = ask(b"/signup", b"POST", free)
    assert (made.status, made.items) == (303, 1)
    cookie = dict(made.headers)[b"Set-Cookie"]
    assert account_class(((b"Cookie", cookie),)) == b"new"
    assert account_class(((b"Cookie", b"session=root-1"),)) == b""


def test_what_has_not_changed_is_not_sent_again() -> None:
    tag = dict(ask(b"/feed.xml").headers)[b"ETag"]
    again = ask(b"/feed.xml", If_None_Match=tag)
    assert (again.status, again.items, again.length) == (304, 0, 0)
    assert ask(b"/feed.xml", now=3_600.0, If_None_Match=tag).status == 200


def test_a_search_costs_more_with_each_facet_and_has_an_upper_bound() -> None:
    plain = ask(b"/search?q=a").seconds
    fifteen = ask(b"/search?q=a" + b"&facet.year=1" * 15).seconds
    assert fifteen > 20 * plain
    assert ask(b"/search?q=a" + b"&facet.year=1" * 500).seconds == fifteen


def test_robots_txt_is_sent_as_it_is() -> None:
    assert page_body(b"/robots.txt", ask(b"/robots.txt")) == ROBOTS


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (b"/profiles/7", b"/profiles/7?utm=1", True), (b"/profiles/7", b"/api/profiles/7", True),
        (b"/profiles/7", b"/profiles/8", False), (b"/profiles?page=1", b"/profiles?page=2", False),
        (b"/search?q=a", b"/search?q=b", False), (b"/", b"/?again", True),
    ],
)  # fmt: skip
def test_pages_that_tell_the_same_have_the_same_word(first: bytes, second: bytes, same: bool) -> None:
    assert (disclosed(b"GET", first, b"", 0.0) == disclosed(b"GET", second, b"", 0.0)) is same


def test_the_front_page_tells_something_new_each_hour_and_each_name_is_a_question() -> None:
    assert disclosed(b"GET", b"/", b"", 0.0) == disclosed(b"GET", b"/", b"", 3_599.0) != disclosed(b"GET", b"/", b"", 3_600.0)
    assert disclosed(b"POST", b"/signup", b"name=a", 0.0) != disclosed(b"POST", b"/signup", b"name=b", 0.0)
