"""The clock on the wall is set while proxyguard runs: what runs goes on as before, over a restart too.

libfaketime gives the wall; the system's time since boot stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import Proxyguard, proxyguard, sample_site, told, wait_until

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed")

RULES = """\
name: clock
rules:
  - {name: requests, why: x, when: {path: {prefix: /requests}}, limit: {rate: 10/hour, per: [client]}, action: reject}
  - {name: few, why: x, when: {path: {prefix: /few}}, limit: {rate: 20/minute, per: [client]}, action: reject}
  - name: bytes
    why: x
    when: {path: {prefix: /bytes}}
    limit: {rate: 1MiB/hour, count: bytes, per: [client]}
    action: reject
  - name: paths
    why: x
    when: {path: {prefix: /paths}}
    limit: {rate: 10/hour, count: {distinct: path}, per: [client]}
    action: reject
  - {name: ban-me, why: x, when: {path: {prefix: /ban}}, limit: {rate: 1/hour, per: [cookie.who]}, action: {ban: {for: 1h}}}
restrictions:
  - {name: fewer, why: x, when: {path: {prefix: /fewer}}, classes: {anonymous: 5/hour}, standby: true, until: 2099-01-01T00:00Z}
"""

STEPS = ["-130", "+130", "-2h", "+2h"]


class Wall:
    """The clock on the wall of one process and its children."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    def set(self, step: str) -> None:
        self._file.write_text(step)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sample_site(tmp_path_factory.mktemp("site")) as url:
        yield url


def statuses(guard: Proxyguard, path: str, count: int, who: str = "") -> list[int]:
    headers = {"Cookie": f"who={who}"} if who else {}
    return [guard.get(path, headers=headers).status_code for _ in range(count)]


def refused(guard: Proxyguard, path: str, count: int, who: str = "") -> int:
    """How many of so many requests are refused."""
    return sum(status in (403, 429) for status in statuses(guard, path, count, who))


def was_set(guard: Proxyguard) -> bool:
    return "the clock was set" in guard.said()


@pytest.mark.parametrize(("step", "workers"), [*((step, 1) for step in STEPS), ("-2h", 2)])
def test_what_runs_does_not_move(tmp_path: Path, site: str, step: str, workers: int) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "clock.yaml").write_text(RULES)
    wall = Wall(tmp_path)
    settings = f"control: {tmp_path / 'control.sock'}\nstore: {{snapshot: {tmp_path / 'state'}, timeout: 2s}}\n"
    settings += f"key_secret: 0123456789abcdef0123\nrestrictions: {{file: {tmp_path / 'orders'}}}\n"
    settings += f"workers: {workers}\n"
    with proxyguard(tmp_path / "a", site, rules=rules, settings=settings, environment=wall.environment) as guard:
        assert refused(guard, "/requests", 4) == 0
        assert refused(guard, "/few", 4) == 0
        assert refused(guard, "/bytes", 2) == 0
        assert [refused(guard, f"/paths/{number}", 1) for number in range(4)] == [0, 0, 0, 0]
        wait_until(lambda: refused(guard, "/ban", 3, "banned") == 3, "every worker knows of the ban")
        assert told(tmp_path, "restrict", "start", "fewer", "--until", "1h")["on"]
        told(tmp_path, "bans", "add", "192.0.2.9", "--for", "30m")
        assert refused(guard, "/fewer", 2) == 0
        before = time.monotonic()

        wall.set(step)
        wait_until(lambda: was_set(guard), "the step is noticed")
        assert "the store is down" not in guard.said()
        assert refused(guard, "/few", 10) == 0
        assert refused(guard, "/bytes", 2) == 0
        assert refused(guard, "/requests", 8) == 2
        assert [refused(guard, f"/paths/{number}", 1) for number in range(4, 12)] == [0] * 6 + [1] * 2
        assert refused(guard, "/ban", 1, "banned") == 1
        assert refused(guard, "/fewer", 5) == 2
        held(tmp_path, before, wall_is_off(step))

    with proxyguard(tmp_path / "b", site, rules=rules, settings=settings, environment=wall.environment) as guard:
        assert refused(guard, "/requests", 2) == 2
        assert refused(guard, "/ban", 1, "banned") == 1
        wait_until(lambda: told(tmp_path, "restrict", "list")["restrictions"][0]["on"], "the restriction is on")
        held(tmp_path, before, wall_is_off(step))


def wall_is_off(step: str) -> float:
    """Seconds by which the wall is ahead."""
    return float(step.removesuffix("h")) * (3600.0 if step.endswith("h") else 1.0)


def held(folder: Path, before: float, off: float) -> None:
    """Bans and the restriction end when they were to, as the clock on the wall now shows it."""
    now = time.time() + off - (time.monotonic() - before)
    bans = {ban["rule"]: ban["until"] - now for ban in told(folder, "bans", "list")["bans"]}
    assert bans == {"ban-me": pytest.approx(3600, abs=20), "operator": pytest.approx(1800, abs=20)}
    [restriction] = told(folder, "restrict", "list")["restrictions"]
    assert restriction["ends"] - now == pytest.approx(3600, abs=20)
