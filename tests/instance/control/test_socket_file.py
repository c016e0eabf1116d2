"""The control socket lies where no other user can take its place, and a client looks at whom it speaks to."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from proxyguard.core.settings import Listen, Settings
from proxyguard.instance.control import socket_file
from proxyguard.instance.control.client import ControlError, send_command
from proxyguard.instance.control.socket_file import control_folder, control_path, is_own, prepare_folder, running_socket, stranger


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_file, "SYSTEM_FOLDER", tmp_path / "run")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def test_the_folder_is_the_systems_or_the_log_ins_or_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert control_folder() == tmp_path / f"proxyguard-{os.getuid()}"
    (tmp_path / "user").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    assert control_folder() == tmp_path / "user" / "proxyguard"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert control_folder() == tmp_path / f"proxyguard-{os.getuid()}"
    (tmp_path / "run").mkdir(mode=0o755)
    assert control_path(Settings(admin=Listen("127.0.0.1", 9901))) == tmp_path / "run" / "9901.sock"
    (tmp_path / "run").chmod(0o777)
    assert control_folder() == tmp_path / f"proxyguard-{os.getuid()}"


def test_the_folder_is_made_for_its_user_alone() -> None:
    path = control_path(Settings(admin=Listen("127.0.0.1", 9901)))
    prepare_folder(path)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    prepare_folder(path)
    path.parent.chmod(0o777)
    with pytest.raises(PermissionError, match="another user's"):
        prepare_folder(path)


def test_a_link_is_no_folder_of_ours(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder = control_folder()
    folder.symlink_to(tmp_path / "elsewhere")
    assert is_own(tmp_path / "elsewhere")
    assert not is_own(folder)
    with pytest.raises(PermissionError, match="another user's"):
        prepare_folder(folder / "9901.sock")


def test_a_command_finds_what_was_started_without_a_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(admin=Listen("127.0.0.1", 9901))
    started = control_path(settings)
    prepare_folder(started)
    (tmp_path / "user").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    assert running_socket(settings) == tmp_path / "user" / "proxyguard" / "9901.sock"
    started.touch()
    assert running_socket(settings) == started
    assert running_socket(Settings(control=tmp_path / "named")) == tmp_path / "named"


def _served(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    return listening


def test_its_own_user_is_no_stranger(tmp_path: Path) -> None:
    with _served(tmp_path / "s"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        assert stranger(client, tmp_path / "s") == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_what_another_user_put_there_is_not_spoken_to(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with _served(tmp_path / "s") as listening:
        os.chown(tmp_path / "s", 12345, 12345)
        listening.settimeout(20)

        def listen() -> None:
            connection, _ = listening.accept()
            heard.append(connection.recv(100))

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(ControlError, match="not to be trusted: its file is of user 12345"):
            send_command(tmp_path / "s", "status")
        thread.join()
    assert heard == [b""]
