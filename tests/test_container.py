"""Dockerfile and compose.yaml agree with each other, the settings and the tree; compose.yaml with the Compose Specification."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from proxyguard.cli import main as proxyguard_command
from proxyguard.core.settings import Settings
from proxyguard.core.units import parse_duration
from proxyguard.instance.control.socket_file import control_path
from proxyguard.settings.file import read_settings
from proxyguard.tools.sample_site.__main__ import main as sample_site_command
from tests.paths import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
GUARD, SITE = COMPOSE["services"]["proxyguard"], COMPOSE["services"]["site"]

OBSERVERS = ("prometheus", "grafana")
"""Services of the profile `observe`."""

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT, "uniqueItems": True}
SERVICE: dict[str, Any] = {
    "build": TEXT,
    "cap_drop": TEXTS,
    "command": {"type": "array", "items": TEXT},
    "depends_on": TEXTS,
    "environment": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
    "healthcheck": {"type": "object", "properties": {"disable": {"type": "boolean"}}, "additionalProperties": False},
    "image": TEXT,
    "profiles": TEXTS,
    "ports": {"type": "array", "items": {"type": "string", "pattern": r"^([0-9.]+:)?\d+:\d+$"}},
    "read_only": {"type": "boolean"},
    "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
    "security_opt": TEXTS,
    "stop_grace_period": {"type": "string", "pattern": r"^\d+(ms|s|m|h)$"},
    "tmpfs": TEXTS,
    "ulimits": {"type": "object", "additionalProperties": {"type": "integer"}},
    "volumes": {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:/[^:]+(:ro)?$"}},
}
"""The keys of a service that we write, each with the values that the specification gives it in the form that we use."""


def instructions(path: Path) -> list[tuple[str, str]]:
    """A Dockerfile's instructions and their arguments, without comments, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in whole.splitlines() if line.strip()]


DOCKERFILE = instructions(ROOT / "Dockerfile")


def last(name: str) -> str:
    """What the final image has of an instruction that counts once."""
    return [argument for instruction, argument in DOCKERFILE if instruction == name][-1]


VARIABLES = dict(shlex.split(part)[0].split("=", 1) for part in shlex.split(last("ENV")))


def container_settings() -> Settings:
    """What the container runs with under compose."""
    settings = read_settings(None, {**VARIABLES, **GUARD["environment"]})
    assert isinstance(settings, Settings)
    return settings


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_every_key_of_compose_is_one_of_the_specification(service: dict[str, Any]) -> None:
    jsonschema.validate(service, {"type": "object", "properties": SERVICE, "additionalProperties": False})
    assert list(COMPOSE) == ["services", "volumes"]
    assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])


def test_both_stages_have_one_base_that_a_build_argument_can_pin() -> None:
    assert DOCKERFILE[0] == ("ARG", "BASE=python:3.13-slim")
    assert [argument for name, argument in DOCKERFILE if name == "FROM"] == ["${BASE} AS build", "${BASE}"]
    assert '--build-arg "BASE=$base@$digest"' in (ROOT / ".github/workflows/image.yml").read_text()


def test_every_variable_of_the_image_is_a_setting() -> None:
    ours = {name: value for name, value in VARIABLES.items() if name.startswith("PROXYGUARD_")}
    assert ours == {"PROXYGUARD_RULES": "/etc/proxyguard/rules"}
    assert isinstance(read_settings(None, ours), Settings)


def test_the_published_ports_are_those_that_proxyguard_listens_on() -> None:
    settings = container_settings()
    assert GUARD["ports"] == [f"8080:{settings.listen[0].port}", f"127.0.0.1:9901:{settings.admin.port}"]
    assert (settings.listen[0].host, settings.admin.host) == ("0.0.0.0", "0.0.0.0")
    assert last("EXPOSE") == str(settings.listen[0].port)


def test_the_mounted_rules_are_those_that_proxyguard_reads() -> None:
    source, target, mode = GUARD["volumes"][0].split(":")
    assert (target, mode) == (str(container_settings().rules), "ro")
    assert ("COPY", f"rules {target}") in DOCKERFILE
    assert list((ROOT / source).glob("*.yaml"))


def test_what_is_written_is_on_the_temporary_file_system() -> None:
    assert GUARD["read_only"]
    assert GUARD["tmpfs"] == [str(control_path(container_settings()).parent.parent)] == [last("WORKDIR")]


def written_paths(settings: Settings) -> list[Path]:
    """What an instance with these settings writes and should find again."""
    assert settings.store.snapshot is not None
    assert settings.restrictions_file is not None
    assert settings.buffer_budget.directory is not None
    return [settings.store.snapshot, settings.restrictions_file, Path(settings.audit.path), settings.buffer_budget.directory]


