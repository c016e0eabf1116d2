"""The same traffic in every format, and behind every front, is the same traffic to a replay."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.tools.replay.detect import Stated
from proxyguard.tools.replay.formats.apache import COMBINED_KNOWLEDGE
from proxyguard.tools.replay.formats.registry import NAMES
from proxyguard.tools.replay.fronts.registry import FRONTS as KNOWN_FRONTS
from proxyguard.tools.replay.judgeable import judgeable
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.log_files import Journal, LogFile, in_time_order
from proxyguard.tools.replay.logged_request import MAX_LINE_BYTES, LoggedRequest
from proxyguard.tools.replay.run import Findings, Replay
from tests.tools.replay.lines import policy_of
from tests.tools.replay.samples import FORMATS, FRONTS, Hit, Written, traffic

TRAFFIC = traffic()

POLICY = policy_of(
    """\
  - {name: curl, when: {user_agent: {word: curl}}, action: reject}
  - {name: quotes, when: {user_agent: {contains: 'Say "hello" '}}, action: {tarpit: {hold: 60s}}}
  - {name: cities, when: {user_agent: {contains: 東京}}, action: reject}
  - {name: no-agent, when: {user_agent: absent, path: {prefix: /profiles/}}, action: drop}
  - {name: query, when: {query.q: café}, action: reject, mode: shadow}
  - {name: posts, when: {method: POST, client: 2001:db8::/32}, action: reject}
  - {name: not-found, limit: {rate: 6/minute, count: {status: [404]}, per: [client]}, action: reject}
  - {name: pages, when: {header.referer: absent}, limit: {rate: 4/minute, per: [client]}, action: reject, mode: shadow}
