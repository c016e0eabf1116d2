"""Settings that are read again while an instance runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from proxyguard.core.decision import Mode
from proxyguard.core.settings import Settings
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.instance.reloader import Reloader
from proxyguard.instance.settings_reloader import SettingsReloader
from proxyguard.telemetry.metrics import Metrics

BEFORE = replace(Settings(), mode=Mode.SHADOW)
AFTER = replace(Settings(), mode=Mode.ENFORCE)


def test_settings_that_found_the_disk_full_are_put_in_force_by_the_next_reload(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: r\nrules: [{name: no-curl, when: {user_agent: {word: curl}}, action: reject}]\n")
    full = [True]

    async def install(_parts: list[bytes]) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")

    async def apply(_settings: Settings) -> None:
        pass

    async def story() -> None:
        policy = PolicyTransfer.of(load_tested(tmp_path), Mode.SHADOW)
        reloader = Reloader(tmp_path, Mode.SHADOW, policy, install, Metrics())
        settings = SettingsReloader(BEFORE, lambda: AFTER, apply, reloader)
        with pytest.raises(OSError, match="No space left"):
            await settings.reload()
        assert (settings.current, reloader.current.modes) == (BEFORE, {"no-curl": Mode.SHADOW})
        full[0] = False
        assert (await settings.reload())["applied"] == ["mode"]
        assert (settings.current, reloader.current.modes) == (AFTER, {"no-curl": Mode.ENFORCE})

    asyncio.run(story())
