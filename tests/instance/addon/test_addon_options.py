"""The addon's options as mitmproxy sets them: what is right is opened, what is wrong changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from mitmproxy.exceptions import OptionsError
from mitmproxy.test import taddons

from proxyguard.adapters.mitmproxy_addon.public import set_options
from proxyguard.instance.addon.addon_instance import open_instance
from proxyguard.instance.addon.addon_options import MITMPROXY_OPTIONS, ProxyguardAddon
from proxyguard.instance.loaded_rules import RulesRejected

GOOD = "name: one\nrules:\n  - name: no-curl\n    when: {user_agent: {word: curl}}\n    action: reject\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.yaml").write_text(GOOD)
    return folder


def with_addon(scenario: Callable[[ProxyguardAddon, taddons.context], None]) -> None:
    async def run() -> None:
        addon = ProxyguardAddon()
        with taddons.context(loadcore=False) as context:  # type: ignore[no-untyped-call]  # mitmproxy's
            for name, value in MITMPROXY_OPTIONS.items():
                context.options.add_option(name, type(value), value, "")
            context.master.addons.add(addon)
            scenario(addon, context)
            await asyncio.sleep(0)

    asyncio.run(run())


def test_rules_are_opened_and_others_take_their_place(rules: Path, tmp_path: Path) -> None:
    def scenario(addon: ProxyguardAddon, context: taddons.context) -> None:
        set_options(proxyguard_rules=str(rules))
        first = addon.hooks.services
        assert first is not None
        assert {name: getattr(context.options, name) for name in MITMPROXY_OPTIONS} == MITMPROXY_OPTIONS
        other = tmp_path / "other"
        other.mkdir()
        (other / "two.yaml").write_text(GOOD.replace("one", "two"))
        set_options(proxyguard_rules=str(other))
        assert addon.hooks.services not in (None, first)

    with_addon(scenario)


def test_wrong_rules_change_nothing_when_others_are_in_force(rules: Path, tmp_path: Path) -> None:
    def scenario(addon: ProxyguardAddon, context: taddons.context) -> None:
        set_options(proxyguard_rules=str(rules))
        services = addon.hooks.services
        with pytest.raises(OptionsError, match=r"refused, and what was in force stays:\n.*the rules directory does not exist"):
            set_options(proxyguard_rules=str(tmp_path / "nowhere"))
        assert addon.hooks.services is services

    with_addon(scenario)


def test_settings_and_rules_that_are_wrong_are_reported_together(rules: Path, tmp_path: Path) -> None:
    config = tmp_path / "proxyguard.yaml"
    config.write_text("failure_mode: ajar\n")
    (rules / "one.yaml").write_text(GOOD.replace("reject", "rejekt"))
    with pytest.raises(RulesRejected) as caught:
        open_instance(str(rules), str(config))
    assert [problem.line for problem in caught.value.problems] == [1, 5]
