"""What rules are not tuned on: every even seed, and three variants of adversaries.

A rule set that was fitted to the traffic it is judged by looks better than it is. Whoever tunes says so (`--for-tuning`), and is
refused then what is here; figures that are published come from here as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyguard.tools.range.adversaries.swarms import swarm
from proxyguard.tools.range.browsers import desktop_browser, phone_browser
from proxyguard.tools.range.networks import hosting_line, mobile
from proxyguard.tools.range.scraping import WorkQueue, harvest
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence
from proxyguard.tools.range.visitor import Visitor

SCENARIO: Final = "held-out"

PHONES: Final = 20
PARTS: Final = 8
MACHINES: Final = 90


def is_held_out(seed: int) -> bool:
    """Whether a seed is kept out of tuning: half of them are."""
    return seed % 2 == 0


def _phones(span: Presence, draw: Draw) -> Iterator[Arrival]:
    """Through the exits that hundreds of phones share, a page every twenty seconds, another exit every thirty pages."""
    queue = WorkQueue()
    for part in range(PARTS):
        for index in range(PHONES):
            random = draw.stream(f"{part} {index}")
            software = phone_browser(random)
            visitor = Visitor(mobile(random, software.speaks), software, sends_referer=False)
            at = span.begin + part * (span.end - span.begin) / PARTS
            yield Arrival(at, harvest(visitor, random, queue, 20.0, 30, assets=6))


def _machines(span: Presence, draw: Draw) -> Iterator[Arrival]:
    """Thirty addresses in each of three networks, a page in five seconds."""
    queue = WorkQueue(shuffled=False)
    for index in range(MACHINES):
        random = draw.stream(index)
        software = desktop_browser(random)
        visitor = Visitor(hosting_line(index // 30 * 254 + index % 30, software.speaks, 2), software, sends_referer=False)
        yield Arrival(span.begin, harvest(visitor, random, queue, 5.0, 500))


FOREIGN_SWARM: Final = Cohort(
    name="held-out-foreign-swarm", kind=CohortKind.ADVERSARY,
    about="A swarm with everything right from forty networks that few people use", source="lab on aggregate limits, adversary cf",
    arrivals=swarm(impersonated=True, cookies=True, assets=8, owners=40, pages=(2, 6)),
)  # fmt: skip
PHONE_PROXIES: Final = Cohort(
    name="held-out-phone-proxies", kind=CohortKind.ADVERSARY, arrivals=_phones,
    about="Twenty workers through carrier exits that people share", source="sellers of mobile proxies",
)  # fmt: skip
THREE_NETWORKS: Final = Cohort(
    name="held-out-three-networks", kind=CohortKind.ADVERSARY, arrivals=_machines,
    about="90 rented addresses of three networks, a page in five seconds each", source="between one network and a swarm",
)  # fmt: skip
VARIANTS: Final = (FOREIGN_SWARM, PHONE_PROXIES, THREE_NETWORKS)
