"""Process settings: what this instance listens on, protects, trusts and bounds. Values with defaults; read once at start.

Reading `proxyguard.yaml` and `PROXYGUARD_*` is `settings/`'s work. Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from proxyguard.core.address import Network, Prefixes
from proxyguard.core.admin_access import AdminAccess
from proxyguard.core.decision import Mode
from proxyguard.core.jar_settings import Items, JarCookie
from proxyguard.core.maze_budget import MazeBudget
from proxyguard.core.origin_settings import Identity, OriginTables
from proxyguard.core.preferences import Preferences
from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.privacy import Audit, Privacy
from proxyguard.core.process_settings import Otel, Recycle
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.core.robots import RobotsReading
from proxyguard.core.tarpit_budget import TarpitBudget

KIB = 1024
MIB = 1024 * KIB


class FailureMode(StrEnum):
    """What happens to a request whose check failed through our own fault."""

    OPEN = "open"
    CLOSED = "closed"


class OnFull(StrEnum):
    """What a full table of counters does with a key it has never seen."""

    PROTECT = "protect"
    """New keys share 1,024 counters per rule, so a flood of keys cannot switch limiting off."""
    PERMIT = "permit"
    """New keys are not counted until there is room."""


class Neighbour(StrEnum):
    """What an instance depends on, and may be asked to be unready without: an address of each upstream, the store outside."""

    UPSTREAM = "upstream"
    STORE = "store"


class OnStoreDown(StrEnum):
    """What counts while a store outside this process does not answer. Bans known here stay in force in each case."""

    LOCAL = "local"
    """A table of this process, starting empty: each process lets through what the limit says."""
    OPEN = "open"
    """Nothing: no limit is exceeded."""
    CLOSED = "closed"
    """Nothing, and requests that a limit would count are refused."""


class UpstreamReuse(StrEnum):
    """When a connection to an upstream may carry another request, which may be another client's."""

    NEVER = "never"
    SAFE = "safe"
    """Not after messages of a kind that some servers end elsewhere than we do."""
    ALWAYS = "always"
    """Whenever both messages were whole."""


