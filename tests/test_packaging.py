"""What lies in packaging/ is read as systemd, man, logrotate and Prometheus do, and names what there is."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from proxyguard.cli import COMMANDS, main
from proxyguard.core.address import Prefixes
from proxyguard.core.decision import STOPPING
from proxyguard.core.origin_settings import Identity, OriginTables
from proxyguard.core.settings import Settings, StoreChoice
from proxyguard.core.units import parse_duration
from proxyguard.guard.origin.origins import Origins
from proxyguard.guard.robots.contracts import RobotsContracts
from proxyguard.instance.assembly import GAUGES_OF_FRONT
from proxyguard.instance.control.socket_file import SYSTEM_FOLDER
from proxyguard.limits.stores.open import MemoryBackend, ValkeyBackend
from proxyguard.settings.file import read_settings
from proxyguard.telemetry.metrics import Metrics
from tests.paths import ROOT

PACKAGING: Final = ROOT / "packaging"
RULES: Final = sorted((PACKAGING / "prometheus").glob("*.yml"))
DASHBOARD: Final[dict[str, Any]] = json.loads((PACKAGING / "grafana/proxyguard.json").read_text())
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

MOST_EXPOSED: Final = 2.5
"""What `systemd-analyze security` may say of the unit; 10 is a program without bounds. Ours has 1.9: the network is its work."""


class _Unit(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit() -> _Unit:
    """The unit; of settings that stand twice the last."""
    parsed = _Unit(strict=False)
    parsed.read(PACKAGING / "proxyguard.service")
    return parsed


SERVICE: Final = dict(unit()["Service"])


def packaged_settings(tmp_path: Path) -> Settings:
    (tmp_path / "proxyguard.yaml").write_text((PACKAGING / "proxyguard.yaml").read_text())
    settings = read_settings(tmp_path / "proxyguard.yaml", {})
    assert isinstance(settings, Settings)
    return settings


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, **options)


def tool(name: str) -> str:
    """Where a tool is; .ci/run installs those that are asked for here."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here")
    return found


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "proxyguard.service"
    copy.write_text((PACKAGING / "proxyguard.service").read_text().replace("/opt/proxyguard/bin/proxyguard", sys.executable))
    done = run(tool("systemd-analyze"), "verify", "--man=no", copy)
    ours = [line for line in done.stderr.splitlines() if "proxyguard" in line]
    assert ours == []


def test_the_unit_leaves_it_little_to_do_harm_with() -> None:
    done = run(tool("systemd-analyze"), "security", "--offline=true", "--no-pager", PACKAGING / "proxyguard.service")
    [exposed] = re.findall(r"Overall exposure level for proxyguard.service: ([0-9.]+)", done.stdout)
    assert float(exposed) <= MOST_EXPOSED


@pytest.mark.parametrize("key", ["ExecStart", "ExecReload"])
def test_the_unit_runs_commands_of_ours(key: str) -> None:
    program, *words = shlex.split(SERVICE[key])
    assert program == "/opt/proxyguard/bin/proxyguard"
    assert words[-2:] == ["--config", "/etc/proxyguard/proxyguard.yaml"]
    assert CliRunner().invoke(main, [words[0], "--help"]).exit_code == 0


def test_a_stop_leaves_time_for_the_drain(tmp_path: Path) -> None:
    assert parse_duration(SERVICE["TimeoutStopSec"]) >= packaged_settings(tmp_path).drain_seconds + 5
    assert (SERVICE["Type"], SERVICE["KillMode"]) == ("notify", "mixed")


def test_what_is_written_lies_in_folders_that_the_unit_makes(tmp_path: Path) -> None:
    settings = packaged_settings(tmp_path)
    tops = {"StateDirectory": "/var/lib", "LogsDirectory": "/var/log", "CacheDirectory": "/var/cache", "RuntimeDirectory": "/run"}
    made = {key: Path(top) / SERVICE[key] for key, top in tops.items()}
    assert made["RuntimeDirectory"] == SYSTEM_FOLDER
    assert settings.store.snapshot is not None
    assert settings.restrictions_file is not None
    assert settings.store.snapshot.parent == settings.restrictions_file.parent == made["StateDirectory"]
    assert Path(settings.audit.path).parent == made["LogsDirectory"]
    assert settings.buffer_budget.directory == made["CacheDirectory"]


