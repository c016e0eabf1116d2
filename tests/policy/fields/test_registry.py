"""The table of fields: what it holds of each, and that a package's faulty field is refused with its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from proxyguard.core.address import address_number
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.error import PolicyError
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.fields import registry
from proxyguard.policy.fields.field_type import EXACT, MATCHERS, ArisingValues, FieldType, KeyForm, SingleValue
from proxyguard.policy.fields.registry import field_type, field_types, key_kinds
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Field, Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.tools.replay.knowledge import Knowledge
from tests.build import request

GOOD = FieldType(kind="weather", description="The weather.", source=SingleValue(lambda _request: b"rain"))
COLLIDES = FieldType(kind="path", description="", source=GOOD.source)
TAKES_A_WORD = FieldType(kind="site", description="", source=GOOD.source)
ODD_NAME = FieldType(kind="The Weather", description="", source=GOOD.source)
ODD_MATCHER = FieldType(kind="weather", description="", source=GOOD.source, matchers=("in", "sounds_like"))
ARISES = FieldType(kind="weather", description="", source=ArisingValues(single=True))
NOT_A_FIELD = "rain"
PEER = FieldType(
    kind="peer",
    description="The balancer that a request came through.",
    source=SingleValue(lambda _request: b"198.51.100.7"),
    matchers=EXACT,
    address=lambda _request: address_number("198.51.100.7"),
    key=KeyForm.HASHED,
)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    def clear() -> None:
        registry.field_types.cache_clear()
        registry.key_kinds.cache_clear()

    clear()
    yield monkeypatch
    monkeypatch.undo()
    clear()


def provide(install: pytest.MonkeyPatch, *names: str) -> None:
    points = EntryPoints(EntryPoint(name.lower(), f"{__name__}:{name}", registry.GROUP) for name in names)
    install.setattr(registry, "entry_points", lambda **_group: points)


def test_each_row_is_under_its_own_word() -> None:
    assert [kind for kind, row in field_types().items() if kind != row.kind] == []
    assert len(field_types()) >= 14
    assert {kind for kind in key_kinds() if kind in field_types()} == {
        "client", "host", "path", "loose_path", "query", "query_string", "user_agent", "header", "cookie", "account",
        "jar", "item", "bot",
        "tls", "http2", "client_kind", "claimed_kind",
        "header_order", "header_count", "query_length", "query_count", "path_segment", "body_size", "content_type",
        "country", "asn", "network_kind", "identity", "claimed_identity", "verified",
        "robots", "robots_group", "crawl_delay",
    }  # fmt: skip
    with pytest.raises(PolicyError, match="there is no field 'weather'"):
        field_type("weather")


def test_a_field_of_a_package_comes_last(install: pytest.MonkeyPatch) -> None:
    provide(install, "GOOD")
    assert list(field_types())[-1] == "weather"
    assert field_type("weather") is GOOD
    assert "weather" not in key_kinds()


@pytest.mark.parametrize(("network", "rule"), [("198.51.100.0/24", "asks"), ("192.0.2.0/24", "default")])
def test_a_field_with_an_address_is_compared_with_networks(install: pytest.MonkeyPatch, network: str, rule: str) -> None:
    provide(install, "PEER")
    limited = "limit: {rate: 1/day, burst: 1, per: peer}, action: {tag: x}"
    text = f"name: a\nrules:\n  - {{name: asks, when: {{peer: {network}}}, action: reject}}\n  - {{name: b, {limited}}}\n"
    rule_set, problems = parse_rule_set(text, "a.yaml")
    assert (rule_set is not None, problems) == (True, ())
    assert rule_set is not None
    tested = Policy((rule_set,))
    found = match(compile_policy(tested, secret=b"secret"), request(), 0.0)
    assert decide(found, MemoryStore().charge(found.charges, found.ban_keys, 0.0)).decision.rule == rule
    assert trace(tested, request(), 0.0).decision.rule == rule
    assert len(found.charges) == (1 if rule == "default" else 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("COLLIDES", "the field plug-in 'collides': there is a field or word 'path' already"),
        ("TAKES_A_WORD", "the field plug-in 'takes_a_word': there is a field or word 'site' already"),
        ("ODD_NAME", "the field plug-in 'odd_name': 'The Weather' is not a word of lower-case letters, digits and underscores"),
        ("ODD_MATCHER", f"the field plug-in 'odd_matcher': its matchers are some of {', '.join(MATCHERS)}"),
        ("ARISES", "the field plug-in 'arises': only the program's own rules give values that arise"),
        ("NOT_A_FIELD", f"the field plug-in 'not_a_field': {__name__}:NOT_A_FIELD is not a FieldType"),
        ("MISSING", "the field plug-in 'missing' cannot be loaded: AttributeError: "),
    ],
)
def test_a_faulty_field_of_a_package_is_refused_by_name(
    install: pytest.MonkeyPatch, tmp_path: Path, name: str, message: str
) -> None:
    provide(install, name)
    with pytest.raises(PolicyError, match=re.escape(message)):
        field_types()
    (tmp_path / "a.yaml").write_text("name: a\nrules:\n  - {name: b, action: reject}\n")
    loaded = load_policy(tmp_path)
    assert loaded.policy is None
    assert [problem.message.startswith(message) for problem in loaded.problems] == [True]


def test_replay_knows_what_it_can_derive(install: pytest.MonkeyPatch) -> None:
    rows = {
        kind: FieldType(kind=kind, description="", source=GOOD.source, derived_from=sources)
        for kind, sources in {"country": ("client",), "count": ("header",), "ja4": None, "mixed": ("client", "host")}.items()
    }
    known = {**field_types(), **rows}
    install.setattr(registry, "field_types", lambda: known)
    some = Knowledge(headers=frozenset({"user-agent"}))
    every = Knowledge(headers=None, kinds=frozenset({"host", "ja4"}))
    assert [kind for kind in rows if some.knows_field(Field(kind))] == ["country"]
    assert [kind for kind in rows if every.knows_field(Field(kind))] == list(rows)