class UpstreamHttp(StrEnum):
    """The version of HTTP that an upstream is spoken to in."""

    HTTP1 = "1.1"
    HTTP2 = "2"
    """Over TLS by ALPN, in clear text by prior knowledge."""


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on: TCP, where port 0 lets the kernel choose, or a Unix socket.

    `path` is of the Unix socket, `mode` its file's permissions; empty for TCP. `redirects`: what comes in clear text is sent to
    https.
    """

    host: str
    port: int
    path: str = ""
    mode: int = 0o660
    redirects: bool = False

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One web server behind us. `path` is of its Unix socket, empty for TCP. `scheme` is `http`, `https` or `h2c`."""

    scheme: str
    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate chain and its key, PEM. Read again when the files change."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """How HTTPS upstreams are verified. `name` overrides the name that the certificate must have."""

    verify: bool = True
    ca: Path | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A request that each worker sends to every address of a site's upstreams.

    `statuses` are those of a site that is well; empty: 200 to 399. So many checks in a row as `down_after` and `up_after` say
    leave an address out and bring it back.
    """

    path: str
    interval_seconds: float = 5.0
    timeout_seconds: float = 2.0
    statuses: tuple[int, ...] = ()
    down_after: int = 3
    up_after: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffering:
    """How much of a body is held here, so that a slow client does not hold one of the site's workers. 0 switches a part off."""

    request_bytes: int = 64 * KIB
    """A request's body up to this is held until it is whole before an upstream is asked for; more of a slow one, see bounds."""
    response_bytes: int = 256 * KIB
    """What a client does not take of a response is held in memory up to this, so that the upstream can finish."""
    file_bytes: int = 64 * MIB
    """And beyond it in a file up to this; then the upstream waits."""
    excepted: tuple[str, ...] = ()
    """Paths whose bodies are passed on as they come, in both directions; `/uploads/*` is all that begins so."""

    def excepts(self, path: bytes) -> bool:
        """Whether a path, as rules see it, is one of `excepted`."""
        for pattern in self.excepted:
            wanted = pattern.encode()
            if path.startswith(wanted[:-1]) if wanted.endswith(b"*") else path == wanted:
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferBudget:
    """What all bodies held by a worker may take together, and those of one client network."""

    memory_bytes: int = 64 * MIB
    memory_per_network_bytes: int = 16 * MIB
    disk_bytes: int = 4096 * MIB
    disk_per_network_bytes: int = 3072 * MIB
    directory: Path | None = None
    """Where the file is; None: the system's directory for temporary files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Hosts that share upstreams, certificate and rule sets. `*.example.org` matches one or more labels; `*` any host."""

    hosts: tuple[str, ...] = ("*",)
    upstreams: tuple[Upstream, ...] = ()
    certificate: Certificate | None = None
    upstream_tls: UpstreamTls = field(default_factory=UpstreamTls)
    upstream_reuse: UpstreamReuse = UpstreamReuse.SAFE
    upstream_http: UpstreamHttp = UpstreamHttp.HTTP1
    health: HealthCheck | None = None
    upstream_connections: int | None = None
    """Requests that its upstreams get at once from one worker; None: what open files allow, less what other sites are sure of."""
    rule_sets: tuple[str, ...] | None = None
    """Names of the rule sets that apply; None means all."""
    paths: SiteReading | None = None
    """How its server reads paths; None: as the settings say for all sites."""
    method_override: bool | None = None
    """Whether headers that name another method pass; None: as the settings say for all sites."""
    buffering: Buffering | None = None
    """None: as for the instance."""

    @property
    def is_http2(self) -> bool:
        """Whether all of its upstreams are spoken to in HTTP/2."""
        return all(self.speaks_http2(upstream) for upstream in self.upstreams)

    def speaks_http2(self, upstream: Upstream) -> bool:
        """Whether one of its upstreams is spoken to in HTTP/2."""
        return upstream.scheme == "h2c" or self.upstream_http is UpstreamHttp.HTTP2


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalPage:
    """What the pages that refused people read show beside the reason. Empty: left out."""

    site_name: str = ""
    logo: str = ""
    """Address of a picture, such as `/static/logo.svg`, or a `data:` URL."""
    contact: str = ""
    """An e-mail address, a telephone number or a sentence: whom to tell the reference."""
    link: str = ""
    """Address of a page with more help."""
    language: str = "en"
    """For clients that prefer none of the languages there are."""
    template: Path | None = None
    """A page of the operator's own instead of the bundled one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one client may make us hold or wait for. Exceeding a bound is a clear status or a close, never a hang."""

    head_seconds: float = 15.0
    """From the first byte (or the accept) to the end of a request head; then 408."""
    idle_seconds: float = 60.0
    """Between requests of a kept-alive connection; then a close."""
    body_gap_seconds: float = 30.0
    """Between bytes of a request body; then 408."""
    request_rate: int = 512
    """Bytes per second of a request's body, averaged over `body_gap_seconds`; then 408. 0: none. Apache's MinRate is 500."""
    upload_rate: int = 2 * KIB
    """The same while an upstream waits for the body; of a slower client more is held before one is asked for."""
    send_gap_seconds: float = 60.0
    """A client that takes no byte of a response for so long is cut."""
    response_rate: int = 512
    """Bytes per second that a client takes of a response that waits for it, averaged over `send_gap_seconds`. 0: none."""
    half_close_seconds: float = 1.0
    """How long a client that has closed its side of an HTTP/1 connection is waited on for its response to begin, or to go on."""
    upgrade_idle_seconds: float = 3600.0
    """Without a byte in either direction on an upgraded connection (WebSocket)."""
    upstream_connect_seconds: float = 5.0
    """Then the next upstream, else 503."""
    upstream_first_byte_seconds: float = 60.0
    """From the end of the request to the response head; then 504."""
    upstream_gap_seconds: float = 300.0
    """Between bytes of a response; event streams send comments more often than that."""
    response_head_bytes: int = 64 * KIB
    """Status line and header section of a response, and the trailers; then 502."""
    tls_handshake_seconds: float = 10.0
    client_hello_bytes: int = 16 * KIB
    head_bytes: int = 32 * KIB
    """Request line and header section; then 431."""
    field_bytes: int = 8 * KIB
    """One header field, name and value; then 431. Conditions never look at more than this."""
    header_count: int = 100
    target_bytes: int = 8 * KIB
    """Then 414."""
    body_bytes: int | None = None
    """Then 413. None: no bound, bodies are streamed."""
    connections: int = 20_000
    connections_per_network: int = 2_000
    """Per client network (see Prefixes); peers in trusted_proxies are not counted, the clients that PROXY headers name are."""
    requests: int = 40_000
    """Under way at once in a worker, half of them with an upstream connection. Lowered to what open files allow; then 503."""
    requests_per_network: int = 2_000
    """The same for one client network, HTTP/2 streams included; then 429. At most half of the upstream connections."""
    upstream_queue: int = 128
    """Requests of one site that wait for a connection to its upstreams; then 503."""
    upstream_queue_seconds: float = 5.0
    """How long each of them waits; then 503."""
    requests_per_connection: int = 10_000
    buffer_bytes: int = 256 * KIB
    """Per direction of a connection before reading from the other side stops."""
    http2_streams: int = 100
    http2_resets: int = 200
    """Streams reset by one client connection in 30 s before it is closed (rapid reset, CVE-2023-44487)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Tables of the memory store."""

    keys: int = 1_000_000
    bans: int = 100_000
    bans_per_network: int = 128
    """Addresses of a client network that are banned one by one; the next one's ban is the network's. 0: any number."""
    accounts: int = 100_000
    """Sessions whose account is remembered; the one used least recently gives way."""
    on_full: OnFull = OnFull.PROTECT
    prefixes: Prefixes = field(default_factory=Prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChoice:
    """Where counts and bans are kept."""

    url: str | None = None
    """A Valkey or Redis server that several instances share, such as `rediss://user:password@host/0`; None: this process."""
    name: str = "proxyguard"
    """Sets apart deployments that share a server."""
    timeout_seconds: float = 0.05
    on_down: OnStoreDown = OnStoreDown.LOCAL
    snapshot: Path | None = None
    """A file that keeps bans and lasting counts over restarts when there is no server; None: they end with the process."""
    learned: Path | None = None
    """A file that keeps what was learned over restarts when there is a server; without one it is beside the snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who may say what the client address is; see client_address."""

    proxies: tuple[Network, ...] = ()
    header: str = "x-forwarded-for"
    """`x-forwarded-for`, `forwarded`, or a header that holds one address, such as `cf-connecting-ip`."""
    keep: tuple[str, ...] = ()
    """Claims of trusted peers that pass on beside what is written anew: `remote-user`, `x-forwarded-client-cert`, …"""
    ja4: str = ""  # a header in which trusted peers say the JA4 of the client
    proxy_protocol: bool = False
    """Trusted peers begin each connection with a PROXY header, v1 or v2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a process."""

    listen: tuple[Listen, ...] = (Listen("0.0.0.0", 8080),)  # noqa: S104 - a front faces every interface unless told otherwise
    admin: Listen = Listen("127.0.0.1", 9901)
    admin_hosts: tuple[str, ...] = ()
    """Names by which the admin port may be asked beside `localhost`, the one it listens on, and addresses; `*`: any."""
    admin_access: AdminAccess = field(default_factory=AdminAccess)
    ready_when: tuple[Neighbour, ...] = ()
    """What has to be well for `/readyz`, beside the instance itself."""
    control: Path | None = None
    """Unix socket for commands on the running instance; None: named after the admin port, in a folder of its user."""
    sites: tuple[Site, ...] = ()
    rules: Path = Path("rules")
    paths: SiteReading = STRICT
    """How sites that do not say it themselves read paths and the names of parameters."""
    method_override: bool = False
    """Whether `X-HTTP-Method-Override` and its kin pass; rules then see the method that they name."""
    preset: RulesPreset = DEFAULT_PRESET
    mode: Mode = Mode.ENFORCE
    failure_mode: FailureMode = FailureMode.OPEN
    trust: Trust = field(default_factory=Trust)
    bounds: Bounds = field(default_factory=Bounds)
    buffering: Buffering = field(default_factory=Buffering)
    refusal_page: RefusalPage = field(default_factory=RefusalPage)
    buffer_budget: BufferBudget = field(default_factory=BufferBudget)
    tarpit: TarpitBudget = field(default_factory=TarpitBudget)
    maze: MazeBudget = field(default_factory=MazeBudget)
    counting: Counting = field(default_factory=Counting)
    jar: JarCookie = field(default_factory=JarCookie)
    items: Items = field(default_factory=Items)
    store: StoreChoice = field(default_factory=StoreChoice)
    audit: Audit = field(default_factory=Audit)
    origin: OriginTables = field(default_factory=OriginTables)
    identity: Identity = field(default_factory=Identity)
    preferences: Preferences = field(default_factory=Preferences)
    robots: RobotsReading = field(default_factory=RobotsReading)
    privacy: Privacy = field(default_factory=Privacy)
    workers: int = 1
    """Processes that share the listening port. 1 needs no supervisor."""
    recycle: Recycle = field(default_factory=Recycle)
    otel: Otel = field(default_factory=Otel)
    http2: bool = True
    drain_seconds: float = 30.0
    restrictions_file: Path | None = None
    """Keeps what operators decided about restrictions over restarts; None: it ends with the instance."""
    key_secret: str | None = None
    """Keys the hashes of cookie and header values; None: a random one for the life of the process."""

    def reading_of(self, site: Site) -> SiteReading:
        """How a site reads paths."""
        return self.paths if site.paths is None else site.paths

    def keeps_override(self, site: Site) -> bool:
        """Whether headers that name another method pass to a site."""
        return self.method_override if site.method_override is None else site.method_override
