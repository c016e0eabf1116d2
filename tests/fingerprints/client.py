"""What a client is, and the header fields that are copied."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

CHROME: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36"

COPIED: Final = {
    "sec-ch-ua": '"Google Chrome";v="153", "Not_A Brand";v="8", "Chromium";v="153"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Windows"',
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": CHROME,
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Priority": "u=0, i",
}
"""What Chrome 153 on Windows sends with the first request of a visit, as people copy it."""

NAMED: Final = {"User-Agent": CHROME}

LIBRARY: Final = "library"
IMITATOR: Final = "imitator"
BROWSER: Final = "browser"
INTERCEPTED: Final = "intercepted"
"""A browser behind something that opens its TLS."""

PROGRAMS: Final = Path(__file__).parent / "programs"
PYTHON: Final = os.environ.get("FINGERPRINT_PYTHON", sys.executable)
"""The interpreter that has the libraries of requirements/fingerprints.txt; the tests' own has some of them."""
OPENSSL_1: Final = os.environ.get("FINGERPRINT_OPENSSL_1", "/opt/openssl-1.1/lib")
"""The folder that has libssl.so.1.1 and libcrypto.so.1.1, for .NET."""
_SPELL: Final = "import json, sys\nurl, headers = sys.argv[1], json.loads(sys.argv[2]) or None\n"

Command = Callable[[str, Mapping[str, str]], Sequence[str]]
"""The command that asks for a URL with header fields; none: the client's own. `{folder}` stands for a folder of its own."""


class Client(NamedTuple):
    """One client, and the kind that it must be found to be."""

    name: str
    kind: str
    command: Command
    speaks: str = "unknown"
    """Empty: anything."""
    needs: str = ""
    """A program, `python:PACKAGE`, `node:PACKAGE` or a file."""
    copies: bool = True
    """Whether every copied field can be given to it, not its name alone."""


def python(name: str, script: str, *, kind: str = LIBRARY, speaks: str = "python", needs: str = "", here: bool = False) -> Client:
    """A client in Python: `url` and `headers` are there. `here`: in the interpreter of the tests, which has its package."""
    interpreter = sys.executable if here else PYTHON

    def command(url: str, headers: Mapping[str, str]) -> Sequence[str]:
        return (interpreter, "-W", "ignore", "-c", _SPELL + script, url, json.dumps(headers))

    return Client(name, kind, command, speaks, sys.executable if here else f"python:{needs or name.partition('-')[0]}")


def is_here(client: Client) -> bool:
    """Whether the program or package of a client is installed."""
    kind, _, name = client.needs.rpartition(":")
    match kind:
        case "python":
            return name in _packages()
        case "node":
            return shutil.which("node") is not None and (PROGRAMS / "node/node_modules" / name).is_dir()
        case _:
            return Path(name).is_file() if name.startswith("/") else shutil.which(name) is not None


@cache
def _packages() -> frozenset[str]:
    """The packages that the clients' interpreter has."""
    script = "import pkgutil; print(*(module.name for module in pkgutil.iter_modules()))"
    found = subprocess.run((PYTHON, "-c", script), check=True, capture_output=True, text=True)
    return frozenset(found.stdout.split())


def modes(client: Client) -> Sequence[tuple[str, Mapping[str, str]]]:
    """How a client is tried: with its own header fields, with a copied user agent, with all copied fields if it takes them."""
    match client.kind:
        case "browser" | "intercepted":
            return (("own", {}),)
        case "imitator":
            return (("own", {}), ("copied", COPIED))
        case _:
            named: Sequence[tuple[str, Mapping[str, str]]] = (("own", {}), ("named", NAMED))
            return (*named, ("copied", COPIED)) if client.copies else named
