"""`--fields`, JSON that is not of any product, and the hints about logs that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxyguard.core.address import address_number
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.detect import Stated, detect_format
from proxyguard.tools.replay.formats.field_map import FieldsError, read_fields, read_path
from proxyguard.tools.replay.formats.field_map import Path as FieldPath
from proxyguard.tools.replay.formats.json_objects import MAX_PREFIXED
from proxyguard.tools.replay.log_files import Journal, LogFile, LogUnreadable, in_time_order
from proxyguard.tools.replay.logged_request import LogFormat, NotAnEntry
from tests.tools.replay.lines import line
from tests.tools.replay.samples import FORMATS, FRONTS, HOST, cloudflare, traefik, traffic
from tests.tools.replay.samples import line as line_of

HIT = traffic(1)[0]
TIME = "2026-11-23T09:15:07Z"


def found(*objects: object, fields: str = "", name: str | None = None) -> LogFormat:
    lines = [json.dumps(each).encode() for each in objects]
    made = detect_format(lines, Stated(name, fields=read_fields(fields)) if fields else Stated(name))
    assert made is not None
    return made.format


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", FieldPath("a", ("a",))), ("a.b", FieldPath("a.b", ("a", "b"))), ("a:ms", FieldPath("a", ("a",), 1e-3)),
        ("cs:uri", FieldPath("cs:uri", ("cs:uri",))), (":ms", FieldPath(":ms", (":ms",))),
        ("a.b:µs", FieldPath("a.b", ("a", "b"), 1e-6)),
    ],
)  # fmt: skip
def test_a_field_may_be_inside_and_have_a_unit(text: str, path: FieldPath) -> None:
    assert read_path(text) == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it names no field"), ("client", "'client' is not PART=FIELD"), ("client=", "'client=' is not PART=FIELD"),
        ("clint=a", "'clint' is no part of a request; did you mean 'client'?"),
        ("header.=a", "'header.' is no part of a request"), ("path=a,path=b", "'path' is given twice; write path=a|b"),
        ("x=1,client", "'x' is no part of a request; 'client' is not"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_used_say_so_all_at_once(text: str, said: str) -> None:
    with pytest.raises(FieldsError) as caught:
        read_fields(text)
    assert said in str(caught.value)
    assert "parts: time, client, " in str(caught.value)


def test_fields_change_the_map_of_a_format() -> None:
    sample = json.loads(traefik(HIT)) | {"request_Cf-Connecting-Ip": "203.0.113.50"}
    made = found(sample, fields="client=request_Cf-Connecting-Ip", name="traefik")
    assert made.parse(json.dumps(sample).encode()).client == b"203.0.113.50"
    assert found(sample, fields="client=request_Cf-Connecting-Ip").name == "traefik"


def test_times_are_read_in_their_units() -> None:
    sample = {"at": 1_795_425_307_500, "ip": "192.0.2.7", "method": "GET", "path": "/", "took": 1500}
    made = found(sample, fields="time=at:ms,upstream_time=took:us,client=ip")
    entry = made.parse(json.dumps(sample).encode())
    assert (entry.time, entry.upstream_seconds) == (1_795_425_307.5, 0.0015)


def test_other_headers_and_cookies_can_be_named() -> None:
    sample = {"ts": TIME, "ip": "192.0.2.7", "method": "GET", "path": "/", "al": "en", "sid": "x", "h": {"accept": ["*/*", "b"]}}
    made = found(sample, fields="header.accept-language=al,cookie.session=sid,header.accept=h.accept")
    entry = made.parse(json.dumps(sample).encode())
    assert entry.headers == ((b"accept-language", b"en"), (b"accept", b"*/*"), (b"Cookie", b"session=x"))
    assert made.knowledge.cookies == frozenset({"session"})


def test_a_field_that_is_nowhere_is_named() -> None:
    sample = {"ts": TIME, "ip": "192.0.2.7", "method": "GET", "path": "/"}
    assert found(sample, fields="referer=ref,user_agent=ua").notes() == [
        "--fields: referer, user_agent are in none of the first lines"
    ]


@pytest.mark.parametrize("key", ["userAgent", "user-agent", "User_Agent", "useragent"])
def test_usual_names_are_found_however_they_are_joined(key: str) -> None:
    sample = {"timestamp": TIME, "remoteIP": "192.0.2.7", "method": "GET", "requestPath": "/", key: "curl/8.5.0"}
    assert found(sample).parse(json.dumps(sample).encode()).headers == ((b"User-Agent", b"curl/8.5.0"),)


def test_a_whole_url_tells_host_and_scheme() -> None:
    sample = {"ts": TIME, "ip": "192.0.2.7", "method": "GET", "url": "http://WWW.example.org:8080?q=1"}
    entry = found(sample).parse(json.dumps(sample).encode())
    assert (entry.host, entry.scheme, entry.target) == (b"www.example.org", b"http", b"/?q=1")


def test_a_path_that_never_has_its_query_leaves_the_query_unknown() -> None:
    sample = json.loads(cloudflare(HIT, TIME))
    assert FieldKind.QUERY in found(sample).knowledge.kinds
    del sample["ClientRequestURI"]
    assert FieldKind.QUERY not in found(sample).knowledge.kinds


def test_a_header_that_the_server_keeps_back_is_only_known_to_be_there() -> None:
    sample = json.loads(traefik(HIT)) | {"request_Authorization": "REDACTED"}
    assert found(sample).knowledge.presence == {"authorization"}


def message(tmp_path: Path, text: str, name: str | None = None) -> str:
    path = tmp_path / "log"
    path.write_text(text)
    with pytest.raises(LogUnreadable) as caught:
        LogFile(str(path), Stated(name))
    return str(caught.value).replace(str(tmp_path), "LOGS")


def test_the_hint_about_an_unknown_text_names_the_formats_and_how_to_convert(tmp_path: Path) -> None:
    said = message(tmp_path, "hello\tworld\n")
    assert said.startswith(
        "LOGS/log: the log is in no known format; its first line: 'hello\\tworld'\n  hint: formats that are read: caddy, audit, "
    )
    assert all(name in said for name in ("haproxy", "aws-alb", "iis", "cri", "syslog-5424", "jq -cR"))


def test_the_hint_about_json_names_its_fields_and_what_is_missing(tmp_path: Path) -> None:
    said = message(tmp_path, json.dumps({"when": TIME, "peer": {"addr": "192.0.2.7"}, "method": "GET", "\x1b[31m": 1}) + "\n")
    assert "it is JSON, and no field is known to hold the time, client, path; its fields: when, peer.addr, method, " in said
    assert "--fields time=…,client=…,method=…,path=…" in said
    assert "jq -c '{time: .…" in said
    assert "\x1b" not in said


def test_the_hint_about_a_wrong_format_names_the_right_one(tmp_path: Path) -> None:
    text = FRONTS["cri"](HIT, line(0)) + "\n"
    assert message(tmp_path, text, name="haproxy").endswith(
        "hint: it looks like combined behind what cri writes in front: leave --format out"
    )


@pytest.mark.parametrize("text", ['[\n  {\n "a": 1}]\n', "{\n", '[{"a": 1}]\n'])
def test_json_over_several_lines_is_made_one_object_a_line_by_jq(tmp_path: Path, text: str) -> None:
    assert message(tmp_path, text).endswith("it is JSON over several lines: jq -c '.[]? // .' FILE | proxyguard replay -")


def test_a_w3c_log_without_its_fields_says_what_is_missing(tmp_path: Path) -> None:
    written = next(case for case in FORMATS if case.case == "iis")
    assert "its line that begins with #Fields: is missing: put it first" in message(tmp_path, written.write(HIT) + "\n")


def test_only_so_many_headers_are_read_by_their_prefix() -> None:
    sample = json.loads(traefik(HIT)) | {f"request_X-{number}": "1" for number in range(1000)}
    entry = found(sample).parse(json.dumps(sample).encode())
    assert len(entry.headers) <= MAX_PREFIXED + 3


def test_zstd_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"(\xb5/\xfd\x04rest")
    with pytest.raises(LogUnreadable, match="zstdcat FILE"):
        LogFile(str(path))


@pytest.mark.parametrize("size", [10, 15_000, 16_384, 40_000, 200_000])
@pytest.mark.parametrize("end", [True, False])
def test_what_docker_cut_is_put_together_and_what_lost_its_newline_is_whole(tmp_path: Path, size: int, end: bool) -> None:
    path = tmp_path / "log"
    hits = [HIT._replace(agent="x" * size, target=f"/{number}") for number in range(3)]
    text = "\n".join(FRONTS["docker"](hit, line_of(hit)) for hit in hits) + "\n"
    path.write_text(text if end else text.replace('\\n", "stream"', '", "stream"'))
    entries = list(in_time_order([LogFile(str(path))], Journal(), None))
    assert [entry.target for entry in entries] == [b"/0", b"/1", b"/2"]
    assert {len(entry.headers[0][1]) for entry in entries} == {size}


def probe(number: int) -> str:
    return line(number).replace("GET / HTTP/1.1", "\\x16\\x03\\x01\\x02")


@pytest.mark.parametrize("probes", [49, 51, 500, 5000])
def test_a_log_that_begins_with_probes_is_read(tmp_path: Path, probes: int) -> None:
    path = tmp_path / "log"
    path.write_text("\n".join([*map(probe, range(probes)), line(probes), line(probes)]) + "\n")
    assert LogFile(str(path)).format.name == "combined"


@pytest.mark.parametrize(
    ("first", "name", "client", "note"),
    [
        ("[pod/web/nginx] 192.0.2.7", "combined", b"192.0.2.7", False),
        ("203.0.113.1, 192.0.2.7", "combined", b"192.0.2.7", False),
        ("203.0.113.1,192.0.2.7", "combined", b"192.0.2.7", False),
        ("unknown, 192.0.2.7", "combined", b"192.0.2.7", False),
        ("2001:db8::1, 2001:db8::2", "combined", b"2001:db8::2", False),
        ('"203.0.113.1, 192.0.2.7" 10.0.0.1', "forwarded-combined", b"192.0.2.7", False),
        ('"-" 192.0.2.7', "forwarded-combined", b"192.0.2.7", False),
        ("203.0.113.1 192.0.2.7", "combined", b"203.0.113.1", True),
        ("203.0.113.1, 192.0.2.7 10.0.0.1", "combined", b"192.0.2.7", False),
        ("- 192.0.2.7", "combined", b"192.0.2.7", False),
        ("nginx[7]: 192.0.2.7", "combined", b"192.0.2.7", False),
        ("1 2026-11-23T09:15:07Z web1 nginx 7 - - 192.0.2.7", "combined", b"192.0.2.7", False),
        ("2026-11-23T09:15:07+0000 web1 nginx[7]: 192.0.2.7", "combined", b"192.0.2.7", False),
        ("Nov 23 09:15:07.123456 web1 nginx[7]: 192.0.2.7", "combined", b"192.0.2.7", False),
        ("<190>1 - - - - - - 192.0.2.7", "combined", b"192.0.2.7", False),
        ("web_1      | 192.0.2.7", "combined", b"192.0.2.7", False),
        ("www.example.org 192.0.2.7", "vhost-combined", b"192.0.2.7", False),
        ("[2001:db8::5]:443 192.0.2.7", "vhost-combined", b"192.0.2.7", False),
        ("192.0.2.80:443 192.0.2.7", "vhost-combined", b"192.0.2.7", False),
    ],
)
def test_what_stands_first_is_not_misread_in_silence(first: str, name: str, client: bytes, note: bool) -> None:
    text = line(0).replace("192.0.2.7", first, 1).encode()
    made = detect_format([text])
    assert made is not None
    inner = made.front.make()(text) if made.front else text
    entry = made.format.parse(inner)
    assert (made.format.name, entry.client, bool(made.format.notes()), entry.user) == (name, client, note, False)
    assert entry.host in {b"", HOST.encode(), b"[2001:db8::5]", b"192.0.2.80"}


def test_fields_that_change_within_a_w3c_log_are_refused_with_the_reason() -> None:
    written = next(case for case in FORMATS if case.case == "iis")
    made = detect_format([text.encode() for text in (*written.head, written.write(HIT))])
    assert made is not None
    parse = made.format.parse
    for directive in ("#Fields: date time c-ip cs-method cs-uri-stem", written.head[-1]):
        with pytest.raises(NotAnEntry):
            parse(directive.encode())
    assert address_number(parse(written.write(HIT).encode()).client.decode())
