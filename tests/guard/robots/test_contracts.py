"""Which robots.txt is in force for a host, and when: answers as RFC 9309 has them, copies of a day, hosts that clients choose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from proxyguard.core.address import Address
from proxyguard.core.privacy import Privacy
from proxyguard.core.request import Request
from proxyguard.core.robots import NOT_READ, RobotsWord
from proxyguard.guard.interfaces import FileAnswer
from proxyguard.guard.robots.contracts import (
    COPY_SECONDS,
    HOSTS_PER_NETWORK,
    IDLE_SECONDS,
    MAX_HOSTS,
    MAX_TEXT_BYTES,
    READ_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    RobotsContracts,
)
from proxyguard.policy.robots.robots_txt import RobotsTxt
from proxyguard.telemetry.discretion import Discretion

ALLOWED, DISALLOWED, UNKNOWN = RobotsWord
GPTBOT = b"Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"
FORBIDS = b"User-agent: GPTBot\nDisallow: /\n"
OPEN = b"User-agent: *\nDisallow: /private/\n"


def request(host: bytes = b"example.org", path: bytes = b"/", client: str = "192.0.2.1", agent: bytes = GPTBOT) -> Request:
    return Request(Address.parse(client), b"GET", b"https", host, path, ((b"User-Agent", agent),))


class Bench:
    """Contracts on a clock that the test sets, and a site that answers as the test says."""

    def __init__(self, refresh_seconds: float = 3600.0) -> None:
        self.now = 1000.0
        self.contracts = RobotsContracts(refresh_seconds, lambda: self.now)
        self.answer: Callable[[bytes, str], FileAnswer] = lambda _host, _path: FileAnswer(200, FORBIDS)
        self.asked: list[tuple[bytes, str]] = []

    async def ask(self, host: bytes, path: str) -> FileAnswer:
        self.asked.append((host, path))
        return self.answer(host, path)

    def read(self) -> None:
        """Let everything be read whose time has come."""

        async def until_idle() -> None:
            while await self.contracts.read_due(self.ask):
                pass

        asyncio.run(until_idle())

    def word(self, path: bytes = b"/", host: bytes = b"example.org") -> RobotsWord:
        return self.contracts.judge(request(host, path), self.now).word

    def after(self, seconds: float) -> RobotsWord:
        self.now += seconds
        self.read()
        return self.word()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def first(bench: Bench) -> RobotsWord:
    assert bench.word() is UNKNOWN
    bench.read()
    return bench.word()


def test_the_first_request_is_unknown_and_has_the_file_read(bench: Bench) -> None:
    assert bench.contracts.judge(request(), bench.now) is NOT_READ
    assert bench.asked == []
    bench.read()
    assert bench.asked == [(b"example.org", "/robots.txt")]
    verdict = bench.contracts.judge(request(), bench.now)
    assert (verdict.word, verdict.group, verdict.classes) == (DISALLOWED, "gptbot", (b"ai-training",))
    assert bench.contracts.broken == 1
    bench.read()
    assert len(bench.asked) == 1


def test_people_and_hosts_that_they_invent_have_nothing_read(bench: Bench) -> None:
    for agent in (b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", b"", b"ExampleApp/2.1"):
        assert bench.contracts.judge(request(agent=agent), bench.now) is NOT_READ
    bench.read()
    assert (bench.asked, len(bench.contracts)) == ([], 0)


def test_a_browser_that_reads_what_is_forbidden_breaks_nothing(bench: Bench) -> None:
    bench.answer = lambda _host, _path: FileAnswer(200, OPEN)
    first(bench)
    verdict = bench.contracts.judge(request(path=b"/private/", agent=b"Mozilla/5.0 (X11) Firefox/133.0"), bench.now)
    assert (verdict.word, verdict.classes, bench.contracts.broken) == (DISALLOWED, (), 0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_site_without_the_file_forbids_nothing(bench: Bench, status: int) -> None:
    bench.answer = lambda _host, _path: FileAnswer(status, FORBIDS)
    assert first(bench) is ALLOWED


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_a_site_that_cannot_answer_leaves_it_unknown_and_later_as_it_was(bench: Bench, status: int) -> None:
    bench.answer = lambda _host, _path: FileAnswer(status, FORBIDS)
    assert first(bench) is UNKNOWN
    assert bench.contracts.failed == 1
    bench.answer = lambda _host, _path: FileAnswer(200, FORBIDS)
    assert bench.after(RETRY_SECONDS) is DISALLOWED
    bench.answer = lambda _host, _path: FileAnswer(status)
    assert bench.after(3600.0) is DISALLOWED
    assert bench.after(STALE_SECONDS) is UNKNOWN


def test_a_site_that_cannot_answer_is_asked_ever_less_often(bench: Bench) -> None:
    bench.answer = lambda _host, _path: FileAnswer(0)
    first(bench)
    counts = []
    for _ in range(130):
        bench.after(60.0)
        counts.append(len(bench.asked))
    assert counts[0] == 2
    assert counts[-1] <= 9


def test_redirects_within_the_host_are_followed_and_others_are_no_answer(bench: Bench) -> None:
    moved = {"/robots.txt": FileAnswer(301, location="https://example.org/r.txt"), "/r.txt": FileAnswer(200, FORBIDS)}
    bench.answer = lambda _host, path: moved[path]
    assert first(bench) is DISALLOWED
    for location in ("https://elsewhere.example/robots.txt", "//[", "ftp://example.org/", "/robots.txt"):
        bench.answer = lambda _host, _path, where=location: FileAnswer(302, location=where)  # type: ignore[misc]
        failed = bench.contracts.failed
        bench.after(3600.0 * 20)
        assert bench.contracts.failed > failed


def test_what_is_forbidden_anew_counts_when_copies_of_a_day_are_over(bench: Bench) -> None:
    bench.answer = lambda _host, _path: FileAnswer(200, OPEN)
    assert first(bench) is ALLOWED
    bench.answer = lambda _host, _path: FileAnswer(200, FORBIDS)
    assert bench.after(3600.0) is ALLOWED
    assert bench.after(COPY_SECONDS - 60.0) is ALLOWED
    assert bench.after(120.0) is DISALLOWED
    bench.answer = lambda _host, _path: FileAnswer(200, OPEN)
    assert bench.after(3600.0) is ALLOWED


def test_clients_that_invent_hosts_take_their_share_and_push_nobody_out(bench: Bench) -> None:
    first(bench)
    for number in range(100):
        bench.contracts.judge(request(b"%d.example" % number, client="198.51.100.9"), bench.now)
    assert (len(bench.contracts), bench.contracts.crowded) == (1 + HOSTS_PER_NETWORK, 100 - HOSTS_PER_NETWORK)
    for number in range(2 * MAX_HOSTS):
        client = f"10.{number // 250}.{number % 250}.1"
        bench.contracts.judge(request(b"%d.test" % number, client=client), bench.now)
        bench.word()
    assert len(bench.contracts) == MAX_HOSTS
    assert bench.word() is DISALLOWED
    assert bench.word(host=b"late.example") is UNKNOWN
    bench.now += IDLE_SECONDS + 1
    bench.word()
    bench.word(host=b"late.example")
    assert len(bench.contracts) == 2
    bench.word(host=b"late.example")
    assert bench.word() is DISALLOWED


def test_hosts_that_the_operator_names_have_room_whatever_others_invent(bench: Bench) -> None:
    bench.contracts = RobotsContracts(3600.0, lambda: bench.now, named=frozenset({b"named.example"}))
    for number in range(MAX_HOSTS):
        bench.contracts.judge(request(b"%d.test" % number, client=f"10.{number // 250}.{number % 250}.1"), bench.now)
    assert (len(bench.contracts), bench.word(host=b"late.example")) == (MAX_HOSTS, UNKNOWN)
    assert bench.word(host=b"named.example") is UNKNOWN
    bench.read()
    assert bench.word(host=b"named.example") is DISALLOWED
    bench.now += IDLE_SECONDS + 1
    bench.word(host=b"late.example")
    assert sorted(bench.contracts._contracts) == [b"late.example", b"named.example"]


def test_what_nobody_asks_for_is_not_read_again(bench: Bench) -> None:
    first(bench)
    for number in range(HOSTS_PER_NETWORK):
        bench.contracts.judge(request(b"%d.example" % number, client="198.51.100.9"), bench.now)
    bench.now += 1.0
    bench.read()
    asked = len(bench.asked)
    for _ in range(48):
        bench.after(3600.0)
    assert {host for host, _ in bench.asked[asked:]} == {b"example.org"}
    bench.answer = lambda _host, _path: FileAnswer(200, OPEN)
    assert bench.word(host=b"1.example") is DISALLOWED
    bench.read()
    assert bench.word(host=b"1.example") is ALLOWED


def test_a_host_that_never_answers_holds_up_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    timeout = asyncio.timeout
    asked_for: set[float] = set()

    def soon(seconds: float) -> asyncio.Timeout:  # a constant of compiled code is not to be changed
        asked_for.add(seconds)
        return timeout(0.05)

    monkeypatch.setattr(asyncio, "timeout", soon)

    async def ask(host: bytes, path: str) -> FileAnswer:
        await asyncio.sleep(0 if host == b"example.org" else 3600.0)
        return bench.answer(host, path)

    for number in range(HOSTS_PER_NETWORK):
        bench.contracts.judge(request(b"%d.example" % number, client="198.51.100.9"), bench.now)
    bench.word()

    async def until_idle() -> None:
        while await bench.contracts.read_due(ask):
            pass

    asyncio.run(until_idle())
    assert asked_for == {READ_SECONDS}
    assert bench.word() is DISALLOWED
    assert (bench.contracts.read, bench.contracts.failed) == (1, HOSTS_PER_NETWORK)


def test_hosts_with_the_same_text_share_it_and_all_texts_have_a_bound(bench: Bench) -> None:
    big = b"User-agent: *\nDisallow: /private/\n" + b"# padding\n" * 49_000
    bench.answer = lambda host, _path: FileAnswer(200, big if host.startswith(b"same") else big + host)
    for number in range(8):
        bench.word(host=b"same%d.example" % number)
    bench.read()
    texts = {id(each.words) for each in bench.contracts._contracts.values()}
    assert len(texts) == 1
    for number in range(20):
        bench.contracts.judge(request(b"%d.example" % number, client=f"10.0.{number}.1"), bench.now)
    bench.read()
    held = {each.text for each in bench.contracts._contracts.values()}
    assert sum(map(len, held)) <= MAX_TEXT_BYTES
    assert bench.contracts.crowded > 0


def test_texts_that_change_with_each_reading_fill_no_more_room(bench: Bench) -> None:
    def changing(host: bytes, _path: str) -> FileAnswer:
        return FileAnswer(200, b"User-agent: *\nDisallow: /%b/%d\n" % (host, bench.now) + b"#\n" * 100_000)

    bench.answer = changing
    for _ in range(6):
        for number in range(6):
            bench.contracts.judge(request(b"%d.example" % number), bench.now)
        bench.read()
        bench.now += 3600.0
    held = {words for each in bench.contracts._contracts.values() for _, words in (*each.earlier, (0.0, each.words)) if words}
    assert sum(words.size for words in held) <= MAX_TEXT_BYTES
    assert bench.contracts.crowded > 0
    bench.now += COPY_SECONDS  # earlier texts count no longer
    before = bench.contracts.crowded
    for _ in range(2):
        bench.contracts.judge(request(b"0.example"), bench.now)
        bench.read()
    assert bench.contracts.crowded == before


def test_an_answer_with_more_than_is_read_is_cut_to_a_whole_line(bench: Bench) -> None:
    bench.answer = lambda _host, _path: FileAnswer(200, FORBIDS + b"#\n" * 300_000)
    assert first(bench) is DISALLOWED
    assert len(bench.contracts.text_of(request(), bench.now) or b"") <= MAX_TEXT_BYTES
    assert bench.contracts.text_of(request(b"nobody.example"), bench.now) is None


def test_the_log_says_of_a_host_what_may_be_said_of_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.contracts = RobotsContracts(3600.0, lambda: bench.now, shown=Discretion(Privacy(), b"secret").host)
    with caplog.at_level("INFO"):
        bench.word(host=b"203.0.113.91")
        bench.read()
    assert caplog.messages == [f"robots.txt of [address]: version {RobotsTxt(FORBIDS).version}, 1 groups, {len(FORBIDS)} bytes"]
