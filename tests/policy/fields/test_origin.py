"""The fields of the origin: what rules may write, what holds when it is known, and that the unknown counts against nobody."""

import pytest

from proxyguard.core.address import Address
from proxyguard.core.origin import NetworkKind, Origin
from proxyguard.core.problems import Fault
from proxyguard.core.request import Request
from proxyguard.policy.fields.origin import ROWS, read_origin
from proxyguard.policy.fields.registry import field_type
from proxyguard.policy.model import Policy, TextKind
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.parse.texts import read_text_value
from proxyguard.policy.testing.runner import run_tests
from proxyguard.policy.testing.sample_requests import parse_batch_line

GERMAN_HOST = Origin(country="DE", asn=24940, network_kind=NetworkKind.HOSTING)


def values(kind: str, origin: Origin | None) -> tuple[bytes, ...]:
    request = Request(Address.parse("192.0.2.1"), b"GET", b"https", b"example.org", b"/", ())
    request.origin = origin
    return field_type(kind).values(request)


def test_what_is_known_has_values_and_what_is_not_is_absent_or_unknown() -> None:
    assert {row.kind: values(row.kind, GERMAN_HOST) for row in ROWS} == {
        "country": (b"DE",), "asn": (b"24940",), "network_kind": (b"hosting",), "identity": (), "claimed_identity": (),
        "verified": (b"unknown",),
    }  # fmt: skip
    for origin in (None, Origin()):
        assert {row.kind: values(row.kind, origin) for row in ROWS} == {
            "country": (), "asn": (), "network_kind": (b"unknown",), "identity": (), "claimed_identity": (),
            "verified": (b"unknown",),
        }  # fmt: skip


def test_an_identity_is_nobodys_until_it_is_proven() -> None:
    for verified in (False, None):
        forged = Origin(identity="googlebot", claim="googlebot", verified=verified)
        assert values("identity", forged) == ()
        assert values("claimed_identity", forged) == (b"googlebot",)
    assert values("identity", Origin(identity="googlebot", claim="googlebot", verified=True)) == (b"googlebot",)


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("country", "de", b"DE"),
        ("country", "NO", b"NO"),
        ("asn", "AS15169", b"15169"),
        ("asn", "15169", b"15169"),
        ("network_kind", "Hosting", b"hosting"),
        ("identity", "Googlebot", b"googlebot"),
        ("verified", "true", b"true"),
        ("verified", "Unknown", b"unknown"),
    ],
)
def test_texts_of_rules_are_read_as_values_are(kind: str, written: str, read: bytes) -> None:
    assert read_text_value(kind, TextKind.EQUAL, written) == read


@pytest.mark.parametrize(
    ("kind", "written", "message", "hint"),
    [
        ("country", "Germany", "'Germany' is not a country", "two letters, as ISO 3166-1 has them: DE, FR, US"),
        ("country", "UK", "'UK' is not the ISO code of a country", "did you mean GB?"),
        ("country", "ja", "'ja' is not the ISO code of a country", "did you mean JP?"),
        ("country", "GR1", "'GR1' is not a country", "two letters, as ISO 3166-1 has them: DE, FR, US"),
        ("country", "BK", "'BK' is not the ISO code of a country", "two letters, as ISO 3166-1 has them: DE, FR, US"),
        ("asn", "AS4294967296", "'AS4294967296' is not the number of an autonomous system", "such as 15169 or AS15169"),
        ("network_kind", "hostin", "'hostin' is not a kind of network", "did you mean 'hosting'?"),
        ("verified", "yes", "'yes' is not a verdict", "values: true, false, unknown"),
        ("identity", "Go Bot", "'Go Bot' is not the name of an identity", "as `proxyguard whois` shows it, such as googlebot"),
    ],
)  # fmt: skip
def test_what_no_value_can_equal_is_refused(kind: str, written: str, message: str, hint: str) -> None:
    with pytest.raises(Fault) as caught:
        read_text_value(kind, TextKind.EQUAL, written)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize("code", ["AD", "ZW", "xk", "EU", "GB"])
def test_codes_that_tables_have_are_read(code: str) -> None:
    assert read_text_value("country", TextKind.EQUAL, code) == code.upper().encode()


def test_tests_in_rule_files_say_where_a_request_comes_from() -> None:
    rule_set, problems = parse_rule_set(
        """
        name: x
        rules:
          - {name: real-crawler, when: {identity: googlebot, verified: true}, action: pass}
          - {name: liar, when: {verified: false}, action: reject}
          - {name: abroad, when: {country: [KP, DE], asn: {not: 24940}}, action: {score: 1}}
          - {name: hosts, when: {network_kind: hosting}, limit: {rate: 2/minute, per: [asn]}, action: reject}
        tests:
          - {request: {identity: googlebot}, expect: pass by real-crawler}
          - {request: {identity: googlebot, verified: unknown}, expect: pass by default}
          - {request: {claimed_identity: googlebot, verified: false}, expect: reject by liar}
          - {request: {country: de, asn: AS1}, expect: {score: 1}}
          - {request: {country: DE, asn: 24940}, expect: {score: 0}}
          - {request: {network_kind: hosting, asn: 7}, repeat: 3, expect: reject by hosts}
          - {request: {path: /}, repeat: 9, expect: pass by default}
        """,
        "x.yaml",
    )
    assert rule_set is not None
    assert problems == ()
    assert run_tests(Policy((rule_set,))) == ()


def test_a_batch_line_says_it_too() -> None:
    request = parse_batch_line(
        '{"client": "192.0.2.9", "country": "DE", "asn": 24940, "network_kind": "hosting", "verified": false}'
    )
    assert request.origin == GERMAN_HOST._replace(verified=False)
    with pytest.raises(ValueError, match="'Germany' is not a country"):
        parse_batch_line('{"country": "Germany"}')


def test_nothing_said_is_nothing_known() -> None:
    assert read_origin({}) is None
