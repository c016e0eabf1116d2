"""What the connection shows of its client, what the user agent claims, and where the two contradict each other.

Absent, all but the claim, wherever another program than the client may have spoken: see docs/concepts/fingerprints.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from proxyguard.core.problems import Fault, listed, name_hint, quoted
from proxyguard.core.request import Request, Values
from proxyguard.http.fingerprints import facts as derived
from proxyguard.http.fingerprints.claimed_kind import KINDS as CLAIMED_KINDS
from proxyguard.http.fingerprints.claimed_kind import claimed_kind
from proxyguard.http.fingerprints.contradictions import ALL, contradictions
from proxyguard.http.fingerprints.kinds import kind_table
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType, KeyForm, NamedValues, SingleValue
from proxyguard.policy.model import FieldKind, TextKind

_JA4: Final = re.compile(r"[tqd](?:\d\d|s\d)[di]\d{4}[0-9a-zA-Z]{2}_[0-9a-f]{12}_[0-9a-f]{12}", re.ASCII)
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
    if kind is TextKind.EQUAL and text not in (*_VERSIONS, *hellos) and not _JA4.fullmatch(text):
        hint = f"a JA4 such as t13d1516h2_8daaf6152771_e5627efa2ab1; a version: {listed(_VERSIONS)}; or a kind: {listed(hellos)}"
        raise Fault(f"{quoted(text)} is neither a JA4 nor a version or kind of TLS", hint)
    return text


def _one_of(noun: str, names: Callable[[], tuple[str, ...]]) -> Callable[[TextKind, str], str]:
    def check(_kind: TextKind, text: str) -> str:
        if text not in names():
            raise Fault(f"{quoted(text)} is no {noun}", name_hint(text, names(), f"{noun}s"))
        return text

    return check


TLS: Final = FieldType(
    kind="tls",
    description="What the client's TLS shows: `tls.ja4`, `tls.version`, `tls.client_kind` (the library that made the hello).",
    source=NamedValues(_tls, "fact of TLS", "ja4", _name_of("tls", ("ja4", "version", "client_kind"))),
    check=_tls_value,
    key=KeyForm.PLAIN,
    share=0.5,
)
HTTP2: Final = FieldType(
    kind="http2",
    description="`http2.fingerprint`: the first frames of the connection, such as `2:0;4:33554432|33488897|0|m,p,s,a`.",
    source=NamedValues(_http2, "fact of HTTP/2", "fingerprint", _name_of("http2", ("fingerprint",))),
    key=KeyForm.PLAIN,
)
CLIENT_KIND: Final = FieldType(
    kind="client_kind",
    description="What the connection speaks like: `chromium`, `curl`, `python`, …; `unknown` like nothing known; else absent.",
    source=AnyValues(_client_kind),
    matchers=EXACT,
    check=_one_of("kind of client", lambda: kind_table().names),
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
    key=KeyForm.PLAIN,
    share=0.5,
    derived_from=(FieldKind.USER_AGENT,),
)
CONTRADICTION: Final = FieldType(
    kind="contradiction",
    description="Where the connection is not the claimed browser's: `hello`; or `imitated` with `coding`, `records`, `head`.",
    source=AnyValues(contradictions),
    matchers=EXACT,
    check=_one_of("contradiction", lambda: tuple(each.decode() for each in ALL)),
)
