"""What the end-to-end tests share: one nginx with the sample site behind it, and proxyguard in front with the bundled rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.nginx import nginx
from tests.end_to_end.processes import Proxyguard, proxyguard, sample_site


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx, with the sample site behind it."""
    folder = tmp_path_factory.mktemp("upstream")
    with sample_site(folder) as site, nginx(folder, site) as url:
        yield url


@pytest.fixture(scope="module", params=["", "http/1.1", "h2"], ids=["plain", "TLS", "TLS with HTTP 2"])
def guard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Proxyguard]:
    """proxyguard with the bundled rules, a new one for each test module, so that counters of one do not reach another."""
    with proxyguard(tmp_path_factory.mktemp("guard"), upstream, alpn=request.param) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the files of a client."""
    return tmp_path
