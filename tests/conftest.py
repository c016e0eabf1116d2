"""What all tests share: the secret that examples in rule files and documentation name, and how random examples are chosen."""

from __future__ import annotations

import gc
import logging
import os
import threading

import pytest
from hypothesis import settings

os.environ.setdefault("SESSION_SECRET", "a secret of the tests, long enough")

# Tests run side by side, so how long one example takes says nothing. What hangs is ended by faulthandler_timeout.
settings.register_profile("everywhere", deadline=None)
settings.load_profile("everywhere")

# A change is judged by the same examples each time; new ones are looked for by everybody's own runs, and by `make fuzz`.
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch of tests that compare with a file: write the file anew instead of failing."""
    parser.addoption("--update-golden", action="store_true", help="write the expected reports in tests/rulesets/bad anew")


def pytest_collection_finish() -> None:
    """Take the thousands of collected tests out of the garbage collector's way."""
    gc.collect()
    gc.freeze()


LEFT_BEHIND = ("Task was destroyed", "Task exception was never retrieved", "Future exception was never retrieved", "Unclosed ")
"""What asyncio and aiohttp say when the collector finds what an earlier test left: whenever that is."""


@pytest.fixture(autouse=True)
def _own_records(request: pytest.FixtureRequest) -> None:
    """Keep out of `caplog` what earlier tests of the process still log, from threads of theirs and by the garbage collector."""
    if "caplog" in request.fixturenames:
        caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
        others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}

        def is_own(record: logging.LogRecord) -> bool:
            return record.thread not in others and not record.getMessage().startswith(LEFT_BEHIND)

        caplog.handler.addFilter(is_own)
