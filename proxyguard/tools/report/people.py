"""Signs that people may be hurt, each with what it can tell and what it cannot."""

from __future__ import annotations

from collections import Counter
from typing import Final

from proxyguard.tools.report.client_sample import SampledClient
from proxyguard.tools.report.figures import PeopleFigure
from proxyguard.tools.report.sources import ReportSources

LOOKED_UP: Final = "references looked up"
MIXED: Final = "clients refused that more often got through with a browser's user agent"
PROTECTED: Final = "refusals of protected classes"
ONCE: Final = "clients refused once only"


def people_of(sources: ReportSources) -> list[PeopleFigure]:
    """The four figures; null for those that the sources do not have."""
    instance, audit = sources.instance, sources.audit
    begin = sources.now - sources.seconds
    looked_up = instance.looked_up if instance is not None else None
    asked = None if looked_up is None else Counter(each["rule"] for each in looked_up if each["time"] >= begin)
    clients = [] if audit is None else [client for client in audit.clients if client.rules]
    scale = 1 if audit is None else audit.clients.scale
    mixed = [client for client in clients if is_mixed(client, share_recorded(sources))]
    once = [client for client in clients if sum(client.rules.values()) == 1]
    return [
        PeopleFigure(
            LOOKED_UP, None if asked is None else asked.total(), dict(asked or ()),
            "somebody who was refused asked, and one of you looked: nearly always a person",
            "people who left without asking; look-ups of a log that the instance was not told of",
        ),
        PeopleFigure(
            MIXED, len(mixed) * scale if audit is not None and audit.knows_agents else None, _by_rule(mixed, scale),
            "people whom a limit or a rule stops in the middle, and addresses that people share with a scraper",
            "scrapers that send a browser's user agent look the same; plain passes are seen by sample, so it is at least so many",
        ),
        PeopleFigure(
            PROTECTED, None if audit is None else audit.protected.total(), {} if audit is None else dict(audit.protected),
            "clients that your classes know, such as those who have logged in, were refused",
            "nothing without classes in the rules; a scraper may have an account",
        ),
        PeopleFigure(
            ONCE, len(once) * scale if audit is not None else None, _by_rule(once, scale),
            "many of these beside few who come often: a rule that meets passers-by, who are more often people",
            "a swarm of many addresses looks the same; refusals that a flood summed are missing",
        ),
    ]  # fmt: skip


def share_recorded(sources: ReportSources) -> float:
    """The share of plain passes that stand in the audit log; 1 when it is not known."""
    return (sources.instance.passes if sources.instance is not None else None) or 1.0


def is_mixed(client: SampledClient, recorded: float) -> bool:
    """Whether a refused client got through at least as often, as a browser: a limit lets everybody's first requests through."""
    return client.as_browser > 0 and client.as_browser / recorded >= sum(client.rules.values())


def _by_rule(clients: list[SampledClient], scale: int) -> dict[str, int]:
    counts: Counter[str] = Counter(rule for client in clients for rule in client.rules)
    return {rule: count * scale for rule, count in counts.most_common(20)}
