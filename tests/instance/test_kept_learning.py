"""What limits learned over restarts: kept beside the snapshot, and no trouble with the file disturbs anything."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from proxyguard.core.settings import Settings, StoreChoice
from proxyguard.instance.kept_learning import MAX_AGE_SECONDS, KeptLearning, kept_learning
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.daily import DAY_SECONDS
from proxyguard.limits.learning import Learning

KEY = "quota~aaaaaa|192.0.2.1"


def learned(days: int = 5) -> Learning:
    """What a process knows that was there for some days before this moment."""
    learning = Learning(CLOCK.wall)
    for ago in range(days, 0, -1):
        now = CLOCK() - ago * DAY_SECONDS
        learning.daily.turn(now, CLOCK.wall(now))
        learning.daily.observe(KEY, "network:192.0.2.0/24", 300.0, 50.0)
    learning.daily.turn(CLOCK(), CLOCK.wall(CLOCK()))
    return learning


def restarted(path: Path) -> Learning:
    learning = Learning(CLOCK.wall)
    KeptLearning(path, learning)
    learning.daily.turn(CLOCK(), CLOCK.wall(CLOCK()))
    return learning


def test_what_is_usual_survives_a_restart_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.learned"
    learning = learned()
    asyncio.run(KeptLearning(path, learning).save())
    assert path.stat().st_mode & 0o777 == 0o600
    assert restarted(path).daily.usual(KEY) == learning.daily.usual(KEY) == 300.0
    assert [each.name for each in tmp_path.iterdir()] == ["snapshot.learned"]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"saved": 1e300}', '{"saved": 1e300, "learned": {"daily": 5, "hourly": {}}}',
        f'{{"saved": {10**400}}}', pytest.param("[" * 100_000, id="deep"),
        '{"saved": 1e300, "learned": {"daily": {"rules": {"a": [1e999, 0, [], [], 0]}}, "hourly": {}}}',
    ],
)  # fmt: skip
def test_a_file_that_is_none_begins_anew(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "learned"
    path.write_text(text)
    assert restarted(path).daily.usual(KEY) == -1.0
    assert "cannot be read, and begins anew" in caplog.text


def test_what_is_older_than_a_week_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "learned"
    asyncio.run(KeptLearning(path, learned()).save())
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "saved": plain["saved"] - MAX_AGE_SECONDS - 60}))
    assert restarted(path).daily.usual(KEY) == -1.0


def test_a_folder_that_takes_nothing_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = KeptLearning(tmp_path / "missing" / "learned", learned())
    for _ in range(3):
        asyncio.run(kept.save())
    assert caplog.text.count("cannot be kept") == 1


def test_what_a_killed_process_or_a_full_disk_left_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "learned"
    left, young = tmp_path / "learned.4711.new", tmp_path / "learned.4712.new"
    left.write_bytes(b"192.0.2.1")
    os.utime(left, (1e9, 1e9))
    young.touch()
    asyncio.run(KeptLearning(path, learned()).save())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["learned", "learned.4712.new"]
    path.unlink()
    path.mkdir()  # what cannot be put in place
    kept = KeptLearning(None, learned())
    kept.path = path
    asyncio.run(kept.save())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["learned", "learned.4712.new"]


def test_it_is_kept_where_the_snapshot_is_and_sealed_by_its_secret(tmp_path: Path) -> None:
    assert kept_learning(Settings(), learned()).path is None
    settings = replace(Settings(), store=StoreChoice(snapshot=tmp_path / "store"))
    kept = kept_learning(settings, learned())
    asyncio.run(kept.save())
    assert kept.path == tmp_path / "store.learned"
    assert b"192.0.2" not in kept.path.read_bytes()
    for secret, usual in ((None, 300.0), ("another secret of the operator's", -1.0)):
        restarted = Learning(CLOCK.wall)
        kept_learning(replace(settings, key_secret=secret), restarted)
        restarted.daily.turn(CLOCK(), CLOCK.wall(CLOCK()))
        assert restarted.daily.usual(KEY) == usual


def test_without_its_secret_nothing_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "store.key").mkdir()
    kept = kept_learning(replace(Settings(), store=StoreChoice(snapshot=tmp_path / "store")), learned())
    asyncio.run(kept.save())
    assert "cannot be kept" in caplog.text
    assert [each.name for each in tmp_path.iterdir()] == ["store.key"]
