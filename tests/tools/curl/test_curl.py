"""Commands as browsers and people write them, and the requests that they stand for."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxyguard.tools.curl.curl import OWN_USER_AGENT, CurlError, parse_curl
from proxyguard.tools.curl.words import words_of
from tests.examples import examples

CHROME_BASH = r"""curl 'https://www.example.org/search?q=a%20b&lang=de' \
  -X 'POST' \
  -H 'accept: text/html,*/*;q=0.8' \
  -H 'accept-language: en-GB,en;q=0.9' \
  -b 'session=abc; theme=dark' \
  -H 'sec-ch-ua: "Chromium";v="131", "Not_A Brand";v="24"' \
  -H 'sec-ch-ua-platform: "Windows"' \
  -H $'x-note: it\'s \u0021 done\n' \
  -H 'user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0.0.0' \
  --data-raw $'name=O\'Neil\u0021&x=1' \
  --compressed \
  --insecure ;"""

CHROME_CMD = (
    'curl ^"https://www.example.org/search?q=a^%^20b^&lang=de^" ^\n'
    '  -X ^"POST^" ^\n'
    '  -H ^"accept: text/html,*/*;q=0.8^" ^\n'
    '  -H ^"accept-language: en-GB,en;q=0.9^" ^\n'
    '  -b ^"session=abc; theme=dark^" ^\n'
    '  -H ^"sec-ch-ua: ^\\^"Chromium^\\^";v=^\\^"131^\\^", ^\\^"Not_A Brand^\\^";v=^\\^"24^\\^"^" ^\n'
    '  -H ^"sec-ch-ua-platform: ^\\^"Windows^\\^"^" ^\n'
    '  -H ^"x-note: it\'s ^! done^" ^\n'
    '  -H ^"user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0.0.0^" ^\n'
    '  --data-raw ^"name=O\'Neil^!^&x=1^" ^\n'
    "  --compressed ^\n"
    "  --insecure"
)

HEADERS = (
    ("Accept-Encoding", "deflate, gzip, br, zstd"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("accept", "text/html,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("Cookie", "session=abc; theme=dark"),
    ("sec-ch-ua", '"Chromium";v="131", "Not_A Brand";v="24"'),
    ("sec-ch-ua-platform", '"Windows"'),
    ("x-note", "it's ! done"),
    ("user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0.0.0"),
)


@pytest.mark.parametrize("command", [CHROME_BASH, CHROME_CMD, CHROME_CMD.replace("\n", "\r\n")], ids=["bash", "cmd", "crlf"])
def test_chrome_copies_the_same_request_for_every_shell(command: str) -> None:
    pasted = parse_curl(command)
    request = pasted.request
    assert pasted.unknown == ()
    assert (request.method, request.scheme, request.host) == ("POST", "https", "www.example.org")
    assert request.path == "/search?q=a%20b&lang=de"
    assert request.headers == HEADERS


FIREFOX_BASH = (
    "curl --path-as-is 'https://example.org/a?b' --compressed "
    "-H 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Firefox/133.0' "
    "-H 'Accept: */*' -H 'Sec-Fetch-Mode: navigate' -H 'TE: trailers'"
)
FIREFOX_CMD = (
    'curl "https://example.org/a?b" --compressed -H "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Firefox/133.0" '
    '-H "Accept: */*" -H "Sec-Fetch-Mode: navigate" -H "TE: trailers"'
)


@pytest.mark.parametrize("command", [FIREFOX_BASH, FIREFOX_CMD], ids=["bash", "cmd"])
def test_firefox(command: str) -> None:
    request = parse_curl(command).request
    assert (request.method, request.path) == ("GET", "/a?b")
    assert [name for name, _ in request.headers] == ["Accept-Encoding", "User-Agent", "Accept", "Sec-Fetch-Mode", "TE"]


def test_quotes_doubled_inside_of_quotes_as_older_browsers_wrote_them_for_windows() -> None:
    request = parse_curl('curl "https://example.org/" -H "sec-ch-ua: ""Chromium"";v=""99"""').request
    assert ("sec-ch-ua", '"Chromium";v="99"') in request.headers


