"""Instructions a request, by kind of request and by what they are spent on, counted by callgrind: clocks lie on a busy machine.

The front runs as an operator runs it, bundled rules, audit log and all, the whole of it under valgrind. One client asks for the
same number of requests of each kind over one connection. What is done as bytes come is counted, from the call of the loop on:
not the kernel, the writer of the audit log, or what is done by the clock, of which a slow machine does more for each request.
Each kind is counted in several rounds, and the least counts, since all that disturbs only adds.

Run: `python -m bench.profile [--requests 300] [--rounds 2] [--json FILE] [--compare FILE] [--kinds forwarded,recorded]`.
With `--compare` it exits with 1 when a kind takes over 5 % more than stored in that file, by the same Python. Needs valgrind and
nginx; from twenty seconds on a fast machine to a few minutes, most of which is the start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import re
import shutil
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench.end_to_end import ASSET, PAGE, READER, SCRIPT, STYLE_READER, make_certificate, nginx
from bench.front import certificate_lines, front_options, read_answer
from tests.end_to_end.processes import Proxyguard
from tests.ports import free_port

MOST_WORSE: Final = 0.05
"""What a kind may take more than stored. Runs of the same build differ by about 1 %."""

START_SECONDS: Final = 900.0
"""A start takes a minute under valgrind, and several where others work too."""

WARM: Final = 100
"""Requests of a kind before it is counted: tables grow, and what is remembered is learnt."""

# Valgrind keeps the last signal for itself.
_START: Final = "import runpy, signal; signal.SIGRTMAX -= 1; runpy.run_module('proxyguard', run_name='__main__', alter_sys=True)"

COUNTED: Final = "CPyDef_*PiecewiseProtocol___buffer_updated"
"""What is counted, with all that it calls: the loop calls it with bytes of clients and of upstreams."""

BY_CLOCK: Final = "MemoryStore___tidy"
"""What is left out of it: charges have it done so many times a second."""

COMPONENTS: Final = (
    ("ours, compiled", r"proxyguard__mypyc"),
    ("interpreter loop", r"_PyEval_|_PyFrame|_PyInterpreterFrame|_PyThreadState_(Push|Pop)Frame|gen_send|gen_iternext"),
    ("OpenSSL", r"libssl|libcrypto|_openssl|cffi|_rust"),
    ("memory, objects", r"[Mm]alloc|[Ff]ree|_PyObject_(New|Init)|PyType_Generic|dealloc|subtype_|gc_|PyObject_GC|_int_|calloc"),
    ("look-ups", r"PyType_Lookup|GetAttr|getattro|SetAttr|setattro|descr|property_|member_"),
    ("calls", r"[Vv]ectorcall|_PyObject_Call|_PyObject_MakeTpCall|method_|cfunction|_PyStack|_PyArg_|slot_tp|update_keyword"),
    ("dictionaries, sets", r"dict|Dict|set_|PySet|keys_lookup|hash"),
    ("tuples, lists", r"tuple|Tuple|list_|PyList"),
    ("text, numbers", r"bytes|Bytes|unicode|Unicode|str|long|Long|float|Float|int_"),
    ("patterns", r"sre_|_sre|re2|libre2"),
    ("hashes", r"blake2"),
    ("JSON", r"msgspec"),
    ("loop", r"uvloop|uv_|uv__"),
    ("thread's variables", r"__tls_get_addr"),
)  # fmt: skip
"""By the first pattern that an object or the name of a function has."""

OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request. `target` is of the request of a number, `more` its header fields beside `fields`."""

    name: str
    fields: dict[str, str]
    target: Callable[[int], str]
    more: Callable[[int], str] = lambda _: ""
    status: int = 200
    tls: bool = False

    def request(self, number: int, host: str) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": host, **self.fields}.items())
        return f"GET {self.target(number)} HTTP/1.1\r\n{fields}{self.more(number)}\r\n".encode()


def _same(path: str) -> Callable[[int], str]:
    return lambda _: path


KINDS: Final = (
    Kind("forwarded", STYLE_READER, _same(ASSET)),
    Kind("varying", STYLE_READER, lambda number: f"{ASSET}?v={number}",
         lambda number: f"Referer: https://example.org/profiles/{number}\r\n"),
    Kind("recorded", READER, _same(PAGE)),
    Kind("refused", SCRIPT, _same(PAGE), status=403),
    Kind("over-tls", STYLE_READER, _same(ASSET), tls=True),
)  # fmt: skip


