"""Reads the settings: `proxyguard.yaml`, then `PROXYGUARD_*`, then the command line; later ones win. All problems at once.

As strict as rule files: unknown keys and variables are problems with the nearest name. What each setting is stands in
`table`; what it does, in `core.settings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from proxyguard.core.address import Prefixes
from proxyguard.core.preferences import PreferenceFormat, Preferences, RobotsFile, Wish
from proxyguard.core.problems import Problem, Report, name_hint, nearest, quoted
from proxyguard.core.settings import Certificate, Neighbour, Settings, Site, Upstream, UpstreamTls
from proxyguard.core.yaml.kinds import NOTHING
from proxyguard.core.yaml.nodes import Mapping as MappingNode
from proxyguard.core.yaml.nodes import Node, Scalar, Sequence, read_as_far_as_possible
from proxyguard.core.yaml.values import not_what
from proxyguard.policy.parse.lists import neighbour, reason
from proxyguard.settings.given import GivenSetting, SettingsAsGiven
from proxyguard.settings.groups import GROUPS, OTHER_VARIABLES
from proxyguard.settings.preference_kinds import SAYS, WISHES
from proxyguard.settings.setting import PREFIX, Setting
from proxyguard.settings.table import BY_PATH, BY_VARIABLE, SHORT

DEFAULT_FILE: Final = Path("proxyguard.yaml")

MAX_FILE_BYTES: Final = 4 * 1024 * 1024

_KUBERNETES: Final = re.compile(
    r"PROXYGUARD_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)?)"
)
"""Variables that Kubernetes sets in every pod for a service whose name begins with `proxyguard`."""

_OF_WORDS: Final = re.compile("list of (?!paths|regular)")
"""What a list takes whose entries have no blanks."""

_FILE_ONLY: Final = {setting.variable: setting.path for setting in BY_PATH.values() if not setting.from_environment}


@dataclass(slots=True)
class _Reading:
    """What was given so far; a later source replaces what an earlier one said."""

    reports: list[Report] = field(default_factory=list)
    given: dict[str, GivenSetting] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)
    """Settings that were given and have no value, as it is wrong."""
    file: str = ""
    is_partial: bool = False
    """Whether some of the file could not be read."""

    def report(self, source: str) -> Report:
        report = Report(source)
        self.reports.append(report)
        return report


def read_settings(
    config: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None
) -> Settings | tuple[Problem, ...]:
    """The settings, or everything that is wrong with them. The arguments are those of `read_as_given`."""
    found = read_as_given(config, environ, overrides)
    return found.problems or found.settings


def read_as_given(config: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> SettingsAsGiven:
    """The settings as far as they can be read, what is wrong with them, and where each was given.

    `config` None means $PROXYGUARD_CONFIG, else `proxyguard.yaml` if there is one. `overrides` are texts by setting, such as
    `{"listen": "127.0.0.1:8080"}`, from the command line. Relative paths in the file are relative to the file.
    """
    reading = _Reading()
    _from_file(config, environ, reading)
    _from_environment(environ, reading)
    _from_overrides(overrides or {}, reading)
    settings = _assembled(reading)
    problems = tuple(problem for report in reading.reports for problem in report.finished())
    faulty = frozenset(reading.faulty)
    return SettingsAsGiven(settings, problems, reading.given, faulty, not reading.is_partial, reading.file or "settings")


def _from_file(config: Path | None, environ: Mapping[str, str], reading: _Reading) -> None:
    named = config or (Path(environ["PROXYGUARD_CONFIG"]) if environ.get("PROXYGUARD_CONFIG") else None)
    path = named or DEFAULT_FILE
    if named is None and not path.exists():
        return
    report = reading.report(str(path))
    reading.file = report.file
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        hint = neighbour(path) or "name it with --config or PROXYGUARD_CONFIG"
        report.add(0, 0, f"the settings file cannot be read: {reason(error)}", hint)
        return
    if len(data) > MAX_FILE_BYTES:
        report.add(1, 1, f"the settings file has more than {MAX_FILE_BYTES // 1024 // 1024} MiB")
        return
    if not _has_content(data):
        return
    root = read_as_far_as_possible(data, report)
    reading.is_partial = root is None or report.is_partial
    if root is None:
        return
    if not isinstance(root, MappingNode):
        report.add(root.line, root.column, not_what(root, "the settings file", "a mapping"), "listen: 0.0.0.0:8080")
        return
    _collect(root, "", reading, GivenSetting(root, report, path.parent))


def _has_content(data: bytes) -> bool:
    """Whether there is more than comments: a file of nothing but commented defaults is fine."""
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in data.splitlines())


def _collect(mapping: MappingNode, prefix: str, reading: _Reading, source: GivenSetting) -> None:
    for entry in mapping:
        path = f"{prefix}{entry.key.text}"
        if path in BY_PATH:
            reading.given[path] = GivenSetting(entry.value, source.report, source.base)
        elif path in SHORT and isinstance(entry.value, Scalar):
            reading.given[SHORT[path]] = GivenSetting(entry.value, source.report, source.base)
        elif path not in GROUPS:
            near = _names_below(prefix)
            where = f"in {prefix.rstrip('.')}" if prefix else "in the settings"
            hint = _unknown_hint(entry.key.text, prefix, near)
            source.report.add(entry.key.line, entry.key.column, f"unknown key {quoted(entry.key.text)} {where}", hint)
        elif isinstance(entry.value, MappingNode) and entry.value.entries:
            _collect(entry.value, f"{path}.", reading, source)
        else:
            value = entry.value
            message = f"{path} is empty" if isinstance(value, MappingNode) else not_what(value, path, "a mapping")
            hint = f"keys: {', '.join(_names_below(f'{path}.'))}"
            source.report.add(value.line, value.column, message, hint)


def _names_below(prefix: str) -> list[str]:
    return list(dict.fromkeys(path[len(prefix) :].partition(".")[0] for path in BY_PATH if path.startswith(prefix)))


def _unknown_hint(name: str, prefix: str, near: list[str]) -> str:
    if nearest(name, near, cutoff=0.9) is None:
        elsewhere = next((path for path in BY_PATH if path.rpartition(".")[2] == name), None)
        if elsewhere is not None:
            return f"did you mean {quoted(elsewhere)}?"
        if not prefix and "." in name and name in BY_PATH:
            return "write it as a mapping"
    return name_hint(name, near, "keys")


def _from_environment(environ: Mapping[str, str], reading: _Reading) -> None:
    for name in sorted(environ):
        if not name.startswith(PREFIX) or not environ[name] or name in OTHER_VARIABLES:
            continue
        setting = BY_VARIABLE.get(name)
        if setting is not None:
            reading.given[setting.path] = _from_text(setting, environ[name], reading.report(name))
        elif name in _FILE_ONLY:
            hint = f"for one site, set {PREFIX}UPSTREAM"
            reading.report(name).add(0, 0, f"{_FILE_ONLY[name]} can only be set in the settings file", hint)
        elif not _KUBERNETES.fullmatch(name):
            hint = name_hint(name, [*BY_VARIABLE, *OTHER_VARIABLES], "variables")
            reading.report(name).add(0, 0, "unknown variable", hint)


def _from_overrides(overrides: Mapping[str, str], reading: _Reading) -> None:
    for path, text in overrides.items():
        report = reading.report(f"--{path.partition('.')[0].replace('_', '-')}")
        reading.given[path] = _from_text(BY_PATH[path], text, report)


def _from_text(setting: Setting, text: str, report: Report) -> GivenSetting:
    """A text from outside of the file; commas separate what would be a list there."""
    node: Node = Scalar(0, 0, text, plain=True)
    if "list" in setting.kind.takes:
        blank = (
            next((part for part in text.split(",") if len(part.split()) > 1), None)
            if _OF_WORDS.match(setting.kind.takes)
            else None
        )
        if blank is not None:
            hint = f"separate several by commas: {','.join(blank.split())}"
            report.add(0, 0, f"{setting.path} has a blank inside of {quoted(blank.strip())}", hint)
            text = ",".join(text.split())
        node = Sequence(0, 0, [Scalar(0, 0, part.strip(), plain=True) for part in text.split(",") if part.strip()])
    return GivenSetting(node, report, Path())


def _assembled(reading: _Reading) -> Settings:
    values: dict[str, object] = {}
    loose: dict[str, Any] = {}
    for path, given in reading.given.items():
        setting = BY_PATH[path]
        value = setting.kind.read(given.node, given.report, path, given.base)
        if value is None:
            reading.faulty.add(path)
            continue
        value = None if value is NOTHING else value
        if setting.attribute:
            values[setting.attribute] = value
        else:
            loose[path] = value
    _add_only_site(loose, values, reading)
    settings: Settings = _filled(Settings(), values)
    _check_together(settings, reading.given)
    return settings


def _add_only_site(loose: dict[str, Any], values: dict[str, object], reading: _Reading) -> None:
    """Make the one site that `upstream`, `upstream_connections`, `certificate` and `upstream_tls` describe."""
    given = [path for path in reading.given if not BY_PATH[path].attribute]
    if "sites" in reading.given:
        for path in given:
            _complain(reading.given[path], f"{path} stands beside sites", "each site has its own: move it into sites")
        return
    if "upstream" not in reading.given:
        for path in given:
            _complain(reading.given[path], f"{path} is set, but no upstream", "upstream: http://127.0.0.1:9000")
        return
    for path, other in (("certificate.chain", "certificate.key"), ("certificate.key", "certificate.chain")):
        if path in reading.given and other not in reading.given:
            _complain(reading.given[path], f"{path} is set, but not {other}", "both are needed to serve HTTPS")
    chain, key = loose.get("certificate.chain"), loose.get("certificate.key")
    upstreams: tuple[Upstream, ...] = loose.get("upstream", ())
    certificate = Certificate(chain=chain, key=key) if chain and key else None
    tls = {path.rpartition(".")[2]: value for path, value in loose.items() if path.startswith("upstream_tls.")}
    more = {
        path.rpartition(".")[2]: value
        for path, value in loose.items()
        if path in ("upstream_reuse", "upstream_http", "health", "upstream_connections")
    }
    values["sites"] = (Site(upstreams=upstreams, certificate=certificate, upstream_tls=UpstreamTls(**tls), **more),)


def _filled(value: Any, values: dict[str, object]) -> Any:
    """A value with some of its parts replaced; dotted names go into the parts of its parts."""
    changed: dict[str, object] = {name: part for name, part in values.items() if "." not in name}
    for group in dict.fromkeys(name.partition(".")[0] for name in values if "." in name):
        below = {name[len(group) + 1 :]: part for name, part in values.items() if name.startswith(f"{group}.")}
        changed[group] = _filled(getattr(value, group), below)
    if isinstance(value, Prefixes):
        return Prefixes(**(value._asdict() | changed))
    return replace(value, **changed)


def _check_together(settings: Settings, given: dict[str, GivenSetting]) -> None:
    """Report settings that contradict each other, at the place of one that was given."""
    for path in ("trust.header", "trust.keep", "trust.proxy_protocol"):
        if path in given and not settings.trust.proxies and "trust.proxies" not in given:
            _complain(given[path], f"{path} is set, but no peer is trusted", "name them: trust: {proxies: [10.0.0.0/8]}")
    for name in ("key_secret", "admin_token", "admin_read_token"):
        if name in given and f"{name}_file" in given:
            _complain(given[f"{name}_file"], f"{name} and {name}_file are both set", "keep one of them")
    if "store.url" in given and "key_secret" not in given and "key_secret_file" not in given:
        hint = "give every instance the same key_secret: keys of one client must be the same for all"
        _complain(given["store.url"], "store.url is set without key_secret", hint)
    if Neighbour.STORE in settings.ready_when and "store.url" not in given and "ready_when" in given:
        _complain(
            given["ready_when"], "ready_when names store, and store.url is not set", "store: {url: redis://HOST}, or take it out"
        )
    if "maze.canary_domain" in given and "key_secret" not in given and "key_secret_file" not in given:
        hint = "with a secret that is new at each start nobody could read the canaries of the last one"
        _complain(given["maze.canary_domain"], "maze.canary_domain is set without key_secret", hint)
    if "store.url" in given and "store.snapshot" in given:
        _complain(given["store.snapshot"], "store.snapshot is set beside store.url", "the server keeps the counts; leave it out")
    if "store.learned" in given and "store.url" not in given:
        hint = "set store.snapshot: what was learned is kept beside it, in NAME.learned"
        _complain(given["store.learned"], "store.learned is set without store.url", hint)
    for path, other in (("privacy.sealed", "privacy.public_key"), ("privacy.public_key", "privacy.sealed")):
        if path in given and other not in given:
            _complain(
                given[path], f"{path} is set, but not {other}", "proxyguard privacy keys makes the keys; see docs/privacy.md"
            )
    _check_preferences(settings.preferences, given)
    bounds = settings.bounds
    for smaller, larger, low, high in (
        ("bounds.field_size", "bounds.head_size", bounds.field_bytes, bounds.head_bytes),
        ("bounds.target_size", "bounds.head_size", bounds.target_bytes, bounds.head_bytes),
        ("bounds.connections_per_network", "bounds.connections", bounds.connections_per_network, bounds.connections),
        ("bounds.requests_per_network", "bounds.requests", bounds.requests_per_network, bounds.requests),
        ("tarpit.per_network", "tarpit.connections", settings.tarpit.per_network, settings.tarpit.connections),
    ):
        place = given.get(smaller) or given.get(larger)
        if low > high and place is not None:
            _complain(place, f"{smaller} ({low}) is more than {larger} ({high})", "the part cannot be larger than the whole")
    prefixes = settings.counting.prefixes
    for network, client, wide, narrow in (
        ("counting.prefixes.network_v4", "counting.prefixes.client_v4", prefixes.network_v4, prefixes.client_v4),
        ("counting.prefixes.network_v6", "counting.prefixes.client_v6", prefixes.network_v6, prefixes.client_v6),
    ):
        place = given.get(network) or given.get(client)
        if wide > narrow and place is not None:
            _complain(place, f"{network} ({wide}) is more than {client} ({narrow})", "a network has room for several clients")


def _check_preferences(preferences: Preferences, given: dict[str, GivenSetting]) -> None:
    """Report preferences that no program would come to read."""
    asked = {path: each for path in WISHES if (each := given.get(path)) is not None and not each.is_text(Wish.UNSAID)}
    formats = given.get("preferences.formats")
    policy = given.get("preferences.tdm_policy")
    if asked and formats is None:
        hint = "formats: [content-signal, content-usage, rsl, tdm], and robots_txt: append"
        path, place = next(iter(asked.items()))
        _complain(place, f"{path} is set, but not preferences.formats: it is said nowhere", hint)
    if not asked:
        for path in ("preferences.formats", "preferences.tdm_policy", "preferences.robots_txt"):
            if path in given and (path != "preferences.robots_txt" or given[path].is_text(RobotsFile.APPEND)):
                hint = "ai_train: no, for instance; else nothing is said"
                _complain(given[path], f"{path} is set, but no preference", hint)
        return
    if formats is None or not preferences.formats:
        return
    if not any(path in asked for each in preferences.formats for path in SAYS[each]):
        words = " and ".join(path.rpartition(".")[2] for path in asked)
        hint = "content-signal and rsl say all of them, content-usage search and ai_train, tdm ai_train"
        _complain(formats, f"none of these formats says {words}", hint)
    robots_txt = given.get("preferences.robots_txt")
    is_off = robots_txt is None or robots_txt.is_text(RobotsFile.OFF)
    if is_off and PreferenceFormat.CONTENT_SIGNAL in preferences.formats:
        hint = "robots_txt: append, or own where the site has none"
        _complain(formats, "content-signal is said in robots.txt, and preferences.robots_txt is off", hint)
    if policy is not None and PreferenceFormat.TDM not in preferences.formats:
        _complain(policy, "preferences.tdm_policy is set, but formats has no tdm", "formats: [tdm], or leave it out")


def _complain(given: GivenSetting, message: str, hint: str) -> None:
    given.report.add(given.node.line, given.node.column, message, hint)
