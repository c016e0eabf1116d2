"""Every setting in one table: its name in the file, its variable, where it goes in `Settings`, how it is read, what it does.

The reader, the JSON Schema, the reference in `docs/` and the tests all go by this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxyguard.core.preset import RulesPreset
from proxyguard.core.privacy import PRESETS, ClientNaming, PathDetail, PrivacyPreset, TextDetail
from proxyguard.core.settings import FailureMode, OnFull, OnStoreDown, Settings
from proxyguard.core.units import duration_text, size_text
from proxyguard.core.yaml.kinds import KEBAB, TRUTH, Kind, duration, prose, size, whole, word
from proxyguard.policy.parse.modes import MODE
from proxyguard.settings.addresses import LISTEN, LISTENERS, UPSTREAMS
from proxyguard.settings.kinds import (
    ADMIN_HOSTS,
    AUDIT_PATH,
    CLAIMS,
    COLLECTOR,
    COOKIE_NAME,
    EXCEPTED,
    FILE,
    FILE_OF_SECRET,
    HEADER,
    HEALTH_CHECK,
    NEIGHBOURS,
    NETWORKS,
    PATH,
    RULES,
    SECRET,
    SERVER_NAME,
    SHARE,
    SITES,
    STORE_URL,
    TIMEOUT,
    UPSTREAM_CONNECTIONS,
    UPSTREAM_HTTP,
    UPSTREAM_REUSE,
)
from proxyguard.settings.origin_kinds import KEY_HOSTS, RESOLVERS, UPDATE_HOSTS
from proxyguard.settings.page_kinds import LANGUAGE, LINK, LOGO
from proxyguard.settings.privacy_kinds import PATTERNS, PEOPLE_PATHS, PUBLIC_KEY
from proxyguard.settings.reading_kinds import PATHS

PREFIX: Final = "PROXYGUARD_"

DAY: Final = 86_400.0
GIB: Final = 1024**3


_SITE_DEFAULTS: Final = {"upstream_tls.verify": "true", "upstream_reuse": "safe", "upstream_http": "1.1"}
"""Defaults of settings that describe the only site, and so have no place of their own in Settings."""


BY_PRESET: Final = "by preset"

_BY_PRESET: Final = frozenset(f"privacy.{name}" for name in PRESETS[PrivacyPreset.STANDARD])
"""Attributes whose default is what the preset says."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `attribute` is its dotted place in Settings; empty when several settings make one value.

    `reload`: a running instance takes it over when it is reloaded; otherwise it needs a restart.
    """

    path: str
    attribute: str
    kind: Kind
    about: str
    from_environment: bool = True
    reload: bool = False

    @property
    def variable(self) -> str:
        """The environment variable, `PROXYGUARD_BOUNDS_HEAD_TIMEOUT` for `bounds.head_timeout`."""
        return PREFIX + self.path.replace(".", "_").upper()

    @property
    def reload_text(self) -> str:
        """Whether a reload takes it over, in the reference: of sites their `rule_sets` and `paths` are."""
        return "in part" if self.path == "sites" else "yes" if self.reload else "no"

    @property
    def default(self) -> str:
        """The default as one would write it; empty when there is none."""
        if self.path in _SITE_DEFAULTS:
            return _SITE_DEFAULTS[self.path]
        if not self.attribute:
            return ""
        if self.attribute in _BY_PRESET:
            return BY_PRESET
        value: object = Settings()
        for name in self.attribute.split("."):
            value = getattr(value, name)
        match value:
            case None:
                return self.kind.off
            case tuple():
                return ", ".join(map(str, value))
            case bool():
                return str(value).lower()
            case float() if self.attribute.endswith("_seconds"):
                return duration_text(value)
            case float():
                return f"{value:g}"
            case int() if "size" in self.kind.takes:
                return size_text(value)
            case _:
                return str(value)


SHORT: Final = {"privacy": "privacy.preset"}
"""Groups that may be a word instead, and the setting that it is."""

SETTINGS: Final = (
    Setting("listen", "listen", LISTENERS, "Where clients connect, over TCP or Unix sockets; see [listening](#listening)."),
    Setting("admin", "admin", LISTEN,
        "Health, readiness, metrics and the [dashboard](../guide/dashboard.md). Keep it off the internet."),
    Setting("admin_hosts", "admin_hosts", ADMIN_HOSTS,
        "Names by which the admin port may be asked, such as `proxyguard`; `*` is any. `localhost`, addresses and the name it "
        "listens on always may.", reload=True),
    Setting("admin_token", "admin_access.token", SECRET,
        "Who sends it (`Authorization: Bearer …`) may read and act by the dashboard and its API. Without one nobody acts there.",
        reload=True),
    Setting("admin_token_file", "admin_access.token", FILE_OF_SECRET, "A file that holds `admin_token`.", reload=True),
    Setting("admin_read_token", "admin_access.read_token", SECRET, "The same, only to read: for a wall.",
        reload=True),
    Setting("admin_read_token_file", "admin_access.read_token", FILE_OF_SECRET, "A file that holds `admin_read_token`.",
        reload=True),
    Setting("admin_loopback_reads", "admin_access.loopback_reads", TRUTH,
        "Whether programs on this machine may read dashboard and API without a token. Say no where a proxy on this machine shows "
        "the admin port to others.", reload=True),
    Setting("ready_when", "ready_when", NEIGHBOURS,
        "What has to be well for `/readyz` to say ready: `upstream` (an address of each upstream accepts connections, as far as "
        "requests, probes or health checks know), `store` (the server of `store.url` answers). Nothing by default."),
    Setting("control", "control", PATH,
        "Unix socket for commands on the running instance. Default: named after the admin port, in `/run/proxyguard`, "
        "`$XDG_RUNTIME_DIR/proxyguard` or `proxyguard-UID` in the temporary directory."),
    Setting("upstream", "", UPSTREAMS,
        "The web server to protect; several are used in turn. For several sites use `sites` instead."),
    Setting("certificate.chain", "", FILE, "PEM chain to serve HTTPS with; needs `certificate.key`. Not with `sites`."),
    Setting("certificate.key", "", FILE, "PEM private key of `certificate.chain`."),
    Setting("upstream_tls.verify", "", TRUTH,
        "Whether the certificate of an HTTPS upstream is verified. Not with `sites`."),
    Setting("upstream_tls.ca", "", FILE, "PEM certificates that may sign the upstream's. Default: the system's."),
    Setting("upstream_tls.name", "", SERVER_NAME,
        "The name that the upstream's certificate must have. Default: the host of the URL."),
    Setting("upstream_reuse", "", UPSTREAM_REUSE,
        "When a connection to the upstream carries another request: `never`, not after what some servers misread (`safe`), "
        "or `always`. Not with `sites`."),
    Setting("upstream_http", "", UPSTREAM_HTTP,
        "The version of HTTP that the upstream is spoken to in: `1.1`, or `2` (what gRPC needs), by ALPN over `https://` and by "
        "prior knowledge in clear text. `h2c://HOST:PORT` is `http://HOST:PORT` with `2`. Not with `sites`."),
    Setting("health", "", HEALTH_CHECK,
        "A request by which each worker finds out which addresses of the upstream are well; see [health checks](#health-checks). "
        "Off when left out. Not with `sites`.", from_environment=False),
    Setting("upstream_connections", "", UPSTREAM_CONNECTIONS,
        "Requests that the upstreams get at once from each worker; more wait (`bounds.upstream_queue`). Not with `sites`."),
    Setting("sites", "sites", SITES, "Several sites in one instance, each with its hosts and upstreams.",
        from_environment=False),
    Setting("rules", "rules", RULES,
        "The folder of rule files, or `bundled`: those that come with proxyguard. (`./bundled` is a folder of that name.)"),
    Setting("preset", "preset", word(RulesPreset),
        "How much the bundled rules do: `relaxed` records most, `standard` is for every day, `strict` for a site that is being "
        "harvested. What `override:` says, and a copy that was edited, win over it.", reload=True),
    Setting("paths", "paths", PATHS,
        "How the servers read paths, for rules and keys alike: a kind of server, or a mapping of what makes no difference.",
        reload=True),
    Setting("method_override", "method_override", TRUTH,
        "Whether `X-HTTP-Method-Override` and its kin pass. Rules then see the method that they name."),
    Setting("mode", "mode", MODE, "The most that any rule may do; `shadow` records and never acts.", reload=True),
    Setting("failure_mode", "failure_mode", word(FailureMode),
        "If proxyguard itself fails to evaluate a request: forward it (`open`) or answer 503 (`closed`).", reload=True),
    Setting("trust.proxies", "trust.proxies", NETWORKS,
        "Peers that may say who the client is. Nobody else's forwarding headers are believed."),
    Setting("trust.header", "trust.header", HEADER,
        "Where trusted peers say it: `x-forwarded-for`, `forwarded`, or a header of one address, such as `cf-connecting-ip`."),
    Setting("trust.keep", "trust.keep", CLAIMS,
        "Headers that only a proxy can vouch for and that pass when a trusted peer sends them, such as `x-forwarded-user`."),
    Setting("trust.ja4", "trust.ja4", HEADER,
        "Where trusted peers say the JA4 of their client: `cloudfront-viewer-ja4-fingerprint`, `cf-ja4`, …"),
    Setting("trust.proxy_protocol", "trust.proxy_protocol", TRUTH,
        "Whether trusted peers begin each connection with a PROXY header, version 1 or 2."),
    Setting("bounds.head_timeout", "bounds.head_seconds", TIMEOUT,
        "From the accept or the first byte to the end of a request head; then 408."),
    Setting("bounds.idle_timeout", "bounds.idle_seconds", TIMEOUT,
        "Between requests of a kept-alive connection; then it is closed."),
    Setting("bounds.body_gap_timeout", "bounds.body_gap_seconds", TIMEOUT,
        "Between bytes of a request body; then 408."),
    Setting("bounds.request_rate", "bounds.request_rate", size(0, GIB),
        "Least bytes per second of a request body, averaged over `bounds.body_gap_timeout`; then 408. 0: none."),
    Setting("bounds.upload_rate", "bounds.upload_rate", size(0, GIB),
        "The same while the site waits for the body, so for what is longer than `buffering.request`. 0: none."),
    Setting("bounds.send_gap_timeout", "bounds.send_gap_seconds", TIMEOUT,
        "A client that takes no byte of a response for so long is cut."),
    Setting("bounds.response_rate", "bounds.response_rate", size(0, GIB),
        "Least bytes per second of a response that a client takes, over `bounds.send_gap_timeout`; then it is cut. 0: none."),
    Setting("bounds.half_close_timeout", "bounds.half_close_seconds", duration(0, DAY),
        "A client that closes its side of a plain connection and hears nothing for so long is taken to have left."),
    Setting("bounds.upgrade_idle_timeout", "bounds.upgrade_idle_seconds", duration(1, 7 * DAY),
        "Without a byte in either direction on a WebSocket; then it is closed."),
    Setting("bounds.upstream_connect_timeout", "bounds.upstream_connect_seconds", TIMEOUT,
        "To connect to an upstream; then the next one, else 503."),
    Setting("bounds.upstream_first_byte_timeout", "bounds.upstream_first_byte_seconds", TIMEOUT,
        "From the end of a request to the head of its response; then 504."),
    Setting("bounds.upstream_gap_timeout", "bounds.upstream_gap_seconds", TIMEOUT,
        "Between bytes of a response; then the connection is cut."),
    Setting("bounds.response_head_size", "bounds.response_head_bytes", size(1024, 1024 * 1024),
        "Status line and headers of an upstream's response; then 502."),
    Setting("bounds.tls_handshake_timeout", "bounds.tls_handshake_seconds", TIMEOUT,
        "For a TLS handshake; then a close."),
    Setting("bounds.client_hello_size", "bounds.client_hello_bytes", size(1024, 64 * 1024),
        "The first message of a TLS handshake; then a close."),
    Setting("bounds.head_size", "bounds.head_bytes", size(1024, 1024 * 1024), "Request line and headers; then 431.", reload=True),
    Setting("bounds.field_size", "bounds.field_bytes", size(256, 256 * 1024), "One header with its name; then 431.", reload=True),
    Setting("bounds.header_count", "bounds.header_count", whole(8, 1000), "Headers of a request; then 431.", reload=True),
    Setting("bounds.target_size", "bounds.target_bytes", size(256, 256 * 1024), "Path and query; then 414.", reload=True),
    Setting("bounds.body_size", "bounds.body_bytes", size(0, 1024 * GIB, "unlimited"), "A request body; then 413.", reload=True),
    Setting("bounds.connections", "bounds.connections", whole(1, 1_000_000),
        "Connections of all clients together; then new ones wait or are closed."),
    Setting("bounds.connections_per_network", "bounds.connections_per_network", whole(1, 1_000_000),
        "Connections of one client network (`counting.prefixes`), or that PROXY headers name; trusted peers are not counted."),
    Setting("bounds.requests", "bounds.requests", whole(1, 1_000_000),
        "Requests under way at once, for each worker; then 503. Half of them may have a connection to an upstream. Lowered to "
        "what open files allow."),
    Setting("bounds.requests_per_network", "bounds.requests_per_network", whole(1, 1_000_000),
        "The same for one client network, HTTP/2 streams included; then 429. At most half of the upstream connections, and of "
        "that half for one of several sites."),
    Setting("bounds.upstream_queue", "bounds.upstream_queue", whole(0, 100_000),
        "Requests of one site that wait until one of its connections to upstreams is free; then 503."),
    Setting("bounds.upstream_queue_timeout", "bounds.upstream_queue_seconds", TIMEOUT,
        "How long each of them waits; then 503."),
    Setting("bounds.requests_per_connection", "bounds.requests_per_connection", whole(1, 1_000_000_000),
        "Then the connection is closed after the response.", reload=True),
    Setting("bounds.buffer_size", "bounds.buffer_bytes", size(4 * 1024, 64 * 1024 * 1024),
        "Held per direction of a connection before the other side has to wait."),
    Setting("bounds.http2_streams", "bounds.http2_streams", whole(1, 10_000),
        "Requests at once on one HTTP/2 connection."),
    Setting("bounds.http2_resets", "bounds.http2_resets", whole(1, 100_000),
        "Requests that an HTTP/2 client may take back within 30 s; then the connection is closed."),
    Setting("buffering.request", "buffering.request_bytes", size(0, 64 * 1024 * 1024),
        "Request bodies up to this are held until they are whole before the site is asked. 0: none."),
    Setting("buffering.response", "buffering.response_bytes", size(0, 64 * 1024 * 1024),
        "What a slow client has not taken of a response is held in memory up to this. 0: the site waits for the client."),
    Setting("buffering.file", "buffering.file_bytes", size(0, 64 * GIB),
        "And beyond that in a file up to this; then the site waits for the client."),
    Setting("buffering.except", "buffering.excepted", EXCEPTED,
        "Paths whose bodies are passed on as they come, in both directions; `/uploads/*` is all that begins so."),
    Setting("buffering.memory", "buffer_budget.memory_bytes", size(1024 * 1024, 64 * GIB),
        "Memory of a worker for all that is held; then a request body is answered 503, and responses go to the file."),
    Setting("buffering.memory_per_network", "buffer_budget.memory_per_network_bytes", size(64 * 1024, 64 * GIB),
        "The same for one client network."),
    Setting("buffering.disk", "buffer_budget.disk_bytes", size(0, 1024 * GIB),
        "Disk of a worker for all that is held; then the site waits for the client."),
    Setting("buffering.disk_per_network", "buffer_budget.disk_per_network_bytes", size(0, 1024 * GIB),
        "The same for one client network."),
    Setting("buffering.directory", "buffer_budget.directory", PATH,
        "Where the file is. Default: the directory for temporary files. Of one that lies in memory at most 64 MiB are used."),
    Setting("refusal_page.site_name", "refusal_page.site_name", prose(100), "The site's name, at the top."),
    Setting("refusal_page.logo", "refusal_page.logo", LOGO,
        "Address of a picture at the top: a path of the site, `https://…`, or `data:image/…`."),
    Setting("refusal_page.contact", "refusal_page.contact", prose(300),
        "Whom to tell the reference: an e-mail address, a telephone number, a sentence."),
    Setting("refusal_page.link", "refusal_page.link", LINK, "Address of a page with more help: a path of the site or `https://…`."),
    Setting("refusal_page.language", "refusal_page.language", LANGUAGE,
        "For clients that prefer none of the languages there are."),
    Setting("refusal_page.template", "refusal_page.template", FILE,
        "A template of your own (Jinja) instead of the bundled page."),
    Setting("tarpit.connections", "tarpit.connections", whole(0, 1_000_000),
        "Clients held at once; beyond that a tarpit is a reject.", reload=True),
    Setting("tarpit.per_network", "tarpit.per_network", whole(0, 1_000_000), "The same for one client network.", reload=True),
    Setting("tarpit.hold", "tarpit.hold_seconds", duration(1, 3600),
        "The longest that any tarpit holds a client, whatever its rule says.", reload=True),
    Setting("tarpit.bytes_per_connection", "tarpit.bytes_per_connection", size(64, 16 * 1024 * 1024),
        "The most that one tarpit sends.", reload=True),
    Setting("counting.keys", "counting.keys", whole(1000, 100_000_000),
        "Keys of limits kept at once; about 140 bytes each."),
    Setting("counting.bans", "counting.bans", whole(100, 10_000_000), "Bans kept at once."),
    Setting("counting.bans_per_network", "counting.bans_per_network", whole(0, 1_000_000),
        "Addresses of one client network that are banned one by one; the next ban is the whole network's (0: never)."),
    Setting("counting.accounts", "counting.accounts", whole(100, 10_000_000),
        "Sessions whose account is remembered; about 200 bytes each. The one used least recently gives way."),
    Setting("counting.on_full", "counting.on_full", word(OnFull),
        "What a full table does with a new key: count it by its client (`protect`), or not count it (`permit`)."),
    Setting("counting.prefixes.client_v4", "counting.prefixes.client_v4", whole(8, 32, "bits"),
        "What `per: client` keeps of an IPv4 address."),
    Setting("counting.prefixes.client_v6", "counting.prefixes.client_v6", whole(16, 128, "bits"),
        "What `per: client` keeps of an IPv6 address. A household has a /64 or more."),
    Setting("counting.prefixes.network_v4", "counting.prefixes.network_v4", whole(8, 32, "bits"),
        "What `per: network` keeps of an IPv4 address."),
    Setting("counting.prefixes.network_v6", "counting.prefixes.network_v6", whole(16, 128, "bits"),
        "What `per: network` keeps of an IPv6 address."),
    Setting("jar.cookie", "jar.name", COOKIE_NAME, "The name of the cookie that the action `jar` gives."),
    Setting("jar.keep", "jar.keep_seconds", duration(DAY, 400 * DAY),
        "How long it is valid; who comes back later gets a new one."),
    Setting("items.cold_below", "items.cold_below", whole(1, 10_000),
        "An item that was read fewer times lately is cold. Several workers each see their share of the reads."),
    Setting("items.half_life", "items.half_life_seconds", duration(3600, 60 * DAY),
        "How long a read of an item counts in full; then half, a quarter, and after three times as long no more."),
    Setting("store.url", "store.url", STORE_URL,
        "A Valkey or Redis server that several instances share. Default: counts are kept in this process."),
    Setting("store.name", "store.name", KEBAB, "Sets apart deployments that share a server."),
    Setting("store.timeout", "store.timeout_seconds", duration(0.005, 5), "How long a request waits for it."),
    Setting("store.on_down", "store.on_down", word(OnStoreDown),
        "While it does not answer: count in this process, count nothing, or refuse what a limit would count."),
    Setting("store.snapshot", "store.snapshot", PATH,
        "Without a server: a file that keeps bans, and counters that last over 10 s, over restarts."),
    Setting("audit.path", "audit.path", AUDIT_PATH, "The audit log; `-` is standard output."),
    Setting("audit.passes", "audit.passes", SHARE,
        "The share of plain passes that is recorded; everything else always is, but for floods. 0.01 is one of a hundred.",
        reload=True),
    Setting("audit.refusals_per_second", "audit.refusals_per_second", whole(10, 1_000_000),
        "Refusals and faults recorded one by one. Those beyond are summed: a record a second for each rule and fault."),
    Setting("origin.directory", "origin.directory", PATH,
        "Where `proxyguard lists update` puts lists and tables. Default: only what comes with proxyguard is known."),
    Setting("origin.country_file", "origin.country", FILE,
        "A table of countries in MaxMind's format (MMDB). Default: `country.mmdb` in `origin.directory`, if it is there."),
    Setting("origin.asn_file", "origin.asn", FILE,
        "A table of autonomous systems in the same format. Default: `asn.mmdb` in `origin.directory`, if it is there."),
    Setting("origin.addresses", "origin.addresses", whole(1000, 10_000_000),
        "Addresses whose facts each worker remembers; about 150 bytes each."),
    Setting("identity.reverse_dns", "identity.reverse_dns", TRUTH,
        "Whether the reverse name of an address is looked up when a bot claims to be one that proves itself so."),
    Setting("identity.resolvers", "identity.resolvers", RESOLVERS,
        "DNS resolvers to ask, with `:PORT` unless it is 53. Default: those of the system."),
    Setting("identity.dns_timeout", "identity.dns_timeout_seconds", duration(0.1, 60),
        "How long a look-up may take. No request waits for it: until then the identity is unknown."),
    Setting("identity.dns_lookups", "identity.dns_lookups", whole(1, 10_000),
        "Look-ups under way at once in a worker, four of them for a client network; what does not fit is unknown."),
    Setting("identity.prove_age", "identity.prove_seconds", duration(3600, 3660 * DAY),
        "How old a published list may be for its addresses to be proven."),
    Setting("identity.refute_age", "identity.refute_seconds", duration(0, 3660 * DAY),
        "How old a complete list may be for other addresses to be forged; then they are unknown. 0: always."),
    Setting("identity.directories", "identity.directories", KEY_HOSTS,
        "Hosts whose published keys sign for their bots (Web Bot Auth), such as `chatgpt.com`. No other host is asked."),
    Setting("identity.signature_age", "identity.signature_age_seconds", duration(10, 3600),
        "How long after it was made a signature counts. Its nonce is remembered for so long."),
    Setting("identity.update_hosts", "identity.update_hosts", UPDATE_HOSTS,
        "Hosts that `proxyguard lists update` may fetch from; `*`: those of the lists it has. Default: none."),
    Setting("robots.read", "robots.read", TRUTH,
        "Whether the `robots.txt` of each site is read from its upstream, once rules ask for `robots`. Else it is unknown."),
    Setting("robots.refresh", "robots.refresh_seconds", duration(60, DAY),
        "How often it is read again. No request waits for it."),
    Setting("privacy.preset", "privacy.preset", word(PrivacyPreset),
        "How much records, reports and answers say of people: see [privacy](../privacy.md). `privacy: strict` is short for it."),
    Setting("privacy.clients", "privacy.clients", word(ClientNaming),
        "What clients are called in all that is written or shown: by pseudonyms of the day, or by their addresses (`clear`)."),
    Setting("privacy.network_v4", "privacy.network_v4", whole(0, 28, "bits"),
        "What is shown of an IPv4 address beside a pseudonym, at most what `counting.prefixes.network_v4` keeps; 0: nothing."),
    Setting("privacy.network_v6", "privacy.network_v6", whole(0, 56, "bits"), "The same of an IPv6 address."),
    Setting("privacy.paths", "privacy.paths", word(PathDetail),
        "What is written of a path: `/posts/*` (`family`), what redaction leaves, or all of it."),
    Setting("privacy.texts", "privacy.texts", word(TextDetail),
        "What is written of user agents, hosts and referring hosts: what redaction leaves, or all of it."),
    Setting("privacy.people", "privacy.people", PEOPLE_PATHS,
        "Where the site names people in paths; the segment behind is redacted unless it is a short number."),
    Setting("privacy.patterns", "privacy.patterns", PATTERNS,
        "What else is redacted: regular expressions (RE2), such as those of your customers' numbers.", from_environment=False),
    Setting("privacy.key_file", "privacy.key", FILE_OF_SECRET,
        "A file that holds the secret of pseudonyms. Default: `key_secret`. Whoever destroys it makes all pseudonyms anonymous."),
    Setting("privacy.sealed", "privacy.sealed", PATH,
        "The sealed log: addresses of refused and flagged clients, for the holder of the private key. Default: they go nowhere."),
    Setting("privacy.public_key", "privacy.public_key", PUBLIC_KEY,
        "The key that the sealed log is sealed to; `proxyguard privacy keys` makes a pair."),
    Setting("privacy.keep_audit", "privacy.keep_audit_seconds", duration(3600, 4000 * DAY, "forever"),
        "The age at which audit records are deleted, those in rotated files included."),
    Setting("privacy.keep_sealed", "privacy.keep_sealed_seconds", duration(3600, 4000 * DAY, "forever"),
        "The same for the sealed log."),
    Setting("workers", "workers", whole(1, 256), "Processes that share the port."),
    Setting("recycle.age", "recycle.age_seconds", duration(60, 366 * DAY, "never"),
        "A worker of several is replaced at this age."),
    Setting("recycle.memory", "recycle.memory_bytes", size(64 * 1024 * 1024, 1024 * GIB, "never"),
        "A worker of several is replaced when it holds this much memory."),
    Setting("otel.endpoint", "otel.endpoint", COLLECTOR,
        "A collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; see [OpenTelemetry](metrics.md#opentelemetry). "
        "Default: nothing is sent."),
    Setting("otel.traces", "otel.traces", SHARE, "The share of requests that a span is made of. 0.01 is one of a hundred."),
    Setting("otel.metrics_every", "otel.metrics_seconds", duration(1, 3600, "never"), "Between two times that metrics are sent."),
    Setting("http2", "http2", TRUTH, "Whether HTTP/2 is offered over TLS."),
    Setting("drain_timeout", "drain_seconds", duration(0, 3600), "How long requests may finish after SIGTERM."),
    Setting("restrictions.file", "restrictions_file", PATH,
        "Keeps restrictions started and ended by command over restarts. Default: they end with the instance."),
    Setting("key_secret", "key_secret", SECRET,
        "Keys the hashes of cookie and header values that limits count by. Default: a random one for each start."),
    Setting("key_secret_file", "key_secret", FILE_OF_SECRET, "A file that holds `key_secret`."),
)  # fmt: skip
"""In the order of the reference."""

BY_PATH: Final = {setting.path: setting for setting in SETTINGS}
BY_VARIABLE: Final = {
    **{setting.variable: setting for setting in SETTINGS if setting.from_environment},
    **{PREFIX + group.upper(): BY_PATH[path] for group, path in SHORT.items()},
}
