"""The schema of the settings agrees with their reader: what is read is valid, what is mistaken is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from proxyguard.core.settings import Settings
from proxyguard.settings.file import read_settings
from proxyguard.settings.groups import GROUPS
from proxyguard.settings.schema import settings_schema
from proxyguard.settings.setting import Setting
from proxyguard.settings.table import SETTINGS
from tests.paths import ROOT
from tests.settings.test_file import EXAMPLES, nested
from tests.settings.test_reference import EXAMPLES as REFERENCE_EXAMPLES
from tests.test_documented_examples import SETTINGS_EXAMPLES

SCHEMA = settings_schema()
STARTER = (ROOT / "proxyguard/tools/scaffold/files/proxyguard.yaml").read_text()


def faults(text: str) -> list[str]:
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(yaml.safe_load(text))
    return [f"{error.json_path}: {error.message}" for error in found]


def found_in(path: str) -> dict[str, Any]:
    """The part of the schema that is about a setting."""
    part: dict[str, Any] = SCHEMA
    for name in path.split("."):
        part = part["properties"][name]
    return part


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("path", "text"), [(path, pair[0]) for path, pair in EXAMPLES.items()], ids=EXAMPLES)
def test_what_the_reader_takes_is_valid(path: str, text: str) -> None:
    assert faults(nested(path, text)) == []


WHOLE = [STARTER, *REFERENCE_EXAMPLES, *(example.text for example in SETTINGS_EXAMPLES), "# nothing but comments"]


@pytest.mark.parametrize("text", WHOLE, ids=range(len(WHOLE)))
def test_a_whole_file_is_valid(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_a_setting_explains_itself_and_its_default_is_valid(setting: Setting) -> None:
    part = found_in(setting.path)
    assert part["description"] == setting.about
    if "default" in part:
        jsonschema.Draft7Validator(part).validate(part["default"])


def test_every_group_explains_itself() -> None:
    groups = {path[: path.rindex(".")] for path in (setting.path for setting in SETTINGS) if "." in path}
    assert {group: found_in(group)["description"] for group in groups} == GROUPS


MISTAKES = {
    "unknown setting": "listn: 127.0.0.1:8080",
    "unknown setting of a group": "bounds: {head_timout: 5s}",
    "empty group": "bounds: {}",
    "port alone": "listen: 8080",
    "duration without a unit": "drain_timeout: 30",
    "duration with an unknown unit": "drain_timeout: 30sec",
    "duration that cannot be switched off": "drain_timeout: never",
    "size with a decimal unit": "bounds: {head_size: 64KB}",
    "size below the bound": "bounds: {head_size: 10}",
    "number above the bound": "workers: 257",
    "word that is none of the choices": "mode: monitor",
    "upstream without a scheme": "upstream: 127.0.0.1:9000",
    "upstream with a path": "upstream: http://127.0.0.1:9000/app",
    "site without hosts": "sites: [{upstream: 'http://127.0.0.1:9000'}]",
    "unknown key of a site": "sites: [{hosts: a.example, upstreams: 'http://127.0.0.1:9000', upstream: 'http://127.0.0.1:9000'}]",
    "certificate without a key": "sites: [{hosts: a.example, upstream: 'http://127.0.0.1:9000', certificate: {chain: x.pem}}]",
    "name that is not kebab-case": "store: {name: My Shop}",
    "store of another kind": "store: {url: 'http://127.0.0.1:6379'}",
    "short secret": "key_secret: abc",
    "share of more than all": "audit: {passes: 2}",
}


@pytest.mark.parametrize("text", MISTAKES.values(), ids=MISTAKES)
def test_an_editor_marks_what_the_reader_refuses(text: str, tmp_path: Path) -> None:
    assert faults(text) != []
    (tmp_path / "proxyguard.yaml").write_text(text)
    assert not isinstance(read_settings(tmp_path / "proxyguard.yaml", {}), Settings)
