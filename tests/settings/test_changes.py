"""Which changed settings are taken over by a running instance, and which need a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.decision import Mode
from proxyguard.core.reading import PRESETS
from proxyguard.core.settings import Bounds, Settings, Site, StoreChoice, Upstream
from proxyguard.settings.changes import Changes, changes, part, with_part
from proxyguard.settings.setting import Setting
from proxyguard.settings.table import SETTINGS

SITE = Site(hosts=("a.example",), upstreams=(Upstream("http", "127.0.0.1", 1),))


def other(value: Any) -> Any:
    """Another value than this one."""
    return not value if isinstance(value, bool) else object()


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.attribute and s.attribute != "sites"], ids=lambda s: s.path)
def test_a_changed_setting_is_taken_over_or_named(setting: Setting) -> None:
    before = Settings()
    now = with_part(before, setting.attribute, other(part(before, setting.attribute)))
    found = changes(before, now)
    assert setting.path in (found.applied if setting.reload else found.restart) or setting.path == "key_secret_file"
    assert (found.settings == now) is setting.reload
    assert (found.settings == before) is not setting.reload


def test_nothing_changed() -> None:
    settings = Settings(sites=(SITE,))
    assert changes(settings, replace(settings)) == Changes(settings, (), ())


def test_some_are_taken_over_while_others_wait() -> None:
    before = Settings()
    now = replace(before, mode=Mode.SHADOW, bounds=Bounds(body_bytes=5, connections=9), store=StoreChoice(snapshot=Path("x")))
    assert changes(before, now) == Changes(
        replace(before, mode=Mode.SHADOW, bounds=Bounds(body_bytes=5)),
        ("mode", "bounds.body_size"),
        ("bounds.connections", "store.snapshot"),
    )


def test_of_sites_the_rules_they_have_and_how_they_read_paths_are_taken_over() -> None:
    before = Settings(sites=(SITE,))
    moved = replace(SITE, rule_sets=("a",), paths=PRESETS["php"], upstreams=(Upstream("http", "127.0.0.1", 2),))
    found = changes(before, replace(before, sites=(moved,)))
    assert found.settings.sites == (replace(moved, upstreams=SITE.upstreams),)
    assert (found.applied, found.restart) == (("sites: rule_sets", "sites: paths"), ("sites: upstream",))


@pytest.mark.parametrize("sites", [(), (SITE, replace(SITE, hosts=("b.example",))), (replace(SITE, hosts=("b.example",)),)])
def test_a_site_more_or_less_needs_a_restart(sites: tuple[Site, ...]) -> None:
    before = Settings(sites=(SITE,))
    assert changes(before, replace(before, sites=sites)) == Changes(before, (), ("sites",))


def test_the_only_site_is_told_by_the_names_of_its_settings() -> None:
    before = Settings(sites=(replace(SITE, hosts=("*",)),))
    now = replace(before, sites=(replace(SITE, hosts=("*",), upstreams=()),))
    assert changes(before, now).restart == ("upstream",)
