"""How the open files of a worker are shared out."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.adapters.mitmproxy.capacity import SPARE_FILES, Capacity, capacity_of, files_wanted, note_lowered
from proxyguard.core.settings import Bounds

FEW = Capacity(
    connections=1344, connections_per_network=336, requests=1792, requests_per_network=224,
    requests_per_network_and_site=112, delayed=448, delayed_per_network=22, upstream_connections=448, queue=128,
)  # fmt: skip


def test_with_files_enough_the_settings_hold() -> None:
    bounds = Bounds()
    room = capacity_of(bounds, files_wanted(bounds), 1)
    assert (room.connections, room.connections_per_network, room.requests) == (20_000, 2_000, 40_000)
    assert (room.upstream_connections, room.requests_per_network, room.queue) == (20_000, 2_000, 128)
    assert room.requests_per_network_and_site == 2_000


def test_few_files_are_shared_out() -> None:
    assert capacity_of(Bounds(), 2048, 2) == FEW


@pytest.mark.parametrize(("bounds", "level"), [(Bounds(), logging.INFO), (Bounds(connections=20_001), logging.WARNING)])
def test_what_is_lowered_is_said_with_what_to_do(bounds: Bounds, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """The defaults are nobody's wish: that they do not fit is no warning."""
    with caplog.at_level(logging.INFO):
        note_lowered(bounds, FEW, 2048)
    [record] = caplog.records
    assert record.levelno == level
    assert record.message == (
        f"2048 open files allow bounds.connections 1344 (of {bounds.connections}), bounds.connections_per_network 336 (of 2000), "
        "bounds.requests 1792 (of 40000), bounds.requests_per_network 224 (of 2000); allow 65536 files: ulimit -n 65536 in a "
        "shell, LimitNOFILE=65536 in a systemd unit, ulimits: {nofile: 65536} in compose.yaml; or lower the bound"
    )


@given(
    files=st.integers(0, 200_000),
    connections=st.integers(1, 100_000),
    requests=st.integers(1, 100_000),
    per_network=st.integers(1, 100_000),
    queue=st.integers(0, 1000),
    sites=st.integers(0, 100),
)
def test_whatever_the_settings_the_files_last(
    files: int, connections: int, requests: int, per_network: int, queue: int, sites: int
) -> None:
    bounds = Bounds(
        connections=connections, connections_per_network=per_network, requests=requests,
        requests_per_network=per_network, upstream_queue=queue,
    )  # fmt: skip
    room = capacity_of(bounds, files, sites)
    assert room.connections + room.upstream_connections <= max(2, files - SPARE_FILES)
    assert min(room._replace(queue=1)) >= 1
    assert room.queue <= queue
    assert room.connections <= connections
    assert room.requests <= requests
    if room.upstream_connections > 1:
        assert room.requests_per_network <= room.upstream_connections // 2
    assert room.requests_per_network_and_site <= room.requests_per_network <= per_network
