"""What the end-to-end tests share: one nginx with the sample site behind it, and proxyguard in front with the bundled rules."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.nginx import nginx
from tests.end_to_end.processes import Proxyguard, Running, proxyguard, sample_site

LONGEST = (
    "test_reload", "test_at_3_am", "test_settings_reload", "test_chaos_process", "test_agreement", "test_switch", "test_bodies",
    "test_restrictions", "test_robots", "test_clock_steps", "test_programs", "test_clients", "test_mitmproxy_addon_differential",
)  # fmt: skip
"""Files that take longest: begun first, so that no core waits for the last one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by how long they take. Those of other folders stay where they are."""
    places = {name: place for place, name in enumerate(LONGEST)}
    if all(item.path.parent == Path(__file__).parent for item in items):
        items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the last of what the programs of the test said."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Running):
                report.sections.append((f"what {name} said", value.said()[-4000:]))
    return report


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