@dataclass(slots=True)
class Counted:
    """What one kind took, per request."""

    rounds: list[float]
    components: dict[str, float]
    functions: list[tuple[str, float]]
    """Compiled functions of ours with what they call, the dearest first."""

    @property
    def instructions(self) -> float:
        return min(self.rounds)


class Callgrind:
    """The control of a process under valgrind."""

    def __init__(self, process: Proxyguard, out: Path) -> None:
        self._pid = process.process.pid
        self._out = out
        self._dumps = 0

    def tell(self, *options: str) -> None:
        subprocess.run(["callgrind_control", *options, str(self._pid)], check=True, capture_output=True)

    def dump(self) -> Path:
        """What was counted since `--zero`."""
        self._dumps += 1
        self.tell("--dump")
        return self._out.with_name(f"{self._out.name}.{self._dumps}")


@contextlib.contextmanager
def counted_front(folder: Path, upstream: str, *, tls: bool) -> Iterator[tuple[str, Callgrind]]:
    """proxyguard under callgrind, which counts from the first request on."""
    port, admin_port, name = free_port(), free_port(), "tls" if tls else "plain"
    config, out = folder / f"{name}.yaml", folder / f"callgrind.{name}"
    config.write_text(certificate_lines(folder) if tls else "{}\n")
    command: list[str | Path] = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", f"--toggle-collect={COUNTED}",
        sys.executable, "-c", _START, *front_options(config, port, admin_port, upstream, folder / f"{name}.jsonl"),
    ]  # fmt: skip
    process = Proxyguard.start(command, folder / f"{name}.log", PYTHONHASHSEED="0")
    process.admin_port = admin_port
    try:
        wait_for(process)
        control = Callgrind(process, out)
        control.tell("--instr=on")
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", control
    finally:
        process.end(seconds=300)


def wait_for(process: Proxyguard) -> None:
    """Wait until it is ready, without taking much from it meanwhile. Raises RuntimeError."""
    deadline = time.monotonic() + START_SECONDS
    while not process.ready():
        if process.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"not ready:\n{process.said()}")
        time.sleep(1)


def send(peer: socket.socket, kind: Kind, host: str, numbers: range, *, warm: bool = False) -> None:
    """One request after the other. Raises RuntimeError for an answer that is another than expected, unless it is to warm up: a
    reader without a cookie jar is sent for one first."""
    wanted = b"HTTP/1.1 " if warm else b"HTTP/1.1 %d " % kind.status
    for number in numbers:
        peer.sendall(kind.request(number, host))
        read_answer(peer, wanted)


def count(url: str, control: Callgrind, kind: Kind, requests: int, rounds: int) -> Counted:
    parts = urlsplit(url)
    peer = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=120)
    if kind.tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        peer = context.wrap_socket(peer)
    with peer:
        send(peer, kind, parts.netloc, range(WARM), warm=True)
        found: list[tuple[float, Path, list[tuple[str, float]]]] = []
        for number in range(rounds):
            first = WARM + number * requests
            control.tell("--zero")
            send(peer, kind, parts.netloc, range(first, first + requests))
            dump = control.dump()
            inclusive = annotated(dump, "--inclusive=yes")
            functions = [(name, cost / requests) for name, cost in inclusive if name.startswith("CPyDef_")]
            by_clock = sum(cost for name, cost in functions if BY_CLOCK in name)
            found.append((total_of(dump) / requests - by_clock, dump, functions))
    _, least, functions = min(found)
    return Counted([each for each, _, _ in found], components(annotated(least), requests), functions)


def total_of(dump: Path) -> int:
    """All instructions of a dump."""
    said = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    if said is None:
        raise RuntimeError(f"{dump}: no sum")
    return int(said[1])


_LINE: Final = re.compile(r"^\s*([\d,]+) \(\s*[\d.]+%\)\s+(?:[^:\n]*:)?(.+)$", re.MULTILINE)


def annotated(dump: Path, *options: str) -> list[tuple[str, int]]:
    """Functions, with the object that they are in, and what they took."""
    said = subprocess.run(
        ["callgrind_annotate", "--threshold=100", *options, dump], check=True, capture_output=True, text=True
    ).stdout
    return [(line[2], int(line[1].replace(",", ""))) for line in _LINE.finditer(said) if "PROGRAM TOTALS" not in line[2]]


