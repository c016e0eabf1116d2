"""Runs of the range: people pass, faults are found and named, and the same seed is the same run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from proxyguard.core.decision import DEFAULT_RULE
from proxyguard.tools.range.adversaries.ai_crawlers import AI_CRAWLERS
from proxyguard.tools.range.adversaries.forgers import FORGED_ENGINES
from proxyguard.tools.range.adversaries.naive_scripts import NAIVE_SCRIPTS
from proxyguard.tools.range.adversaries.one_address import SINGLE_ADDRESS
from proxyguard.tools.range.adversaries.registry import ADVERSARIES
from proxyguard.tools.range.adversaries.scrapy import SCRAPY, SCRAPY_AS_BROWSER
from proxyguard.tools.range.adversaries.sign_up_floods import SIGN_UP_FLOOD
from proxyguard.tools.range.browsers import SYSTEMS, chrome
from proxyguard.tools.range.cohorts.corporate_proxy import StrippedVisitor
from proxyguard.tools.range.cohorts.desktop import DESKTOP
from proxyguard.tools.range.cohorts.office import OFFICE
from proxyguard.tools.range.cohorts.registry import CALM
from proxyguard.tools.range.firewall import OpenGate, Verdict
from proxyguard.tools.range.held_out import VARIANTS
from proxyguard.tools.range.networks import office, owner_of
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.run import Free, lengthened, only, perform, run_scenario
from proxyguard.tools.range.scenarios import SCENARIOS
from proxyguard.tools.range.score import faults, gate_failures
from proxyguard.tools.range.site import ITEMS_HEADER
from proxyguard.tools.range.text_report import text_report
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Fetch, Presence
from tests.paths import ROOT
from tests.tools.range.small import HERE, NINE, firewall, scenario

pytestmark = pytest.mark.long


def test_nobody_is_refused_in_a_calm_hour() -> None:
    run = run_scenario(scenario(*CALM, end=NINE + 1_800), 5, firewall())
    assert {row.name: row.refused_requests for row in run.cohorts if row.refused_requests} == {}
    assert sum(row.sessions for row in run.cohorts) > 100
    assert gate_failures(run) == []


def test_bad_rules_are_found_out_and_each_fault_is_named_by_its_cohort() -> None:
    run = run_scenario(scenario(OFFICE, DESKTOP, FORGED_ENGINES), 5, firewall(HERE / "bad"))
    by_cohort = {line.partition(":")[0]: line for line in faults(run)}
    assert "office-we-do-not-like" in by_cohort["office"]
    assert "everything-counts" in by_cohort["desktop"]
    assert "were let through by trust-the-name" in by_cohort["forged-engines"]
    assert [line.partition(":")[0] for line in gate_failures(run)] == ["office", "desktop"]


def test_the_same_seed_is_the_same_run_to_the_byte_and_another_is_another() -> None:
    def figures(seed: int) -> str:
        return json.dumps(
            run_scenario(scenario(DESKTOP, OFFICE, NAIVE_SCRIPTS, size=0.005, end=NINE + 300), seed, firewall()).as_dict()
        )

    assert figures(7) == figures(7)
    assert figures(7) != figures(8)


def test_a_cohort_alone_does_what_it_does_beside_the_others() -> None:
    both = run_scenario(scenario(OFFICE, DESKTOP, end=NINE + 300), 3, firewall())
    alone = run_scenario(only(scenario(OFFICE, DESKTOP, end=NINE + 300), ["desktop"]), 3, firewall())
    assert both.cohorts[1] == alone.cohorts[0]


def test_scripts_get_nothing_and_a_flood_is_stopped_within_seconds() -> None:
    run = run_scenario(scenario(NAIVE_SCRIPTS, SIGN_UP_FLOOD), 1, firewall())
    scripts, flood = run.cohorts
    assert (scripts.items, scripts.items_unprotected) == (0, 60)
    assert scripts.cost_per_1000_items is None
    assert scripts.addresses_per_1000_items_unprotected == pytest.approx(3 / 0.06)
    assert flood.first_action_seconds is not None
    assert flood.first_action_seconds < 5
    assert flood.leak is not None
    assert flood.leak < 0.05


def test_declared_crawlers_and_scrapy_under_either_name_get_nothing() -> None:
    run = run_scenario(scenario(AI_CRAWLERS, SCRAPY, SCRAPY_AS_BROWSER), 1, firewall())
    assert {row.name: row.items for row in run.cohorts} == {"ai-crawlers": 0, "scrapy": 0, "scrapy-as-browser": 0}
    assert min(row.items_unprotected for row in run.cohorts) > 10


def test_a_company_whose_proxy_opens_tls_is_served_however_many_of_it_come_for_the_first_time_at_once() -> None:
    """All signs of such a proxy, and others of the company who were given a cookie from the same address a moment ago."""

    def arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
        for number in range(30):
            visitor = StrippedVisitor(office(100, 1, "middlebox"), chrome(143, *SYSTEMS[0][:2]))
            visitor.strips_encoding = number % 2 == 0
            reading = visit(visitor, draw.stream(number), 2, first=b"/profiles/%d" % (number * 977 + 13), assets=(2, 3))
            yield Arrival(span.begin + 20.0 * number, reading)

    company = Cohort(name="company", kind=CohortKind.LEGITIMATE, about="a test", source="a test", arrivals=arrivals)
    [row] = run_scenario(scenario(company), 1, firewall()).cohorts
    assert (row.sessions, row.refused_sessions) == (30, 0)
    assert row.delayed_requests > 0


def test_the_figures_without_the_firewall_are_those_of_a_run_without_it() -> None:
    small = scenario(NAIVE_SCRIPTS, DESKTOP)
    free = perform(small, 2, OpenGate())
    free.run()
    run = run_scenario(small, 2, firewall())
    assert [row.items_unprotected for row in run.cohorts] == [tally.items for tally in free.tallies]


def test_what_cohorts_do_without_the_firewall_is_found_out_once_for_two_sets_of_rules() -> None:
    small = scenario(NAIVE_SCRIPTS, OFFICE, FORGED_ENGINES)
    apart = [run_scenario(small, 2, firewall(HERE / "bad")), run_scenario(small, 2, firewall())]
    free: Free = {}
    together = [run_scenario(small, 2, firewall(HERE / "bad"), free=free)]
    first = dict(free)
    together.append(run_scenario(small, 2, firewall(), free=free))
    assert [run.as_dict() for run in together] == [run.as_dict() for run in apart]
    assert set(first) < set(free) == {"naive-scripts", "office", "forged-engines"}
    assert all(free[name] is tally for name, tally in first.items())


@pytest.mark.parametrize("cohort", [*CALM, *ADVERSARIES, *VARIANTS], ids=lambda cohort: cohort.name)
def test_every_cohort_makes_requests_that_could_be_real_and_carry_no_label(cohort: Cohort) -> None:
    seen: list[Fetch] = []

    def told(fetch: Fetch, verdict: Verdict, now: float) -> None:
        seen.append(fetch)
        if len(seen) == 100:
            raise KeyboardInterrupt

    run = perform(scenario(cohort, size=0.01, begin=6 * 3_600.0, end=22 * 3_600.0), 1, OpenGate())
    with suppress(KeyboardInterrupt):
        run.run(told=told)
    assert seen
    assert cohort.source
    for fetch in seen:
        names = Counter(name.lower() for name, _ in fetch.headers)
        assert (b"Host", b"range.example") in fetch.headers
        assert max(names.values()) == 1
        assert ITEMS_HEADER.lower().encode() not in names
        assert not any(b"legitimate" in value or b"adversary" in value for _, value in fetch.headers)
        assert fetch.target.startswith(b"/")
        assert fetch.target.isascii()
        assert (fetch.method == b"POST") is (b"content-length" in names)
        assert owner_of(fetch.source.address) == fetch.source.owner


def test_labels_and_names_are_one_for_each_cohort() -> None:
    names = Counter(cohort.name for cohort in (*CALM, *ADVERSARIES))
    assert max(names.values()) == 1
    assert {cohort.kind for cohort in CALM} == {CohortKind.LEGITIMATE}
    assert {cohort.kind for cohort in ADVERSARIES} == {CohortKind.ADVERSARY}
    assert len(CALM) >= 16
    for each in SCENARIOS.values():
        members = Counter(cohort.name for cohort, _ in each.members)
        assert max(members.values()) == 1, each.name


def test_every_adversary_is_in_a_scenario() -> None:
    there = {cohort.name for each in SCENARIOS.values() for cohort, _ in each.members}
    assert {cohort.name for cohort in ADVERSARIES} <= there


def test_only_the_calm_day_has_days_and_a_scenario_only_its_own_cohorts() -> None:
    assert lengthened(SCENARIOS["calm-day"], 0.25).seconds == 21_600
    with pytest.raises(ValueError, match="july has its own length; --days is for calm-day"):
        lengthened(SCENARIOS["july"], 2)
    with pytest.raises(ValueError, match="0 days: more than 0, at most 31"):
        lengthened(SCENARIOS["calm-day"], 0)
    with pytest.raises(ValueError, match="calm-day has no cohort 'robots'; it has api-clients, "):
        only(SCENARIOS["calm-day"], ["robots"])


def test_the_report_has_a_line_for_each_cohort_and_the_bound_of_what_was_not_seen() -> None:
    run = run_scenario(scenario(DESKTOP, NAIVE_SCRIPTS), 2, firewall())
    lines = list(text_report(run))
    [people] = [line for line in lines if line.startswith("  desktop ")]
    assert people.split()[1] == "30"
    assert "9.50 %" in people  # 1 - 0.05 ** (1 / 30)
    [scripts] = [line for line in lines if line.startswith("  naive-scripts ")]
    assert "0 %" in scripts
    assert DEFAULT_RULE not in "".join(faults(run))


def test_the_page_of_figures_has_its_marks() -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text()
    assert page.count("<!-- tables: written by scripts/accuracy-tables -->\n") == page.count("<!-- end of tables -->\n") == 1


def test_the_guide_names_every_scenario() -> None:
    page = (ROOT / "docs" / "guide" / "range.md").read_text()
    assert {name for name in SCENARIOS if f"`{name}`" not in page} == set()


def test_people_follow_a_redirect_that_proves_and_a_script_that_does_not_gets_less(tmp_path: Path) -> None:
    (tmp_path / "prove.yaml").write_text(
        "name: p\nrules:\n  - name: fetch-a-jar\n    when: {method: GET, path: {prefix: /profiles/}, jar: none}\n"
        "    action: prove\n"
    )
    people, scripts = run_scenario(scenario(DESKTOP, NAIVE_SCRIPTS, end=NINE + 900), 1, firewall(tmp_path)).cohorts
    assert people.delayed_requests > 5
    assert people.refused_requests == 0
    assert people.items == people.items_unprotected
    assert scripts.items < scripts.items_unprotected


@pytest.mark.parametrize("status", [403, 410])
def test_a_scraper_goes_on_whatever_status_it_is_refused_with(tmp_path: Path, status: int) -> None:
    (tmp_path / "all.yaml").write_text(
        f"name: a\nrules:\n  - name: all\n    when: {{path: {{prefix: /}}}}\n    action: {{reject: {{status: {status}}}}}\n"
    )
    [row] = run_scenario(scenario(SINGLE_ADDRESS, end=NINE + 600), 1, firewall(tmp_path)).cohorts
    assert row.requests == row.refused_requests > 100
