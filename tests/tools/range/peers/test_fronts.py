"""Peers in front of the site: started, measured and ended; what is not here or does not start is said."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxyguard.tools.range.peers.fronts import CONFIG, FRONTS, FrontPeer, PeerUnavailable, running
from proxyguard.tools.range.site_server import LOOPBACK
from tests.end_to_end.processes import wait_until

pytestmark = pytest.mark.long

NGINX, HAPROXY, MODSECURITY = FRONTS
HAS_NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None


def test_every_configuration_says_where_it_is_from_and_stays_on_loopback() -> None:
    named = {name for peer in FRONTS for name in peer.config} | {"jails.conf", "pages.conf", "sign-ups.conf", "crowdsec.yaml"}
    assert {path.name for path in CONFIG.iterdir()} == named
    for path in CONFIG.iterdir():
        text = path.read_text()
        assert text.startswith("# "), path
        addresses = re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text)
        assert set(addresses) <= {LOOPBACK}, path


def test_a_peer_that_is_not_here_is_named_with_its_package() -> None:
    missing = FrontPeer(name="x", about="a test", program="no-such-server", arguments=(), package="no-such-package")
    with (
        pytest.raises(PeerUnavailable, match="x: no-such-server is not here; Debian has it in no-such-package"),
        running(missing, 1),
    ):
        pass


def test_a_peer_that_does_not_listen_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    broken = FrontPeer(name="x", about="a test", program="sh", arguments=("-c", "echo out of luck; exit 3"))
    with pytest.raises(PeerUnavailable, match="x: sh does not listen: out of luck"), running(broken, 1):
        pass


@pytest.mark.skipif(not HAS_NGINX, reason="nginx is not installed; .ci/run installs it")
def test_nginx_is_started_measured_and_ended() -> None:
    with running(NGINX, 1) as (port, usage), socket.create_connection((LOOPBACK, port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: GPTBot/1.3\r\nConnection: close\r\n\r\n")
        assert b" 403 " in connection.makefile("rb").readline()
    assert 1_000_000 < usage.memory_bytes < 200_000_000
    assert usage.cpu_seconds > 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), 5)


def test_an_interrupt_while_a_peer_is_made_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background, as in CI, ignores it
    try:
        with pytest.raises(KeyboardInterrupt), running(FrontPeer(name="it", about="", program="sleep", arguments=("60",)), 1):
            pass
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert [process.returncode for process in made] == [-signal.SIGTERM]


@pytest.mark.skipif(not HAS_NGINX, reason="nginx is not installed; .ci/run installs it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_ends_its_peer(tmp_path: Path, number: signal.Signals) -> None:
    told = ("env", f"--default-signal={number.name[3:]}")  # a shell has what it runs in the background ignore SIGINT
    command = [*told, sys.executable, "-m", "proxyguard", "range", "--scenario", "peers", "--cohort", "feeds"]
    run = subprocess.Popen(
        [*command, "--peer", "nginx", "--for", "5m"], env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE
    )

    def pids() -> list[str]:
        return [path.read_text() for path in tmp_path.glob("proxyguard-peer-*/nginx.pid")]

    wait_until(lambda: any(pids()), "nginx is there")
    [pid] = map(int, pids())
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (130, b"interrupted: nothing was written\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []
