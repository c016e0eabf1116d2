"""Signatures of bots: the published vectors hold; what is expired, of the future, thin or replayed proves nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import http_sf
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

from proxyguard.core.address import Address
from proxyguard.core.request import Request
from proxyguard.guard.origin import signatures
from proxyguard.guard.origin.background import Background
from proxyguard.guard.origin.https_fetch import FetchFailed
from proxyguard.guard.origin.key_directories import MAX_KEYS, OTHERS, KeyDirectories, Keys, parse_directory, thumbprint
from proxyguard.guard.origin.shared_nonces import SharedNonces
from proxyguard.guard.origin.signatures import SeenNonces, Signatures, SignatureVerdict

RAW = base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
"""The private part of test-key-ed25519 (RFC 9421, appendix B.1.4)."""
KEY = Ed25519PrivateKey.from_private_bytes(RAW)
X = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"
KEY_ID = "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"
HOST = "signature-agent.test"
AGENT = f'"https://{HOST}"'
NOW = 1735689660.0
CREATED = 1735689600


def jwks(*xs: str) -> bytes:
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x} for x in xs]}).encode()


class Known(KeyDirectories):
    """Directories that are here already."""

    def __init__(self, **keys: Keys) -> None:
        super().__init__(Background(), (HOST, "bot.duckduckgo.com", "ahrefs.com"), lambda: 0.0)
        for host, directory in self._directories.items():
            directory.keys = keys.get(host.replace(".", "_").replace("-", "_"), {})
            directory.fetched = 0.0


def judge_all(max_age: float = 300.0) -> Signatures:
    return Signatures(Known(signature_agent_test=parse_directory(jwks(X))), max_age)


def request(fields: dict[str, str], *, target: bytes = b"/", host: bytes = b"example.com", method: bytes = b"GET") -> Request:
    headers = ((b"Host", host), *((name.encode(), value.encode()) for name, value in fields.items()))
    return Request(Address.parse("192.0.2.1"), method, b"https", host.partition(b":")[0], target, headers)


def signed(
    components: str = '"@authority" "signature-agent"', *, created: int | None = CREATED, expires: int | None = CREATED + 3600,
    nonce: str | None = "one", tag: str = "web-bot-auth", key_id: str = KEY_ID, agent: str = AGENT,
    authority: str = "example.com", more: str = "", key: Ed25519PrivateKey = KEY,
) -> dict[str, str]:  # fmt: skip
    """The fields of a request signed as told."""
    parameters = "".join([
        "" if created is None else f";created={created}", f';keyid="{key_id}"', "" if expires is None else f";expires={expires}",
        "" if nonce is None else f';nonce="{nonce}"', f';tag="{tag}"', more,
    ])  # fmt: skip
    values = {'"@authority"': authority, '"signature-agent"': agent, '"@method"': "GET", '"@path"': "/"}
    lines = [f"{name}: {values[name]}" for name in components.split()]
    base = "\n".join([*lines, f'"@signature-params": ({components}){parameters}'])
    signature = base64.b64encode(key.sign(base.encode())).decode()
    return {"Signature-Agent": agent, "Signature-Input": f"s=({components}){parameters}", "Signature": f"s=:{signature}:"}


def verdict(fields: dict[str, str], now: float = NOW) -> SignatureVerdict | None:
    return judge_all().judge(request(fields), now)


def test_the_key_has_its_published_thumbprint() -> None:
    assert list(parse_directory(jwks(X))) == [KEY_ID]
    rfc_8037 = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert thumbprint(rfc_8037) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


class _TestKey(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> object:
        return KEY.public_key()


def test_the_vector_of_rfc_9421_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Appendix B.2.6, with the library as it is used here."""
    fields = {
        "Date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "Content-Type": "application/json",
        "Content-Length": "18",
        "Signature-Input": 'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"',
        "Signature": "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    }
    message = signatures._Message(request(fields, target=b"/foo?param=Value&Pet=dog", method=b"POST"))
    verifier = signatures._Verifier(signature_algorithm=algorithms.ED25519, key_resolver=_TestKey())
    assert isinstance(verifier, HTTPMessageVerifier)
    [found] = verifier.verify(message, max_age=None)
    assert found.covered_components['"content-length"'] == "18"


DRAFT = {
    "Signature-Agent": AGENT,
    "Signature-Input": f'sig2=("@authority" "signature-agent");created=1735689600;keyid="{KEY_ID}";alg="ed25519"'
    ';expires=1735693200;nonce="e8N7S2MFd/qrd6T2R3tdfAuuANngKI7LFtKYI/vowzk4lAZYadIX6wW25MwG7DCT9RUKAJ0qVkU0mEeLElW1qg==";tag="web-bot-auth"',
    "Signature": "sig2=:jdq0SqOwHdyHr9+r5jw3iYZH6aNGKijYp/EstF4RQTQdi5N5YYKrD+mCT1HA1nZDsi6nJKuHxUi/5Syp3rLWBA==:",
}
"""draft-meunier-web-bot-auth-architecture-05, appendix A.2.3."""

DRAFT_DICTIONARY = {
    "Signature-Agent": f"agent2={AGENT}",
    "Signature-Input": f'sig2=("@authority" "signature-agent";key="agent2");created=1735689600;keyid="{KEY_ID}";alg="ed25519"'
    ";expires=4889289600;"
    'nonce="n9p433xm+NJ3ph3upfBIGmsuwHw387YV7Q/F+6BSpGCVjYCqQw6rznNA8PVVLySrAWsv0hQtFioQb6E1YsauiA==";tag="web-bot-auth"',
    "Signature": "sig2=:RdNFx5Bj6au3YgAMQL/RzmUlZE8QZLIaXGRpw985hWnwPfMxT228NMk6ehRS1PSl4e8PhbNZACSanGdhEwYCCg==:",
}
"""The vector of the reference implementation that the draft points to. It is valid for a century."""


def test_the_vectors_of_web_bot_auth_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(DRAFT) == SignatureVerdict(HOST, verified=True, reason="")
    assert verdict(DRAFT_DICTIONARY) == SignatureVerdict(HOST, verified=False, reason="it is valid for too long")
    monkeypatch.setattr(signatures, "MAX_VALID_SECONDS", 1e10)
    assert verdict(DRAFT_DICTIONARY) == SignatureVerdict(HOST, verified=True, reason="")
    assert verdict(DRAFT | {"Signature-Input": DRAFT["Signature-Input"].replace("5689600", "5689601")}) == SignatureVerdict(
        HOST, verified=False, reason="it does not fit the request"
    )


def test_what_bots_of_today_send_is_understood() -> None:
    """Recorded from DuckDuckBot (an address that is no string, no nonce) and AhrefsBot (a string, a nonce)."""
    known = Known(
        bot_duckduckgo_com=parse_directory(jwks("pVqc2ohmGpL_H1OJGq7mIGkxAk65mm5JkY7qSdJachE")),
        ahrefs_com=parse_directory(jwks("0g1xFRWdVlSOm1h92tZ4VFl7FWGtvRnTZ0PwuBdJuDU")),
    )
    judged = Signatures(known, 300.0)
    duck = {
        "Signature-Agent": "https://bot.duckduckgo.com",
        "Signature-Input": 'sig1=("@method" "@authority" "@path" "signature-agent");created=1788411573;expires=1788412173'
        ';alg="ed25519";tag="web-bot-auth";keyid="5HvpfNA946z6lcCXEIOOpzlN5l0mdZE42jdqimEwPf8"',
        "Signature": "sig1=:63joPbtMnsFXGyPmWp8mkRzsxiT0Ugujee2gB5dFajTA/ODK8bTRdkuM1/gYaU1f5DpDBvn5KMvoRkreGyWtCQ==:",
    }
    found = request(duck, target=b"/favicon.ico", host=b"gkoreli.com")
    now = datetime(2026, 9, 3, 4, 59, 34, tzinfo=UTC).timestamp()
    assert judged.judge(found, now) == SignatureVerdict("bot.duckduckgo.com", verified=True, reason="")
    again = judged.judge(found, now + 1)
    assert again is not None
    assert again.verified is None
    ahrefs = {
        "Signature-Agent": '"https://ahrefs.com"',
        "Signature-Input": 'sig=("@authority" "signature-agent");created=1788417112'
        ';keyid="e3vpiy0B6M1Wdxnizw3dqRSgpqS6SXM2qiQ6HtUwZ5g";alg="ed25519";expires=1788417172;'
        'nonce="G1Ywem9vmQEo0fdcGB7X5U9zPBDn7t1bL_ThO2xn3SomHhITaea-gLCYBUaHp0YRIDGvnVmofZM9h6dNaVTTig";tag="web-bot-auth"',
        "Signature": "sig=:+B/zW07ZjErBYQKeX5yYs7W/hTzbARoe9EDTg8WehmDZ6lsQfNgUR0Wrv/ggxa0JCu4RAfBi72XAFYw4I9FNAg==:",
    }
    found = request(ahrefs, target=b"/robots.txt", host=b"gkoreli.com")
    now = datetime(2026, 9, 3, 6, 31, 53, tzinfo=UTC).timestamp()
    assert judged.judge(found, now) == SignatureVerdict("ahrefs.com", verified=True, reason="")


def test_a_request_without_a_signature_of_a_bot_has_no_verdict() -> None:
    assert verdict({}) is None
    assert verdict({"Signature-Input": 'x=("@authority");tag="other"', "Signature": "x=:AAAA:"}) is None


OTHER = Ed25519PrivateKey.generate()
OTHER_ID = thumbprint(OTHER.public_key().public_bytes_raw())
ONE_NAME = " ".join(f'"@query-param";name="{number}"' for number in range(19))
MUCH = signed() | {"Signature-Input": signed()["Signature-Input"].replace('s=("@authority"', f's=("@authority" {ONE_NAME}')}
"""Covers 21 components, 19 of which have one name."""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (signed(expires=CREATED + 60), "it has expired"),
        (signed(created=CREATED + 91, expires=CREATED + 200), "it was made in the future"),
        (signed(created=CREATED - 241), "it was made too long ago"),
        (signed(created=None), "it does not say when it was made and when it ends"),
        (signed(expires=None), "it does not say when it was made and when it ends"),
        (signed(expires=CREATED + 86_401), "it is valid for too long"),
        (signed(created=CREATED + 80, expires=CREATED + 75), "it is valid for too long"),
        (signed('"@authority"'), "it does not cover Signature-Agent"),
        (signed('"signature-agent"'), "it does not cover the authority"),
        (signed('"@method" "@path" "signature-agent"'), "it does not cover the authority"),
        (signed(""), "it does not cover the authority"),
        (signed(authority="other.example"), "it does not fit the request"),
        (signed(key=OTHER), "it does not fit the request"),
        (signed(key=OTHER, key_id=OTHER_ID), f"{HOST} has no such key"),
        (signed(key_id=""), "it names no key"),
        (MUCH, "it covers too much"),
        (signed(more=';alg="hmac-sha256"'), "it does not fit the request"),
        (signed(more=";created=1735689650"), "it does not fit the request"),
        (signed() | {"Signature": "s=:AAAA:"}, "it does not fit the request"),
        (signed() | {"Signature": "t=:AAAA:"}, "it does not fit the request"),
        (signed() | {"Signature": "junk"}, "it does not fit the request"),
        (signed() | {"Signature": ""}, "it does not fit the request"),
    ],
)  # fmt: skip
def test_a_signature_that_is_wrong_is_a_failed_claim(fields: dict[str, str], reason: str) -> None:
    assert verdict(fields) == SignatureVerdict(HOST, verified=False, reason=reason)


