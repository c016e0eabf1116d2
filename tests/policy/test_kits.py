"""Kits for kinds of sites: each loads beside the bundled rules under every preset, is tested, and leaves people alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.address import Address
from proxyguard.core.decision import Decision
from proxyguard.core.preset import RulesPreset
from proxyguard.core.request import Request
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.bundled import bundled_file, kit_names
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.testing.runner import run_tests, self_test

pytestmark = pytest.mark.long

KITS = kit_names()
BROWSER = (
    (b"Host", b"example.org"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
    (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"Accept-Language", b"de,en-US;q=0.7,en;q=0.3"),
    (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    (b"Sec-Fetch-Dest", b"document"),
    (b"Sec-Fetch-Mode", b"navigate"),
    (b"Sec-Fetch-Site", b"same-origin"),
    (b"Upgrade-Insecure-Requests", b"1"),
)
VISITS = {
    "kits/forge": (b"/ada/engine", b"/ada/engine/blame/branch/main/a.py", b"/ada/engine/commits/branch/main", b"/user/sign_up"),
    "kits/wiki": (b"/wiki/Engine", b"/index.php?title=Engine&action=history", b"/wiki/Special:RecentChanges"),
    "kits/forum": (b"/t/engine/17", b"/search?q=engine", b"/u/ada/activity", b"/viewtopic.php?t=17"),
    "kits/shop": (b"/product/engine/", b"/shop/?orderby=price", b"/?add-to-cart=17", b"/cart"),
    "kits/social": (b"/@ada", b"/@ada/followers", b"/tags/engines", b"/api/v1/timelines/public"),
    "kits/static": (b"/blog/engine/", b"/media/lecture.mp4"),
    "kits/api": (b"/api/v1/engines/17", b"/v1/engines?page=2"),
}
"""What people read on such a site, costly pages among it."""


def loaded(folder: Path, names: tuple[str, ...], preset: RulesPreset) -> Policy:
    (folder / "10-all.yaml").write_text(f"import: [{', '.join(f'bundled/{name}' for name in names)}, bundled]\n")
    found = load_policy(folder, preset=preset)
    assert found.problems == ()
    assert found.policy is not None
    return found.policy


def decision(policy: CompiledPolicy, store: MemoryStore, request: Request, now: float) -> Decision:
    found = match(policy, request, now)
    return found.decision or decide(found, store.charge(found.charges, found.ban_keys, now)).decision


def test_there_are_kits() -> None:
    assert set(KITS) == set(VISITS)
    assert all(bundled_file(name).is_file() for name in KITS)


@pytest.mark.parametrize(
    ("name", "preset"), [*((name, RulesPreset.STANDARD) for name in KITS), *(("", preset) for preset in RulesPreset)]
)
def test_a_kit_loads_beside_the_bundled_rules_and_its_tests_hold(name: str, preset: RulesPreset, tmp_path: Path) -> None:
    assert not run_tests(loaded(tmp_path, (name,) if name else KITS, preset))


@pytest.mark.parametrize("name", KITS)
def test_every_rule_of_a_kit_says_why_and_applies_in_some_test(name: str, tmp_path: Path) -> None:
    (tmp_path / "10-kit.yaml").write_text(f"import: bundled/{name}\n")
    policy = load_policy(tmp_path).policy
    assert policy is not None
    assert [rule.name for rule_set in policy.rule_sets for rule in rule_set.rules if not rule.why] == []
    assert self_test(policy).untouched == ()


@pytest.mark.parametrize("preset", list(RulesPreset))
@pytest.mark.parametrize("name", KITS)
def test_a_person_on_such_a_site_is_never_stopped(name: str, preset: RulesPreset, tmp_path: Path) -> None:
    """A page every four seconds for ten minutes, costly ones among them, from an address of their own and without a jar."""
    policy = compile_policy(loaded(tmp_path, (name,), preset), secret=b"test")
    store = MemoryStore(keys=10_000, bans=100)
    client = Address.parse("192.0.2.1")
    stopped = []
    for number in range(150):
        target = VISITS[name][number % len(VISITS[name])]
        request = Request(client, b"GET", b"https", b"example.org", target, BROWSER, b"2")
        found = decision(policy, store, request, 1_800_000_000.0 + 4.0 * number)
        if not found.forwards and found.name != "prove":
            stopped.append((target, found.rule))
    assert stopped == []


def test_a_kit_is_imported_only_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "10-all.yaml").write_text("import: bundled\n")
    policy = load_policy(tmp_path).policy
    assert policy is not None
    assert not any(rule_set.name.startswith("kit-") for rule_set in policy.rule_sets)
    (tmp_path / "10-all.yaml").write_text("import: bundled/kits/forg\n")
    found = load_policy(tmp_path)
    assert "bundled/kits/forge" in str(found.problems[0])
