"""What the connection shows of its client, what the user agent claims, and where the two contradict each other.

Absent, all but the claim, wherever another program than the client may have spoken: see docs/concepts/fingerprints.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.problems import Fault, listed, name_hint, quoted
from proxyguard.core.request import Request, Values
from proxyguard.http.fingerprints import facts as derived
from proxyguard.http.fingerprints.claimed_kind import KINDS as CLAIMED_KINDS
from proxyguard.http.fingerprints.claimed_kind import claimed_kind
from proxyguard.http.fingerprints.contradictions import ALL, contradictions
from proxyguard.http.fingerprints.ja4 import JA4_FORM
from proxyguard.http.fingerprints.kinds import kind_table
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType, KeyForm, NamedValues, SingleValue
from proxyguard.policy.model import FieldKind, TextKind

_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3")


def _tls(request: Request) -> Mapping[bytes, Values]:
    facts = request.connection
    if facts is None:
        return {}
    found = {b"ja4": derived.ja4_of(facts), b"version": facts.tls_version, b"client_kind": derived.hello_kind(facts)}
    return {name: (value,) for name, value in found.items() if value}


def _http2(request: Request) -> Mapping[bytes, Values]:
    facts = request.connection
    print_ = b"" if facts is None else derived.http2_of(facts)
    return {b"fingerprint": (print_,)} if print_ else {}


def _client_kind(request: Request) -> Values:
    facts = request.connection
    kind = b"" if facts is None else derived.client_kind(facts)
    return (kind,) if kind else ()


def _name_of(kind: str, names: tuple[str, ...]) -> Callable[[str], str]:
    def read(name: str) -> str:
        if name not in names:
            raise Fault(f"{quoted(name)} is nothing that is known of {kind}", name_hint(name, names, f"names after {kind}."))
        return name

    return read


def _tls_value(kind: TextKind, text: str) -> str:
    hellos = kind_table().hello_names
    if kind is TextKind.EQUAL and text not in _VERSIONS and text not in hellos and not JA4_FORM.fullmatch(text.encode()):
        hint = f"a JA4 such as t13d1516h2_8daaf6152771_e5627efa2ab1; a version: {listed(_VERSIONS)}; or a kind: {listed(hellos)}"
        raise Fault(f"{quoted(text)} is neither a JA4 nor a version or kind of TLS", hint)
    return text


def _one_of(noun: str, names: Callable[[], tuple[str, ...]]) -> Callable[[TextKind, str], str]:
    def check(_kind: TextKind, text: str) -> str:
        if text not in names():
            raise Fault(f"{quoted(text)} is no {noun}", name_hint(text, names(), f"{noun}s"))
        return text

    return check


def shown(request: Request) -> list[tuple[str, str]]:
    """What is known of a request's connection, and what its user agent claims: for people."""
    found = [(f"tls.{name.decode()}", values) for name, values in _tls(request).items()]
    found += [(f"http2.{name.decode()}", values) for name, values in _http2(request).items()]
    found += [("client_kind", _client_kind(request)), ("claimed_kind", CLAIMED_KIND.values(request))]
    found += [("contradiction", contradictions(request))]
    return [(name, " ".join(value.decode() for value in values)) for name, values in found if values]


TLS: Final = FieldType(
    kind="tls",
    description="What the client's TLS shows: `tls.ja4`, `tls.version`, `tls.client_kind` (the library that made the hello).",
    source=NamedValues(_tls, "fact of TLS", "ja4", _name_of("tls", ("ja4", "version", "client_kind"))),
    check=_tls_value,
    of_client=True,
    ignores_referer=True,
    key=KeyForm.PLAIN,
    share=0.5,
)
HTTP2: Final = FieldType(
    kind="http2",
    description="`http2.fingerprint`: the first frames of the connection, such as `2:0;4:33554432|33488897|0|m,p,s,a`.",
    source=NamedValues(_http2, "fact of HTTP/2", "fingerprint", _name_of("http2", ("fingerprint",))),
    of_client=True,
    ignores_referer=True,
    key=KeyForm.PLAIN,
)
CLIENT_KIND: Final = FieldType(
    kind="client_kind",
    description="What the connection speaks like: `chromium`, `curl`, `python`, …; `unknown` like nothing known; else absent.",
    source=AnyValues(_client_kind),
    matchers=EXACT,
    check=_one_of("kind of client", lambda: kind_table().names),
    of_client=True,
    ignores_referer=True,
    key=KeyForm.PLAIN,
    share=0.5,
)
CLAIMED_KIND: Final = FieldType(
    kind="claimed_kind",
    description="What the user agent says the client is, in the same words; `unknown` for robots and whatever else.",
    source=SingleValue(lambda request: claimed_kind(request.user_agent).kind),
    matchers=EXACT,
    check=_one_of("kind of client", lambda: tuple(kind.decode() for kind in CLAIMED_KINDS)),
    of_client=True,
    ignores_referer=True,
    key=KeyForm.PLAIN,
    share=0.5,
    derived_from=(FieldKind.USER_AGENT,),
)
CONTRADICTION: Final = FieldType(
    kind="contradiction",
    description="Where a request is not the claimed browser's: `hello`, `imitated`, `order`, `http1`, `version` and others.",
    source=AnyValues(contradictions),
    matchers=EXACT,
    check=_one_of("contradiction", lambda: tuple(each.decode() for each in ALL)),
    of_client=True,
    ignores_referer=True,
)

STATED: Final = {
    "tls.ja4": TLS, "tls.version": TLS, "tls.client_kind": TLS, "http2.fingerprint": HTTP2, "client_kind": CLIENT_KIND,
    "contradiction": CONTRADICTION,
}  # fmt: skip
"""What can be stated of a connection, by tests and commands."""


def stated(pairs: Sequence[tuple[str, str]]) -> ConnectionFacts | None:
    """The facts that a test or a command states, by the names of the fields; None for none. Raises ValueError."""
    if not pairs:
        return None
    facts = ConnectionFacts()
    facts.stated = True
    for name, text in pairs:
        value = _checked(name, text)
        match name:
            case "tls.ja4":
                facts.ja4 = value
            case "tls.version":
                facts.tls_version = value
            case "tls.client_kind":
                facts.tls_kind = value
            case "http2.fingerprint":
                facts.http2 = value
            case "client_kind":
                facts.kind = value
            case _:
                facts.contradictions = (*facts.contradictions, value)
    return facts


def _checked(name: str, text: str) -> bytes:
    row = STATED.get(name)
    if row is None:
        raise ValueError(f"nothing is known of a connection by the name {name!r}; there is {', '.join(STATED)}")
    try:
        return (text if row.check is None else row.check(TextKind.EQUAL, text)).encode()
    except Fault as fault:
        raise ValueError(f"{name}: {fault.message}; {fault.hint}") from fault
