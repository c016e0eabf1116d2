"""The clients: how each asks for one address, with its own header fields or with copied ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple

CHROME: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36"
FIREFOX: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0"

COPIED: Final = {
    "sec-ch-ua": '"Chromium";v="153", "Not:A-Brand";v="24", "Google Chrome";v="153"',
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

PYTHON: Final = os.environ.get("FINGERPRINT_PYTHON", sys.executable)
"""The interpreter that has the libraries of requirements/fingerprints.txt; the tests' own has some of them."""
_SPELL: Final = "import json, sys\nurl, headers = sys.argv[1], json.loads(sys.argv[2]) or None\n"


class Client(NamedTuple):
    """`kind` is `library`, `imitator` or `browser`; `claims` what its user agent names with its own header fields."""

    name: str
    kind: str
    command: Callable[[str, dict[str, str]], Sequence[str]]
    speaks: str = "unknown"
    """The client kind that it must be found to be."""
    needs: str = ""
    """A program or a Python package."""


def python(name: str, script: str, *, kind: str = "library", speaks: str = "python", needs: str = "") -> Client:
    def command(url: str, headers: dict[str, str]) -> Sequence[str]:
        return (PYTHON, "-W", "ignore", "-c", _SPELL + script, url, json.dumps(headers))

    return Client(name, kind, command, speaks, f"python:{needs or name.partition('-')[0]}")


def _curl(*options: str) -> Callable[[str, dict[str, str]], Sequence[str]]:
    def command(url: str, headers: dict[str, str]) -> Sequence[str]:
        fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        return ("curl", "-sk", "-o", "/dev/null", *options, *fields, url)

    return command


def _wget(url: str, headers: dict[str, str]) -> Sequence[str]:
    fields = [f"--header={name}: {value}" for name, value in headers.items() if name != "User-Agent"]
    agent = [f"--user-agent={headers['User-Agent']}"] if headers else []
    return ("wget", "-q", "-t", "1", "--no-check-certificate", "-O", "/dev/null", *agent, *fields, url)


def _lynx(url: str, headers: dict[str, str]) -> Sequence[str]:
    agent = [f"-useragent={headers['User-Agent']}"] if headers else []
    return ("lynx", "-dump", "-cfg=/dev/null", *agent, url)


def _node(script: str) -> Callable[[str, dict[str, str]], Sequence[str]]:
    start = (
        "process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';"
        "const [url, text] = process.argv.slice(1); const headers = JSON.parse(text);"
    )
    return lambda url, headers: ("node", "--no-warnings", "-e", start + script, url, json.dumps(headers))


def _php(url: str, headers: dict[str, str]) -> Sequence[str]:
    script = (
        '$h = json_decode($argv[2], true); $l = []; foreach ($h as $k => $v) { $l[] = "$k: $v"; }'
        " file_get_contents($argv[1], false, stream_context_create(['http' => ['header' => $l],"
        " 'ssl' => ['verify_peer' => false, 'verify_peer_name' => false]]));"
    )
    return ("php", "-r", script, "--", url, json.dumps(headers))


def _ruby(url: str, headers: dict[str, str]) -> Sequence[str]:
    script = (
        "require 'net/http'; require 'json'; require 'openssl'; u = URI(ARGV[0]); r = Net::HTTP::Get.new(u);"
        " JSON.parse(ARGV[1]).each { |k, v| r[k] = v };"
        " Net::HTTP.start(u.host, u.port, use_ssl: true, verify_mode: OpenSSL::SSL::VERIFY_NONE) { |h| h.request(r) }"
    )
    return ("ruby", "-e", script, url, json.dumps(headers))


def chromium(*flags: str) -> Callable[[str, dict[str, str]], Sequence[str]]:
    common = (
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--ignore-certificate-errors",
    )  # fmt: skip
    return lambda url, _: (*common, *flags, "--dump-dom", url)


def _imitator(library: str, profile: str, script: str) -> Client:
    text = script.replace("PROFILE", profile)
    return python(f"{library}-{profile or 'plain'}", text, kind="imitator", speaks="", needs=library)


