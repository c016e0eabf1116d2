"""One value for all spellings that some site reads as one, and none where sites disagree.

Which sites read a spelling as `session=abc` was measured on Flask 3.1 (Werkzeug), Express 5 (cookie, cookie-parser), PHP 8.2 and
Django 5, or follows from the source of the reader that is named.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.canonical_names import canonical_name, canonical_names
from proxyguard.core.key_values import (
    UNREADABLE,
    canonical_cookies,
    canonical_path,
    canonical_value,
    cookie_values,
    header_values,
    query_values,
)
from proxyguard.core.reading import PRESETS
from proxyguard.core.request import MAX_COOKIES
from tests.build import request
from tests.examples import examples

READ_AS_ABC = [
    ("session=abc", "all"),
    (" session=abc", "all"),
    ("\tsession=abc", "all"),
    (";;;session=abc", "all"),
    (";" * 300 + "session=abc", "all"),
    ("; " * 300 + "session=abc", "all"),
    ("a=1; session=abc", "all"),
    ("junk; session=abc", "all"),
    ("session=abc;", "all"),
    ("session=   abc", "all"),
    ("session=\tabc", "Flask, Express, Django"),
    ("session=abc   ", "all"),
    ("session =abc", "Flask, Express, Django"),
    ("session\t= abc", "Flask, Express, Django"),
    ('session="abc"', "Flask, Express, Django"),
    ('session=" abc"', "a site that strips"),
    ("session='abc'", "a site that strips"),
    ("session=%61bc", "Express, PHP"),
    ("session=%61%62%63", "Express, PHP"),
    ("session=%61%62c", "Express, PHP"),
    ("session=ab%63", "Express, PHP"),
    ("session=%2561bc", "one that decodes twice"),
    ('session="%61bc"', "Express"),
    ('session="\\141bc"', "Flask, Django"),
    ('session="\\141\\142\\143"', "Flask, Django"),
    ('session="a\\bc"', "Flask, Django"),
    ("session=abc%20", "PHP and a database that pads"),
    ("session=abc+", "PHP and a database that pads"),
    ("session=ABC", "a database that ignores case"),
    ("Session=abc", "ASP.NET"),
    ("SESSION=abc", "ASP.NET"),
    ("%73ession=abc", "PHP before 8"),
    ("session[]=abc", "PHP"),
    ("session[x]=abc", "PHP"),
    ('"session"=abc', "one that strips quotes"),
    ("a=1, session=abc", "readers of RFC 2109"),
    ("a=1 session=abc", "http.cookies of Python"),
    ("session=a!b!c", "base64 decoders that skip what is none"),
    ("session=abc; session=abc", "all"),
    ("session=abc; session=%61bc", "all"),
]


@pytest.mark.parametrize(("cookies", "_sites"), READ_AS_ABC)
def test_a_cookie_that_some_site_reads_as_abc_is_abc(cookies: str, _sites: str) -> None:
    assert cookie_values(request(headers=(("Cookie", cookies),)), b"session") == (b"abc",)


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (["session=abc; session=n"], (b"abc", b"n")),  # Flask, Express and PHP read the first, Django the last
        (["session=n", "session=abc"], (b"n", b"abc")),
        (["session=abc; Session=n"], (b"abc", b"n")),
        (["session=abc, session=n"], (b"abc", b"n")),
        (["session=abc session=n"], (b"abc", b"n")),
        (["a= session=abc"], (b"abc",)),  # what http.cookies of Python reads, up to the next four as well
        (['a=1= session="abc"'], (b"abc",)),
        (["session=n= session=abc"], (b"nsessionabc", b"n", b"abc")),
        (["session=abc \\n"], (b"abcn", b"abc")),
        (['session="abc" "n'], (b"abcn", b"abc")),
        (["session= abc="], (b"abc", b"")),
        (['x="; session=n; "; session=abc'], (b"n", b"abc")),
        (["session=abc; session[]=n"], (b"abc", b"n")),
        (["session=; session=abc"], (b"", b"abc")),
        (['session=j:"\\u0061bc"'], UNREADABLE),
        (["session=j%3A%22abc%22"], UNREADABLE),
        (["session=abc%00x"], UNREADABLE),
        (["session=abc; session=j:1; session=%00"], (b"abc", *UNREADABLE)),
        (["; ".join(f"c{number}=1" for number in range(MAX_COOKIES + 1)) + "; session=abc"], (b"abc", *UNREADABLE)),
        (["session=abc; " + "; ".join(f"c{number}=1" for number in range(MAX_COOKIES))], (b"abc", *UNREADABLE)),
        (["; ".join(f"c{number}=1" for number in range(MAX_COOKIES + 1))], UNREADABLE),
        (["sessions=abc"], ()),
        (["session"], ()),
        ([], ()),
    ],
)
def test_where_sites_disagree_there_are_several_values(lines: list[str], values: tuple[bytes, ...]) -> None:
    assert cookie_values(request(headers=tuple(("Cookie", line) for line in lines)), b"session") == values


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ([("X-Api-Key", "open sesame")], (b"opensesame",)),
        ([("x_api_key", "open sesame")], (b"opensesame",)),  # CGI, FastCGI, WSGI
        ([("X-API_Key", " Open  Sesame ")], (b"opensesame",)),
        ([("X.Api.Key", "open%20sesame")], (b"opensesame",)),
        ([("X-Api-Key", '"open sesame"')], (b"opensesame",)),
        ([("X-Api-Key", "real"), ("X-Api-Key", "n")], (b"real", b"n")),
        ([("X-Api-Key", "n"), ("X_Api_Key", "real")], (b"n", b"real")),
        ([("X-Api-Key", "real"), ("x-api-key", "REAL")], (b"real",)),
        ([("X-Api-Kez", "real")], ()),
        ([], ()),
    ],
)
def test_a_header_is_one_in_every_spelling_of_its_name(fields: list[tuple[str, str]], values: tuple[bytes, ...]) -> None:
    assert header_values(request(headers=tuple(fields)), b"x-api-key") == values


def test_credentials_in_base64_are_one_in_every_spelling() -> None:
    spellings = ("Basic YWxpY2U6cHc=", "basic  YWxpY2U6cHc", "Basic QWxpY2U6UFc=", "BASIC YWxpY2U6cHd=", "Basic YWxpY2U6cHc==")
    seen = {header_values(request(headers=(("Authorization", each),)), b"authorization") for each in spellings}
    assert seen == {(b"basic:alice:pw",)}


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ("Basic YWxpY2U6Pj4-", UNREADABLE),  # Node reads - as +, Python leaves it out
        ("Basic YWxpY2U6Pz8_", UNREADABLE),
        ("Basic YWxpY2U6cHc!abcd", UNREADABLE),  # the end of the text to Apache
        ("Basic YWxpY2U6cHc=abcd", UNREADABLE),
        ("Basic YWxpY2U6Pj4+", (b"basic:alice:>>>",)),
        ("basic-1234-5678", (b"basic12345678",)),  # a key that begins so
    ],
)
def test_credentials_that_servers_decode_otherwise_have_no_key_of_their_own(value: str, values: tuple[bytes, ...]) -> None:
    assert header_values(request(headers=(("Authorization", value),)), b"authorization") == values


@pytest.mark.parametrize(
    ("target", "values"),
    [
        ("/?id=5", (b"5",)),
        ("/?id=005", (b"5",)),
        ("/?id=%2B5", (b"5",)),
        ("/?id=+5", (b"5",)),
        ("/?id=%0a5%20", (b"5",)),
        ("/?id=5%00", (b"5",)),
        ("/?&&id=5", (b"5",)),
        ("/?Id=5", (b"5",)),
        ("/?id[]=5", (b"5",)),
        ("/?%20id=5", (b"5",)),
        ("/?id%00x=5", (b"5",)),
        ("/?id=5&id=5", (b"5",)),
        ("/?id=5&id=n", (b"5", b"n")),
        ("/?id=5&id[]=n", (b"5", b"n")),
        ("/?id=dQw4", (b"dQw4",)),
        ("/?id=DQW4", (b"DQW4",)),
        ("/?id=0", (b"0",)),
        ("/", ()),
    ],
)
def test_a_parameter_is_one_in_every_spelling_and_two_pages_stay_two(target: str, values: tuple[bytes, ...]) -> None:
    assert query_values(request(target), b"id") == values


@pytest.mark.parametrize("preset", ["express", "php", "rails"])
@pytest.mark.parametrize("name", ["page[]", "page[0]", "[page]", "%20[page]", "]page", "page]", "page][", "page%5B%5D"])
def test_a_parameter_is_one_however_its_brackets_stand(preset: str, name: str) -> None:
    asked = request(f"/?{name}=5&other=6")
    asked.read_as(PRESETS[preset])
    assert query_values(asked, b"page") == (b"5",)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (b"/users/7", b"/users/7"),
        (b"/users/007/posts", b"/users/7/posts"),  # Django, Werkzeug: <int:id>; Rails, Express, PHP: the handler's number
        (b"/users/+7", b"/users/7"),
        (b"/users/ 7 ", b"/users/7"),
        (b"/users/000", b"/users/0"),
        (b"/0x7/07a", b"/0x7/07a"),
        (b"/", b"/"),
    ],
)
def test_a_number_in_a_path_is_one_in_every_spelling(path: bytes, value: bytes) -> None:
    assert canonical_path(path) == value


def test_conditions_see_what_was_sent() -> None:
    asked = request(headers=(("Cookie", ";" * 400 + 'session="%61bc"; Session=2'),))
    assert asked.cookies == {b"session": (b"%61bc",), b"Session": (b"2",)}


def test_no_value_is_ever_what_stands_for_one_that_cannot_be_read() -> None:
    assert all(canonical_value(bytes((byte,))) not in UNREADABLE or byte == 0 for byte in range(256))


NAMES = st.lists(
    st.lists(st.sampled_from([b"a", b"B", b"[", b"]", b"&", b" ", b".", b"\0", b"%26", b"%5b", b'"', b"\xff"])).map(b"".join),
    min_size=1,
)


@settings(max_examples=examples(40))
@given(NAMES)
def test_many_names_are_read_as_each_by_itself(names: list[bytes]) -> None:
    assert list(canonical_names(names)) == [canonical_name(name) for name in names]


VALUES = st.lists(
    st.lists(
        st.sampled_from(
            [b"a", b"B", b"%", b"%3B", b"%253b", b"%00", b"%2", b"3", b"\\073", b"\\141", b"\\", b"j:", b" ", b'"', b":", b"\xff"]
        )
    ).map(b"".join)
)


@settings(max_examples=examples(40))
@given(VALUES)
def test_many_cookies_are_read_as_each_by_itself(values: list[bytes]) -> None:
    assert canonical_cookies(values) == [canonical_cookies((value,))[0] for value in values]


@settings(max_examples=examples(40))
@given(VALUES)
def test_a_cookie_is_read_as_a_header_but_for_json(values: list[bytes]) -> None:
    plain = [value for value in values if b":" not in value and b"%3" not in value]
    assert canonical_cookies(plain) == [canonical_value(value) for value in plain]