def test_the_log_that_is_rotated_is_the_one_that_is_written(tmp_path: Path) -> None:
    text = (PACKAGING / "proxyguard.logrotate").read_text()
    rotated, words = re.findall(r"^(/\S+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)[0]
    assert rotated == packaged_settings(tmp_path).audit.path
    assert {"delaycompress", "nocreate", "missingok"} <= set(words.split())
    assert "copytruncate" not in words
    assert f"su {SERVICE['User']} {SERVICE['Group']}" in words


def test_logrotate_understands_it(tmp_path: Path) -> None:
    for command in (tool("logrotate"),):
        log = tmp_path / "audit.jsonl"
        log.write_text("{}\n")
        text = (PACKAGING / "proxyguard.logrotate").read_text().replace("/var/log/proxyguard/audit.jsonl", str(log))
        (tmp_path / "rotate").write_text(re.sub(r" +su .*\n", "", text))
        (tmp_path / "rotate").chmod(0o644)
        done = run(command, "--force", "--state", tmp_path / "state", tmp_path / "rotate")
        assert (done.returncode, done.stderr) == (0, "")
        assert [path.name for path in tmp_path.glob("audit*")] == ["audit.jsonl.1"]


def test_the_manual_page_is_as_the_script_writes_it() -> None:
    written = run(sys.executable, "scripts/man-page", cwd=ROOT).stdout
    assert written == (PACKAGING / "proxyguard.1").read_text(), "run: .venv/bin/python scripts/man-page > packaging/proxyguard.1"


def test_the_manual_page_has_every_command_and_nothing_that_roff_would_read() -> None:
    text = (PACKAGING / "proxyguard.1").read_text()
    assert text.isascii()
    assert {line[5:].split()[0].strip('"').replace("\\-", "-") for line in text.splitlines() if line.startswith(".SS ")} == set(
        COMMANDS
    )
    requests = {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".nf", ".fi"}


def test_man_understands_it() -> None:
    lint = run(tool("mandoc"), "-T", "lint", "-W", "error", PACKAGING / "proxyguard.1")
    assert (lint.returncode, lint.stdout) == (0, "")


def metric_names(*, of_kind: tuple[str, ...] = ()) -> set[str]:
    """The names of all metrics, without the prefix, as the code has them."""
    backends = (MemoryBackend(_with_store(snapshot=Path("/nowhere/state"))), ValkeyBackend(_with_store(url="redis://127.0.0.1")))
    names = {name for name, kind, _, _ in Metrics().snapshot() if not of_kind or kind in of_kind}
    if of_kind:
        return names
    names |= {name for backend in backends for name, _, _ in backend.gauges()} | set(GAUGES_OF_FRONT)
    origins = Origins(OriginTables(), Identity(), clock=float, wall=float)
    names |= {name for name, _, _ in (*origins.gauges(), *RobotsContracts(60.0, float, Prefixes()).gauges())}
    for path in (ROOT / "proxyguard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())) if ".gauge(" in path.read_text() else ():
            match node:
                case ast.Call(func=ast.Attribute(attr="gauge"), args=[ast.Constant(value=str(name)), *_]):
                    names.add(name)
    return names


def _with_store(**choice: Any) -> Settings:
    return Settings(store=StoreChoice(**choice))


def test_every_metric_is_documented_and_there_is_no_other() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| [^|]+ \| [^|]+ \|$", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE)
    documented = [name for row in rows for name in re.findall(r"`([a-z0-9_]+)(?:\{[a-z,]+\})?`", row)]
    assert sorted(documented) == sorted(metric_names())


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_of_prometheus_ask_for_metrics_that_there_are(path: Path) -> None:
    exported = exported_series()
    recorded = {rule["record"] for each in RULES for group in read(each) for rule in group["rules"] if "record" in rule}
    for group in read(path):
        for rule in group["rules"]:
            asked = set(re.findall(r"[a-z_]*:?\bproxyguard_[a-z_]+(?::[a-z0-9_]+)?", rule["expr"]))
            assert asked <= exported | recorded, rule["expr"]


@pytest.mark.parametrize("path", [*RULES, PACKAGING / "grafana/proxyguard.json"], ids=lambda path: path.stem)
def test_what_is_counted_as_refused_is_all_that_stops_a_client(path: Path) -> None:
    for actions in re.findall(r'action=~\\?"([^"\\]+)', path.read_text()):
        assert set(actions.split("|")) == STOPPING


def read(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text())["groups"]
    return groups


def test_every_alert_has_a_runbook_that_names_it() -> None:
    page = (ROOT / "docs/guide/at-3-am.md").read_text()
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.+)$", page, re.MULTILINE)
    }
    alerts = [rule for path in RULES for group in read(path) for rule in group["rules"] if "alert" in rule]
    for alert in alerts:
        file, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert file == "docs/guide/at-3-am.md"
        assert anchor in anchors, alert["alert"]
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert f"*{alert['alert'].removeprefix('Proxyguard')}*" in page, f"{alert['alert']} is not on the page"


def test_promtool_accepts_the_rules_and_alerts_fire(tmp_path: Path) -> None:
    promtool = tool("promtool")
    checked = run(promtool, "check", "rules", *RULES)
    assert checked.returncode == 0, checked.stderr
    cases = {
        "rule_files": [str(path) for path in RULES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": 'proxyguard_site_answers_total{job="proxyguard",instance="a"}', "values": "0+600x20"},
                    {"series": 'proxyguard_site_errors_total{job="proxyguard",instance="a"}', "values": "0+60x20"},
                    {"series": 'proxyguard_store_up{job="proxyguard",instance="a"}', "values": "1x5 0x15"},
                    {"series": 'proxyguard_reloads_total{result="refused"}', "values": "0x10 1x10"},
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "12m", "alertname": name,
                        "exp_alerts": [{"exp_labels": labels, "exp_annotations": notes(name)}],
                    }
                    for name, labels in (
                        ("ProxyguardStoreDown", {"severity": "page", "job": "proxyguard", "instance": "a"}),
                        ("ProxyguardReloadRefused", {"severity": "ticket", "result": "refused"}),
                    )
                ],
                "promql_expr_test": [
                    {
                        "expr": "instance:proxyguard_site_errors:ratio5m", "eval_time": "12m",
                        "exp_samples": [
                            {"labels": 'instance:proxyguard_site_errors:ratio5m{instance="a",job="proxyguard"}', "value": 0.1}
                        ],
                    }
                ],
            }
        ],
    }  # fmt: skip
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    tried = run(promtool, "test", "rules", tmp_path / "cases.json")
    assert tried.returncode == 0, tried.stdout + tried.stderr