_CFFI: Final = "import curl_cffi\ncurl_cffi.get(url, impersonate='PROFILE', headers=headers, verify=False)\n"
_PRIMP: Final = (
    "import primp\nprimp.Client(impersonate='PROFILE', impersonate_os='windows', verify=False, headers=headers).get(url)\n"
)
_TLSC: Final = (
    "import tls_client\ns = tls_client.Session(client_identifier='PROFILE', random_tls_extension_order=True)\n"
    "s.get(url, headers=headers, insecure_skip_verify=True)\n"
)
_WREQ: Final = (
    "import asyncio, wreq\nasync def go():\n c = wreq.Client(emulation=wreq.Emulation.PROFILE, tls_verify=False)\n"
    " await c.get(url, headers=headers)\nasyncio.run(go())\n"
)
_RNET: Final = (
    "import asyncio, rnet\nasync def go():\n c = rnet.Client(impersonate=rnet.Impersonate.PROFILE, verify=False)\n"
    " await c.get(url, headers=headers)\nasyncio.run(go())\n"
)

_URLLIB: Final = (
    "import ssl, urllib.request as u\n"
    "u.urlopen(u.Request(url, headers=headers or {}), context=ssl._create_unverified_context())\n"
)
_AIOHTTP: Final = (
    "import aiohttp, asyncio\nasync def go():\n"
    " async with aiohttp.ClientSession() as s, s.get(url, headers=headers, ssl=False) as r: await r.read()\nasyncio.run(go())\n"
)

CLIENTS: Final[tuple[Client, ...]] = (
    Client("curl-h2", "library", _curl("--http2"), "curl", "curl"),
    Client("curl-h1", "library", _curl("--http1.1"), "curl", "curl"),
    Client("wget", "library", _wget, "unknown", "wget"),
    Client("lynx", "library", _lynx, "unknown", "lynx"),
    Client("node-https", "library", _node("require('https').get(url, {headers}, (r) => r.resume());"), "node", "node"),
    Client("node-fetch", "library", _node("fetch(url, {headers}).then((r) => r.text());"), "node", "node"),
    Client("php-stream", "library", _php, "php", "php"),
    Client("ruby", "library", _ruby, "ruby", "ruby"),
    python("urllib", _URLLIB),
    python("requests", "import requests\nrequests.get(url, headers=headers, verify=False)\n"),
    python("httpx-h1", "import httpx\nhttpx.Client(verify=False).get(url, headers=headers)\n"),
    python("httpx-h2", "import httpx\nhttpx.Client(verify=False, http2=True).get(url, headers=headers)\n"),
    python("aiohttp", _AIOHTTP),
    python("niquests", "import niquests\nniquests.get(url, headers=headers, verify=False)\n"),
    *(_imitator("curl_cffi", profile, _CFFI) for profile in ("chrome120", "chrome131", "chrome146", "chrome152")),
    *(_imitator("curl_cffi", profile, _CFFI) for profile in ("firefox147", "safari260")),
    *(_imitator("primp", profile, _PRIMP) for profile in ("chrome_146", "chrome_152", "edge_153", "firefox_148")),
    *(_imitator("tls_client", profile, _TLSC) for profile in ("chrome_124", "chrome_131", "firefox_133")),
    *(_imitator("wreq", profile, _WREQ) for profile in ("Chrome146", "Chrome154", "Firefox152")),
    *(_imitator("rnet", profile, _RNET) for profile in ("Chrome131", "Chrome137", "Firefox139")),
    Client("chromium", "browser", chromium(), "chromium", "chromium"),
    Client("chromium-http2-off", "browser", chromium("--disable-http2"), "chromium", "chromium"),
    Client("chromium-tls12", "browser", chromium("--ssl-version-max=tls1.2"), "chromium", "chromium"),
    Client("chromium-incognito", "browser", chromium("--incognito"), "chromium", "chromium"),
)  # fmt: skip


@cache
def _packages() -> frozenset[str]:
    """The packages that the clients' interpreter has."""
    script = "import pkgutil; print(*(module.name for module in pkgutil.iter_modules()), 'urllib')"
    found = subprocess.run((PYTHON, "-c", script), check=True, capture_output=True, text=True)
    return frozenset(found.stdout.split())


def is_here(client: Client) -> bool:
    """Whether the program or package of a client is installed."""
    if client.needs.startswith("python:"):
        return client.needs.removeprefix("python:") in _packages()
    return shutil.which(client.needs) is not None


def modes(client: Client) -> Sequence[tuple[str, dict[str, str]]]:
    """How a client is tried: with its own header fields, and with copied ones where they can be given."""
    if client.kind == "browser":
        return (("own", {}),)
    return (("own", {}), ("copied", COPIED))
