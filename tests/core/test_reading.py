"""How each preset reads paths and names of parameters, and that the loose reading takes for one what any preset does."""

from __future__ import annotations

import pickle
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.address import Address
from proxyguard.core.reading import LOOSE, LOOSE_FRONT, PRESETS, STRICT, SiteReading, percent_decode
from proxyguard.core.request import Request
from tests.build import request
from tests.examples import examples
from tests.paths import ROOT


def read(preset: str, target: bytes) -> bytes:
    return PRESETS[preset].path(target)


@pytest.mark.parametrize(
    ("preset", "target", "path"),
    [
        ("strict", b"/SIGNUP/;x?y", b"/SIGNUP/;x"),
        ("nginx", b"/a/index.html", b"/a/"),
        ("nginx", b"/A/", b"/A/"),
        ("express", b"/SIGNUP", b"/signup"),
        ("express", b"/%53ignUp//", b"/signup"),
        ("express", b"/", b"/"),
        ("express", b"/signup;x", b"/signup;x"),
        ("express", "/CAFÉ".encode(), "/café".encode()),
        ("express", b"/\xc9A", b"/\xc9a"),
        ("php", b"/signup.php/x/y.css?z", b"/signup.php"),
        ("php", b"/signup.php/", b"/signup.php"),
        ("php", b"/admin/index.php/x", b"/admin"),
        ("php", b"/index.php", b"/"),
        ("php", b"/a.phpx/y", b"/a.phpx/y"),
        ("django", b"/signup/", b"/signup"),
        ("rails", b"/signup.json/", b"/signup.json"),
        ("tomcat", b"/signup;a=1;b", b"/signup"),
        ("tomcat", b"/;x/signup", b"/signup"),
        ("tomcat", b"/signup;a%2Fb", b"/signup"),
        ("tomcat", b"/signup%3bx", b"/signup"),
        ("tomcat", b"/a;b/c;d/", b"/a/c"),
        ("iis", b"/(S(abc))/SIGNUP.aspx.", b"/signup.aspx"),
        ("iis", b"/signup.aspx::$DATA", b"/signup.aspx"),
        ("iis", b"/signup.aspx%20/x", b"/signup.aspx"),
        ("iis", b"/Default.aspx", b"/"),
    ],
)
def test_a_preset_reads_a_path(preset: str, target: bytes, path: bytes) -> None:
    assert read(preset, target) == path


def test_an_ending_is_dropped_where_a_whole_path_is_meant() -> None:
    rails = PRESETS["rails"]
    assert [rails.whole(path) for path in (b"/signup.json", b"/signup", b"/.env", b"/a.b/c")] == [
        b"/signup",
        b"/signup",
        b"/.env",
        b"/a.b/c",
    ]


@pytest.mark.parametrize(
    "ending",
    [
        ".json", ".abcdefghijklmnopqrstuvw", ".a%20b", ".a+b", ".a%2Fb", ".a%2fb/", ".a%2Eb", ".%2e", ".a%2Fb%2Ec", ".a~", ".a;b",
        ".a=b", ".%C3%A9", ".a%3Fb", ".a%25", ".(x)",
    ],
)  # fmt: skip
def test_any_ending_is_dropped_as_rails_does_before_it_decodes(ending: str) -> None:
    asked = request("/signup" + ending)
    asked.read_as(PRESETS["rails"])
    assert (asked.whole_path, asked.whole_loose_path) == (b"/signup", b"/signup")


@pytest.mark.parametrize("target", ["/.git%2Fconfig", "/a.d%2Fb", "/a.%2Fb"])
def test_what_an_ending_may_hide_is_seen_as_well(target: str) -> None:
    asked = request(target)
    asked.read_as(PRESETS["rails"])
    assert asked.paths[0] == unquote_to_bytes(target)


def test_a_front_controller_is_what_follows_it() -> None:
    assert SiteReading(front_controller=True).path(b"/index.php/signup") == b"/signup"
    assert (LOOSE.path(b"/index.php/signup"), LOOSE_FRONT.path(b"/index.php/signup")) == (b"/", b"/signup")


@pytest.mark.parametrize(
    ("preset", "query", "name", "values"),
    [
        ("strict", b"page[]=5", b"page", None),
        ("express", b"page[]=5&page=6", b"page", (b"5", b"6")),
        ("express", b"page%5B%5d=5", b"page", (b"5",)),
        ("express", b"[page]=5", b"page", (b"5",)),
        ("php", b"+page=5", b"page", (b"5",)),
        ("php", b"%20%20page=5", b"page", (b"5",)),
        ("php", b"page%00x=5", b"page", (b"5",)),
        ("php", b"a.b=5&a_b=6&a+b=7", b"a_b", (b"5", b"6", b"7")),
        ("php", b"page[=5", b"page_", (b"5",)),
        ("php", b"?page=5", b"page", (b"5",)),
        ("rails", b"x;page=5", b"page", (b"5",)),
        ("iis", b"PAGE=5&%u0070age=6", b"page", (b"5", b"6")),
        ("express", b"&" * 1000 + b"page=5", b"page", (b"5",)),
    ],
)
def test_a_preset_names_parameters(preset: str, query: bytes, name: bytes, values: tuple[bytes, ...] | None) -> None:
    request = Request(Address.parse("192.0.2.1"), b"GET", b"https", b"x", b"/?" + query, ())
    request.read_as(PRESETS[preset])
    assert request.query.get(name) == values


