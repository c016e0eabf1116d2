"""The reference names every setting with its variable, what it takes and its default, and its examples are true."""

import re
from pathlib import Path

import pytest

from proxyguard.durations import duration_text, size_text
from proxyguard.settings import Settings
from proxyguard.settings_file import read_settings
from proxyguard.settings_table import OTHER_VARIABLES, SETTINGS, Setting
from proxyguard.settings_values import CERTIFICATE_KEYS, SITE_KEYS, UPSTREAM_TLS_KEYS

REFERENCE = (Path(__file__).parent.parent / "docs" / "reference" / "settings.md").read_text()
NOTHING = {"bounds.body_size": "unlimited", "recycle.age": "never", "recycle.memory": "never"}


def default_text(setting: Setting) -> str:
    """The default as one would write it."""
    if setting.path == "upstream_tls.verify":
        return "true"
    if not setting.attribute:
        return "none"
    value: object = Settings()
    for name in setting.attribute.split("."):
        value = getattr(value, name)
    if value is None or value == ():
        return NOTHING.get(setting.path, "none")
    if isinstance(value, bool):
        return str(value).lower()
    if setting.attribute.endswith("_seconds") and isinstance(value, float):
        return duration_text(value)
    if "size" in setting.takes and isinstance(value, int):
        return size_text(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_every_setting_has_its_line(setting: Setting) -> None:
    variable = f"`{setting.variable}`" if setting.from_environment else "—"
    line = f"| `{setting.path}` | {variable} | {setting.takes} | {default_text(setting)} | {setting.about} |\n"
    assert line in REFERENCE


def test_every_line_is_a_setting() -> None:
    lines = re.findall(r"^\| `([a-z0-9_.]+)` \| (?:`PROXYGUARD_|—)", REFERENCE, re.MULTILINE)
    assert lines == [setting.path for setting in SETTINGS]


@pytest.mark.parametrize("name", [*OTHER_VARIABLES, *SITE_KEYS])
def test_everything_else_is_named(name: str) -> None:
    assert f"| `{name}` |" in REFERENCE


@pytest.mark.parametrize("name", [*CERTIFICATE_KEYS, *UPSTREAM_TLS_KEYS])
def test_the_parts_of_a_site_are_named(name: str) -> None:
    assert re.search(rf"`\{{[^`]*\b{name}: ", REFERENCE)


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL))
def test_an_example_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "proxyguard.yaml").write_text(text)
    assert isinstance(read_settings(tmp_path / "proxyguard.yaml", {}), Settings)