TEXT: Final = {"type": "string", "minLength": 1}
SOURCE: Final = {"const": {"type": "prometheus", "uid": "${datasource}"}}
PLACE: Final = {
    "type": "object", "required": ["x", "y", "w", "h"], "additionalProperties": False,
    "properties": {
        "x": {"type": "integer", "minimum": 0, "maximum": 23}, "y": {"type": "integer", "minimum": 0},
        "w": {"type": "integer", "minimum": 1, "maximum": 24}, "h": {"type": "integer", "minimum": 1},
    },
}  # fmt: skip
ROW: Final = {
    "type": "object", "required": ["id", "type", "title", "gridPos", "panels"], "additionalProperties": False,
    "properties": {
        "id": {"type": "integer"}, "type": {"const": "row"}, "title": TEXT, "collapsed": {"const": False}, "gridPos": PLACE,
        "panels": {"const": []},
    },
}  # fmt: skip
TARGET: Final = {
    "type": "object", "required": ["datasource", "expr", "refId", "legendFormat"], "additionalProperties": False,
    "properties": {
        "datasource": SOURCE, "expr": TEXT, "refId": {"type": "string", "pattern": "^[A-Z]$"}, "legendFormat": {"type": "string"},
        "exemplar": {"const": True}, "instant": {"const": True}, "range": {"const": False},
    },
}  # fmt: skip
PANEL: Final = {
    "type": "object", "additionalProperties": False,
    "required": ["id", "type", "title", "description", "datasource", "fieldConfig", "targets", "options", "gridPos"],
    "properties": {
        "id": {"type": "integer"}, "type": {"enum": ["stat", "timeseries"]}, "title": TEXT, "description": TEXT,
        "datasource": SOURCE,
        "targets": {"type": "array", "minItems": 1, "items": TARGET}, "gridPos": PLACE, "options": {"type": "object"},
        "fieldConfig": {
            "type": "object", "required": ["defaults", "overrides"], "additionalProperties": False,
            "properties": {"defaults": {"type": "object", "required": ["unit"]}, "overrides": {"const": []}},
        },
    },
}  # fmt: skip
SHAPE: Final = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"}, "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {"type": "array", "items": {"anyOf": [ROW, PANEL]}}, "id": False, "__inputs": False,
    },
}  # fmt: skip
"""What Grafana's schema of dashboards has, as far as we use it; closed, so that a misspelt key is one too many."""


def test_the_dashboard_is_as_grafana_reads_it() -> None:
    jsonschema.validate(DASHBOARD, SHAPE)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in DASHBOARD["panels"]):
        covered = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not covered & cells, "panels lie on top of each other"
        assert all(x < 24 for x, _ in covered)
        cells |= covered
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z_]+)", json.dumps(DASHBOARD))) - {"__rate_interval"}
    assert used == names


def exported_series() -> set[str]:
    names = {f"proxyguard_{name}" for name in metric_names()}
    return names | {f"proxyguard_{name}_bucket" for name in metric_names(of_kind=("histogram",))}


def expressions() -> list[str]:
    """Every query of the dashboard, as Prometheus gets it."""
    found = [target["expr"] for panel in PANELS for target in panel["targets"]]
    found += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    return [each.replace("$__rate_interval", "1m").replace("$job", "proxyguard").replace("$instance", ".*") for each in found]


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    asked = {name for expr in expressions() for name in re.findall(r"\bproxyguard_[a-z0-9_]+", expr)}
    assert asked <= exported_series()
    assert len(asked) > 40


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(expressions())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = run(tool("promtool"), "check", "rules", tmp_path / "panels.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_understands_its_configuration_under_compose() -> None:
    checked = run(tool("promtool"), "check", "config", "--syntax-only", PACKAGING / "prometheus/compose/prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def notes(alert: str) -> dict[str, str]:
    rules = [rule for path in RULES for group in read(path) for rule in group["rules"]]
    found: dict[str, str] = next(rule["annotations"] for rule in rules if rule.get("alert") == alert)
    return found
