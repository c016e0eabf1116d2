"""What all tests share: the secret that examples in rule files and documentation name, and how random examples are chosen."""

from __future__ import annotations

import gc
import logging
import os
import threading

import pytest
from hypothesis import settings

from tests.examples import examples

os.environ.setdefault("SESSION_SECRET", "a secret of the tests, long enough")

# Tests run side by side, so how long one example takes says nothing. What hangs is ended by faulthandler_timeout.
settings.register_profile("everywhere", deadline=None, max_examples=examples(100))
settings.load_profile("everywhere")

# A change is judged by the same examples each time; new ones are looked for by everybody's own runs, and by `make fuzz`.
settings.register_profile("ci", settings.get_profile("everywhere"), derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch of tests that compare with a file: write the file anew instead of failing."""
    parser.addoption("--update-golden", action="store_true", help="write the expected reports in tests/rulesets/bad anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no core waits for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("costly") is None)


def pytest_collection_finish() -> None:
    """Take the thousands of collected tests out of the garbage collector's way."""
    gc.collect()
    gc.freeze()


LEFT_BEHIND = ("Task was destroyed", "Task exception was never retrieved", "Future exception was never retrieved", "Unclosed ")
"""What asyncio and aiohttp say when the collector finds what an earlier test left: whenever that is."""


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Without what earlier tests of the process still log, from threads of theirs and by the garbage collector."""
    others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}

    def is_own(record: logging.LogRecord) -> bool:
        return record.thread not in others and not record.getMessage().startswith(LEFT_BEHIND)

    caplog.handler.addFilter(is_own)
    return caplog
