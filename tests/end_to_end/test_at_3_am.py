"""docs/guide/at-3-am.md: each of its commands, in its order, against an instance in that trouble, says what the page says.

The lines below a command on the page are words that its output must have.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Final

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.end_to_end.processes import Proxyguard, command, sample_site, wait_until
from tests.paths import ROOT
from tests.ports import free_port

PAGE: Final = (ROOT / "docs/guide/at-3-am.md").read_text()
PARTS: Final = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}

NOT_HERE: Final = ("systemctl ", "journalctl ")
"""Commands of the machine, which a test has no say over."""


def commands(part: str) -> list[tuple[str, list[str]]]:
    """The commands of a part of the page, each with the words of its output."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", part, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(" ".join(line.split()))
    return found


@dataclass
class Scene:
    """An instance in some trouble. `settings` are further lines; `files`: how many the instance and the commands may open."""

    settings: str = ""
    upstream: str = ""
    files: int = 0
    before: Callable[[Proxyguard, Path], dict[str, str] | None] = lambda _running, _folder: None
    """Makes the trouble; returns what stands for words of the page."""
    between: dict[str, Callable[[Path], object]] = field(default_factory=dict)
    """What the operator does before a command."""


def refused(running: Proxyguard, folder: Path) -> dict[str, str]:
    answers = [running.get("/posts/1", headers={"User-Agent": "python-requests/2.32"}) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {403}
    ban = [*command("bans", "add", "192.0.2.7", "--for", "1h"), "--control", folder / "control.sock"]
    subprocess.run([str(part) for part in ban], check=True, capture_output=True, timeout=60, cwd=ROOT)
    reference = answers[0].headers["X-Proxyguard-Reference"]
    running.wait_for_record(lambda record: record["reference"] == reference, "the record")
    return {"REFERENCE": reference}


def read(running: Proxyguard, _folder: Path) -> None:
    for number in range(20):
        running.get(f"/posts/{number}", headers={"User-Agent": "Mozilla/5.0 (X11) reader"})


def break_rules(_running: Proxyguard, folder: Path) -> None:
    (folder / "rules/90-own.yaml").write_text("name: own\nrules:\n  - {name: x, whne: {path: /}, action: reject}\n")


def trust_proxies(folder: Path) -> None:
    with (folder / "proxyguard.yaml").open("a") as file:
        file.write("trust: {proxies: [10.0.0.0/8], header: x-forwarded-for}\n")


def write_nowhere(running: Proxyguard, _folder: Path) -> None:
    running.get("/", headers={"User-Agent": "GPTBot"})
    wait_until(lambda: "proxyguard_audit_waiting 0.0" not in running.admin("/metrics"), "a record that waits")


SCENES: Final = {
    "People are refused": Scene(before=refused),
    "A flood": Scene(before=read),
    "The site does not answer": Scene(upstream="http://127.0.0.1:{nobody}", before=read),
    "The store does not answer": Scene(settings="store: {{url: 'redis://127.0.0.1:{nobody}'}}\nkey_secret: {secret}\n"),
    "A certificate has ended": Scene(settings="certificate: {{chain: {folder}/ended.pem, key: {folder}/key.pem}}\n"),
    "A change is refused": Scene(before=break_rules),
    "The disk is full": Scene(settings="audit: {{path: /dev/full}}\n", before=write_nowhere),
    "Too many open files": Scene(files=600),
    "Everybody has the same address": Scene(before=read, between={"proxyguard reload": trust_proxies}),
    "It is slow": Scene(before=read),
    "It does not run": Scene(),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sample_site(tmp_path_factory.mktemp("site")) as url:
        yield url


@contextmanager
def instance(folder: Path, scene: Scene, site: str) -> Iterator[Proxyguard]:
    """One with the bundled rules, whose settings file has everything: the commands find it by that."""
    copytree(ROOT / "rules", folder / "rules")
    write_ended_certificate(folder)
    port, admin_port, nobody = free_port(), free_port(), free_port()
    more = scene.settings.format(folder=folder, nobody=nobody, secret="s" * 32)
    own_audit = "" if "audit:" in more else f"audit: {{path: {folder}/audit.jsonl}}\n"
    (folder / "proxyguard.yaml").write_text(
        f"listen: 127.0.0.1:{port}\nadmin: 127.0.0.1:{admin_port}\ncontrol: {folder}/control.sock\nrules: rules\n"
        f"restrictions: {{file: {folder}/orders}}\nupstream: {(scene.upstream or site).format(nobody=nobody)}\n{own_audit}{more}"
    )
    limited = ("sh", "-c", f'ulimit -n {scene.files} && exec "$@"', "sh") if scene.files else ()
    running = Proxyguard.start((*limited, *command("run", "--config", folder / "proxyguard.yaml")), folder / "proxyguard.log")
    running.port, running.admin_port, running.audit = port, admin_port, folder / "audit.jsonl"
    try:
        running.wait_for(running.ready, "readiness")
        yield running
    finally:
        running.end(seconds=45)


def write_ended_certificate(folder: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=9)).not_valid_after(now - timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "ended.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def test_each_part_of_the_page_is_tried() -> None:
    assert set(PARTS) == set(SCENES)
    assert all(commands(part) for part in PARTS.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_the_commands_say_what_the_page_says(name: str, tmp_path: Path, site: str) -> None:
    scene, bin_folder = SCENES[name], tmp_path / "bin"
    bin_folder.mkdir()
    wrapper = bin_folder / "proxyguard"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m proxyguard "$@"\n')
    wrapper.chmod(0o755)
    folder = tmp_path / "etc"
    folder.mkdir()
    with instance(folder, scene, site) as running:
        environment = {
            **os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PROXYGUARD_CONFIG": f"{folder}/proxyguard.yaml",
        }  # fmt: skip
        words = {
            "127.0.0.1:9901": f"127.0.0.1:{running.admin_port}",
            "/etc/proxyguard": str(folder), "/var/log/proxyguard": str(folder), "/var/lib/proxyguard": str(folder),
            **(scene.before(running, folder) or {}),
        }  # fmt: skip
        for line, expected in commands(PARTS[name]):
            if line.startswith(NOT_HERE):
                continue
            if line in scene.between:
                scene.between[line](folder)
            for word, meant in words.items():
                line = line.replace(word, meant)  # noqa: PLW2901 - as the operator would type it
            limited = f"ulimit -n {scene.files}; {line}" if scene.files else line
            done = subprocess.run(
                ["sh", "-c", limited], capture_output=True, text=True, timeout=60, check=False, cwd=folder, env=environment
            )
            output = " ".join((done.stdout + done.stderr).split())
            assert not [each for each in expected if each not in output], f"$ {line}\n{done.stdout}{done.stderr}"
            assert "Traceback" not in output


def test_a_person_who_is_refused_passes_at_once(tmp_path: Path, site: str) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()

    def status() -> int:
        return requests.get(running.url, headers={"User-Agent": "GPTBot"}, timeout=20).status_code

    with instance(folder, Scene(), site) as running:
        assert status() == 403
        on = [*command("shadow", "on", "--for", "30m", "--why", "refused"), "--control", folder / "control.sock"]
        subprocess.run([str(part) for part in on], check=True, capture_output=True, timeout=60, cwd=ROOT)
        assert status() == 200