@pytest.mark.parametrize(
    "fields",
    [
        signed(agent='"https://evil.test"'),
        signed(agent=f'"http://{HOST}"'),
        signed(agent=f'"https://{HOST}@evil.test"'),
        signed(agent=f'"https://{HOST}.evil.test"'),
        signed(agent=f'"https://{HOST}/other/path"'),
        signed(agent=f'"https://{HOST}?x"'),
        signed(agent=f'"https://{HOST}", "https://evil.test"'),
        signed(agent="1"),
        signed(agent=""),
        signed() | {"Signature-Agent": ""},
        signed()
        | {"Signature-Input": 's=("@authority" "signature-agent");tag="web-bot-auth", t=("@authority");tag="web-bot-auth"'},
        signed() | {"Signature-Input": "s=(((;tag=web-bot-auth"},
        signed() | {"Signature-Input": 's=1;tag="web-bot-auth"'},
        signed(nonce="n" * 5000),
    ],
)
def test_a_signature_that_cannot_be_judged_is_unknown(fields: dict[str, str]) -> None:
    found = verdict(fields)
    assert found is not None
    assert (found.host, found.verified) == ("", None)


@pytest.mark.parametrize(
    "fields",
    [
        signed() | {"Signature-Input": signed()["Signature-Input"] + "".join(f", a{at}=()" for at in range(60))},
        signed() | {"Signature-Input": signed()["Signature-Input"] + ", b=(" + " ".join(["1;a"] * 60) + ")"},
        signed() | {"Signature-Input": signed()["Signature-Input"] + ', b="' + "\\\\" * 60 + '"'},
        signed() | {"Signature": signed()["Signature"] + ", a" * 70},
        signed() | {"Signature-Agent": AGENT + ";a" * 70},
    ],
)
def test_what_would_take_long_to_read_is_not_read(fields: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(http_sf, "parse")
    assert verdict(fields) == SignatureVerdict("", verified=None, reason="its fields have too many parts")
    assert verdict(signed(agent='"https://evil.test"')) == SignatureVerdict(
        "", verified=None, reason="its host is not one of identity.directories"
    )


@pytest.mark.parametrize("part", ['"accept";sf', '"x";key="a"', '"x";bs', '"@query-param";name="a"'])
def test_no_field_is_taken_apart_for_a_signature(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = signed() | {"Signature-Input": signed()["Signature-Input"].replace('("@', f'({part} "@')}
    monkeypatch.delattr(HTTPMessageVerifier, "verify")
    assert verdict(fields) == SignatureVerdict(HOST, verified=None, reason="it covers a part of a field")


def test_a_field_of_another_request_does_not_fit() -> None:
    fields = signed('"@authority" "@method" "@path" "signature-agent"')
    for other in (
        request(fields, method=b"POST"), request(fields, target=b"/admin"), request(fields, host=b"example.com:8443"),
        request(fields, host=b"www.example.com"),
    ):  # fmt: skip
        found = judge_all().judge(other, NOW)
        assert found is not None
        assert found.verified is False
    assert judge_all().judge(request(fields, host=b"EXAMPLE.com:443"), NOW) == SignatureVerdict(HOST, verified=True, reason="")


@pytest.mark.parametrize("target", [b"*", *(b"/a%c?b=%c" % (byte, byte) for byte in (*range(0x21, 0x7F), 0xE9))])
def test_a_target_that_is_no_address_refutes_nobody(target: bytes) -> None:
    assert judge_all().judge(request(signed(), target=target), NOW) == SignatureVerdict(HOST, verified=True, reason="")


@pytest.mark.parametrize("target", [b"/a|b", b"/?q={x}", b"/%zz", b"/caf\xe9"])
def test_a_signature_of_such_a_target_is_unknown(target: bytes) -> None:
    fields = signed('"@authority" "@path" "signature-agent"')
    found = judge_all().judge(request(fields, target=target), NOW)
    assert found == SignatureVerdict(HOST, verified=None, reason="it covers a target that is written as no address may be")


def test_a_signature_counts_once() -> None:
    judged = judge_all()
    first = request(signed(nonce="n"))
    assert judged.judge(first, NOW) == SignatureVerdict(HOST, verified=True, reason="")
    assert judged.judge(first, NOW + 200) == SignatureVerdict(HOST, verified=False, reason="it was sent before")
    other = request(signed(nonce="n", created=CREATED + 60))
    assert judged.judge(other, NOW + 60) == SignatureVerdict(HOST, verified=False, reason="it was sent before")
    assert judged.judge(request(signed(nonce="m")), NOW) == SignatureVerdict(HOST, verified=True, reason="")
    unsigned = request(signed(nonce=None))
    assert judged.judge(unsigned, NOW) == SignatureVerdict(HOST, verified=True, reason="")
    again = judged.judge(unsigned, NOW)
    assert again is not None
    assert (again.host, again.verified) == (HOST, None)


@pytest.mark.parametrize(
    "spelt",
    [
        lambda fields: {"Signature": fields["Signature"] + ";by=me"},
        lambda fields: {"Signature": fields["Signature"].replace("==:", ":")},
        lambda fields: {"Signature": " " + fields["Signature"]},
        lambda fields: {name: fields[name].replace("s=", "other=", 1) for name in ("Signature-Input", "Signature")},
        lambda fields: {name: fields[name] + end for name, end in (("Signature-Input", ", x=()"), ("Signature", ", x=:AAAA:"))},
    ],
)
def test_a_signature_without_a_nonce_counts_once_however_it_is_written(spelt: Callable[[dict[str, str]], dict[str, str]]) -> None:
    judged, fields = judge_all(), signed(nonce=None)
    assert judged.judge(request(fields), NOW) == SignatureVerdict(HOST, verified=True, reason="")
    again = judged.judge(request(fields | spelt(fields)), NOW)
    assert again is not None
    assert (again.host, again.verified) == (HOST, None)
    assert len(judged.nonces) == 1


def test_a_forgery_spends_no_nonce_of_others() -> None:
    judged = judge_all()
    forged = judged.judge(request(signed(nonce="n") | {"Signature": "s=:AAAA:"}), NOW)
    assert forged is not None
    assert forged.verified is False
    assert len(judged.nonces) == 0


def test_nonces_are_bounded_and_one_that_still_counts_is_never_forgotten() -> None:
    seen = SeenNonces(capacity=6)
    assert [seen.add("a", "k", str(number), 0.0, 330.0) for number in range(5)] == [True, True, True, None, None]
    assert seen.add("a", "k", "0", 329.0, 330.0) is False
    assert seen.add("a", "k", "9", 331.0, 330.0) is True
    assert len(seen) == 1


def test_a_signature_is_new_for_one_worker_only(tmp_path: Path) -> None:
    workers = [judge_all(), judge_all()]
    for each in workers:
        each.nonces.shared = SharedNonces(tmp_path / "nonces", b"secret")
    fields = signed(nonce="n")
    found = [worker.judge(request(fields), NOW) for worker in (*workers, *workers)]
    assert [verdict and verdict.verified for verdict in found] == [True, False, False, False]


def test_hosts_that_fill_their_shares_leave_room_for_another() -> None:
    """One allowed signer cannot make the signatures of others unknown, with as many keys as it publishes."""
    seen = SeenNonces(capacity=100)
    held = {host: sum(seen.add(host, f"k{n % 7}", str(n), 0.0, 330.0) is True for n in range(200)) for host in "abc"}
    assert held == {"a": 50, "b": 25, "c": 13}
    assert seen.add("d", "k", "1", 0.0, 330.0) is True
    assert seen.add("a", "k1", "new", 0.0, 330.0) is None
    assert seen.add("a", "k1", "new", 331.0, 330.0) is True


def test_keys_are_asked_for_in_the_background_and_kept_when_a_host_fails() -> None:
    clock = [0.0]
    answers: list[bytes | FetchFailed] = [jwks(X), FetchFailed("down")]
    asked = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, FetchFailed):
            raise answer
        return answer

    background = Background()
    directories = KeyDirectories(background, (HOST,), lambda: clock[0], fetch)

    def settled() -> object:
        found = directories.find(HOST, KEY_ID)
        ends = monotonic() + 30
        while directories._directories[HOST].is_asking and monotonic() < ends:
            sleep(0.002)
            found = directories.find(HOST, KEY_ID)
        return found

    assert directories.find(HOST, KEY_ID) is None
    assert settled() is not None
    assert asked == [f"https://{HOST}/.well-known/http-message-signatures-directory"]
    clock[0] = 3601.0
    assert settled() is not None
    assert (len(asked), directories.counts) == (2, {"fetched": 1, "failed": 1})
    clock[0] = 3630.0
    settled()
    assert len(asked) == 2
    clock[0] = 90_000.0
    assert settled() is None
    background.close()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": 1}', b"[" * 100_000, b"\xff"])
def test_a_damaged_directory_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_directory(text)


OTHER_KEYS: list[object] = [
    {"kty": "RSA"}, {"kty": "OKP", "crv": "X25519", "x": X}, {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, 1, None,
]  # fmt: skip


@pytest.mark.parametrize("key", OTHER_KEYS)
def test_a_signature_by_a_key_that_is_not_read_is_unknown(key: object) -> None:
    """A host may sign with other kinds of keys, beside ours or alone: that refutes nobody."""
    mine = {"kty": "OKP", "crv": "Ed25519", "x": X}
    keys = parse_directory(json.dumps({"keys": [key, mine]}).encode())
    assert set(keys) == {KEY_ID, OTHERS}
    judged = Signatures(Known(signature_agent_test=keys), 300.0)
    assert judged.judge(request(signed()), NOW) == SignatureVerdict(HOST, verified=True, reason="")
    found = judged.judge(request(signed(key=OTHER, key_id=OTHER_ID)), NOW)
    assert found == SignatureVerdict(HOST, verified=None, reason=f"{HOST} may have such a key, and it is not here")


def test_more_keys_than_are_read_refute_nobody() -> None:
    assert OTHERS in parse_directory(jwks(*[X] * (MAX_KEYS + 1)))
    assert OTHERS not in parse_directory(jwks(*[X] * MAX_KEYS))
