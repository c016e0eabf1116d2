"""What lasts from one start to the next, and what ends with it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from proxyguard.cli.run import instance_secrets
from proxyguard.core.settings import Settings, StoreChoice


def kept_at(path: Path) -> Settings:
    return replace(Settings(), store=StoreChoice(snapshot=path))


def test_with_a_snapshot_what_is_signed_lasts_and_pseudonyms_end(tmp_path: Path) -> None:
    first, second = (instance_secrets(kept_at(tmp_path / "store")) for _ in range(2))
    assert first.keys == second.keys
    assert first.names != second.names
    assert first.keys not in {first.names, (tmp_path / "store.key").read_bytes()}
    assert instance_secrets(kept_at(tmp_path / "other")).keys != first.keys


def test_without_one_all_ends_with_the_instance() -> None:
    first, second = instance_secrets(Settings()), instance_secrets(Settings())
    assert len({first.keys, second.keys}) == 2
    assert first.keys == first.names


def test_the_secret_of_the_operator_is_all_of_them(tmp_path: Path) -> None:
    found = instance_secrets(replace(kept_at(tmp_path / "store"), key_secret="one for all"))
    assert found == (b"one for all", b"one for all")
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_cannot_be_kept_is_said_and_the_site_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "store.key").mkdir()
    with caplog.at_level(logging.WARNING):
        first, second = (instance_secrets(kept_at(tmp_path / "store")) for _ in range(2))
    assert first.keys != second.keys
    assert "cookie jars and tokens of forms end with this instance" in caplog.text
