"""What must not keep a process from starting: it is reported in a line, and ignored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT


def version(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-m", "proxyguard", "--version"],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"])
@pytest.mark.parametrize(
    ("path", "why"), [("{folder}/none/keys", "No such file or directory"), ("{folder}", "Is a directory"),
                      ("{folder}/fifo", "No such device or address")],
)  # fmt: skip
def test_a_key_log_that_cannot_be_opened_is_reported_and_ignored(tmp_path: Path, name: str, path: str, why: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = path.format(folder=tmp_path)
    done = version(**{name: path})
    assert (done.returncode, done.stderr) == (0, f"proxyguard: warning: {name}={path} is ignored: {why}\n")


def test_a_key_log_that_can_be_opened_is_kept(tmp_path: Path) -> None:
    done = version(SSLKEYLOGFILE=str(tmp_path / "keys"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("value", ["error", "e", "default,error::DeprecationWarning"])
def test_warnings_as_errors_are_reported_and_ignored(value: str) -> None:
    done = version(PYTHONWARNINGS=value)
    assert done.returncode == 0
    assert done.stderr.startswith("proxyguard: warning: e")
    assert done.stderr.count("\n") == 1
    assert version(PYTHONWARNINGS="ignore").stderr == ""
    assert version("-W", "error").returncode == 0


def test_closed_standard_streams_are_no_trouble() -> None:
    command = f"exec {sys.executable} -m proxyguard --version <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False, timeout=60, cwd=ROOT).returncode == 0
