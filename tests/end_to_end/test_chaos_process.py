"""What is done to a process while it runs, each with its declared outcome: signals at any moment, a full disk, a FIFO, process 1,
an upstream that restarts, a store that forgets. Nothing promised is lost, and no request waits longer than its bound."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.contracts.servers import command as store_command
from tests.contracts.servers import valkey
from tests.end_to_end.processes import Proxyguard, Running, accepts, command, proxyguard, wait_until
from tests.paths import ROOT
from tests.ports import free_port

pytestmark = pytest.mark.chaos

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}

HARMLESS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGHUP, signal.SIGVTALRM, signal.SIGRTMIN)

RULES = """
name: chaos
rules:
  - {name: bad, when: {user_agent: {word: badbot}}, action: reject}
  - {name: exact, when: {query.exact: present}, limit: {rate: 6/hour, per: [query.exact]}, action: reject}
"""

READY_SECONDS = 90.0

ANSWER_SECONDS = 5.0
"""No request of these tests has a reason to wait; what is left is for a busy machine."""


@pytest.fixture
def rules(folder: Path) -> Path:
    (folder / "rules").mkdir()
    (folder / "rules" / "chaos.yaml").write_text(RULES)
    return folder / "rules"


@contextlib.contextmanager
def starting(folder: Path, rules: Path, upstream: str, *more: str, before: tuple[str, ...] = ()) -> Iterator[Proxyguard]:
    """A process that has only just been started."""
    port, admin_port = free_port(), free_port()
    arguments = ("--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}", "--upstream", upstream)
    audit = folder / "audit.jsonl"
    line = command("run", *arguments, "--rules", rules, "--audit", audit, *more)
    running = Proxyguard.start([*before, *line], folder / "proxyguard.log")
    running.port, running.admin_port, running.audit = port, admin_port, audit
    try:
        yield running
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.end(seconds=20)


def ready(running: Proxyguard) -> None:
    """Wait until it serves, however busy the machine is."""
    wait_until(lambda: running.process.poll() is not None or running.ready(), "readiness", within=READY_SECONDS)
    assert running.process.poll() is None, running.said()


def python_runs(running: Running) -> bool:
    """Whether the interpreter has reached our code: it catches SIGUSR1 then."""
    with contextlib.suppress(OSError, IndexError):
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        caught = int(status.split("SigCgt:\t")[1].split()[0], 16)
        return bool(caught >> (signal.SIGUSR1 - 1) & 1)
    return False


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_signal_without_a_meaning_ends_any_process_at_any_moment(
    folder: Path, rules: Path, upstream: str, workers: str
) -> None:
    """To the whole family, children that only just begin included, from the first line of ours until it serves, and then on."""
    chance = random.Random(int(workers))
    with starting(folder, rules, upstream, "--workers", workers) as running:
        wait_until(lambda: python_runs(running), "the first line")
        sent = 0
        while not running.ready():
            for pid in running.family():
                send(pid, chance.choice(HARMLESS))
                sent += 1
            time.sleep(0.01)
            assert running.process.poll() is None, running.said()
        assert sent > 10
        family = set(running.family())
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            for pid in running.family():
                send(pid, chance.choice(HARMLESS))  # which reloads all the time, too
            assert running.get("/", headers=FIREFOX, timeout=10).status_code == 200
            time.sleep(0.05)
        if workers == "2":
            assert len(family & set(running.family())) >= 3, "a worker was replaced"
        assert "Traceback" not in running.said()
        wait_until(lambda: "SIGUSR2 is ignored" in running.said(), "a line about it")
        wait_until(lambda: "rules read again" in running.said(), "the reload asked for while it started")
        assert running.end(seconds=40) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_asked_to_stop_while_it_starts_it_ends_with_0_and_leaves_nobody(
    folder: Path, rules: Path, upstream: str, workers: str
) -> None:
    for number, delay in zip((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM), (0.0, 0.3, 0.8, 1.6), strict=True):
        with starting(folder, rules, upstream, "--workers", workers) as running:
            wait_until(lambda running=running: python_runs(running), "the first line")  # type: ignore[misc]  # keeps a loop's value
            time.sleep(delay)
            family = running.family()
            running.process.send_signal(number)
            assert running.process.wait(20) == 0, running.said()
            assert "Traceback" not in running.said()
            wait_until(lambda family=family: not any(_alive(pid) for pid in family[1:]), "the end of its children")  # type: ignore[misc]  # as above


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_asked_twice_it_drains_no_longer(folder: Path, rules: Path, upstream: str, workers: int) -> None:
    settings = folder / "drain.yaml"
    settings.write_text("drain_timeout: 60s\n")
    with starting(folder, rules, upstream, "--workers", str(workers), "--config", str(settings)) as running:
        ready(running)
        with requests.get(f"{running.url}/events?count=1000&interval=0.1", headers=FIREFOX, stream=True, timeout=30) as stream:
            chunks = stream.iter_content(8)
            next(chunks)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(1.0)
            assert running.process.poll() is None
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(15) == 0
        assert "Traceback" not in running.said()


@pytest.mark.skipif(os.getuid() != 0, reason="a name space of processes needs root")
def test_as_process_1_it_reaps_orphans_and_gives_its_exit_status(folder: Path, rules: Path, upstream: str) -> None:
    inner = ("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", '(sleep 0.1 & sleep 0.1 & sleep 0.1 &) ; exec "$0" "$@"')
    with starting(folder, rules, upstream, "--workers", "2", before=inner) as running:
        ready(running)
        time.sleep(0.5)
        family = running.family()
        assert len(family) >= 5, "unshare, process 1, the supervisor, two workers"
        assert [pid for pid in family if not _alive(pid)] == []
        assert running.get("/", headers=FIREFOX, timeout=ANSWER_SECONDS).status_code == 200
        send(family[1], signal.SIGUSR2)
        send(family[1], signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert "draining" in running.said()


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_costs_no_request_and_no_half_record(folder: Path, rules: Path, upstream: str, workers: int) -> None:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], check=True)
    try:
        (disk / "filler").write_bytes(b"x" * 60_000)
        audit = disk / "audit.jsonl"
        with starting(folder, rules, upstream, "--audit", str(audit), "--workers", str(workers)) as running:
            ready(running)
            for number in range(400):
                assert refused(running, f"/{number}/{'y' * 300}") < ANSWER_SECONDS
            wait_until(lambda: "No space left" in running.said(), "a line about it")
            state = json.loads(running.admin("/status"))["audit"]
            assert state["trouble"] == "No space left on device"
            assert state["waiting"] > 0
            assert re.search(r"^proxyguard_audit_waiting [1-9]", running.admin("/metrics"), re.MULTILINE)
            (disk / "filler").unlink()
            wait_until(lambda: audit.stat().st_size > 61_440, "more records")
            assert running.end() == 0
            lines = [json.loads(line) for line in audit.read_text().splitlines()]
            assert len({line["path"] for line in lines}) == len(lines) > 100
            assert "Traceback" not in running.said()
    finally:
        subprocess.run(["umount", disk], check=True)


def refused(running: Proxyguard, path: str) -> float:
    """Ask for something that is refused; how long that took."""
    began = time.monotonic()
    answer = running.get(path, headers={"User-Agent": "badbot"}, timeout=10)
    assert answer.status_code == 403
    return time.monotonic() - began


def dropped(running: Proxyguard) -> float:
    return next(
        float(line.split()[1]) for line in running.admin("/metrics").splitlines()
        if line.startswith("proxyguard_audit_dropped_total ")
    )  # fmt: skip


def test_a_fifo_without_a_reader_holds_up_neither_start_nor_requests_nor_stop(folder: Path, rules: Path, upstream: str) -> None:
    audit, kept = folder / "pipe", folder / "kept"
    os.mkfifo(audit)
    with starting(folder, rules, upstream, "--audit", str(audit)) as running:
        ready(running)
        assert refused(running, "/before-any-reader") < ANSWER_SECONDS
        wait_until(lambda: "nobody reads the pipe" in running.said(), "a line about it")
        for turn in range(2):
            with kept.open("ab") as output:
                reader = subprocess.Popen(["cat", audit], stdout=output)
                assert refused(running, f"/{turn}") < ANSWER_SECONDS
                wait_until(lambda turn=turn: f'"/{turn}"' in kept.read_text(), "the record")  # type: ignore[misc]  # keeps a loop's value
                reader.kill()
                reader.wait()
            for number in range(20):
                assert refused(running, f"/away-{turn}-{number}") < ANSWER_SECONDS
        assert dropped(running) == 0.0
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began < 15.0  # not the drain's 30 s
    paths = {json.loads(line)["path"] for line in kept.read_text().splitlines()}
    assert {"/before-any-reader", "/0", "/1", *(f"/away-0-{number}" for number in range(20))} <= paths


def test_rotated_to_a_fifo_and_back_the_log_comes_back_and_loses_nothing(folder: Path, rules: Path, upstream: str) -> None:
    with proxyguard(folder, upstream, rules=rules) as running:
        refused(running, "/one")
        running.wait_for_record(lambda record: record["path"] == "/one", "the first record")
        running.audit.rename(folder / "old")
        os.mkfifo(running.audit)
        time.sleep(1.1)
        refused(running, "/two")
        time.sleep(1.1)
        running.audit.unlink()
        refused(running, "/three")
        running.process.send_signal(signal.SIGUSR1)
        wait_until(running.audit.exists, "a new file")
        refused(running, "/four")
        running.wait_for_record(lambda record: record["path"] == "/four", "the last record")
        assert dropped(running) == 0.0
        lines = ((folder / "old").read_text() + running.audit.read_text()).splitlines()
        assert [json.loads(line)["path"] for line in lines] == ["/one", "/two", "/three", "/four"]


def test_a_flood_of_refusals_writes_a_bounded_log_and_hides_no_number(folder: Path, rules: Path, upstream: str) -> None:
    with proxyguard(folder, upstream, rules=rules, settings="audit: {refusals_per_second: 20}\n") as running:
        session = requests.Session()
        session.headers["User-Agent"] = "badbot"
        references = [session.get(f"{running.url}/x").headers["X-Proxyguard-Reference"] for _ in range(400)]
        time.sleep(1.5)
        records = running.records()
        single = [record["reference"] for record in records if "reference" in record]
        sums = [record for record in records if record.get("kind") == "summed"]
        assert len(single) + sum(each["count"] for each in sums) == 400
        assert sums
        assert len(records) < 400
        look = command("explain", "--reference", sums[0]["references"][0], "--audit", running.audit, "--rules", rules)
        said = subprocess.run([str(part) for part in look], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        assert f"summed: one of {sums[0]['count']} refusals" in said
        assert sums[0]["references"][0] in references


@contextlib.contextmanager
def asking(running: Proxyguard, path: Callable[[int], str]) -> Iterator[list[tuple[int, float]]]:
    """A client that asks all the time: status and seconds of each request."""
    answers: list[tuple[int, float]] = []
    stop = threading.Event()

    def ask() -> None:
        session = requests.Session()
        number = 0
        while not stop.wait(0.005):
            began = time.monotonic()
            answer = session.get(running.url + path(number), headers=FIREFOX, timeout=20)
            answers.append((answer.status_code, time.monotonic() - began))
            number += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("on_down", ["local", "closed"])
def test_no_request_sees_a_store_that_forgets_its_scripts(folder: Path, rules: Path, upstream: str, on_down: str) -> None:
    store = folder / "store.sock"
    settings = f"store: {{url: 'unix://{store}', on_down: {on_down}, timeout: 500ms}}\nkey_secret: the-same-on-all-instances\n"
    with valkey(store), proxyguard(folder / "guard", upstream, rules=rules, settings=settings) as running:
        with asking(running, lambda number: f"/?exact={number // 10}") as answers:
            for _ in range(40):
                store_command(store, "SCRIPT", "FLUSH")
                time.sleep(0.05)
        whole = len(answers) // 10 * 10
        assert [status for status, _ in answers[:whole]] == ([200] * 6 + [429] * 4) * (whole // 10)
        assert whole >= 30
        assert max(seconds for _, seconds in answers) < ANSWER_SECONDS
        assert "the store is down" not in running.said()


def test_a_store_without_rights_costs_one_line_and_no_traceback(folder: Path, rules: Path, upstream: str) -> None:
    store = folder / "store.sock"
    settings = f"store: {{url: 'unix://{store}', on_down: closed, timeout: 500ms}}\nkey_secret: the-same-on-all-instances\n"
    with valkey(store), proxyguard(folder / "guard", upstream, rules=rules, settings=settings) as running:
        store_command(store, "CONFIG", "SET", "min-replicas-to-write", "1")
        wait_until(lambda: running.get("/?exact=a", headers=FIREFOX).status_code == 503, "the outage")
        assert {running.get("/?exact=a", headers=FIREFOX).status_code for _ in range(20)} == {503}
        store_command(store, "CONFIG", "SET", "min-replicas-to-write", "0")
        wait_until(lambda: running.get("/?exact=b", headers=FIREFOX).status_code == 200, "the end of the outage")
        assert running.said().count("the store is down: NOREPLICAS") == 1
        assert "Traceback" not in running.said()


def test_an_upstream_that_restarts_costs_errors_of_ours_and_no_wait(folder: Path, rules: Path) -> None:
    port = free_port()
    site = [sys.executable, "-m", "proxyguard.tools.sample_site", "--port", str(port)]
    with proxyguard(folder, f"http://127.0.0.1:{port}", rules=rules) as running:
        with asking(running, lambda number: f"/?n={number}") as answers:
            for turn in range(3):
                upstream = Running.start(site, folder / f"site-{turn}.log")
                upstream.wait_for(lambda: accepts(port), "the site")
                wait_until(lambda: answers[-1:] != [] and answers[-1][0] == 200, "an answer of the site")
                upstream.process.kill()
                upstream.process.wait()
                time.sleep(0.3)
        assert {status for status, _ in answers} <= {200, 502, 503}
        assert max(seconds for _, seconds in answers) < ANSWER_SECONDS
        assert "Traceback" not in running.said()


@pytest.mark.skipif(shutil.which("env") is None, reason="the command's launcher wants env")
def test_the_installed_command_holds_signals_back_until_python_runs(folder: Path, rules: Path, upstream: str) -> None:
    """From a few milliseconds after it was started: what the shell needs to read its first line."""
    launcher = Path(sys.executable).parent / "proxyguard"
    if not launcher.exists():
        pytest.skip("the command is not installed beside this interpreter")
    for number, code in ((signal.SIGUSR1, None), (signal.SIGHUP, None), (signal.SIGTERM, 0)):
        arguments = ("--listen", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{free_port()}", "--upstream", upstream)
        line: list[str | Path] = [launcher, "run", *arguments, "--rules", rules, "--audit", folder / "a"]
        running = Running.start(line, folder / "log")
        try:
            wait_until(lambda running=running: _holds_back(running.process.pid), "the launcher")  # type: ignore[misc]  # keeps a loop's value
            for _ in range(20):
                send(running.process.pid, number)
                time.sleep(0.01)
            if code is None:
                running.wait_for(lambda running=running: "listens on" in running.said(), "a start")  # type: ignore[misc]  # as above
                running.end()
            assert running.process.wait(20) == 0
        finally:
            running.process.kill()


def _holds_back(pid: int) -> bool:
    """Whether SIGUSR1 is blocked, ignored or caught by now."""
    with contextlib.suppress(OSError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text()
        bits = [int(status.split(f"{name}:\t")[1].split()[0], 16) for name in ("SigBlk", "SigIgn", "SigCgt")]
        return all(any(bit >> (number - 1) & 1 for bit in bits) for number in (signal.SIGUSR1, signal.SIGHUP)) and bool(
            (bits[0] | bits[2]) >> (signal.SIGTERM - 1) & 1
        )
    return False
