"""What the live proxy decides about thousands of requests is what explain, tests in rule files and replay say of them.

First with rules that look at each request alone (the bundled ones and some of every kind), each request from a client of its own;
then with limits, bans and scores over sequences of each client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proxyguard.policy.load import load_policy
from proxyguard.policy.model import NOWHERE, Expectation, Policy, RuleSet, RuleTest, SampleRequest, TestStep
from proxyguard.policy.testing.runner import self_test
from tests.end_to_end.processes import RULES, Proxyguard, command, proxyguard, wait_until
from tests.paths import ROOT
from tests.requests_corpus import COUNT, TOLD, corpus

SENT = int(os.environ.get("AGREEMENT_REQUESTS", "3000"))
"""Of the COUNT recorded requests; all of them are decided alike by the engine and explain in tests/cli/test_differential.py."""

AT_ONCE = 32

EVERY_KIND = """\
name: every-kind
lists:
  here: [127.0.0.0/8]
  some: [127.1.0.0/16, 127.2.3.0/24, 127.9.8.9]
rules:
  - {name: kind-client, when: {client: $some, path: {prefix: /profiles/}}, action: {reject: {status: 451}}}
  - {name: kind-allow, when: {client: $here, cookie.theme: dark, path: {prefix: /api/}}, action: allow}
  - name: kind-method
    when: {client: $here, host: www.example.org, method: [OPTIONS, PROPFIND]}
    action: {reject: {status: 406}}
  - {name: kind-query, when: {client: $here, query.page: ["7", "8", "9", "10", "11"]}, action: {tag: odd-query}}
  - {name: kind-twice, when: {client: $here, header.accept: text/html}, action: {score: 5}}
  - {name: kind-cookie, when: {client: $here, cookie.b: "2", not: {header.referer: present}}, action: {score: 20}}
  - name: kind-regex
    when: {client: $here, path: {regex: '^/posts/\\d{2}$'}, header: {accept-language: absent}}
    action: {score: 30}
  - {name: kind-glob, when: {client: $here, path: {glob: '/static/*.js'}, user_agent: absent}, action: drop}
  - {name: kind-suffix, when: {client: $here, any: [{path: {suffix: .gz}}, {path: {contains: tags}}]}, action: {tag: seen}}
  - {name: kind-tagged, when: {tag: [seen, odd-query], score: {at_least: 5}}, action: {reject: {status: 418}}}
  - name: kind-scored
    when: {client: $here, score: {at_least: 25}, not: {user_agent: {prefix: Mozilla}}}
    action: {reject: {status: 429}}
  - {name: kind-shadow, when: {client: $here, header.sec-ch-ua: present}, action: reject, mode: shadow}
  - {name: kind-pass, when: {client: $here, path: /favicon.ico}, action: pass}
"""

OVER_TIME = """\
name: over-time
rules:
  - {name: time-open, when: {path: /robots.txt}, action: allow}
  - {name: time-ban, when: {path: [/.env, /wp-login.php]}, limit: {rate: 1/day, per: [client]}, action: {ban: {for: 1d}}}
  - name: time-tool
    when: {user_agent: {word: [curl, python-requests, Scrapy]}}
    limit: {rate: 1/day, per: [client]}
    action: {score: 30}
  - {name: time-odd, when: {query.q: present}, action: {score: 20}}
  - {name: time-scored, when: {score: {at_least: 20}}, action: {reject: {status: 403}}}
  - name: time-pages
    when: {path: {prefix: [/profiles/, /posts/]}, method: GET}
    limit: {rate: 3/day, per: [client]}
    action: reject
  - {name: time-shadow, when: {method: [GET, HEAD]}, limit: {rate: 6/day, per: [client]}, action: reject, mode: shadow}
