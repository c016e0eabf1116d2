"""One setting: its name in the file, its variable, where it goes in `Settings`, how it is read, what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxyguard.core.privacy import PRESETS, PrivacyPreset
from proxyguard.core.settings import Settings
from proxyguard.core.units import duration_text, size_text
from proxyguard.core.yaml.kinds import Kind

PREFIX: Final = "PROXYGUARD_"

_SITE_DEFAULTS: Final = {"upstream_tls.verify": "true", "upstream_reuse": "safe", "upstream_http": "1.1"}
"""Defaults of settings that describe the only site, and so have no place of their own in Settings."""


BY_PRESET: Final = "by preset"

_BY_PRESET: Final = frozenset(f"privacy.{name}" for name in PRESETS[PrivacyPreset.STANDARD])
"""Attributes whose default is what the preset says."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `attribute` is its dotted place in Settings; empty when several settings make one value.

    `reload`: a running instance takes it over when it is reloaded; otherwise it needs a restart.
    """

    path: str
    attribute: str
    kind: Kind
    about: str
    from_environment: bool = True
    reload: bool = False

    @property
    def variable(self) -> str:
        """The environment variable, `PROXYGUARD_BOUNDS_HEAD_TIMEOUT` for `bounds.head_timeout`."""
        return PREFIX + self.path.replace(".", "_").upper()

    @property
    def reload_text(self) -> str:
        """Whether a reload takes it over, in the reference: of sites their `rule_sets` and `paths` are."""
        return "in part" if self.path == "sites" else "yes" if self.reload else "no"

    @property
    def default(self) -> str:
        """The default as one would write it; empty when there is none."""
        if self.path in _SITE_DEFAULTS:
            return _SITE_DEFAULTS[self.path]
        if not self.attribute:
            return ""
        if self.attribute in _BY_PRESET:
            return BY_PRESET
        value: object = Settings()
        for name in self.attribute.split("."):
            value = getattr(value, name)
        match value:
            case None:
                return self.kind.off
            case tuple():
                return ", ".join(map(str, value))
            case bool():
                return str(value).lower()
            case float() if self.attribute.endswith("_seconds"):
                return duration_text(value)
            case float():
                return f"{value:g}"
            case int() if "size" in self.kind.takes:
                return size_text(value)
            case _:
                return str(value)
