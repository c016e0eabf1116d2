"""Peers that read logs: what a jail makes of failures, what a ban does, and fail2ban's own filters over the range's log."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proxyguard.core.address import Address
from proxyguard.core.request import Request
from proxyguard.tools.range.adversaries.naive_scripts import NAIVE_SCRIPTS
from proxyguard.tools.range.adversaries.sign_up_floods import SIGN_UP_FLOOD
from proxyguard.tools.range.cohorts.desktop import DESKTOP
from proxyguard.tools.range.firewall import EPOCH
from proxyguard.tools.range.peers.bans import BanList, LogBan
from proxyguard.tools.range.peers.fronts import PeerUnavailable
from proxyguard.tools.range.peers.log_readers import LOG_READERS, banned_by, jail_bans, log_line
from proxyguard.tools.range.run import run_scenario
from proxyguard.tools.range.values import Draw, Fetch, Presence
from proxyguard.tools.replay.detect import Stated
from proxyguard.tools.replay.log_files import Journal, LogFile
from tests.tools.range.small import NINE, scenario

FAIL2BAN, CROWDSEC = LOG_READERS


def request(address: str) -> Request:
    return Request(Address.parse(address), b"GET", b"https", b"range.example", b"/", (), b"1.1")


def test_a_jail_bans_at_the_failure_that_is_one_too_many_and_counts_nothing_meanwhile() -> None:
    failures = [("a", at) for at in (0.0, 5.0, 12.0, 13.0, 14.0, 40.0, 80.0, 81.0, 82.0)] + [("b", 14.0)]
    bans = list(jail_bans("j", sorted(failures, key=lambda each: each[1]), 3, 10.0, 30.0))
    assert bans == [LogBan("a", 13.0, 43.0, "fail2ban/j"), LogBan("a", 82.0, 112.0, "fail2ban/j")]


def test_a_ban_refuses_without_an_answer_from_its_moment_to_its_end() -> None:
    bans = BanList(
        [LogBan("127.64.0.1", 10.0, 20.0, "x"), LogBan("127.64.0.1", 12.0, 30.0, "y"), LogBan("127.64.0.1", 25.0, 26.0, "z")]
    )
    assert bans.count == 2
    said = [
        (bans.check(request("127.64.0.1"), at).forwards, bans.check(request("127.64.0.1"), at).rule)
        for at in (9, 10, 19, 20, 25, 26)
    ]
    assert said == [(True, ""), (False, "x"), (False, "x"), (True, ""), (False, "z"), (True, "")]
    assert bans.check(request("127.64.0.2"), 15.0).forwards


def test_the_log_that_peers_read_is_one_that_replay_reads_too(tmp_path: Path) -> None:
    fetch: Fetch = next(next(NAIVE_SCRIPTS.arrivals(Presence(0.0, 60.0), Draw(1, "x"))).session)
    log = tmp_path / "access.log"
    log.write_bytes(log_line(fetch, 90.0) * 3)
    [first, *_] = LogFile(str(log), Stated("combined")).entries(Journal(), None)
    assert (first.time, first.client.decode()) == (EPOCH + 90, fetch.source.address.text)
    assert (first.method, first.target) == (fetch.method, fetch.target)


def test_a_peer_that_is_not_here_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for peer in LOG_READERS:
        with pytest.raises(PeerUnavailable, match="Debian has it in"):
            banned_by(peer, scenario(NAIVE_SCRIPTS, end=NINE + 5), 1)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed; make peers needs it, CI does not")
def test_fail2ban_bans_a_flood_and_no_reader() -> None:
    small = scenario(SIGN_UP_FLOOD, DESKTOP, end=NINE + 240)
    flood, people = run_scenario(small, 1, banned_by(FAIL2BAN, small, 1), "fail2ban").cohorts
    assert flood.leak is not None
    assert flood.leak < 0.5
    assert flood.refused_requests > 50
    assert people.refused_sessions == 0


@pytest.mark.long
@pytest.mark.skipif(shutil.which("crowdsec") is None, reason="CrowdSec is not installed; make peers needs it, CI does not")
def test_crowdsec_bans_scripts_and_no_reader() -> None:
    small = scenario(NAIVE_SCRIPTS, DESKTOP, size=0.05, end=NINE + 60)
    scripts, people = run_scenario(small, 1, banned_by(CROWDSEC, small, 1), "crowdsec").cohorts
    assert scripts.leak is not None
    assert scripts.leak < 0.9
    assert scripts.refused_requests > 50
    assert people.refused_sessions == 0
