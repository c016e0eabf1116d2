"""What the live proxy decides about ten thousand requests is what explain, tests in rule files and replay say of them.

First with rules that look at each request alone (the bundled ones and some of every kind), each request from a client of its own;
then with limits, bans and scores over sequences of each client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proxyguard.policy.load import load_policy
from proxyguard.policy.model import NOWHERE, Expectation, Policy, RequestSketch, RuleSet, RuleTest, Step
from proxyguard.selftest import self_test
from tests.end_to_end.processes import ROOT, RULES, command, proxyguard, wait_until
from tests.requests_corpus import corpus

REQUESTS = 10_000
AT_ONCE = 32

EVERY_KIND = """\
name: every-kind
lists:
  some: [127.1.0.0/16, 127.2.3.0/24, 127.9.8.9]
rules:
  - {name: kind-client, when: {client: $some, path: {prefix: /profiles/}}, action: {reject: {status: 451}}}
  - {name: kind-allow, when: {header.x-api-key: k-123, user_agent: {word: curl}}, action: allow}
  - {name: kind-host, when: {host: api.example.org, method: [POST, OPTIONS]}, action: {reject: {status: 406}}}
  - {name: kind-query, when: {query.q: [a, ""]}, action: {tag: odd-query}}
  - {name: kind-twice, when: {header.x-twice: two}, action: {score: 5}}
  - {name: kind-cookie, when: {cookie.a: 2, not: {header.referer: present}}, action: {score: 20}}
  - {name: kind-regex, when: {path: {regex: '^/posts/\\d{3}$'}, header: {accept-language: absent}}, action: {score: 30}}
  - {name: kind-glob, when: {path: {glob: '/static/*.js'}, user_agent: absent}, action: drop}
  - {name: kind-suffix, when: {any: [{path: {suffix: .json}}, {path: {contains: ' '}}]}, action: {tag: seen}}
  - {name: kind-tagged, when: {tag: seen, score: {at_least: 5}}, action: {reject: {status: 418}}}
  - {name: kind-scored, when: {score: {at_least: 25}, cookie.a: 2}, action: {reject: {status: 429}}}
  - {name: kind-shadow, when: {user_agent: {prefix: Mozilla}, header.sec-ch-ua: present}, action: reject, mode: shadow}
  - {name: kind-pass, when: {path: /health}, action: pass}
"""

OVER_TIME = """\
name: over-time
rules:
  - {name: time-open, when: {path: /robots.txt}, action: allow}
  - {name: time-ban, when: {path: [/.env, /wp-login.php]}, limit: {rate: 1/day, per: [client]}, action: {ban: {for: 1d}}}
  - name: time-tool
    when: {user_agent: {word: [curl, python-requests, Scrapy]}}
    limit: {rate: 2/day, per: [client]}
    action: {score: 40}
  - {name: time-odd, when: {query.q: present}, action: {score: 15}}
  - {name: time-scored, when: {score: {at_least: 40}}, action: {reject: {status: 403}}}
  - name: time-pages
    when: {path: {prefix: [/profiles/, /posts/]}, method: GET}
    limit: {rate: 3/day, per: [client]}
    action: reject
  - {name: time-shadow, when: {method: [GET, HEAD]}, limit: {rate: 6/day, per: [client]}, action: reject, mode: shadow}
"""


class Said(NamedTuple):
    """A decision, as each of the parts says it."""

    action: str
    rule: str
    score: float
    shadow: tuple[str, ...]


@contextlib.contextmanager
def quick_upstream() -> Iterator[str]:
    """Answers every request at once with two bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b"" if head.startswith(b"HEAD ") else b"ok"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await asyncio.to_thread(over.wait)
        server.close()

    ports: list[int] = []
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        over.set()
        thread.join(10)


async def send_all(port: int, sequences: Sequence[Sequence[RequestSketch]]) -> None:
    """Send each client's requests in order from its own address, kept alive, many clients at once."""
    waiting = iter(sequences)

    async def clients() -> None:
        for sequence in waiting:
            await send(port, sequence)

    await asyncio.gather(*(clients() for _ in range(AT_ONCE)))


async def send(port: int, sequence: Sequence[RequestSketch]) -> None:
    """One client's requests; a new connection whenever the last one was closed."""
    writer: asyncio.StreamWriter | None = None
    for sketch in sequence:
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(sketch.client, 0))
        head = "".join(f"{name}: {value}\r\n" for name, value in sketch.headers)
        writer.write(f"{sketch.method} {sketch.path} HTTP/1.1\r\n{head}\r\n".encode())
        if len(sequence) == 1:
            await reader.read(1)  # a tarpit gives no more for a while
            break
        if not await whole_answer(reader, sketch.method):
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def whole_answer(reader: asyncio.StreamReader, method: str) -> bool:
    """Read one answer; whether the connection goes on."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)
    assert length is not None, head
    if method != "HEAD":
        await reader.readexactly(length)
    return b"connection: close" not in head


def live(folder: Path, rules: Path, requests: list[RequestSketch]) -> dict[str, list[Said]]:
    """What a real proxy decided, by client, in the order of the client's requests: from its audit log."""
    sequences: dict[str, list[RequestSketch]] = defaultdict(list)
    for request in requests:
        sequences[request.client].append(request)
    with (
        quick_upstream() as upstream,
        proxyguard(
            folder / "guard",
            upstream,
            rules=rules,
            settings="audit: {passes: 1}\nbounds: {connections_per_network: 20000}\n",
        ) as guard,
    ):
        asyncio.run(send_all(guard.port, list(sequences.values())))
        wait_until(lambda: len(guard.audit.read_bytes().splitlines()) >= len(requests), 20, "a record for each request")
        decisions = sum(
            float(line.rsplit(" ", 1)[1])
            for line in guard.admin("/metrics").splitlines()
            if line.startswith("proxyguard_decisions_total{") and 'mode="enforce"' in line
        )
        assert decisions == len(requests)
        records = guard.records()
    assert len(records) == len(requests)
    said: dict[str, list[Said]] = defaultdict(list)
    for record in records:
        said[record["client"]].append(Said(record["action"], record["rule"], record["score"], tuple(record["shadow"])))
    return said


