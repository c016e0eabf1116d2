"""Microseconds a request for what is known of it afterwards: metrics, top talkers, tallies, and its record where it has one.

The same requests are checked and settled by two guards with the bundled rules, one after the other in short rounds: one with all
that an instance has, and one without audit log, talkers and tallies. What makes the difference, and what metrics take, which
none is without, is added up. An asset passes and has a record by chance (one of a hundred); a page passes and always has one, as
rules in shadow note it; a library is refused and has one. Measured is the processor's time of the thread, so what the thread
that writes records does comes on top, beside the loop. Run: `python -m bench.recording`.
"""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time_ns
from typing import Final

from bench.end_to_end import ASSET, PAGE, READER, SCRIPT, STYLE_READER
from proxyguard.core.address import Address, Prefixes
from proxyguard.core.request import Headers, Request
from proxyguard.core.settings import Settings
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.forms import Forms
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.guard.jars import Jars
from proxyguard.instance.deploy import compile_sites
from proxyguard.limits.clock import CLOCK
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

CLIENTS: Final = 200
SECRET: Final = b"s" * 32
SERVED: Final = Served(200, 1024, 0, 0.001, 0.002)
KINDS: Final = (
    ("an asset that passes", STYLE_READER, ASSET),
    ("a page that passes", READER, PAGE),
    ("a library that is refused", SCRIPT, PAGE),
)


def guards(folder: Path) -> tuple[Guard, Guard, AuditLog]:
    """A guard with all that is known afterwards, and one that keeps metrics alone."""
    loaded = load_policy(BUNDLED_RULES)
    if loaded.policy is None:
        raise SystemExit(str(loaded.problems))
    settings, prefixes = Settings(), Prefixes()
    discretion = Discretion(settings.privacy, SECRET, prefixes)
    made: list[Guard] = []
    audit: AuditLog | None = None
    for is_whole in (True, False):
        metrics = Metrics()
        log = AuditLog(str(folder / "audit.jsonl"), metrics.audit_records_dropped) if is_whole else None
        audit = audit or log
        tally = Tally(SECRET, prefixes, CLOCK, lambda key: discretion.name(key, 0.0))
        made.append(
            Guard(
                compile_sites(loaded.policy, settings, SECRET), MemoryStore(), metrics, log,
                audit_passes=settings.audit.passes if is_whole else 0.0,
                jars=Jars(settings.jar, SECRET, prefixes, CLOCK.wall), disclosure=Disclosure(settings.items),
                forms=Forms(SECRET, prefixes, CLOCK.wall), discretion=discretion, tally=tally if is_whole else None,
                talkers=Talkers(discretion, prefixes) if is_whole else None,
            )
        )  # fmt: skip
    if audit is None:
        raise RuntimeError("no audit log was made")
    return made[0], made[1], audit


def requests(headers: dict[str, str], path: str) -> list[Request]:
    """Requests of many clients, each for the second time on its connection."""
    fields: Headers = tuple((name.encode(), value.encode()) for name, value in headers.items())
    made = []
    for number in range(REQUESTS):
        client = Address.parse(f"192.0.2.{number % CLIENTS + 1}")
        request = Request(client, b"GET", b"https", b"a.example", path.encode(), fields, b"2")
        made.append(request)
    return made


def microseconds(guard: Guard, asked: list[Request]) -> float:
    """To check and settle one request."""
    start = thread_time_ns()
    for request in asked:
        ticket = guard.check(request)
        if isinstance(ticket, Ticket) and ticket.decision.forwards:
            guard.settle(ticket, SERVED)
    return (thread_time_ns() - start) / len(asked) / 1000


def metrics_alone(guard: Guard, asked: list[Request]) -> float:
    """To count one request that was decided and answered, without checking it."""
    metrics = guard._metrics  # noqa: SLF001 - what settling counts, alone
    start = thread_time_ns()
    for _ in asked:
        metrics.requests += 1
        metrics.check_seconds.observe(perf_counter() % 1e-4)
        metrics.decided("default", "pass", "enforce")
        metrics.responses[SERVED.status] += 1
        metrics.bytes_sent += SERVED.bytes_sent
        metrics.bytes_received += SERVED.bytes_received
        metrics.request_seconds.observe(SERVED.total_seconds)
        metrics.upstream_seconds.observe(SERVED.total_seconds)
        metrics.upstream_head_seconds.observe(SERVED.total_seconds)
        metrics.site_answers += 1
    return (thread_time_ns() - start) / len(asked) / 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, bare, audit = guards(Path(folder))
        print(f"{'of':<28} {'all us':>8} {'without':>8} {'metrics':>8} {'record, talkers, tallies, metrics':>34}")
        for name, headers, path in KINDS:
            rounds: list[tuple[float, float, float]] = []
            for _ in range(ROUNDS):
                gc.collect()
                gc.disable()
                one, other = requests(headers, path), requests(headers, path)
                rounds.append((microseconds(whole, one), microseconds(bare, other), metrics_alone(bare, one)))
                gc.enable()
            all_, without, metrics = (median(column) for column in zip(*rounds[ROUNDS // 4 :], strict=True))
            added = median(each[0] - each[1] + each[2] for each in rounds[ROUNDS // 4 :])
            print(f"{name:<28} {all_:>8.2f} {without:>8.2f} {metrics:>8.2f} {added:>34.2f}")
        audit.close()


if __name__ == "__main__":
    main()