"""
)
FRONTED = ("combined", "traefik", "aws-clb")


def fronted(found: Written, front: str) -> Written:
    before = FRONTS[front]
    head = tuple(before(TRAFFIC[0], text) for text in found.head)
    name = f"{found.case} behind {front}"
    return found._replace(case=name, front=front, head=head, write=lambda hit: before(hit, found.write(hit)))


CASES = [*FORMATS, *(fronted(found, front) for front in FRONTS for found in FORMATS if found.case in FRONTED)]


def written(path: Path, case: Written, hits: Iterable[Hit] = TRAFFIC) -> LogFile:
    path.write_text("\n".join([*case.head, *map(case.write, hits)]) + "\n", encoding="utf-8")
    return LogFile(str(path), Stated(fields=case.fields))


@cache
def compiled(knowledge: Knowledge) -> CompiledPolicy:
    return compile_policy(judgeable(POLICY, knowledge).policy, secret=b"test")


def totals(entries: Iterable[LoggedRequest], knowledge: Knowledge) -> dict[str, Any]:
    """The sums of the rules that can be judged."""
    findings: Findings = Replay(compiled(knowledge), host=b"www.example.org").run(entries)
    return {
        "requests": findings.requests, "clients": findings.clients.seen.count(), "stopped": findings.stopped.requests,
        "networks": findings.clients.seen_networks.count(), "malformed": findings.not_addresses,
        "rules": {key: (found.requests, found.clients.count()) for key, found in findings.rules.items()},
    }  # fmt: skip


@pytest.fixture(scope="session")
def as_combined(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Knowledge], dict[str, Any]]:
    """The totals of the combined log, by what is known."""
    log = written(tmp_path_factory.mktemp("combined") / "access.log", FORMATS[0])
    entries = list(in_time_order([log], Journal(), None))
    return cache(lambda knowledge: totals(entries, knowledge))


@pytest.mark.parametrize("case", CASES, ids=[case.case for case in CASES])
def test_the_same_traffic_gives_the_same_totals(
    tmp_path: Path, case: Written, as_combined: Callable[[Knowledge], dict[str, Any]]
) -> None:
    log = written(tmp_path / "log", case)
    assert (log.format.name, log.front.name if log.front else "") == (case.name, case.front)
    journal = Journal()
    entries = list(in_time_order([log], journal, None))
    assert (journal.malformed, journal.no_request, journal.notes, log.notes()) == (0, 0, [], [])
    knowledge = log.format.knowledge
    for hit, found in zip(TRAFFIC, entries, strict=True):
        headers = dict(found.headers)
        assert (int(found.time), found.client.decode()) == (hit.time, hit.client)
        assert (found.method.decode(), found.target.decode(), found.version) == (hit.method, hit.target, b"1.1")
        assert (found.status, found.bytes_sent, found.user) == (hit.status, hit.size, False)
        for name, sent in ((b"User-Agent", hit.agent), (b"Referer", hit.referer)):
            if knowledge.headers is None or name.decode().lower() in knowledge.headers:
                assert headers.get(name, b"-").decode() == sent
    common = knowledge.common(COMBINED_KNOWLEDGE)
    assert totals(entries, common) == as_combined(common)


def test_every_format_and_front_has_a_sample() -> None:
    assert {case.name for case in FORMATS} | {"audit"} == set(NAMES)
    assert set(FRONTS) == {front.name for front in KNOWN_FRONTS}
    assert len(CASES) >= 60


def test_the_traffic_has_what_is_hard() -> None:
    assert len(TRAFFIC) >= 500
    assert {hit.status // 100 for hit in TRAFFIC} == {2, 3, 4, 5}
    assert totals_of_all()["stopped"] >= 100


def totals_of_all() -> dict[str, Any]:
    entries = [
        LoggedRequest(hit.time, hit.client.encode(), hit.method.encode(), hit.target.encode(), b"1.1", (), status=hit.status)
        for hit in TRAFFIC
    ]
    return totals(entries, COMBINED_KNOWLEDGE)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=[case.case for case in CASES])
def test_broken_lines_are_counted_and_never_fatal(tmp_path: Path, case: Written) -> None:
    """Lines that are cut, doubled, too long, or have other bytes in them, among whole ones."""
    rng = random.Random(case.case)
    whole = [case.write(hit).encode() for hit in TRAFFIC[:30]]
    broken = []
    for text in whole:
        at = rng.randrange(len(text))
        broken += [text[:at], text[at:], text[:at] + rng.randbytes(3) + text[at + rng.randrange(4) :], text[:at] * 2]
        broken.append(
            text[:at] + rng.choice((b'"', b"\\", b"{", b"[", b"|", b"#", b"%", b"\xff", b"\n", b"\x00")) * 3 + text[at:]
        )
    broken.append(whole[0] * (1 + (MAX_LINE_BYTES // len(whole[0]))))
    path = tmp_path / "log"
    head = "\n".join([*case.head, ""]).encode() if case.head else b""
    path.write_bytes(head + b"\n".join([*whole, *broken, rng.randbytes(500), *whole]) + b"\n")
    log = LogFile(str(path), Stated(fields=case.fields), reorder=3600)
    assert log.format.name == case.name
    journal = Journal()
    findings = Replay(compiled(COMBINED_KNOWLEDGE)).run(in_time_order([log], journal, None))
    assert findings.requests >= 59  # a part of the line before may have been put before the first one again
    assert journal.malformed >= 10


@pytest.mark.parametrize("case", [case for case in FORMATS if case.case in {*FRONTED, "iis"}], ids=lambda case: case.case)
def test_an_endless_line_is_malformed_with_the_reason(tmp_path: Path, case: Written) -> None:
    path = tmp_path / "log"
    long = case.write(TRAFFIC[0]._replace(agent="x" * 2**20, target="/" + "y" * 2**20))
    path.write_text("\n".join([*case.head, case.write(TRAFFIC[0]), long, case.write(TRAFFIC[1]), ""]))
    journal = Journal()
    assert len(list(in_time_order([LogFile(str(path), Stated(fields=case.fields))], journal, None))) == 2
    assert [bad.reason for bad in journal.shown] == ["the line is longer than 256 KiB"]
