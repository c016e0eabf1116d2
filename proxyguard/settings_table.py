"""Every setting in one table: its name in the file, its variable, where it goes in `Settings`, how it is read, what it does.

The reader, the reference in `docs/` and the tests all go by this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from proxyguard.decision import Mode
from proxyguard.policy.model import FieldKind
from proxyguard.policy.parse_modes import MEANT_MODE
from proxyguard.policy.parse_texts import read_field_name
from proxyguard.problems import Fault, Report
from proxyguard.settings import FailureMode, OnFull, OnStoreDown
from proxyguard.settings_values import (
    read_file_path,
    read_listen,
    read_networks,
    read_path,
    read_secret,
    read_secret_file,
    read_sites,
    read_store_url,
    read_upstreams,
)  # fmt: skip
from proxyguard.yaml_nodes import Node, Scalar
from proxyguard.yaml_values import (
    complain,
    read_choice,
    read_duration,
    read_integer,
    read_name,
    read_number,
    read_size,
    read_text,
    read_truth,
)  # fmt: skip

PREFIX: Final = "PROXYGUARD_"

NOTHING: Final = object()
"""What a reader returns for a setting that is switched off: None in Settings."""

type Reader = Callable[[Node, Report, str, Path], object | None]
"""Reads a node; the text is the setting's name, the path what relative paths are relative to."""