def test_a_restart_forgets_nothing() -> None:
    volumes = dict(each.split(":", 1) for each in GUARD["volumes"][1:])
    of_others = [each.split(":")[0] for name in OBSERVERS for each in COMPOSE["services"][name]["volumes"] if each[0] not in "./"]
    assert sorted([*volumes, *of_others]) == sorted(COMPOSE["volumes"])
    folders = {Path(target) for target in volumes.values()}
    for path in written_paths(container_settings()):
        assert {path, *path.parents} & folders, f"{path} is on no volume"


def test_the_user_of_the_image_can_write_to_the_volumes() -> None:
    made = " ".join(argument for name, argument in DOCKERFILE if name == "RUN")
    [folders] = re.findall(r"install -d -o proxyguard -g proxyguard -m 0700 ([^&]+)", made)
    assert set(folders.split()) == {each.split(":")[1] for each in GUARD["volumes"][1:]}


def test_there_are_no_secrets_in_it() -> None:
    assert not [name for name in GUARD["environment"] if re.search("SECRET|PASSWORD|TOKEN", name)]
    assert container_settings().key_secret is None


def test_requests_under_way_can_finish_before_the_container_is_killed() -> None:
    assert last("STOPSIGNAL") == "SIGTERM"
    assert parse_duration(GUARD["stop_grace_period"]) >= container_settings().drain_seconds + 5


def test_the_upstream_is_the_sample_site_of_compose() -> None:
    python, dash_m, module, *arguments = SITE["command"]
    assert (python, dash_m, module) == ("python", "-m", "proxyguard.tools.sample_site")
    parsed = sample_site_command.make_context("site", list(arguments)).params
    assert parsed == {"host": "0.0.0.0", "port": 8079}
    [upstream] = container_settings().sites[0].upstreams
    assert str(upstream) == f"http://site:{parsed['port']}"
    assert SITE["image"] == GUARD["image"]


@pytest.mark.parametrize("argument", [last("CMD"), last("HEALTHCHECK").rpartition("CMD ")[2]])
def test_what_the_image_runs_are_commands_of_ours(argument: str) -> None:
    name, *words = yaml.safe_load(argument)
    assert name == "proxyguard"
    assert CliRunner().invoke(proxyguard_command, [*words, "--help"]).exit_code == 0


def test_the_image_runs_without_privileges_under_a_numeric_user() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last("USER"))  # numeric: Kubernetes' runAsNonRoot cannot tell of names
    assert (GUARD["cap_drop"], GUARD["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


def copied() -> list[str]:
    """What the Dockerfile copies from the tree."""
    arguments = [argument.split() for name, argument in DOCKERFILE if name == "COPY"]
    return [source for words in arguments if not words[0].startswith("--from") for source in words[:-1]]


@pytest.mark.parametrize("source", copied())
def test_what_the_image_copies_is_there_and_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert any(fnmatch(source, pattern) for pattern in let_in)


def test_nothing_is_let_in_that_is_not_copied() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == set(copied())


def mounted(name: str) -> dict[str, Path]:
    """The files of the tree that a service sees, by their place in its container."""
    pairs = [each.split(":") for each in COMPOSE["services"][name]["volumes"] if each.startswith("./")]
    assert all(mode == "ro" for *_, mode in pairs)
    return {target: ROOT / source for source, target, _ in pairs}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_who_watches_comes_up_only_when_asked_for_and_is_reached_from_this_machine_only() -> None:
    assert {name for name, service in COMPOSE["services"].items() if service.get("profiles") == ["observe"]} == set(OBSERVERS)
    for name in OBSERVERS:
        service = COMPOSE["services"][name]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"]), "a tag that stays"


def test_prometheus_asks_the_instance_by_a_name_that_its_admin_port_has_and_reads_our_rules() -> None:
    files = mounted("prometheus")
    config = read(files["/etc/prometheus/prometheus.yml"])
    [job] = config["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    settings = container_settings()
    assert target == f"proxyguard:{settings.admin.port}"
    assert "proxyguard" in settings.admin_hosts
    [rules] = config["rule_files"]
    assert rules == "/etc/prometheus/proxyguard/*.yml"
    assert {path.name for path in files["/etc/prometheus/proxyguard"].glob("*.yml")} == {
        "proxyguard-alerts.yml",
        "proxyguard-recording.yml",
    }
    alerts = (ROOT / "packaging/prometheus/proxyguard-alerts.yml").read_text()
    assert set(re.findall(r'job="([^"]+)"', alerts)) == {job["job_name"]}


def test_grafana_finds_its_data_source_and_the_dashboard() -> None:
    files = mounted("grafana")
    folder = files["/etc/grafana/provisioning"]
    [source] = read(folder / "datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    [provider] = read(folder / "dashboards/proxyguard.yaml")["providers"]
    dashboard = COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert str(Path(dashboard).parent) == provider["options"]["path"]
    assert files[dashboard] == ROOT / "packaging/grafana/proxyguard.json"