@pytest.mark.parametrize(
    ("command", "facts"),
    [
        ("curl example.org", ("GET", "http", "example.org", "/")),
        ("$ curl -sSL https://example.org/a#b", ("GET", "https", "example.org", "/a")),
        ("curl.exe https://u:p@example.org:8443/a", ("GET", "https", "example.org:8443", "/a")),
        ("/usr/bin/curl -I https://example.org", ("HEAD", "https", "example.org", "/")),
        ("curl -XPUT https://example.org/x", ("PUT", "https", "example.org", "/x")),
        ("curl -d a=1 https://example.org/x", ("POST", "https", "example.org", "/x")),
        ("curl -G -d a=1 -d b=2 'https://example.org/x?c=3'", ("GET", "https", "example.org", "/x?c=3&a=1&b=2")),
        ("curl -F f=@x https://example.org/x", ("POST", "https", "example.org", "/x")),
        ("curl -T file https://example.org/x", ("PUT", "https", "example.org", "/x")),
        ("curl --url https://example.org?x", ("GET", "https", "example.org", "/?x")),
        ("curl https://example.org/é/%20", ("GET", "https", "example.org", "/%C3%A9/%20")),
        ("curl -H 'Host: other.example' http://127.0.0.1/", ("GET", "http", "other.example", "/")),
        ("curl https://example.org/a | jq .", ("GET", "https", "example.org", "/a")),
        ("curl https://example.org/a > out.html && echo done", ("GET", "https", "example.org", "/a")),
        ("curl -x proxy:3128 -o out https://example.org/a", ("GET", "https", "example.org", "/a")),
        ("curl -- https://example.org/a", ("GET", "https", "example.org", "/a")),
    ],
)  # fmt: skip
def test_what_is_asked(command: str, facts: tuple[str, str, str, str]) -> None:
    pasted = parse_curl(command)
    request = pasted.request
    assert (request.method, request.scheme, request.host, request.path) == facts
    assert pasted.unknown == ()


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ("", ("User-Agent", OWN_USER_AGENT)),
        ("", ("Accept", "*/*")),
        ("-A 'x y'", ("User-Agent", "x y")),
        ("-H 'X-Empty;'", ("X-Empty", "")),
        ("-u ada:pass", ("Authorization", "Basic YWRhOnBhc3M=")),
        ("--oauth2-bearer t0k3n", ("Authorization", "Bearer t0k3n")),
        ("-e 'https://a.example/;auto'", ("Referer", "https://a.example/")),
        ("-r 0-99", ("Range", "bytes=0-99")),
        ("--json '{}'", ("Content-Type", "application/json")),
        (r"-H $'x: \x41\101\t\u00e9\\'", ("x", "AA\té\\")),
    ],
)
def test_headers_that_curl_adds(options: str, header: tuple[str, str]) -> None:
    assert header in parse_curl(f"curl {options} https://example.org/").request.headers


def test_a_header_without_a_value_is_taken_out() -> None:
    names = [name for name, _ in parse_curl("curl -H 'User-Agent:' -H 'Accept:' https://x/").request.headers]
    assert names == []


@pytest.mark.parametrize(("option", "version"), [("", "1.1"), ("--http2", "2"), ("--http1.0", "1.0"), ("-0", "1.0")])
def test_versions(option: str, version: str) -> None:
    assert parse_curl(f"curl {option} https://x/").request.http_version == version


def test_unknown_options_are_named_and_take_what_looks_like_their_value() -> None:
    pasted = parse_curl("curl --frob 5 -Q --new https://x/y --last")
    assert pasted.unknown == ("--frob", "-Q", "--new", "--last")
    assert (pasted.request.host, pasted.request.path) == ("x", "/y")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "that is not a curl command"),
        ("Invoke-WebRequest -Uri https://x/", "that is Invoke-WebRequest, not curl"),
        ("fetch('https://x/', {})", "that is fetch, not curl"),
        ("curl", "the command names no address"),
        ("curl -H", "-H stands at the end, without its value"),
        ("curl --header", "--header stands at the end, without its value"),
        ("curl -H nonsense https://x/", "-H 'nonsense' is not 'Name: value'"),
        ("curl ftp://x/y", "the address 'ftp://x/y' is not http or https"),
        ("curl https:///y", "the address 'https:///y' has no host"),
        ("curl https://x/ https://y/", "the command names several addresses: 'https://x/' and 'https://y/'"),
        ("curl 'https://x/", "a quote is opened and never closed, at ''https://x/'"),
        ('curl "https://x/', "a quote is opened and never closed, at '\"https://x/'"),
        ("curl $'https://x/", "a quote is opened and never closed, at '$'https://x/'"),
        ('curl ^"https://x/^" -H ^"a: b', "a quote is opened and never closed, at '\"a: b'"),
    ],
)
def test_what_cannot_be_read_is_said(command: str, message: str) -> None:
    with pytest.raises(CurlError) as raised:
        parse_curl(command)
    assert str(raised.value).split("\n")[0] == message


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=5))
@example(["^\n"])
@example(['^"', '" ^', 'a""b'])
def test_words_are_cut_as_a_shell_cuts_them(words: list[str]) -> None:
    quoted = ["'" + word.replace("'", "'\\''") + "'" for word in words]
    assert words_of(" ".join(["curl", *quoted])) == ["curl", *words]


SAMPLES = [
    r"curl 'a b' c\ d \e",
    r'curl "a \" \\ \x \$ b"',
    r"curl $'a\tb\'c\x41\u00e9' x'y'\"z\"",
    "curl a \\\n  b",
    r"""curl ''"" '' """,
]


@pytest.mark.parametrize("command", SAMPLES)
def test_samples_are_cut_as_bash_cuts_them(command: str) -> None:
    script = f'curl() {{ "{sys.executable}" -c "import sys, json; print(json.dumps(sys.argv[1:]))" curl "$@"; }}; {command}'
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert words_of(command) == json.loads(done.stdout)


@settings(max_examples=examples(300), deadline=None)
@given(st.text(alphabet="curl '\"\\$^%&-HXdb:=/\n;|ux04", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(CurlError):
        assert parse_curl(f"curl {text}").request.path.startswith("/")


def test_values_to_be_encoded_are_encoded_as_curl_does() -> None:
    command = "curl -G --data-urlencode 'q=a b&c/ü~' --data-urlencode '=x y' --data-urlencode 'z w' -d r=1 https://example.org/"
    assert parse_curl(command).request.path == "/?q=a+b%26c%2F%C3%BC~&x+y&z+w&r=1"