def ran(*arguments: str | Path, given: str = "") -> str:
    """What a command of ours writes."""
    done = subprocess.run(
        [str(part) for part in command(*arguments)],
        input=given, capture_output=True, text=True, timeout=200, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def policy_of(rules: Path) -> Policy:
    loaded = load_policy(rules)
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


def with_tests(policy: Policy, tests: tuple[RuleTest, ...]) -> Policy:
    """The policy with these tests in place of its own."""
    bare = tuple(
        RuleSet(
            name=each.name, file=each.file, mode=each.mode, rules=each.rules, account=each.account, classes=each.classes,
            common=each.common,
        )
        for each in policy.rule_sets
    )  # fmt: skip
    return Policy((*bare, RuleSet(name="tests", file="tests.yaml", tests=tests)), policy.digest)


@pytest.fixture
def rules(folder: Path) -> Path:
    return folder / "rules"


def test_each_request_alone_is_decided_alike_live_by_explain_and_by_tests(folder: Path, rules: Path) -> None:
    shutil.copytree(RULES, rules)
    (rules / "70-every-kind.yaml").write_text(EVERY_KIND)
    requests = list(corpus(REQUESTS, clients=REQUESTS))
    said = live(folder, rules, requests)

    lines = "".join(json.dumps(request._asdict()) + "\n" for request in requests)
    explained = [
        json.loads(line) for line in ran("explain", "--rules", rules, "--batch", "-", given=lines).splitlines()
    ]
    by_explain = {request.client: [_explained(fields)] for request, fields in zip(requests, explained, strict=True)}
    assert [
        (request, said[request.client], by_explain[request.client])
        for request in requests
        if said[request.client] != by_explain[request.client]
    ] == []

    tests = tuple(_as_test([request], said[request.client]) for request in requests)
    assert [failure.problem for failure in self_test(with_tests(policy_of(rules), tests)).failures] == []
    deciding = {found[0].rule for found in said.values()}
    assert {"default", "kind-client", "kind-allow", "kind-host", "kind-tagged", "kind-scored", "kind-pass"} <= deciding
    assert len(deciding) > 12


def test_sequences_with_limits_bans_and_scores_are_decided_alike_live_by_tests_and_by_replay(
    folder: Path, rules: Path
) -> None:
    rules.mkdir()
    (rules / "10-over-time.yaml").write_text(OVER_TIME)
    requests = list(corpus(REQUESTS, clients=800, seed=6))
    said = live(folder, rules, requests)

    sequences: dict[str, list[RequestSketch]] = defaultdict(list)
    for request in requests:
        sequences[request.client].append(request)
    tests = tuple(_as_test(sequence, said[client]) for client, sequence in sequences.items())
    assert [failure.problem for failure in self_test(with_tests(policy_of(rules), tests)).failures] == []

    log = folder / "access.log"
    log.write_text("".join(map(_log_line, requests)))
    report = json.loads(ran("replay", log, "--rules", rules, "--host", "example.org", "--scheme", "http", "--json"))
    lived: Counter[tuple[str, str]] = Counter()
    for decision in (each for found in said.values() for each in found):
        if decision.action in {"reject", "ban"}:
            lived[decision.rule, "enforce"] += 1
        lived.update((hit.rpartition(" ")[2], "shadow") for hit in decision.shadow)
    replayed = {
        (each["rule"], each["mode"]): each["share"]["requests"]
        for each in report["by_rule"]
        if each["action"] in {"reject", "ban"}
    }
    assert replayed == lived
    assert {rule for rule, _ in lived} == {"time-ban", "time-scored", "time-pages", "time-shadow"}


def _explained(fields: dict[str, Any]) -> Said:
    shadow = tuple(f"{hit['action']} by {hit['rule']}" for hit in fields["shadow"])
    return Said(fields["action"], fields["rule"], fields["score"], shadow)


def _as_test(requests: Sequence[RequestSketch], said: Sequence[Said]) -> RuleTest:
    """A test as a rule file has it: these requests in turn, and what the live proxy decided about each."""
    steps = (
        Step(request, 1, 0.001, Expectation(action=each.action, rule=each.rule, score=each.score), NOWHERE)
        for request, each in zip(requests, said, strict=True)
    )
    return RuleTest(tuple(steps), NOWHERE)


def _log_line(request: RequestSketch) -> str:
    """The request in the combined log format, all of one second."""
    agent = next((value for name, value in request.headers if name == "User-Agent"), "-")
    line = f'"{request.method} {request.path} HTTP/1.1" 200 2 "-" "{agent}"'
    return f"{request.client} - - [05/Nov/2026:03:00:00 +0000] {line}\n"
