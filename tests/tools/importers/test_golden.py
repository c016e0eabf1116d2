"""Every sample becomes exactly the rule file beside it, which loads and whose tests pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.decision import Mode
from proxyguard.policy.load import load_policy
from proxyguard.policy.testing.runner import run_tests
from proxyguard.tools.importers.finish import Finished, Provenance, finish
from proxyguard.tools.importers.registry import BY_KIND, IMPORTERS
from proxyguard.tools.importers.sources import Source, Sources

pytestmark = pytest.mark.long

HERE = Path(__file__).parent

SAMPLES = (
    ("robots", "robots.txt"),
    ("nginx", "map.conf"),
    ("nginx", "site.conf"),
    ("apache", "folder.htaccess"),
    ("apache", "host.conf"),
    ("haproxy", "haproxy.cfg"),
    ("caddy", "Caddyfile"),
    ("fail2ban-jails", "jail.local"),
    ("crowdsec", "scenarios.yaml"),
    ("ai-robots", "robots.json"),
    ("fail2ban", "status.txt"),
    ("fail2ban", "with-time.txt"),
    ("fail2ban", "forever.txt"),
    ("fail2ban", "banned.txt"),
    ("fail2ban", "list.txt"),
    ("anubis", "policy.yaml"),
)


def imported(kind: str, sample: str, target: Path | None = None, mode: Mode = Mode.SHADOW) -> Finished:
    sources = Sources((Source(sample, (HERE / "samples" / sample).read_text()),), HERE / "samples")
    draft = BY_KIND[kind].read(sources, kind)
    return finish(draft, Provenance(sample, f"proxyguard import {kind} {sample}", mode), target)


def golden(kind: str, sample: str) -> Path:
    return HERE / "golden" / f"{kind}-{sample.partition('.')[0]}.yaml"


def test_every_kind_has_a_sample() -> None:
    assert {kind for kind, _ in SAMPLES} == {each.kind for each in IMPORTERS}


@pytest.mark.parametrize(("kind", "sample"), SAMPLES)
def test_a_sample_becomes_its_golden_rule_file(kind: str, sample: str) -> None:
    assert imported(kind, sample).text == golden(kind, sample).read_text()


@pytest.mark.parametrize(("kind", "sample"), SAMPLES)
@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.ENFORCE])
def test_what_was_imported_loads_and_its_tests_pass(kind: str, sample: str, mode: Mode, tmp_path: Path) -> None:
    (tmp_path / "70-imported.yaml").write_text(imported(kind, sample, mode=mode).text)
    loaded = load_policy(tmp_path)
    assert loaded.problems == ()
    assert loaded.policy is not None
    assert run_tests(loaded.policy) == ()
    assert loaded.policy.rule_sets[0].tests


@pytest.mark.parametrize(("kind", "sample"), SAMPLES)
def test_a_file_says_first_where_its_schema_is_and_how_it_was_made(kind: str, sample: str) -> None:
    first, second = imported(kind, sample).text.split("\n")[:2]
    assert first == "# yaml-language-server: $schema=.schema.json"
    assert second == f"# Made by `proxyguard import {kind} {sample}` from {sample}."


@pytest.mark.parametrize(("kind", "sample"), SAMPLES)
def test_every_note_stands_at_the_top_of_the_file(kind: str, sample: str) -> None:
    finished = imported(kind, sample)
    head = finished.text.partition("\nname: ")[0].replace("\n#   ", " ")
    for note in finished.draft.notes:
        assert f"# - {note}" in head