"""


def requests_of(clients: int) -> list[SampleRequest]:
    """The recorded requests as so many clients on the loopback interface send them in turn, each in a /24 of its own."""
    made = []
    for number, each in enumerate(corpus()):
        client = number % clients
        headers = tuple((name, value.strip()) for name, value in each.sketch.headers)
        made.append(
            each.sketch._replace(
                client=f"127.{1 + client // 256}.{client % 256}.{1 + client % 250}",
                scheme="http",
                http_version="1.1",
                headers=(*headers, ("Content-Length", "0")) if each.sketch.method in {"POST", "PUT"} else headers,
            )
        )
    return made


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


async def send_all(port: int, sequences: Sequence[Sequence[SampleRequest]]) -> list[list[SampleRequest]]:
    """Send each client's requests in order from its own address, kept alive, many clients at once.

    The sequences without what the front refused as malformed: that never reaches a rule.
    """
    waiting = iter(sequences)
    heard: list[list[SampleRequest]] = []

    async def clients() -> list[list[SampleRequest]]:
        return [await send(port, sequence) for sequence in waiting]

    for each in await asyncio.gather(*(clients() for _ in range(AT_ONCE))):
        heard += each
    return heard


async def send(port: int, sequence: Sequence[SampleRequest]) -> list[SampleRequest]:
    """One client's requests; a new connection whenever the last one was closed. Those that were not malformed."""
    heard: list[SampleRequest] = []
    writer: asyncio.StreamWriter | None = None
    for sketch in sequence:
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(sketch.client, 0))
        head = "".join(f"{name}: {value}\r\n" for name, value in sketch.headers)
        writer.write(f"{sketch.method} {sketch.path} HTTP/1.1\r\n{head}\r\n".encode())
        if len(sequence) == 1:
            start = await reader.read(12)  # a tarpit gives no more for a while
            if start != b"HTTP/1.1 400":
                heard.append(sketch)
            break
        status, goes_on = await whole_answer(reader, sketch.method)
        if status != b"400":
            heard.append(sketch)
        if not goes_on:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()
    return heard


