"""The reference names every setting with its variable, what it takes and its default, and its examples are true."""

import re
from pathlib import Path

import pytest

from proxyguard.core.settings import Settings
from proxyguard.settings.file import read_settings
from proxyguard.settings.groups import OTHER_VARIABLES
from proxyguard.settings.kinds import CERTIFICATE, SITE, UPSTREAM_TLS
from proxyguard.settings.setting import Setting
from proxyguard.settings.table import SETTINGS
from tests.paths import DOCS

REFERENCE = (DOCS / "reference/settings.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_every_setting_has_its_line(setting: Setting) -> None:
    variable = f"`{setting.variable}`" if setting.from_environment else "—"
    columns = (variable, setting.kind.takes, setting.default or "none", setting.about, setting.reload_text)
    line = f"| `{setting.path}` | {' | '.join(columns)} |\n"
    assert line in REFERENCE


def test_every_line_is_a_setting() -> None:
    lines = re.findall(r"^\| `([a-z0-9_.]+)` \| (?:`PROXYGUARD_|—)", REFERENCE, re.MULTILINE)
    assert lines == [setting.path for setting in SETTINGS]


@pytest.mark.parametrize("name", [*OTHER_VARIABLES, *SITE.keys])
def test_everything_else_is_named(name: str) -> None:
    assert f"| `{name}` |" in REFERENCE


@pytest.mark.parametrize("name", [*CERTIFICATE.keys, *UPSTREAM_TLS.keys])
def test_the_parts_of_a_site_are_named(name: str) -> None:
    assert re.search(rf"`\{{[^`]*\b{name}: ", REFERENCE)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "proxyguard.yaml").write_text(text)
    assert isinstance(read_settings(tmp_path / "proxyguard.yaml", {}), Settings)