def test_a_request_is_read_anew_when_another_site_is_asked() -> None:
    request = Request(Address.parse("192.0.2.1"), b"GET", b"https", b"x", b"/A?b[]=1", ())
    assert (request.path, set(request.query)) == (b"/A", {b"b[]"})
    request.read_as(PRESETS["express"])
    assert (request.path, set(request.query)) == (b"/a", {b"b[]", b"b"})


_PIECES = st.sampled_from(
    ["/", "a", "B", ".", ";", "x", "%2f", "%3B", ".php", "index", ".html", "=", "é", " ", ":", "(S(a))", "%41"]
)


@given(st.lists(_PIECES, max_size=12).map(lambda parts: "/" + "".join(parts)), st.sampled_from(sorted(PRESETS)))
def test_folding_is_settled_after_the_second_time(text: str, preset: str) -> None:
    once = PRESETS[preset].path(text.encode())
    twice = PRESETS[preset].fold(once)
    assert PRESETS[preset].fold(twice) == PRESETS[preset].fold(PRESETS[preset].fold(twice))


BUNDLED = sorted({
    line.encode()
    for name in ("sign-up-paths", "log-in-paths", "account-check-paths")
    for line in (ROOT / f"rules/lists/{name}.txt").read_text().splitlines()
    if line.startswith("/")
})  # fmt: skip
DRESSES = (
    "{}", "{}/", "{};a=1", "/;x{}", "/{}", "{}?a", "{};a%2Fb", "{}%2f", "/index.php{}", "{}.json", "{}%20", "{}::$DATA", "{}/;x",
    "/(S(a)){}", "{}//",
)  # fmt: skip


@pytest.mark.parametrize("preset", [*PRESETS, "front controller"])
def test_what_any_preset_takes_for_a_bundled_page_the_loose_reading_does(preset: str) -> None:
    reading = PRESETS.get(preset) or SiteReading(front_controller=True, trailing_slash=True)
    seen = 0
    for page in BUNDLED:
        for dress in DRESSES:
            for target in (dress.format(page.decode()), dress.format(page.decode()).upper().replace("%2F", "%2f")):
                if reading.whole(reading.path(target.encode())) == reading.whole(reading.fold(page)):
                    seen += 1
                    wanted = {one.whole(one.fold(page)) for one in (LOOSE, LOOSE_FRONT)}
                    read_as = {one.whole(one.path(target.encode())) for one in (LOOSE, LOOSE_FRONT)}
                    assert wanted & read_as, (page, target)
    assert seen >= len(BUNDLED)


@given(st.binary(max_size=40) | st.lists(st.sampled_from([b"%", b"4", b"1", b"=", b"\n", b" ", b"f"]), max_size=30).map(b"".join))
def test_escapes_are_decoded_as_everybody_does(text: bytes) -> None:
    assert percent_decode(text) == unquote_to_bytes(text)


def test_a_reading_is_written_as_operators_write_it() -> None:
    assert [str(each) for each in PRESETS.values()] == list(PRESETS)
    assert str(SiteReading(ignore_case=True)) == "{ignore_case: true}"
    assert not STRICT.folds_paths


NAMES = st.lists(
    st.lists(st.sampled_from([b"a", b"B", b"[", b"]", b"&", b" ", b".", b"\0", b"\\", b"\\a", b"\xff"])).map(b"".join), min_size=1
)


@pytest.mark.parametrize("preset", ["express", "php", "rails"])
@settings(max_examples=examples(40))
@given(names=NAMES)
def test_many_names_are_read_as_each_by_itself(preset: str, names: list[bytes]) -> None:
    written, bases = PRESETS[preset].names_of(names)
    assert [(one, base) if base else (one,) for one, base in zip(written, bases, strict=True)] == [
        PRESETS[preset].names(name) for name in names
    ]


@pytest.mark.parametrize(
    ("preset", "name", "names"),
    [
        ("rails", b"a&[b", (b"a&[b", b"a&")),
        ("php", b" a.b[c.d", (b"a_b_c.d",)),
        ("php", b"a\\b&[]", (b"a\\b&[]", b"a\\b&")),
        ("iis", b"Page", (b"page",)),
        ("express", b"[a]", (b"[a]", b"a")),
        ("express", b"[]", (b"[]",)),
    ],
)
def test_a_name_with_whatever_stands_between_names(preset: str, name: bytes, names: tuple[bytes, ...]) -> None:
    assert PRESETS[preset].names(name) == names


@pytest.mark.parametrize("query", [b"a=%u0061", b"%U20AC=%u00e4&%u0026", b"%ud800%u00", b"\xe9%u0041"])
def test_unicode_escapes_become_utf_8_escapes(query: bytes) -> None:
    expected = re.sub(
        rb"%[uU]([0-9A-Fa-f]{4})",
        lambda match: b"".join(b"%%%02X" % byte for byte in chr(int(match[1], 16)).encode("utf-8", "replace")),
        query,
    )
    assert PRESETS["iis"].raw_query(query) == expected


@pytest.mark.parametrize("preset", PRESETS)
def test_a_reading_reaches_a_worker_as_it_is(preset: str) -> None:
    assert pickle.loads(pickle.dumps(PRESETS[preset])) == PRESETS[preset]
