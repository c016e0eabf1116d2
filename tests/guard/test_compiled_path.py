"""In the compiled build nothing of ours runs interpreted for a request, but what writes the audit log.

A feature whose module is not listed in pyproject.toml works all the same, at several times the price: that shows here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

import proxyguard
from proxyguard.core.address import Address, Prefixes
from proxyguard.core.build_info import BUILD_KIND
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
from tests.paths import ROOT

PACKAGE = Path(proxyguard.__file__).parent
INTERPRETED = ("telemetry/audit_file.py", "limits/limit.py")
"""What the thread that writes records runs meanwhile; and what a limit that counts responses asks once a request."""

READER = (
    (b"Host", b"a.example"), (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"),
    (b"Accept", b"text/html"), (b"Accept-Language", b"en"), (b"Accept-Encoding", b"gzip"), (b"Sec-Fetch-Dest", b"document"),
    (b"Sec-Fetch-Mode", b"navigate"), (b"Sec-Fetch-Site", b"same-origin"),
)  # fmt: skip
SCRIPT = ((b"Host", b"a.example"), (b"User-Agent", b"python-requests/2.32.3"), (b"Accept", b"*/*"))
TOOL = 4


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    settings, prefixes, metrics, secret = Settings(), Prefixes(), Metrics(), b"s" * 32
    policy = load_policy(ROOT / "rules").policy
    assert policy is not None
    discretion = Discretion(settings.privacy, secret, prefixes)
    audit = AuditLog(str(tmp_path / "audit.jsonl"), metrics.audit_records_dropped)
    yield Guard(
        compile_sites(policy, settings, secret), MemoryStore(), metrics, audit,
        jars=Jars(settings.jar, secret, prefixes, CLOCK.wall), disclosure=Disclosure(settings.items),
        forms=Forms(secret, prefixes, CLOCK.wall), tally=Tally(secret, prefixes, CLOCK, lambda key: discretion.name(key, 0.0)),
        talkers=Talkers(discretion, prefixes), discretion=discretion,
    )  # fmt: skip
    audit.close()


@pytest.mark.skipif(BUILD_KIND == "interpreted", reason="everything is interpreted here; `make test-compiled` runs this")
@pytest.mark.parametrize(("target", "headers"), [(b"/a.css", READER), (b"/profiles/1", READER), (b"/profiles/1", SCRIPT)])
def test_a_request_runs_nothing_interpreted(guard: Guard, target: bytes, headers: Headers) -> None:
    started: set[str] = set()

    def on_start(code: CodeType, _offset: int) -> None:
        path = Path(code.co_filename)
        if path.is_relative_to(PACKAGE) and not str(path.relative_to(PACKAGE)).startswith(INTERPRETED):
            started.add(f"{path.relative_to(PACKAGE)}: {code.co_qualname}")

    def ask() -> Ticket:
        request = Request(Address.parse("192.0.2.1"), b"GET", b"http", b"a.example", target, headers)
        ticket = guard.check(request)
        assert isinstance(ticket, Ticket)
        if ticket.decision.forwards:
            guard.settle(ticket, Served(200, 1024, 0, 0.001, 0.002))
        return ticket

    for _ in range(400):  # until what is done once is done, and the limits in shadow are exceeded
        ticket = ask()
    assert ticket.decision.name in ("pass", "reject")
    sys.monitoring.use_tool_id(TOOL, "frames")
    try:
        sys.monitoring.register_callback(TOOL, sys.monitoring.events.PY_START, on_start)
        sys.monitoring.set_events(TOOL, sys.monitoring.events.PY_START)
        ask()
    finally:
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.free_tool_id(TOOL)
    assert started == set()
