"""What one process remembers of items and their readers stays within its memory, however many there are."""

from __future__ import annotations

import pytest

from bench import remembered

pytestmark = [pytest.mark.long, pytest.mark.costly]


def test_all_that_is_remembered_of_readers_takes_32_mib_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    assert remembered.main(["--check"]) == 0
    assert "together" in capsys.readouterr().out
