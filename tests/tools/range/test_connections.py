"""What the range's clients show of their connections: the recorded hellos, and for people what contradicts nothing."""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from contextlib import suppress

import pytest

from proxyguard.http.fingerprints.contradictions import contradictions
from proxyguard.http.fingerprints.facts import client_kind
from proxyguard.tools.range.adversaries.one_address import SINGLE_ADDRESS
from proxyguard.tools.range.adversaries.scrapy import SCRAPY_AS_BROWSER
from proxyguard.tools.range.cohorts.corporate_proxy import CORPORATE_PROXY
from proxyguard.tools.range.cohorts.registry import CALM
from proxyguard.tools.range.connections import HELLOS, connection_of, recorded_hellos
from proxyguard.tools.range.firewall import OpenGate, Verdict, request_of
from proxyguard.tools.range.run import perform
from proxyguard.tools.range.values import Cohort, Fetch
from tests.fingerprints.recording import recorded
from tests.tools.range.small import scenario

KINDS = {
    "chrome": "chromium", "firefox": "firefox", "safari": "safari", "python": "python", "twisted": "python", "go": "go",
    "curl": "curl", "java": "java", "okhttp": "java", "node": "node", "php": "php", "ruby": "ruby", "middlebox": "unknown",
    "gnutls": "unknown", "openssl": "unknown",
}  # fmt: skip
UNRECORDED = {"crawler", "other", "ios"}
"""Whose TLS nobody recorded."""


def shown(cohort: Cohort, most: int = 200) -> dict[str, Counter[str]]:
    """What the connections of a cohort contradict, by what its clients speak."""
    found: dict[str, Counter[str]] = defaultdict(Counter)

    def told(fetch: Fetch, verdict: Verdict, now: float) -> None:
        said = b",".join(contradictions(request_of(fetch))).decode()
        found[fetch.source.speaks][said] += 1
        if sum(counter.total() for counter in found.values()) == most:
            raise KeyboardInterrupt

    run = perform(scenario(cohort, size=0.03, begin=6 * 3_600.0, end=22 * 3_600.0), 1, OpenGate())
    with suppress(KeyboardInterrupt):
        run.run(told=told)
    return found


def test_every_hello_is_the_one_that_was_recorded_of_the_client_it_names() -> None:
    named = {name: row["of"] for name, row in tomllib.loads(HELLOS.read_text()).items()}
    first = {each.client: each.request.connection.hello for each in reversed(list(recorded())) if each.request.connection}
    assert recorded_hellos() == {name: first[client] for name, client in named.items()}


@pytest.mark.parametrize("speaks", KINDS)
def test_a_front_takes_each_for_what_it_is(speaks: str) -> None:
    facts = connection_of(speaks)
    assert facts is not None
    assert client_kind(facts).decode() == KINDS[speaks]
    assert connection_of(speaks) is facts


@pytest.mark.parametrize("cohort", CALM, ids=lambda cohort: cohort.name)
def test_people_and_programs_contradict_nothing_but_behind_what_opens_their_tls(cohort: Cohort) -> None:
    found = shown(cohort)
    assert found
    assert found.keys() <= KINDS.keys() | UNRECORDED
    allowed = {"", "hello", "hello,http1"} if cohort is CORPORATE_PROXY else {""}
    assert {said for counter in found.values() for said in counter} <= allowed


def test_a_library_under_a_browsers_name_contradicts_it_by_all_that_it_does_on_the_wire() -> None:
    assert shown(SCRAPY_AS_BROWSER) == {"twisted": {"hello,http1,host,connection,order": 56}}
    assert shown(SINGLE_ADDRESS) == {"python": {"hello,http1": 200}}