DAY: Final = 86_400.0
GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `attribute` is its dotted place in Settings; empty when several settings make one value."""

    path: str
    attribute: str
    read: Reader
    takes: str
    about: str
    from_environment: bool = True

    @property
    def variable(self) -> str:
        """The environment variable, `PROXYGUARD_BOUNDS_HEAD_TIMEOUT` for `bounds.head_timeout`."""
        return PREFIX + self.path.replace(".", "_").upper()


def _plain(read: Callable[[Node, Report, str], object | None]) -> Reader:
    return lambda node, report, subject, _base: read(node, report, subject)


def _whole(low: int, high: int) -> Reader:
    return lambda node, report, subject, _base: read_integer(node, report, subject, low, high)


def _share(node: Node, report: Report, subject: str, _base: Path) -> object | None:
    return read_number(node, report, subject, 0, 1)


def _time(low: float, high: float, off: str = "") -> Reader:
    def read(node: Node, report: Report, subject: str, _base: Path) -> object | None:
        if off and isinstance(node, Scalar) and node.text == off:
            return NOTHING
        return read_duration(node, report, subject, low, high, off)

    return read


def _size(low: int, high: int, off: str = "") -> Reader:
    def read(node: Node, report: Report, subject: str, _base: Path) -> object | None:
        if off and isinstance(node, Scalar) and node.text == off:
            return NOTHING
        return read_size(node, report, subject, low, high, off)

    return read


def _word(choices: type[StrEnum], meant: Mapping[str, str] | None = None) -> Reader:
    def read(node: Node, report: Report, subject: str, _base: Path) -> object | None:
        word = read_choice(node, report, subject, tuple(choices), meant)
        return None if word is None else choices(word)

    return read


def _header(node: Node, report: Report, subject: str, _base: Path) -> object | None:
    text = read_text(node, report, subject, 256)
    try:
        return None if text is None else read_field_name(FieldKind.HEADER, text)
    except Fault as fault:
        complain(report, node, fault.message, fault.hint)
        return None


def _audit_path(node: Node, report: Report, subject: str, base: Path) -> object | None:
    text = read_text(node, report, subject, 4096)
    return text if text is None or text == "-" else str(base / text)


_TIMEOUT: Final = _time(0.1, DAY)
_BUFFER: Final = _size(4 * 1024, 64 * 1024 * 1024)

SETTINGS: Final = (
    Setting("listen", "listen", _plain(read_listen), "HOST:PORT", "Where clients connect."),
    Setting(
        "admin", "admin", _plain(read_listen), "HOST:PORT", "Health, readiness and metrics. Keep it off the internet."
    ),
    Setting(
        "control",
        "control",
        read_path,
        "path",
        "Unix socket for commands on the running instance. Default: in the temporary directory, named after the admin port.",
    ),
    Setting(
        "upstream",
        "",
        _plain(read_upstreams),
        "URL, or a list of URLs",
        "The web server to protect; several are used in turn. For several sites use `sites` instead.",
    ),
    Setting(
        "certificate.chain",
        "",
        read_file_path,
        "path",
        "PEM chain to serve HTTPS with; needs `certificate.key`. Not with `sites`.",
    ),
    Setting("certificate.key", "", read_file_path, "path", "PEM private key of `certificate.chain`."),
    Setting(
        "upstream_tls.verify",
        "",
        _plain(read_truth),
        "true or false",
        "Whether the certificate of an HTTPS upstream is verified. Not with `sites`.",
    ),
    Setting(
        "upstream_tls.ca",
        "",
        read_file_path,
        "path",
        "PEM certificates that may sign the upstream's. Default: the system's.",
    ),
    Setting(
        "upstream_tls.name",
        "",
        lambda node, report, subject, _: read_text(node, report, subject, 253),
        "name",
        "The name that the upstream's certificate must have. Default: the host of the URL.",
    ),
    Setting(
        "sites",
        "sites",
        read_sites,
        "list of {hosts, upstream, certificate, upstream_tls, rule_sets}",
        "Several sites in one instance, each with its hosts and upstreams.",
        from_environment=False,
    ),
    Setting("rules", "rules", read_path, "path", "The folder of rule files."),
    Setting(
        "mode",
        "mode",
        _word(Mode, MEANT_MODE),
        "enforce, shadow or off",
        "The most that any rule may do; `shadow` records and never acts.",
    ),
    Setting(
        "failure_mode",
        "failure_mode",
        _word(FailureMode),
        "open or closed",
        "A request whose check failed through a fault of ours is forwarded (`open`) or refused with 503 (`closed`).",
    ),
    Setting(
        "trust.proxies",
        "trust.proxies",
        _plain(read_networks),
        "list of networks",
        "Peers that may say who the client is. Nobody else's forwarding headers are believed.",
    ),
    Setting(
        "trust.header",
        "trust.header",
        _header,
        "name",
        "Where trusted peers say it: `x-forwarded-for`, `forwarded`, or a header of one address, such as `cf-connecting-ip`.",
    ),
    Setting(
        "trust.proxy_protocol",
        "trust.proxy_protocol",
        _plain(read_truth),
        "true or false",
        "Whether trusted peers begin each connection with a PROXY header, version 1 or 2.",
    ),
    Setting(
        "bounds.head_timeout",
        "bounds.head_seconds",
        _TIMEOUT,
        "duration",
        "From the accept or the first byte to the end of a request head; then 408.",
    ),
    Setting(
        "bounds.idle_timeout",
        "bounds.idle_seconds",
        _TIMEOUT,
        "duration",
        "Between requests of a kept-alive connection; then it is closed.",
    ),
    Setting(
        "bounds.body_gap_timeout",
        "bounds.body_gap_seconds",
        _TIMEOUT,
        "duration",
        "Between bytes of a request body; then 408.",
    ),
    Setting(
        "bounds.send_gap_timeout",
        "bounds.send_gap_seconds",
        _TIMEOUT,
        "duration",
        "A client that takes no byte of a response for so long is cut.",
    ),
    Setting(
        "bounds.upgrade_idle_timeout",
        "bounds.upgrade_idle_seconds",
        _time(1, 7 * DAY),
        "duration",
        "Without a byte in either direction on a WebSocket; then it is closed.",
    ),
    Setting(
        "bounds.upstream_connect_timeout",
        "bounds.upstream_connect_seconds",
        _TIMEOUT,
        "duration",
        "To connect to an upstream; then the next one, else 503.",
    ),
    Setting(
        "bounds.upstream_first_byte_timeout",
        "bounds.upstream_first_byte_seconds",
        _TIMEOUT,
        "duration",
        "From the end of a request to the head of its response; then 504.",
    ),
    Setting(
        "bounds.upstream_gap_timeout",
        "bounds.upstream_gap_seconds",
        _TIMEOUT,
        "duration",
        "Between bytes of a response; then the connection is cut.",
    ),
    Setting(
        "bounds.tls_handshake_timeout",
        "bounds.tls_handshake_seconds",
        _TIMEOUT,
        "duration",
        "For a TLS handshake; then a close.",
    ),
    Setting(
        "bounds.client_hello_size",
        "bounds.client_hello_bytes",
        _size(1024, 64 * 1024),
        "size",
        "The first message of a TLS handshake; then a close.",
    ),
    Setting(
        "bounds.head_size", "bounds.head_bytes", _size(1024, 1024 * 1024), "size", "Request line and headers; then 431."
    ),
    Setting(
        "bounds.field_size", "bounds.field_bytes", _size(256, 256 * 1024), "size", "One header with its name; then 431."
    ),
    Setting("bounds.header_count", "bounds.header_count", _whole(8, 1000), "number", "Headers of a request; then 431."),
    Setting("bounds.target_size", "bounds.target_bytes", _size(256, 256 * 1024), "size", "Path and query; then 414."),
    Setting(
        "bounds.body_size",
        "bounds.body_bytes",
        _size(0, 1024 * GIB, "unlimited"),
        "size or unlimited",
        "A request body; then 413.",
    ),
    Setting(
        "bounds.connections",
        "bounds.connections",
        _whole(1, 1_000_000),
        "number",
        "Connections of all clients together; then new ones wait or are closed.",
    ),
    Setting(
        "bounds.connections_per_network",
        "bounds.connections_per_network",
        _whole(1, 1_000_000),
        "number",
        "Connections of one client network (`counting.prefixes`); trusted peers are not counted.",
    ),
    Setting(
        "bounds.requests_per_connection",
        "bounds.requests_per_connection",
        _whole(1, 1_000_000_000),
        "number",
        "Then the connection is closed after the response.",
    ),
    Setting(
        "bounds.buffer_size",
        "bounds.buffer_bytes",
        _BUFFER,
        "size",
        "Held per direction of a connection before the other side has to wait.",
    ),
    Setting(
        "bounds.http2_streams",
        "bounds.http2_streams",
        _whole(1, 10_000),
        "number",
        "Requests at once on one HTTP/2 connection.",
    ),
    Setting(
        "bounds.http2_resets",
        "bounds.http2_resets",
        _whole(1, 100_000),
        "number",
        "Requests that an HTTP/2 client may take back within 30 s; then the connection is closed.",
    ),
    Setting(
        "tarpit.connections",
        "tarpit.connections",
        _whole(0, 1_000_000),
        "number",
        "Clients held at once; beyond that a tarpit is a reject.",
    ),
    Setting(
        "tarpit.per_network", "tarpit.per_network", _whole(0, 1_000_000), "number", "The same for one client network."
    ),
    Setting(
        "tarpit.hold",
        "tarpit.hold_seconds",
        _time(1, 3600),
        "duration",
        "The longest that any tarpit holds a client, whatever its rule says.",
    ),
    Setting(
        "tarpit.bytes_per_connection",
        "tarpit.bytes_per_connection",
        _size(64, 16 * 1024 * 1024),
        "size",
        "The most that one tarpit sends.",
    ),
    Setting(
        "counting.keys",
        "counting.keys",
        _whole(1000, 100_000_000),
        "number",
        "Keys of limits kept at once; about 130 bytes each.",
    ),
    Setting("counting.bans", "counting.bans", _whole(100, 10_000_000), "number", "Bans kept at once."),
    Setting(
        "counting.accounts",
        "counting.accounts",
        _whole(100, 10_000_000),
        "number",
        "Sessions whose account is remembered; about 200 bytes each. The one used least recently gives way.",
    ),
    Setting(
        "counting.on_full",
        "counting.on_full",
        _word(OnFull),
        "protect or permit",
        "What a full table does with a new key: share one of 1,024 counters per rule (`protect`), or not count it (`permit`).",
    ),
    Setting(
        "counting.prefixes.client_v4",
        "counting.prefixes.client_v4",
        _whole(8, 32),
        "bits",
        "What `per: client` keeps of an IPv4 address.",
    ),
    Setting(
        "counting.prefixes.client_v6",
        "counting.prefixes.client_v6",
        _whole(16, 128),
        "bits",
        "What `per: client` keeps of an IPv6 address. A household has a /64 or more.",
    ),
    Setting(
        "counting.prefixes.network_v4",
        "counting.prefixes.network_v4",
        _whole(8, 32),
        "bits",
        "What `per: network` keeps of an IPv4 address.",
    ),
    Setting(
        "counting.prefixes.network_v6",
        "counting.prefixes.network_v6",
        _whole(16, 128),
        "bits",
        "What `per: network` keeps of an IPv6 address.",
    ),
    Setting(
        "store.url",
        "store.url",
        _plain(read_store_url),
        "URL",
        "A Valkey or Redis server that several instances share. Default: counts are kept in this process.",
    ),
    Setting("store.name", "store.name", _plain(read_name), "name", "Sets apart deployments that share a server."),
    Setting("store.timeout", "store.timeout_seconds", _time(0.005, 5), "duration", "How long a request waits for it."),
    Setting(
        "store.on_down",
        "store.on_down",
        _word(OnStoreDown),
        "local, open or closed",
        "While it does not answer: count in this process, count nothing, or refuse what a limit would count.",
    ),
    Setting(
        "store.snapshot",
        "store.snapshot",
        read_path,
        "path",
        "Without a server: a file that keeps bans, and counters that last over 10 s, over restarts.",
    ),
    Setting("audit.path", "audit.path", _audit_path, "path or -", "The audit log; `-` is standard output."),
    Setting(
        "audit.passes",
        "audit.passes",
        _share,
        "0 to 1",
        "The share of plain passes that is recorded; everything else always is.",
    ),
    Setting("workers", "workers", _whole(1, 256), "number", "Processes that share the port."),
    Setting(
        "recycle.age",
        "recycle.age_seconds",
        _time(60, 366 * DAY, "never"),
        "duration or never",
        "A worker of several is replaced at this age.",
    ),
    Setting(
        "recycle.memory",
        "recycle.memory_bytes",
        _size(64 * 1024 * 1024, 1024 * GIB, "never"),
        "size or never",
        "A worker of several is replaced when it holds this much memory.",
    ),
    Setting("http2", "http2", _plain(read_truth), "true or false", "Whether HTTP/2 is offered over TLS."),
    Setting(
        "drain_timeout", "drain_seconds", _time(0, 3600), "duration", "How long requests may finish after SIGTERM."
    ),
    Setting(
        "restrictions.file",
        "restrictions_file",
        read_path,
        "path",
        "Keeps restrictions started and ended by command over restarts. Default: they end with the instance.",
    ),
    Setting(
        "key_secret",
        "key_secret",
        _plain(read_secret),
        "text",
        "Keys the hashes of cookie and header values that limits count by. Default: a random one for each start.",
    ),
    Setting("key_secret_file", "key_secret", read_secret_file, "path", "A file that holds `key_secret`."),
)
"""In the order of the reference."""

BY_PATH: Final = {setting.path: setting for setting in SETTINGS}
BY_VARIABLE: Final = {setting.variable: setting for setting in SETTINGS if setting.from_environment}

OTHER_VARIABLES: Final = {
    "PROXYGUARD_CONFIG": "The settings file, when none is named on the command line.",
    "PROXYGUARD_LOOP": "`asyncio` runs without uvloop, to tell whose fault something is.",
}
"""Variables that are not settings."""
