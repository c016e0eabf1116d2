"""Microseconds a request for what a guard does besides deciding, each with what an instance has and without it.

*Known afterwards*: metrics, top talkers, tallies, and a record where the request has one. An asset passes and has a record by
chance (one of a hundred); a page beyond a limit in shadow passes and always has one; a library is refused and has one.
*Known of a reader*: cookie jar, item and how often it was read, visitor, limits that learn, campaigns, and the quotas that count
by them; of pages that nobody else reads, which costs most, and of one that everybody reads.

Two guards with the bundled rules check and settle the same requests, one after the other in short rounds. Metrics, which none is
without, are measured by themselves and added. Measured is the processor's time of the thread: what the thread that writes records
does comes on top, beside the loop. Run: `python -m bench.recording`.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time_ns
from typing import Final

from bench.end_to_end import ASSET, PAGE, READER, SCRIPT, STYLE_READER
from proxyguard.core.address import Address, Prefixes
from proxyguard.core.request import Headers, Request
from proxyguard.core.settings import Settings
from proxyguard.guard.acquaintances import Acquaintances
from proxyguard.guard.campaigns import Campaigns
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.forms import Forms
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.guard.jars import Jars
from proxyguard.instance.deploy import compile_sites
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.learning import Learning
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.load import load_policy
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.shadow import Tally
from proxyguard.telemetry.talkers import Talkers
from tests.paths import BUNDLED_RULES

ROUNDS: Final = 60
REQUESTS: Final = 500
"""Of a round: a sixtieth of a second, in which neither the writer of records nor anything else comes far."""

READERS: Final = 1_900
"""Of which each asks for sixteen pages: with fewer, limits would refuse what is to pass. Of more than 2,048 some of what is
remembered of clients would be found anew each time."""
FEW_CLIENTS: Final = 200
"""Who come often enough to be over limits in shadow."""
HOST: Final = b"a.example"
SECRET: Final = b"s" * 32
SERVED: Final = Served(200, 1024, 0, 0.001, 0.002)
KINDS: Final = (
    ("an asset that passes", STYLE_READER, ASSET),
    ("a page that passes", READER, PAGE),
    ("a library that is refused", SCRIPT, PAGE),
)


def guard(audit: AuditLog | None, *, reads: bool = True, knows: bool = True) -> Guard:
    """A guard as an instance has it; without what reading costs, or (`knows`) without what is known afterwards but metrics."""
    settings, metrics = Settings(), Metrics()
    prefixes = settings.counting.prefixes  # the very same for all, as what addresses keep is of one
    loaded = load_policy(BUNDLED_RULES)
    if loaded.policy is None:
        raise SystemExit(str(loaded.problems))
    discretion = Discretion(settings.privacy, SECRET, prefixes)
    learning = Learning(CLOCK.wall)
    return Guard(
        compile_sites(loaded.policy, settings, SECRET), MemoryStore(), metrics, audit, discretion=discretion,
        audit_passes=settings.audit.passes if audit is not None else 0.0,
        jars=jars(prefixes) if reads else None, disclosure=Disclosure(settings.items) if reads else None,
        forms=Forms(SECRET, prefixes, CLOCK.wall) if reads else None,
        acquaintances=Acquaintances(SECRET, prefixes, CLOCK.wall) if reads else None,
        learning=learning if reads else None,
        campaigns=Campaigns(SECRET, prefixes, learning, CLOCK.wall) if reads else None,
        tally=Tally(SECRET, prefixes, CLOCK, lambda key: discretion.name(key, 0.0)) if knows else None,
        talkers=Talkers(discretion, prefixes) if knows else None,
    )  # fmt: skip


def jars(prefixes: Prefixes) -> Jars:
    return Jars(Settings().jar, SECRET, prefixes, CLOCK.wall)


def requests(
    headers: dict[str, str], target: Callable[[int], str], cookies: list[bytes], clients: int, begins: Iterator[int]
) -> list[Request]:
    """A request of each of so many clients in turn; with a cookie jar each, if there are any."""
    begin = next(begins)
    fields: Headers = tuple((name.encode(), value.encode()) for name, value in headers.items())
    made = []
    for number in range(REQUESTS):
        who = (begin + number) % clients
        own = (*fields, (b"Cookie", cookies[who])) if cookies else fields
        made.append(Request(address(who), b"GET", b"https", HOST, target(number).encode(), own, b"2"))
    return made


def address(client: int) -> Address:
    """Each in a network of its own."""
    return Address.parse(f"10.{client >> 8}.{client & 255}.7")


def _always(path: str) -> Callable[[int], str]:
    return lambda _: path


def given() -> list[bytes]:
    """Cookies of jars, one for each client."""
    found, giving = [], jars(Prefixes())
    for number in range(READERS):
        request = Request(address(number), b"GET", b"https", HOST, b"/", ())
        [(_, value)] = giving.cookie(request, CLOCK())
        found.append(value.partition(b";")[0])
    return found


def microseconds(guard: Guard, asked: list[Request]) -> tuple[float, int]:
    """To check and settle one request, and how many were let through."""
    passed = 0
    start = thread_time_ns()
    for request in asked:
        ticket = guard.check(request)
        if isinstance(ticket, Ticket) and ticket.decision.forwards:
            guard.settle(ticket, SERVED)
            passed += 1
    return (thread_time_ns() - start) / len(asked) / 1000, passed


def metrics_alone(guard: Guard, asked: list[Request]) -> float:
    """To count one request that was decided and answered, without checking it."""
    metrics = guard._metrics  # noqa: SLF001 - a guard without metrics cannot be made
    start = thread_time_ns()
    for _ in asked:
        metrics.requests += 1
        metrics.check_seconds.observe(perf_counter() % 1e-4)
        metrics.decided("default", "pass", "enforce")
        metrics.answered(SERVED.status)
        metrics.bytes_sent += SERVED.bytes_sent
        metrics.bytes_received += SERVED.bytes_received
        metrics.request_seconds.observe(SERVED.total_seconds)
        metrics.upstream_seconds.observe(SERVED.total_seconds)
        metrics.upstream_head_seconds.observe(SERVED.total_seconds)
        metrics.site_answers += 1
    return (thread_time_ns() - start) / len(asked) / 1000


def compare(name: str, whole: Guard, bare: Guard, make: Callable[[], list[Request]], *, with_metrics: bool) -> None:
    """Print what one guard takes more than the other for the same requests."""
    rounds: list[tuple[float, float, float, int]] = []
    for _ in range(ROUNDS):
        gc.collect()
        gc.disable()
        one, other = make(), make()
        metrics = metrics_alone(bare, one) if with_metrics else 0.0
        spent, passed = microseconds(whole, one)
        rounds.append((spent, microseconds(bare, other)[0], metrics, passed))
        gc.enable()
    settled = rounds[ROUNDS // 4 :]
    all_, without, metrics, passed = (median(column) for column in zip(*settled, strict=True))
    added = median(each[0] - each[1] + each[2] for each in settled)
    print(f"{name:<34} {all_:>8.2f} {without:>8.2f} {metrics:>8.2f} {added:>8.2f} {passed / REQUESTS:>8.0%}")


def main() -> None:
    numbers = count(1)

    def rare(_: int) -> str:
        return f"/profiles/{next(numbers)}"

    with tempfile.TemporaryDirectory() as folder:
        audit = AuditLog(str(Path(folder) / "audit.jsonl"), lambda _: None)
        print(f"{'known afterwards, us':<34} {'with':>8} {'without':>8} {'metrics':>8} {'added':>8} {'passed':>8}")
        whole, bare = guard(audit), guard(None, knows=False)
        for name, headers, path in KINDS:
            make = partial(requests, headers, _always(path), [], FEW_CLIENTS, count(0, REQUESTS))
            compare(name, whole, bare, make, with_metrics=True)
        audit.close()
    print(f"{'known of a reader, us':<34} {'with':>8} {'without':>8} {'':>8} {'added':>8} {'passed':>8}")
    whole, bare, cookies = guard(None), guard(None, reads=False), given()
    for name, target, own in (
        ("a page that all read, with a jar", _always(PAGE), cookies),
        ("a rarely read page, with a jar", rare, cookies),
        ("a rarely read page, without", rare, []),
    ):
        make = partial(requests, READER, target, own, READERS, count(0, REQUESTS))
        compare(name, whole, bare, make, with_metrics=False)


if __name__ == "__main__":
    main()
