"""What is counted of a cohort: items that it had not had before."""

from __future__ import annotations

import pytest

from proxyguard.tools.range import tally
from proxyguard.tools.range.adversaries.quiet import FAKE_ACCOUNTS
from proxyguard.tools.range.tally import CohortTally


def test_a_page_that_is_read_again_gives_no_items() -> None:
    counted = CohortTally(FAKE_ACCOUNTS, 960.0)
    counted.disclose(b"/profiles/1", 1, 0.0)
    counted.disclose(b"/profiles/1", 1, 15.0)
    counted.disclose(b"/posts?page=1", 20, 15.0)
    assert counted.items == 21
    assert counted.items_by_time[:3] == [1, 20, 0]


def test_a_cohort_that_had_too_much_to_remember_is_counted_as_if_all_were_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_REMEMBERED", 1)
    counted = CohortTally(FAKE_ACCOUNTS, 960.0)
    for what in (b"a", b"b", b"b", b"a"):
        counted.disclose(what, 1, 0.0)
    assert counted.items == 3
