"""Settings from file, variables and command line: what wins, what each one means, and the report of what is wrong."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.address import Network, Prefixes
from proxyguard.core.decision import Mode
from proxyguard.core.origin_settings import Nameserver
from proxyguard.core.preferences import PreferenceFormat, RobotsFile, Wish
from proxyguard.core.preset import RulesPreset
from proxyguard.core.privacy import ClientNaming, PathDetail, PrivacyPreset, TextDetail
from proxyguard.core.problems import format_report
from proxyguard.core.reading import PRESETS, SiteReading
from proxyguard.core.settings import (
    Certificate,
    FailureMode,
    Listen,
    Neighbour,
    OnFull,
    OnStoreDown,
    Settings,
    Site,
    Upstream,
    UpstreamTls,
)  # fmt: skip
from proxyguard.settings.file import read_settings
from proxyguard.settings.groups import OTHER_VARIABLES
from proxyguard.settings.table import BY_PATH, SETTINGS


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(text: str = "", environ: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None) -> Settings:
    Path("proxyguard.yaml").write_text(text)
    found = read_settings(None, environ or {}, overrides or {})
    assert isinstance(found, Settings), format_report(found)
    return found


def report(text: str = "", environ: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None) -> str:
    Path("proxyguard.yaml").write_text(text)
    found = read_settings(None, environ or {}, overrides or {})
    assert not isinstance(found, Settings)
    return format_report(found)


def at(found: object, attribute: str) -> Any:
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("text", ["", "# nothing but comments\n\n  # indented\n"])
def test_an_empty_file_gives_the_defaults(text: str) -> None:
    assert settings(text) == Settings()


def test_no_file_gives_the_defaults() -> None:
    assert read_settings(None, {}) == Settings()


EXAMPLES: dict[str, tuple[str, object]] = {
    "listen": ("127.0.0.1:8088", (Listen("127.0.0.1", 8088),)),
    "admin": ("'[::1]:9902'", Listen("::1", 9902)),
    "ready_when": ("[store, upstream, store]", (Neighbour.STORE, Neighbour.UPSTREAM)),
    "admin_hosts": ("[proxyguard, Metrics.Example.Org]", ("proxyguard", "metrics.example.org")),
    "control": ("/run/x.sock", Path("/run/x.sock")),
    "rules": ("my-rules", Path("my-rules")),
    "mode": ("shadow", Mode.SHADOW),
    "paths": ("express", PRESETS["express"]),
    "method_override": ("true", True),
    "failure_mode": ("closed", FailureMode.CLOSED),
    "trust.proxies": ("[10.0.0.0/8, '2001:db8::1']", (Network.parse("10.0.0.0/8"), Network.parse("2001:db8::1"))),
    "trust.header": ("CF-Connecting-IP", "cf-connecting-ip"),
    "trust.keep": ("[Remote-User, x-ssl-client-cert]", ("remote-user", "x-ssl-client-cert")),
    "trust.ja4": ("x-ja4", "x-ja4"),
    "preset": ("strict", RulesPreset.STRICT),
    "trust.proxy_protocol": ("true", True),
    "bounds.head_timeout": ("500ms", 0.5),
    "bounds.idle_timeout": ("2m", 120.0),
    "bounds.body_gap_timeout": ("1s", 1.0),
    "bounds.request_rate": ("1KiB", 1024),
    "bounds.upload_rate": ("4KiB", 4096),
    "bounds.send_gap_timeout": ("2s", 2.0),
    "bounds.response_rate": ("0", 0),
    "bounds.half_close_timeout": ("1m", 60.0),
    "buffering.request": ("1MiB", 1024**2),
    "buffering.response": ("128KiB", 128 * 1024),
    "buffering.file": ("1GiB", 1024**3),
    "buffering.except": ("/uploads/*", ("/uploads/*",)),
    "buffering.memory": ("128MiB", 128 * 1024**2),
    "buffering.memory_per_network": ("32MiB", 32 * 1024**2),
    "buffering.disk": ("8GiB", 8 * 1024**3),
    "buffering.disk_per_network": ("2GiB", 2 * 1024**3),
    "buffering.directory": ("/var/spool", Path("/var/spool")),
    "bounds.upgrade_idle_timeout": ("1d", 86_400.0),
    "bounds.upstream_connect_timeout": ("3s", 3.0),
    "bounds.upstream_first_byte_timeout": ("4s", 4.0),
    "bounds.upstream_gap_timeout": ("1h", 3600.0),
    "bounds.response_head_size": ("128KiB", 131072),
    "bounds.tls_handshake_timeout": ("1.5s", 1.5),
    "bounds.client_hello_size": ("8KiB", 8192),
    "bounds.head_size": ("65536", 65_536),
    "bounds.field_size": ("16KiB", 16_384),
    "bounds.header_count": ("64", 64),
    "bounds.target_size": ("4KiB", 4096),
    "bounds.body_size": ("2GiB", 2 * 1024**3),
    "bounds.connections": ("5000", 5000),
    "bounds.connections_per_network": ("50", 50),
    "bounds.requests": ("9000", 9000),
    "bounds.requests_per_network": ("70", 70),
    "bounds.upstream_queue": ("0", 0),
    "bounds.upstream_queue_timeout": ("2s", 2.0),
    "bounds.requests_per_connection": ("7", 7),
    "bounds.buffer_size": ("1MiB", 1024**2),
    "bounds.http2_streams": ("50", 50),
    "bounds.http2_resets": ("20", 20),
    "refusal_page.site_name": ("Example", "Example"),
    "refusal_page.logo": ("/logo.svg", "/logo.svg"),
    "refusal_page.contact": ("help@example.org", "help@example.org"),
    "refusal_page.link": ("https://example.org/help", "https://example.org/help"),
    "refusal_page.language": ("ja", "ja"),
    "tarpit.connections": ("500", 500),
    "tarpit.per_network": ("5", 5),
    "tarpit.hold": ("20s", 20.0),
    "tarpit.bytes_per_connection": ("4KiB", 4096),
    "maze.pages": ("100", 100),
    "maze.bytes": ("1MiB", 1_048_576),
    "maze.cpu": ("100ms", 0.1),
    "maze.shares": ("10", 10),
    "maze.canary_domain": ("People.Example.invalid", "people.example.invalid"),
    "counting.keys": ("5000", 5000),
    "counting.bans": ("500", 500),
    "counting.bans_per_network": ("0", 0),
    "counting.accounts": ("2000", 2000),
    "counting.on_full": ("permit", OnFull.PERMIT),
    "counting.prefixes.client_v4": ("24", 24),
    "counting.prefixes.client_v6": ("56", 56),
    "counting.prefixes.network_v4": ("16", 16),
    "counting.prefixes.network_v6": ("32", 32),
    "jar.cookie": ("visits", "visits"),
    "jar.keep": ("7d", 604_800.0),
    "items.cold_below": ("5", 5),
    "items.half_life": ("12h", 43_200.0),
    "otel.endpoint": ("http://collector:4318", "http://collector:4318"),
    "otel.traces": ("0.1", 0.1),
    "otel.metrics_every": ("10s", 10.0),
    "store.url": ("rediss://u:p@store:6380/1", "rediss://u:p@store:6380/1"),
    "store.name": ("shop", "shop"),
    "store.timeout": ("20ms", 0.02),
    "store.on_down": ("closed", OnStoreDown.CLOSED),
    "store.snapshot": ("state.sqlite", Path("state.sqlite")),
    "store.learned": ("learned", Path("learned")),
    "audit.path": ("audit.jsonl", "audit.jsonl"),
    "audit.passes": ("0.25", 0.25),
    "audit.refusals_per_second": ("50", 50),
    "origin.directory": ("origin", Path("origin")),
    "origin.country_file": ("/dev/null", Path("/dev/null")),
    "origin.asn_file": ("/dev/null", Path("/dev/null")),
    "origin.addresses": ("2000", 2000),
    "identity.reverse_dns": ("false", False),
    "identity.resolvers": ("192.0.2.53", (Nameserver("192.0.2.53"),)),
    "identity.dns_timeout": ("1s", 1.0),
    "identity.dns_lookups": ("8", 8),
    "identity.prove_age": ("30d", 30 * 86_400.0),
    "identity.refute_age": ("0s", 0.0),
    "identity.directories": ("ChatGPT.com", ("chatgpt.com",)),
    "identity.signature_age": ("1m", 60.0),
    "identity.update_hosts": ("'*'", ("*",)),
    "robots.read": ("false", False),
    "robots.refresh": ("10m", 600.0),
    "preferences.search": ("yes", Wish.YES),
    "preferences.ai_input": ("no", Wish.NO),
    "preferences.ai_train": ("no", Wish.NO),
    "preferences.formats": ("[rsl, tdm]", (PreferenceFormat.RSL, PreferenceFormat.TDM)),
    "preferences.robots_txt": ("append", RobotsFile.APPEND),
    "preferences.tdm_policy": ("https://example.org/terms", "https://example.org/terms"),
    "privacy.preset": ("strict", PrivacyPreset.STRICT),
    "privacy.clients": ("clear", ClientNaming.CLEAR),
    "privacy.network_v4": ("16", 16),
    "privacy.network_v6": ("0", 0),
    "privacy.paths": ("family", PathDetail.FAMILY),
    "privacy.texts": ("whole", TextDetail.WHOLE),
    "privacy.learn_names": ("false", False),
    "privacy.people": ("/staff/*", ("/staff/*",)),
    "privacy.sealed": ("sealed.jsonl", Path("sealed.jsonl")),
    "privacy.public_key": ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", bytes(range(32))),
    "privacy.keep_audit": ("7d", 7 * 86_400.0),
    "privacy.keep_sealed": ("forever", None),
    "workers": ("4", 4),
    "recycle.age": ("1d", 86_400.0),
    "recycle.memory": ("1GiB", 1024**3),
    "http2": ("false", False),
    "drain_timeout": ("0s", 0.0),
    "restrictions.file": ("orders.json", Path("orders.json")),
    "key_secret": ("0123456789abcdef", "0123456789abcdef"),
    "admin_token": ("0123456789abcdef", "0123456789abcdef"),
    "admin_read_token": ("0123456789abcdef", "0123456789abcdef"),
    "admin_loopback_reads": ("false", False),
}
NEEDS = {
    "trust.header": {"PROXYGUARD_TRUST_PROXIES": "10.0.0.0/8"},
    "trust.keep": {"PROXYGUARD_TRUST_PROXIES": "10.0.0.0/8"},
    "trust.proxy_protocol": {"PROXYGUARD_TRUST_PROXIES": "10.0.0.0/8"},
    "store.url": {"PROXYGUARD_KEY_SECRET": "0123456789abcdef"},
    "ready_when": {"PROXYGUARD_KEY_SECRET": "0123456789abcdef", "PROXYGUARD_STORE_URL": "redis://a"},
    "store.learned": {"PROXYGUARD_KEY_SECRET": "0123456789abcdef", "PROXYGUARD_STORE_URL": "redis://a"},
    "maze.canary_domain": {"PROXYGUARD_KEY_SECRET": "0123456789abcdef"},
    "preferences.search": {"PROXYGUARD_PREFERENCES_FORMATS": "rsl"},
    "preferences.ai_input": {"PROXYGUARD_PREFERENCES_FORMATS": "rsl"},
    "preferences.ai_train": {"PROXYGUARD_PREFERENCES_FORMATS": "rsl"},
    "preferences.formats": {"PROXYGUARD_PREFERENCES_AI_TRAIN": "no"},
    "preferences.robots_txt": {"PROXYGUARD_PREFERENCES_AI_TRAIN": "no", "PROXYGUARD_PREFERENCES_FORMATS": "rsl"},
    "preferences.tdm_policy": {"PROXYGUARD_PREFERENCES_AI_TRAIN": "no", "PROXYGUARD_PREFERENCES_FORMATS": "tdm"},
    "privacy.sealed": {"PROXYGUARD_PRIVACY_PUBLIC_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
    "privacy.public_key": {"PROXYGUARD_PRIVACY_SEALED": "sealed.jsonl"},
}
"""Settings that are refused alone, and what they need beside them."""


def nested(path: str, value: str) -> str:
    *groups, last = path.split(".")
    lines = [f"{'  ' * depth}{group}:" for depth, group in enumerate(groups)]
    return "\n".join([*lines, f"{'  ' * len(groups)}{last}: {value}"]) + "\n"


@pytest.mark.parametrize(("path", "text", "expected"), [(path, *pair) for path, pair in EXAMPLES.items()], ids=EXAMPLES)
def test_a_setting_goes_where_it_belongs(path: str, text: str, expected: object) -> None:
    environ = NEEDS.get(path, {})
    attribute = BY_PATH[path].attribute
    assert at(Settings(), attribute) != expected
    assert at(settings(nested(path, text), environ), attribute) == expected
    variable = {BY_PATH[path].variable: text.strip("[]").strip("'").replace("'", "") if path != "admin" else "[::1]:9902"}
    assert at(settings("", environ | variable), attribute) == expected


def test_every_setting_is_in_the_table_above_or_below() -> None:
    below = {
        "upstream",
        "upstream_connections",
        "sites",
        "certificate.chain",
        "certificate.key",
        "key_secret_file",
        "admin_token_file",
        "admin_read_token_file",
        "privacy.patterns",
        "privacy.key_file",
        "refusal_page.template",
    }
    below |= {"upstream_tls.verify", "upstream_tls.ca", "upstream_tls.name", "upstream_reuse", "upstream_http", "health"}
    assert {setting.path for setting in SETTINGS} == {*EXAMPLES, *below}


def _attributes(value: object, prefix: str = "") -> set[str]:
    names: set[str] = set()
    parts = [field.name for field in fields(value)] if is_dataclass(value) and not isinstance(value, type) else []
    for name in parts or (Prefixes._fields if isinstance(value, Prefixes) else ()):
        part = getattr(value, name)
        below = _attributes(part, f"{prefix}{name}.") if not isinstance(part, Listen | SiteReading) else set()
        names |= below or {f"{prefix}{name}"}
    return names


def test_everything_in_settings_can_be_set() -> None:
    assert {setting.attribute for setting in SETTINGS} - {""} == _attributes(Settings())


def test_every_variable_is_different() -> None:
    variables = [setting.variable for setting in SETTINGS]
    assert len(set(variables)) == len(variables)
    assert not set(variables) & set(OTHER_VARIABLES)
    assert BY_PATH["bounds.head_timeout"].variable == "PROXYGUARD_BOUNDS_HEAD_TIMEOUT"


def test_the_command_line_wins_over_variables_and_they_over_the_file() -> None:
    text = "listen: 127.0.0.1:1\nworkers: 2\nmode: off\n"
    environ = {"PROXYGUARD_LISTEN": "127.0.0.1:2", "PROXYGUARD_WORKERS": "3"}
    found = settings(text, environ, {"listen": "127.0.0.1:3"})
    assert (found.listen[0].port, found.workers, found.mode) == (3, 3, Mode.OFF)


def test_a_wrong_value_that_another_source_replaces_is_not_read() -> None:
    assert settings("workers: many\n", {"PROXYGUARD_WORKERS": "3"}).workers == 3


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert settings("workers: 2\n", {"PROXYGUARD_WORKERS": "", "PROXYGUARD_NONSENSE": ""}).workers == 2


def test_the_file_can_be_named_by_a_variable(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/other.yaml").write_text("rules: here\naudit: {path: audit.log}\n")
    for found in (
        read_settings(None, {"PROXYGUARD_CONFIG": "sub/other.yaml"}),
        read_settings(Path("sub/other.yaml"), {"PROXYGUARD_CONFIG": "nowhere.yaml"}),
    ):
        assert isinstance(found, Settings)
        assert (found.rules, found.audit.path) == (Path("sub/here"), "sub/audit.log")


def test_paths_in_variables_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/other.yaml").write_text("rules: here\n")
    found = read_settings(Path("sub/other.yaml"), {"PROXYGUARD_RULES": "there"}, {"audit.path": "-"})
    assert isinstance(found, Settings)
    assert (found.rules, found.audit.path) == (Path("there"), "-")


def test_off_words_mean_nothing() -> None:
    found = settings("bounds: {body_size: unlimited}\nrecycle: {age: never, memory: never}\n")
    assert (found.bounds.body_bytes, found.recycle.age_seconds, found.recycle.memory_bytes) == (None, None, None)


UPSTREAMS = {
    "http://127.0.0.1:9000": Upstream("http", "127.0.0.1", 9000),
    "http://example.org": Upstream("http", "example.org", 80),
    "https://example.org/": Upstream("https", "example.org", 443),
    "http://[::1]:81": Upstream("http", "::1", 81),
}


@pytest.mark.parametrize(("text", "expected"), UPSTREAMS.items())
def test_an_upstream_makes_the_only_site(text: str, expected: Upstream) -> None:
    assert settings(f"upstream: '{text}'\n").sites == (Site(upstreams=(expected,)),)
    assert settings("", {"PROXYGUARD_UPSTREAM": text}).sites == (Site(upstreams=(expected,)),)
    assert settings("", {}, {"upstream": text}).sites == (Site(upstreams=(expected,)),)


def test_an_upstream_can_have_tls_and_neighbours(tmp_path: Path) -> None:
    for name in ("chain.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("pem")
    expected = Site(
        upstreams=(Upstream("https", "a", 443), Upstream("https", "b", 444)),
        certificate=Certificate(chain=Path("chain.pem"), key=Path("key.pem")),
        upstream_tls=UpstreamTls(verify=False, ca=Path("ca.pem"), name="origin"),
    )
    text = (
        "upstream: [https://a, https://b:444]\ncertificate: {chain: chain.pem, key: key.pem}\n"
        "upstream_tls: {verify: false, ca: ca.pem, name: origin}\n"
    )
    environ = {
        "PROXYGUARD_UPSTREAM": "https://a, https://b:444",
        "PROXYGUARD_CERTIFICATE_CHAIN": "chain.pem",
        "PROXYGUARD_CERTIFICATE_KEY": "key.pem",
        "PROXYGUARD_UPSTREAM_TLS_VERIFY": "false",
        "PROXYGUARD_UPSTREAM_TLS_CA": "ca.pem",
        "PROXYGUARD_UPSTREAM_TLS_NAME": "origin",
    }
    assert settings(text).sites == (expected,)
    assert settings("", environ).sites == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        "{robots_txt: own}",
        "{search: unsaid}",
        "{ai_train: no, formats: [content-signal], robots_txt: own}",
        "{search: yes, formats: [content-usage, rsl, tdm]}",
    ],
)
def test_preferences_that_are_said_somewhere_or_not_at_all(text: str) -> None:
    settings(f"preferences: {text}\n")


def test_several_sites(tmp_path: Path) -> None:
    for name in ("chain.pem", "key.pem"):
        (tmp_path / name).write_text("pem")
    text = (
        "sites:\n"
        "  - hosts: [WWW.example.org, '*.shop.example.org']\n    upstream: http://a:1\n"
        "    certificate: {chain: chain.pem, key: key.pem}\n    rule_sets: [shop, common]\n"
        "  - {hosts: '*', upstream: [https://b], upstream_tls: {verify: false}}\n"
    )
    assert settings(text).sites == (
        Site(
            hosts=("www.example.org", "*.shop.example.org"),
            upstreams=(Upstream("http", "a", 1),),
            certificate=Certificate(chain=Path("chain.pem"), key=Path("key.pem")),
            rule_sets=("shop", "common"),
        ),
        Site(hosts=("*",), upstreams=(Upstream("https", "b", 443),), upstream_tls=UpstreamTls(verify=False)),
    )


def test_a_secret_can_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    assert settings("key_secret_file: secret\n").key_secret == "0123456789abcdef"


@pytest.mark.parametrize(
    "name",
    [
        "PROXYGUARD_SERVICE_HOST", "PROXYGUARD_SERVICE_PORT", "PROXYGUARD_SERVICE_PORT_HTTP", "PROXYGUARD_PORT",
        "PROXYGUARD_PORT_8080_TCP", "PROXYGUARD_PORT_8080_TCP_ADDR", "PROXYGUARD_ADMIN_SERVICE_HOST",
        "PROXYGUARD_ADMIN_PORT_9901_TCP_PROTO", "PATH", "proxyguard_listen",
    ],
)  # fmt: skip
def test_what_kubernetes_and_others_set_is_not_ours(name: str) -> None:
    assert settings("", {name: "tcp://10.0.0.1:8080"}) == Settings()


CONTRADICTIONS = {
    "trust: {header: x-real-ip}": "17: trust.header is set, but no peer is trusted",
    "trust: {proxy_protocol: true}": "25: trust.proxy_protocol is set, but no peer is trusted",
    "bounds: {field_size: 64KiB}": "22: bounds.field_size (65536) is more than bounds.head_size (32768)",
    "bounds: {head_size: 4KiB, field_size: 4KiB}": "21: bounds.target_size (8192) is more than bounds.head_size (4096)",
    "bounds: {connections: 100}": "23: bounds.connections_per_network (2000) is more than bounds.connections (100)",
    "bounds: {requests: 100}": "20: bounds.requests_per_network (2000) is more than bounds.requests (100)",
    "tarpit: {connections: 50}": "23: tarpit.per_network (100) is more than tarpit.connections (50)",
    "store: {url: redis://a}": "14: store.url is set without key_secret",
    "maze: {canary_domain: a.invalid}": "23: maze.canary_domain is set without key_secret",
    "{key_secret: 0123456789abcdef, store: {url: redis://a, snapshot: x}}": "66: store.snapshot is set beside store.url",
    "{store: {learned: x}}": "19: store.learned is set without store.url",
    "certificate: {chain: proxyguard.yaml}": "22: certificate.chain is set, but no upstream",
    "{upstream: 'http://a', certificate: {key: proxyguard.yaml}}": "43: certificate.key is set, but not certificate.chain",
    "{upstream: 'http://a', sites: [{hosts: a, upstream: 'http://a'}]}": "12: upstream stands beside sites",
    "preferences: {ai_train: no}": "25: preferences.ai_train is set, but not preferences.formats: it is said nowhere",
    "preferences: {formats: [rsl]}": "24: preferences.formats is set, but no preference",
    "preferences: {formats: [rsl], search: unsaid}": "24: preferences.formats is set, but no preference",
    "preferences: {robots_txt: append}": "27: preferences.robots_txt is set, but no preference",
    "preferences: {tdm_policy: 'https://a'}": "27: preferences.tdm_policy is set, but no preference",
    "preferences: {formats: [content-signal, rsl], search: yes}":
        "24: content-signal is said in robots.txt, and preferences.robots_txt is off",
    "preferences: {formats: [content-usage, tdm], ai_input: no}": "24: none of these formats says ai_input",
    "preferences: {formats: [rsl], ai_train: no, tdm_policy: 'https://a'}":
        "57: preferences.tdm_policy is set, but formats has no tdm",
    "ready_when: [upstream, store]": "13: ready_when names store, and store.url is not set",
    "counting: {prefixes: {client_v4: 24, network_v4: 32}}":
        "50: counting.prefixes.network_v4 (32) is more than counting.prefixes.client_v4 (24)",
    "counting: {prefixes: {client_v6: 40}}":
        "34: counting.prefixes.network_v6 (48) is more than counting.prefixes.client_v6 (40)",
    "sites: [{hosts: a, upstream: 'http://a', rule_sets: []}]": "53: rule_sets is an empty list",
    "{upstream: 'http://a', health: {path: /, status: []}}": "50: health.status is an empty list",
    "preferences: {formats: []}": "24: preferences.formats is an empty list",
    "{key_secret: 0123456789abcdef, key_secret_file: proxyguard.yaml}": "49: key_secret and key_secret_file are both set",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CONTRADICTIONS.items(), ids=CONTRADICTIONS)
def test_settings_that_contradict_each_other(text: str, expected: str) -> None:
    assert f"proxyguard.yaml:1:{expected}\n".replace(": ", ": error: ", 1) in report(text)


@pytest.mark.parametrize(
    ("listen", "upstream"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8081"),
        ("127.0.0.1:8080", "http://127.0.0.2:8080"),
        ("192.0.2.1:8080", "http://localhost:8080"),
        ("0.0.0.0:8080", "http://192.0.2.1:8080"),
        ("0.0.0.0:8080", "http://site.internal:8080"),
        ("unix:/run/a", "unix:/run/b"),
    ],
)
def test_an_upstream_elsewhere_is_not_taken_for_ourselves(listen: str, upstream: str) -> None:
    assert str(settings(f"listen: '{listen}'\nupstream: {upstream}\n").sites[0].upstreams[0]) == upstream


LISTENERS = {
    "127.0.0.1:1": (Listen("127.0.0.1", 1),),
    "[':80', '[::]:443']": (Listen("0.0.0.0", 80), Listen("::", 443)),
    "unix:/run/pg.sock": (Listen("", 0, "/run/pg.sock"),),
    "[{address: 'unix:///run/pg.sock', mode: 0600}]": (Listen("", 0, "/run/pg.sock", 0o600),),
    "[{address: ':80', redirect_to_https: true}, ':443']": (Listen("0.0.0.0", 80, redirects=True), Listen("0.0.0.0", 443)),
}


@pytest.mark.parametrize(("text", "expected"), LISTENERS.items(), ids=LISTENERS)
def test_listeners(text: str, expected: tuple[Listen, ...]) -> None:
    assert settings(f"listen: {text}\n").listen == expected


def test_listeners_in_a_variable() -> None:
    assert settings("", {"PROXYGUARD_LISTEN": "0.0.0.0:80, unix:/run/s"}).listen == (
        Listen("0.0.0.0", 80),
        Listen("", 0, "/run/s"),
    )


WRONG_ADDRESSES = {
    "listen: unix:run/s": "listen must be unix: and an absolute path, not 'unix:run/s'\n  hint: unix:/run/app.sock",
    "listen: [{address: ':80', mode: 0600}]": "mode is set, but the address is no Unix socket",
    "listen: [{address: 'unix:/s', mode: 0999}]": "mode must be three octal digits, not '0999'",
    "listen: ['a:1', 'a:1']": "listen has a:1 twice",
    "listen: [{redirect_to_https: true}]": "the listener has no address",
    "listen: []": "listen has 0 entries",
    "upstream: unix:app.sock": "upstream must be unix: and an absolute path, not 'unix:app.sock'",
    "upstream: 'http://unix:/run/app.sock:'": "hint: did you mean unix:/run/app.sock?",
    "upstream: 'unix:/run/app.sock:'": "hint: did you mean unix:/run/app.sock?",
    f"upstream: unix:/{'x' * 107}": "upstream has a path of over 107 bytes",
}


@pytest.mark.parametrize(("text", "expected"), WRONG_ADDRESSES.items(), ids=[text[:40] for text in WRONG_ADDRESSES])
def test_wrong_addresses(text: str, expected: str) -> None:
    assert expected in report(text)


def test_an_upstream_on_a_unix_socket() -> None:
    (site,) = settings("upstream: [unix:/run/a.sock, http://b]\n").sites
    assert site.upstreams == (Upstream("http", "localhost", 80, "/run/a.sock"), Upstream("http", "b", 80))


def test_the_whole_report() -> None:
    text = (
        "listen: 8080\nadmin: 127.0.0.1:99999\nupstream: 127.0.0.1:9000\ntrust: {proxies: [10.0.0.1/8, x], hedaer: y}\n"
        "bounds:\n  head_timeout: 15\n  head_size: 32kb\n  body_size: huge\nhttp2: yes\ntarpit:\nfailuremode: open\n"
        "header_count: 3\nmode: dry-run\nworkers: 0\nworkers: 1\n"
    )
    twice = report(text).splitlines()
    assert twice[-3:] == [
        "proxyguard.yaml:15:1: error: duplicate key 'workers', first on line 14",
        "  hint: keep one of them; a second one would hide the first",
        "16 problems in 1 file",
    ]
    environ = {
        "PROXYGUARD_LISTENER": "x", "PROXYGUARD_AUDIT_PASSES": "2", "PROXYGUARD_TRUST_PROXIES": "10.0.0.0/8,y",
        "PROXYGUARD_KEY_SECRET": "hunter2", "PROXYGUARD_SITES": "[]",
    }  # fmt: skip
    found = report(text.replace("workers: 1\n", ""), environ, {"rules": ""})
    assert found.splitlines() == [
        "--rules: error: rules has no value",
        "PROXYGUARD_AUDIT_PASSES: error: audit.passes is 2",
        "  hint: a number from 0 to 1",
        "PROXYGUARD_KEY_SECRET: error: key_secret is too short or not a text",
        "  hint: at least 16 printable characters; openssl rand -hex 32 makes a good one",
        "PROXYGUARD_LISTENER: error: unknown variable",
        "  hint: did you mean 'PROXYGUARD_LISTEN'?",
        "PROXYGUARD_SITES: error: sites can only be set in the settings file",
        "  hint: for one site, set PROXYGUARD_UPSTREAM",
        "PROXYGUARD_TRUST_PROXIES: error: trust.proxies: 'y' is not an address or a network",
        "  hint: such as 10.0.0.0/8 or 2001:db8::/32",
        "proxyguard.yaml:1:9: error: listen must be HOST:PORT, not '8080'",
        "  hint: did you mean 0.0.0.0:8080?",
        "proxyguard.yaml:2:8: error: admin must be HOST:PORT, not '127.0.0.1:99999'",
        "  hint: ports end at 65535",
        "proxyguard.yaml:3:11: error: upstream must be a URL, not '127.0.0.1:9000'",
        "  hint: did you mean http://127.0.0.1:9000?",
        "proxyguard.yaml:4:35: error: unknown key 'hedaer' in trust",
        "  hint: did you mean 'header'?",
        "proxyguard.yaml:6:17: error: bounds.head_timeout must be a number and a unit, not '15'",
        "  hint: did you mean 15s?",
        "proxyguard.yaml:7:14: error: bounds.head_size must be a size, not '32kb'",
        "  hint: a number of bytes, or a number and a unit: 512B, 32KiB, 1MiB, 2GiB",
        "proxyguard.yaml:8:14: error: bounds.body_size must be a size, not 'huge'",
        "  hint: a number of bytes, or a number and a unit: 512B, 32KiB, 1MiB, 2GiB; or unlimited",
        "proxyguard.yaml:9:8: error: http2 must be true or false, not 'yes'",
        "  hint: did you mean true?",
        "proxyguard.yaml:10:8: error: tarpit has no value",
        "  hint: keys: connections, per_network, hold, bytes_per_connection",
        "proxyguard.yaml:11:1: error: unknown key 'failuremode' in the settings",
        "  hint: did you mean 'failure_mode'?",
        "proxyguard.yaml:12:1: error: unknown key 'header_count' in the settings",
        "  hint: did you mean 'bounds.header_count'?",
        "proxyguard.yaml:13:7: error: mode cannot be 'dry-run'",
        "  hint: did you mean 'shadow'?",
        "proxyguard.yaml:14:10: error: workers is 0",
        "  hint: a whole number from 1 to 256",
        "19 problems",
    ]
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "url", ["http://u:hunter2@a", "http://u:hun ter2@a", "ftp://u:hunter2@a", "http://u:hunter2@a:99999", "u:hunter2@a",
            "http://u:hun/ter2@a", "http://u:hunter2@[a", "http://hunter2@a/x"],
)  # fmt: skip
def test_a_password_of_an_upstream_is_not_repeated_whatever_else_is_wrong(url: str) -> None:
    found = read_settings(None, {"PROXYGUARD_UPSTREAM": url}, {})
    assert isinstance(found, tuple | list)
    assert format_report(found).startswith("PROXYGUARD_UPSTREAM: error: upstream has a user name or a password\n")
    assert "hun" not in format_report(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("store: redis://u:hunter2@a", "store must be a mapping, not 'redis://…@a'"),
        ("store: {'redis://:hun/ter2@a': x}", "unknown key 'redis://…@a' in store"),
        ("otel: http://u:hunter2@a/x", "otel must be a mapping, not 'http://…@a/x'"),
        ("mode: redis://u:hunter2@a and more@b", "mode cannot be 'redis://…@a and more@b'"),
        (f"mode: redis://u:{'hunter2' * 20}@a", "mode cannot be 'redis://…@a'"),
    ],
)
def test_a_url_in_the_wrong_place_is_repeated_without_its_log_in(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(f"upstream: http://a\n{text}\n")
    found = read_settings(tmp_path / "p.yaml", {}, {})
    assert isinstance(found, tuple | list)
    assert found[0].message == message


SITES = {
    "[{}]": "2: a site is empty",
    "[{hosts: a}]": "2: the site has no upstream",
    "[{upstream: 'http://a'}]": "2: the site has no hosts",
    "[{hosts: [a, A], upstream: 'http://a'}]": "14: the host 'a' is already served, line 1",
    "[{hosts: [a.example.], upstream: 'http://a'}]": "11: 'a.example.' ends with a dot",
    "[{hosts: .b.example, upstream: 'http://a'}]": "10: '.b.example' begins with a dot",
    "[{hosts: 'a*b', upstream: 'http://a'}]": "10: 'a*b' has a * that is not the first label",
    "[{hosts: 'https://a/', upstream: 'http://a'}]": "10: 'https://a/' is not a host",
    "[{hosts: a, upstream: 'http://u:p@a'}]": "23: upstream has a user name or a password",
    "[{hosts: a, upstream: 'http://a/x'}]": "23: upstream 'http://a/x' has a path",
    "[{hosts: a, upstream: 'ftp://a'}]": "23: upstream must be a URL, not 'ftp://a'",
    "[{hosts: a, upstream: 'http://a:x'}]": "23: upstream must be a URL, not 'http://a:x'",
    "[{hosts: a, upstream: 'http://a:0'}]": "23: upstream must be a URL, not 'http://a:0'",
    "[{hosts: a, upstream: []}]": "23: upstream has 0 entries",
    "[{hosts: a, upstream: 'http://a', certificate: {chain: no, key: no}}]":
        "56: certificate.chain 'no' cannot be read: no such file or directory",
    "[{hosts: a, upstream: 'http://a', certificate: {chain: proxyguard.yaml}}]": "48: certificate has no key",
    "[{hosts: a, upstream: 'http://a', upstream_tls: {verfy: false}}]": "50: unknown key 'verfy' in upstream_tls",
    "[{hosts: a, upstream: 'https://a', upstream_tls: {name: a..b}}]":
        "57: upstream_tls.name: 'a..b' is not the name of a server",
    "[{hosts: a, upstream: 'https://a', upstream_tls: {name: '*.b'}}]":
        "57: upstream_tls.name: '*.b' is not the name of a server",
    "[{hosts: a, upstream: 'http://a', rule_sets: Shop}]": "46: the name of a rule set is not in kebab-case: 'Shop'",
    "{hosts: a}": "1: sites must be a list, not a mapping",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SITES.items(), ids=SITES)
def test_a_site_that_is_wrong(text: str, expected: str) -> None:
    column, _, message = expected.partition(":")
    assert f"proxyguard.yaml:1:{int(column) + 7}: error:{message}\n" in report(f"sites: {text}\n")


@pytest.mark.parametrize(("text", "hint"), [
    ("store: {timeout: 50}", "did you mean 50ms?"),
    ("store: {timeout: 0.5}", "did you mean 0.5s?"),
    ("store: {timeout: 99999}", "a number and a unit, such as 500ms, 30s, 5m, 1.5h or 7d"),
    ("jar: {keep: 30}", "did you mean 30d?"),
    ("items: {half_life: 2}", "did you mean 2h or 2d?"),
    ("privacy: {keep_audit: 14}", "did you mean 14h or 14d?"),
    ("items: {half_life: 100}", "did you mean 100h?"),
    ("bounds: {head_timeout: 10}", "did you mean 10s?"),
    ("head_timeout: 10s", "did you mean 'bounds.head_timeout'?"),
    ("workerz: 2", "did you mean 'workers'?"),
])  # fmt: skip
def test_what_is_proposed_is_taken(text: str, hint: str) -> None:
    assert f"  hint: {hint}\n" in report(text)


def test_a_list_in_a_variable_has_commas() -> None:
    variable = "PROXYGUARD_TRUST_PROXIES"
    assert report("", {variable: "10.0.0.0/8 192.0.2.1"}) == (
        f"{variable}: error: trust.proxies has a blank inside of '10.0.0.0/8 192.0.2.1'\n"
        "  hint: separate several by commas: 10.0.0.0/8,192.0.2.1\n1 problem\n"
    )
    assert len(settings("", {variable: " 10.0.0.0/8 , 192.0.2.1 "}).trust.proxies) == 2


def test_a_file_that_cannot_be_read() -> None:
    found = read_settings(Path("nowhere.yaml"), {})
    assert not isinstance(found, Settings)
    assert format_report(found) == (
        "nowhere.yaml: error: the settings file cannot be read: no such file or directory\n"
        "  hint: name it with --config or PROXYGUARD_CONFIG\n1 problem\n"
    )


def test_a_file_that_is_no_mapping() -> None:
    assert report("[a]").startswith("proxyguard.yaml:1:1: error: the settings file must be a mapping, not a list\n")


@pytest.mark.parametrize(
    ("text", "http2"),
    [
        ("upstream: http://a", False),
        ("upstream: h2c://a:50051", True),
        ("upstream: [h2c://a, http://b]", False),
        ("upstream: http://a\nupstream_http: 2", True),
        ('upstream: https://a\nupstream_http: "2"', True),
        ("upstream: unix:/run/a.sock\nupstream_http: 2", True),
        ("upstream: https://a\nupstream_http: 1.1", False),
        ("sites:\n- {hosts: [a.example], upstream: https://a, upstream_http: 2}", True),
    ],
)
def test_a_site_says_in_which_version_its_upstreams_are_spoken_to(text: str, http2: bool) -> None:
    assert settings(text).sites[0].is_http2 is http2


def test_an_upstream_in_h2c_has_the_port_of_http() -> None:
    assert settings("upstream: h2c://a").sites[0].upstreams == (Upstream("h2c", "a", 80),)
    assert str(settings("upstream: 'h2c://[::1]:1'").sites[0].upstreams[0]) == "h2c://[::1]:1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("grpc://a:50051", "h2c://a:50051"),
        ("grpcs://a", "https://a with upstream_http: 2"),
        ("h2://a:1", "https://a:1 with upstream_http: 2"),
    ],
)
def test_words_of_others_for_http2_are_understood_but_not_taken(written: str, meant: str) -> None:
    assert report(f"upstream: {written}").splitlines()[:2] == [
        f"proxyguard.yaml:1:11: error: upstream must be a URL, not '{written}'",
        f"  hint: did you mean {meant}?",
    ]
