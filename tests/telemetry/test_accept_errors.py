"""Accept errors: one line a second, with how many it stands for."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxyguard.telemetry.accept_errors import AcceptErrors

FULL = OSError(24, "Too many open files")


def test_a_line_a_second_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    errors = AcceptErrors("admin", lambda: now[0])
    with caplog.at_level(logging.ERROR):
        for moment in (0.0, 0.1, 0.2, 0.9, 1.0, 1.1, 5.0):
            now[0] = moment
            errors.record(FULL)
    said = "admin: cannot accept connections: Too many open files"
    assert [record.message for record in caplog.records] == [f"{said} (1)", f"{said} (4)", f"{said} (2)"]
    assert all(record.exc_info is None for record in caplog.records)


def test_of_a_loop_only_accept_errors_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.set_exception_handler(AcceptErrors("listen").handle)
        with caplog.at_level(logging.ERROR):
            loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": FULL})
            loop.call_exception_handler({"message": "something else", "exception": FULL})
    finally:
        loop.close()
    assert [record.name for record in caplog.records] == ["proxyguard.telemetry.accept_errors", "asyncio"]