def components(functions: list[tuple[str, int]], requests: int) -> dict[str, float]:
    """What each of COMPONENTS takes, per request."""
    patterns = [(name, re.compile(pattern)) for name, pattern in COMPONENTS]
    found: Counter[str] = Counter()
    for function, cost in functions:
        found[next((name for name, pattern in patterns if pattern.search(function)), OTHER)] += cost
    return {name: cost / requests for name, cost in found.most_common()}


def show(counted: dict[str, Counted], most: int = 25) -> None:
    console = Console(width=140)
    names = list(counted)
    table = Table("spent on", *names, title="Thousand instructions a request")
    rows = Counter(
        {
            part: sum(each.components.get(part, 0) for each in counted.values())
            for each in counted.values()
            for part in each.components
        }
    )
    for part, _ in rows.most_common():
        table.add_row(part, *(f"{counted[name].components.get(part, 0) / 1000:.1f}" for name in names))
    table.add_section()
    table.add_row("in all", *(f"{counted[name].instructions / 1000:.1f}" for name in names))
    table.add_row("rounds differ by", *(f"{max(each.rounds) / min(each.rounds) - 1:.1%}" for each in counted.values()))
    console.print(table)
    for name, each in counted.items():
        table = Table("with what it calls", "thousand", title=name)
        for function, cost in each.functions[:most]:
            table.add_row(function.partition(" [")[0].removeprefix("CPyDef_"), f"{cost / 1000:.1f}")
        console.print(table)


def as_data(counted: dict[str, Counted]) -> dict[str, object]:
    """What is stored, and what it was measured with: figures of another interpreter or machine say nothing of ours."""
    return {
        "python": platform.python_version(),
        "optimised": "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
        "shared_library": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
        "machine": platform.machine(),
        "instructions_per_request": {name: round(each.instructions) for name, each in counted.items()},
    }


def compare(counted: dict[str, Counted], stored: Path) -> list[str]:
    """What takes over MOST_WORSE more than stored; prints all ratios. Of another Python all is printed, and nothing is worse."""
    before = json.loads(stored.read_text())
    now = as_data(counted)
    is_same = True
    for name in ("python", "optimised", "shared_library", "machine"):
        if before[name] != now[name]:
            is_same = False
            print(f"note: {name} was {before[name]} then and is {now[name]} now: the figures are not held against each other")
    worse = []
    for name, each in counted.items():
        known = before["instructions_per_request"].get(name)
        if known is None:
            continue
        ratio = each.instructions / known
        print(f"{name}: {each.instructions:,.0f} instructions, {ratio - 1:+.1%}")
        if is_same and ratio > 1 + MOST_WORSE:
            worse.append(name)
    return worse


def main() -> int:
    """Count, print, store, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [kind.name for kind in KINDS]
    parser.add_argument("--requests", type=int, default=300, help="of each kind and round (default 300)")
    parser.add_argument("--rounds", type=int, default=2, help="of each kind (default 2)")
    parser.add_argument(
        "--kinds", default="forwarded,varying,recorded,refused", help=f"of {', '.join(kind.name for kind in KINDS)}"
    )
    parser.add_argument("--json", type=Path, help="store the figures there")
    parser.add_argument(
        "--compare", type=Path, help="stored figures; exit with 1 when one of the same Python is exceeded by over 5 %%"
    )
    options = parser.parse_args()
    wanted = options.kinds.split(",")
    unknown = set(wanted) - {*every}
    if unknown or not shutil.which("valgrind"):
        parser.error(f"unknown kind {min(unknown)}" if unknown else "needs valgrind")
    counted: dict[str, Counted] = {}
    with tempfile.TemporaryDirectory(prefix="proxyguard-profile-") as name:
        folder = Path(name)
        make_certificate(folder)
        with nginx(folder) as upstream:
            for tls in (False, True):
                kinds = [kind for kind in KINDS if kind.name in wanted and kind.tls == tls]
                if kinds:
                    with counted_front(folder, upstream, tls=tls) as (url, control):
                        for kind in kinds:
                            counted[kind.name] = count(url, control, kind, options.requests, options.rounds)
    show(counted)
    if options.json:
        options.json.write_text(json.dumps(as_data(counted), indent=2) + "\n")
    worse = compare(counted, options.compare) if options.compare else []
    if worse:
        print(f"more than {MOST_WORSE:.0%} above what is stored: {', '.join(worse)}", file=sys.stderr)
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
