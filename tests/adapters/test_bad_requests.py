"""Requests refused for their form: counted by fault and bound, answered in the form that the client accepts."""

from __future__ import annotations

from dataclasses import fields

import pytest

from proxyguard.adapters.mitmproxy.bad_requests import BOUND_OF_FAULT, count_fault
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import REQUEST_FAULTS
from tests.adapters.fakes import NotedEvents


def test_every_bound_is_that_of_a_fault_and_one_of_the_settings() -> None:
    assert set(BOUND_OF_FAULT) <= set(REQUEST_FAULTS)
    assert set(BOUND_OF_FAULT.values()) <= {field.name for field in fields(Bounds)}


@pytest.mark.parametrize("reason", sorted(REQUEST_FAULTS))
def test_a_fault_is_counted_and_the_bound_if_it_exceeds_one(reason: str) -> None:
    events = NotedEvents()
    count_fault(events, reason)
    assert events.bad == {reason: 1}
    assert events.bounds == ({BOUND_OF_FAULT[reason]: 1} if reason in BOUND_OF_FAULT else {})