async def whole_answer(reader: asyncio.StreamReader, method: str) -> tuple[bytes, bool]:
    """Read one answer: its status, and whether the connection goes on."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)
    assert length is not None, head
    if method != "HEAD":
        await reader.readexactly(length)
    return head.split()[1], b"connection: close" not in head


class Lived(NamedTuple):
    """By client, in order: the requests that reached the rules, and what a real proxy decided about them."""

    requests: dict[str, list[SampleRequest]]
    said: dict[str, list[Said]]


def decided(guard: Proxyguard) -> list[dict[str, Any]]:
    """The records of decisions; without those of malformed requests, which no rule was asked about."""
    return [record for record in guard.records() if record["rule"]]


def live(folder: Path, rules: Path, requests: list[SampleRequest]) -> Lived:
    """Send the requests through a real proxy; its decisions are those of its audit log, and its metrics agree."""
    sequences: dict[str, list[SampleRequest]] = defaultdict(list)
    for request in requests:
        sequences[request.client].append(request)
    settings = "audit: {passes: 1}\nprivacy: full\nbounds: {connections_per_network: 20000}\nitems: {cold_below: 10000}\n"
    with quick_upstream() as upstream, proxyguard(folder / "guard", upstream, rules=rules, settings=settings) as guard:
        heard = [sequence for sequence in asyncio.run(send_all(guard.port, list(sequences.values()))) if sequence]
        count = sum(map(len, heard))
        wait_until(lambda: len(decided(guard)) >= count, "a record for each request")
        metrics = guard.admin("/metrics")
        records = decided(guard)
    assert len(records) == count == total(metrics, "proxyguard_decisions_total{", 'mode="enforce"')
    assert len(requests) - count == total(metrics, "proxyguard_bad_requests_total{")
    said: dict[str, list[Said]] = defaultdict(list)
    for record in records:
        said[record["client"]].append(Said(record["action"], record["rule"], record["score"], tuple(record["shadow"])))
    return Lived({sequence[0].client: sequence for sequence in heard}, said)


def total(metrics: str, name: str, label: str = "") -> float:
    """The sum of a metric over its labels."""
    lines = (line for line in metrics.splitlines() if line.startswith(name) and label in line)
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


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
            common=each.common, items=each.items,
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
    lived = live(folder, rules, requests_of(COUNT)[:SENT])
    requests = [sequence[0] for sequence in lived.requests.values()]
    assert len(requests) >= 0.9 * SENT

    lines = "".join(
        json.dumps({name: value for name, value in request._asdict().items() if name in TOLD}) + "\n" for request in requests
    )
    explained = ran("explain", "--rules", rules, "--batch", "-", given=lines).splitlines()
    pairs = [(lived.said[request.client], [_explained(line)]) for request, line in zip(requests, explained, strict=True)]
    assert [(request, *pair) for request, pair in zip(requests, pairs, strict=True) if pair[0] != pair[1]] == []

    tests = tuple(_as_test([request], lived.said[request.client]) for request in requests)
    assert [failure.problem for failure in self_test(with_tests(policy_of(rules), tests)).failures] == []
    deciding = {found[0].rule for found in lived.said.values()}
    assert {"default", "kind-client", "kind-allow", "kind-method", "kind-tagged", "kind-scored", "kind-pass"} <= deciding
    assert len(deciding) > 12


def test_sequences_with_limits_bans_and_scores_are_decided_alike_live_by_tests_and_by_replay(folder: Path, rules: Path) -> None:
    rules.mkdir()
    (rules / "10-over-time.yaml").write_text(OVER_TIME)
    requests = [request for request in requests_of(800) if _agents(request) < 2]
    lived = live(folder, rules, requests)

    tests = tuple(_as_test(sequence, lived.said[client]) for client, sequence in lived.requests.items())
    assert [failure.problem for failure in self_test(with_tests(policy_of(rules), tests)).failures] == []

    log = folder / "access.log"
    log.write_text("".join(_log_line(request) for sequence in lived.requests.values() for request in sequence))
    report = json.loads(ran("replay", log, "--rules", rules, "--host", "example.org", "--scheme", "http", "--json"))
    seen: Counter[tuple[str, str]] = Counter()
    for decision in (each for found in lived.said.values() for each in found):
        if decision.action in {"reject", "ban"}:
            seen[decision.rule, "enforce"] += 1
        seen.update((hit.rpartition(" ")[2], "shadow") for hit in decision.shadow)
    replayed = {
        (each["rule"], each["mode"]): each["share"]["requests"]
        for each in report["by_rule"]
        if each["action"] in {"reject", "ban"}
    }
    assert replayed == seen
    assert {rule for rule, _ in seen} == {"time-ban", "time-scored", "time-pages", "time-shadow"}


def _explained(line: str) -> Said:
    fields: dict[str, Any] = json.loads(line)
    shadow = tuple(f"{hit['action']} by {hit['rule']}" for hit in fields["shadow"])
    return Said(fields["action"], fields["rule"], fields["score"], shadow)


def _agents(request: SampleRequest) -> int:
    """How many User-Agent fields there are; a log shows only one."""
    return sum(name.lower() == "user-agent" for name, _ in request.headers)


def _as_test(requests: Sequence[SampleRequest], said: Sequence[Said]) -> RuleTest:
    """A test as a rule file has it: these requests in turn, and what the live proxy decided about each."""
    steps = (
        TestStep(request, 1, 0.001, Expectation(action=each.action, rule=each.rule, score=each.score), NOWHERE)
        for request, each in zip(requests, said, strict=True)
    )
    return RuleTest(tuple(steps), NOWHERE)


def _log_line(request: SampleRequest) -> str:
    """The request in the combined log format, all of one second."""
    agent = next((value for name, value in request.headers if name == "User-Agent"), "-")
    line = f'"{request.method} {request.path} HTTP/1.1" 200 2 "-" "{agent}"'
    return f"{request.client} - - [05/Nov/2026:03:00:00 +0000] {line}\n"
