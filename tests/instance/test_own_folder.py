"""The folder of an instance: it goes with its instance, or with the next one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from proxyguard.instance.own_folder import OwnFolder


def killed(folder: OwnFolder) -> Path:
    """What a killed instance leaves: the system closes its files."""
    (folder.path / "assignment").write_bytes(b"a secret")
    os.close(folder._lock)
    return folder.path


def test_what_a_killed_instance_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    running, left = OwnFolder(), killed(OwnFolder())
    control, strange = tmp_path / "proxyguard-1000", tmp_path / "proxyguard-strange"
    control.mkdir()
    strange.mkdir()
    (strange / "lock").touch()
    strange.chmod(0o777)  # not only ours
    starting = tmp_path / "proxyguard-starting"
    starting.mkdir()
    (starting / "lock.new").touch()
    again = OwnFolder()
    assert sorted(tmp_path.iterdir()) == sorted((running.path, again.path, control, strange, starting))
    assert left not in tmp_path.iterdir()
    running.remove()
    again.remove()
    assert sorted(tmp_path.iterdir()) == sorted((control, strange, starting))
