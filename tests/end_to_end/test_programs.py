"""Programs that are no browsers complete their work through proxyguard over TLS, with the bundled rules under every preset."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.clients import feed_entries, git_clone, lynx, trusting
from tests.end_to_end.processes import Proxyguard, Running, accepts, proxyguard
from tests.ports import free_port

PAGE = "<!doctype html><title>Bread</title><p>Flour, water, salt.\n"


@pytest.fixture(scope="module", params=["relaxed", "standard", "strict"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Proxyguard]:
    folder = tmp_path_factory.mktemp("programs")
    with proxyguard(folder, upstream, alpn="h2", settings=f"preset: {request.param}\n") as running:
        yield running


@pytest.fixture(scope="module", params=["relaxed", "standard", "strict"])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxyguard]:
    """A site with a repository for APT and an index for pip."""
    folder = tmp_path_factory.mktemp("repository")
    site = folder / "site"
    make_debian(site / "debian", folder / "package")
    make_index(site / "simple/notes")
    (site / "bread").mkdir()
    (site / "bread/index.html").write_text(PAGE)
    port = free_port()
    server = Running.start(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", site], folder / "site.log"
    )
    try:
        server.wait_for(lambda: accepts(port), "the site listens")
        with proxyguard(
            folder / "guard", f"http://127.0.0.1:{port}", alpn="h2", settings=f"preset: {request.param}\n"
        ) as running:
            yield running
    finally:
        server.end()


def make_debian(place: Path, work: Path) -> None:
    """A repository with one package, and a flat one with a newer version of it."""
    machine = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    index = place / f"dists/stable/main/binary-{machine}"
    index.mkdir(parents=True)
    (work / "DEBIAN").mkdir(parents=True)
    (work / "DEBIAN/control").write_text(
        "Package: notes\nVersion: 1.0\nArchitecture: all\nMaintainer: Ada <ada@example.org>\nDescription: Notes on bread.\n"
    )
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", work, place / "notes.deb"], check=True, capture_output=True)
    data = (place / "notes.deb").read_bytes()
    control = (work / "DEBIAN/control").read_text()
    entry = f"{control}Filename: notes.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    (index / "Packages.gz").write_bytes(gzip.compress(entry.encode()))
    newer = entry.replace("Version: 1.0", "Version: 2.0").replace("Filename: ", "Filename: ./")
    (place / "Packages.gz").write_bytes(gzip.compress(newer.encode()))


def make_index(place: Path) -> None:
    """A simple index (PEP 503) with one wheel."""
    place.mkdir(parents=True)
    name = "notes-1.0-py3-none-any.whl"
    with zipfile.ZipFile(place / name, "w") as wheel:
        wheel.writestr("notes.py", "BREAD = 'flour, water, salt'\n")
        wheel.writestr("notes-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: notes\nVersion: 1.0\n")
        wheel.writestr(
            "notes-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("notes-1.0.dist-info/RECORD", "notes.py,,\n")
    (place / "index.html").write_text(f'<!doctype html><title>notes</title><a href="{name}">{name}</a>\n')


def run(*command: str | Path, authority: Path | None, cwd: Path) -> str:
    environment = os.environ | trusting(authority) | {"HOME": str(cwd)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def url_of(guard: Proxyguard) -> str:
    return f"https://localhost:{guard.port}"


def test_text_browsers_read_pages(guarded: Proxyguard, folder: Path) -> None:
    page = f"{url_of(guarded)}/profiles/1"
    assert lynx(page, guarded.authority) == 200
    said = run("w3m", "-dump", "-o", f"ssl_ca_file={guarded.authority}", page, authority=guarded.authority, cwd=folder)
    assert "Sign up" in said


def test_a_feed_reader_keeps_a_feed(guarded: Proxyguard, folder: Path) -> None:
    (folder / "urls").write_text(f"{url_of(guarded)}/feed.xml\n")
    files = ("-u", folder / "urls", "-c", folder / "cache.db")
    run("newsboat", *files, "-x", "reload", authority=guarded.authority, cwd=folder)
    assert run("newsboat", *files, "-x", "print-unread", authority=guarded.authority, cwd=folder).startswith("20 ")
    assert feed_entries(f"{url_of(guarded)}/feed.xml", guarded.authority) == (200, 20)


def test_git_clones(guarded: Proxyguard, folder: Path) -> None:
    assert git_clone(f"{url_of(guarded)}/git/notes.git", folder / "clone", guarded.authority) == "Notes on bread.\n"


def test_apt_updates_and_downloads(repository: Proxyguard, folder: Path) -> None:
    for name in ("lists/partial", "archives/partial", "etc"):
        (folder / name).mkdir(parents=True)
    source = f"deb [trusted=yes] {url_of(repository)}/debian"
    (folder / "etc/sources.list").write_text(f"{source} stable main\n{source} ./\n")
    (folder / "status").touch()
    options = [
        f"Dir::Etc::sourcelist={folder}/etc/sources.list", f"Dir::Etc::sourceparts={folder}/etc/none",
        f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}",
        f"Dir::State::status={folder}/status", f"Acquire::https::CAInfo={repository.authority}",
        "APT::Sandbox::User=root", "Debug::NoLocking=1",
    ]  # fmt: skip
    given = [part for option in options for part in ("-o", option)]
    run("apt-get", *given, "update", authority=repository.authority, cwd=folder)
    run("apt-get", *given, "download", "notes", authority=repository.authority, cwd=folder)
    assert [path.name for path in folder.glob("*.deb")] == ["notes_2.0_all.deb"]


def test_pip_downloads(repository: Proxyguard, folder: Path) -> None:
    index = f"{url_of(repository)}/simple/"
    given = (
        "--isolated",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--cert",
        str(repository.authority),
        "--index-url",
        index,
    )
    run(sys.executable, "-m", "pip", "download", *given, "--no-deps", "notes", authority=repository.authority, cwd=folder)
    assert [path.name for path in folder.glob("*.whl")] == ["notes-1.0-py3-none-any.whl"]
