"""What was recorded of real clients, judged again: kinds, contradictions, and what the bundled rules decide under each preset."""

from __future__ import annotations

from functools import cache

import pytest

from proxyguard.core.preset import RulesPreset
from proxyguard.http.fingerprints.claimed_kind import claimed_kind
from proxyguard.http.fingerprints.contradictions import contradictions
from proxyguard.http.fingerprints.facts import client_kind
from tests.corpus.verdicts import Verdicts
from tests.fingerprints.client import INTERCEPTED
from tests.fingerprints.clients import CLIENTS
from tests.fingerprints.recording import Recorded, recorded

ALL = tuple(recorded())
COPIED = [each for each in ALL if (each.of, each.mode) == ("library", "copied")]
PEOPLE = [each for each in ALL if each.of in ("browser", "intercepted")]

PASSES_FOR_A_BROWSER = {"httpcloak-chrome-latest"}
"""Imitators that nothing tells from the browser: hello, frames, coding and order are Chromium's."""


@cache
def verdicts(preset: RulesPreset) -> Verdicts:
    return Verdicts(preset)


def is_stopped(each: Recorded, preset: RulesPreset) -> bool:
    return not verdicts(preset).of(each.request).forwards


def found(each: Recorded) -> set[str]:
    return {name.decode() for name in contradictions(each.request)}


def test_every_recording_is_of_a_client_of_the_list() -> None:
    assert {each.client for each in ALL} <= {client.name for client in CLIENTS}
    assert len({each.client for each in ALL}) > 100


def test_a_library_with_copied_fields_is_contradicted_by_its_kind() -> None:
    assert len(COPIED) >= 50
    assert [each.client for each in COPIED if _kind(each) == b"chromium"] == []
    assert [each.client for each in COPIED if claimed_kind(each.request.user_agent).kind != b"chromium"] == []
    assert [each.client for each in COPIED if "hello" not in found(each)] == []


def test_most_libraries_with_copied_fields_are_refused_for_all_that_they_contradict() -> None:
    refused = [each for each in COPIED if is_stopped(each, RulesPreset.STANDARD)]
    assert len(refused) >= 0.6 * len(COPIED)
    assert [each.client for each in COPIED if found(each) == {"hello"} and is_stopped(each, RulesPreset.STANDARD)] == []


def test_nearly_all_imitators_are_recognised_and_refused_in_strict() -> None:
    profiles = [each for each in ALL if each.of == "imitator" and _claims_its_own_browser(each)]
    assert len({each.client for each in profiles}) >= 20
    recognised = [each for each in profiles if found(each) & {"imitated", "hello"}]
    assert len(recognised) >= 0.9 * len(profiles)
    assert {each.client for each in profiles if each not in recognised} <= PASSES_FOR_A_BROWSER
    assert sum(is_stopped(each, RulesPreset.STRICT) for each in profiles) >= 0.9 * len(profiles)


def _claims_its_own_browser(each: Recorded) -> bool:
    """Whether its header names the browser that its hello is a copy of. What names another is a library with copied fields."""
    claimed = claimed_kind(each.request.user_agent).kind
    return claimed in (b"chromium", b"firefox") and claimed == _kind(each)


def _kind(each: Recorded) -> bytes:
    assert each.request.connection is not None
    return client_kind(each.request.connection)


@pytest.mark.parametrize("preset", RulesPreset)
def test_no_browser_is_refused_whatever_its_settings_or_what_opens_its_tls(preset: RulesPreset) -> None:
    assert len(PEOPLE) >= 20
    assert len({each.client for each in PEOPLE if each.of == INTERCEPTED}) == 10
    assert [each.client for each in PEOPLE if is_stopped(each, preset)] == []


def test_what_browsers_contradict() -> None:
    assert {each.client: found(each) for each in PEOPLE if each.of == "browser" and found(each)} == {
        "chromium-http2-off": {"http1"},
        "firefox-http2-off": {"http1"},
    }
    assert set().union(*(found(each) for each in PEOPLE if each.of == INTERCEPTED)) == {"hello", "http1"}
