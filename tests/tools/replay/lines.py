"""Short ways to write log lines and run them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from time import gmtime, strftime
from typing import Any

from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.tools.replay.judgeable import judgeable
from proxyguard.tools.replay.log_files import Journal, LogFile, in_time_order
from proxyguard.tools.replay.report import Judged, replay_report
from proxyguard.tools.replay.report_values import ReplayReport
from proxyguard.tools.replay.run import Findings, Replay

START = 1_795_424_400  # 2026-11-23 09:00:00 UTC
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def line(
    after: float,
    client: str = "192.0.2.7",
    target: str = "/",
    agent: str = FIREFOX,
    *,
    user: str = "-",
    referer: str = "-",
    method: str = "GET",
    status: int = 200,
) -> str:
    """A combined line, so many seconds after START."""
    moment = strftime("%d/%b/%Y:%H:%M:%S +0000", gmtime(START + after))
    return f'{client} - {user} [{moment}] "{method} {target} HTTP/1.1" {status} 512 "{referer}" "{agent}"'


def policy_of(rules: str) -> Policy:
    rule_set, problems = parse_rule_set(f"name: test\nrules:\n{rules}")
    assert rule_set is not None, problems
    return Policy((rule_set,), digest="0123456789abcdef")


def replayed(
    tmp_path: Path, rules: str, lines: Iterable[str], against: str | None = None, **options: Any
) -> tuple[ReplayReport, Findings]:
    """Write the lines to a file and run the rules over it."""
    path = tmp_path / "access.log"
    path.write_text("\n".join(lines) + "\n")
    log = LogFile(str(path))
    known = log.format.knowledge
    policies = [policy_of(rules)] + ([policy_of(against)] if against is not None else [])
    cuts = [judgeable(policy, known) for policy in policies]
    compiled = [compile_policy(cut.policy, secret=b"test") for cut in cuts]
    replay = Replay(*compiled, **options)
    journal = Journal()
    findings = replay.run(in_time_order([log], journal, None))
    names = ("new", "old")[: len(policies)]
    judged = [
        Judged(directory=name, policy=policy, unjudged=cut.unjudged)
        for name, policy, cut in zip(names, policies, cuts, strict=True)
    ]
    report = replay_report(judged[0], judged[1] if len(judged) > 1 else None, [log], known, journal, findings)
    return report, findings
