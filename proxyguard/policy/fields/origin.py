"""Where a request comes from and who it is proven to be. The guard looks it up when a rule in force asks about one of these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from proxyguard.core.origin import NetworkKind, Origin
from proxyguard.core.problems import Fault, name_hint, quoted
from proxyguard.core.request import Request, Values
from proxyguard.core.yaml.values import NAME
from proxyguard.policy.fields.field_type import EXACT, NUMBERS, AnyValues, FieldType, KeyForm, SingleValue
from proxyguard.policy.model import TextKind

_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_NUMBER: Final = re.compile(r"(?:AS)?(0|[1-9][0-9]{0,9})", re.ASCII | re.IGNORECASE)
_MAX_ASN: Final = (1 << 32) - 1  # RFC 6793
_KINDS: Final = {kind: kind.encode() for kind in NetworkKind}
_VERDICTS: Final = ("true", "false", "unknown")
_SPELT: Final = {"UK": "GB", "EL": "GR", "EN": "GB", "JA": "JP", "KO": "KR", "ZH": "CN", "DA": "DK", "CS": "CZ"}
"""Codes that people write for countries whose ISO code is another."""
_COUNTRIES: Final = (  # of ISO 3166-1
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD "
    "CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF "
    "GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN "
    "KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA "
    "NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI "
    "SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI "
    "VN VU WF WS YE YT ZA ZM ZW "
    "AP EU XK XX ZZ"  # of tables: a region, Kosovo, not known
)


def _country_values(request: Request) -> Values:
    origin = request.origin
    return () if origin is None or origin.country is None else (origin.country.encode(),)


def _asn_values(request: Request) -> Values:
    origin = request.origin
    return () if origin is None or origin.asn is None else (b"%d" % origin.asn,)


def _network_kind_value(request: Request) -> bytes:
    origin = request.origin
    return _KINDS[NetworkKind.UNKNOWN if origin is None else origin.network_kind]


def _identity_values(request: Request) -> Values:
    origin = request.origin
    return () if origin is None or origin.identity is None or not origin.verified else (origin.identity.encode(),)


def _claim_values(request: Request) -> Values:
    origin = request.origin
    return () if origin is None or origin.claim is None else (origin.claim.encode(),)


def _verified_value(request: Request) -> bytes:
    origin = request.origin
    if origin is None or origin.verified is None:
        return b"unknown"
    return b"true" if origin.verified else b"false"


def _country(_kind: TextKind, text: str) -> str:
    code = text.upper()
    if not _COUNTRY.fullmatch(code):
        raise Fault(f"{quoted(text)} is not a country", "two letters, as ISO 3166-1 has them: DE, FR, US")
    if code not in _COUNTRIES:
        hint = f"did you mean {_SPELT[code]}?" if code in _SPELT else "two letters, as ISO 3166-1 has them: DE, FR, US"
        raise Fault(f"{quoted(text)} is not the ISO code of a country", hint)
    return code


def _asn(_kind: TextKind, text: str) -> str:
    number = _NUMBER.fullmatch(text)
    if number is None or int(number[1]) > _MAX_ASN:
        raise Fault(f"{quoted(text)} is not the number of an autonomous system", "such as 15169 or AS15169")
    return number[1]


def _one_of(text: str, noun: str, words: tuple[str, ...]) -> str:
    word = text.lower()
    if word not in words:
        raise Fault(f"{quoted(text)} is not {noun}", name_hint(word, words, "values"))
    return word


def _network_kind(_kind: TextKind, text: str) -> str:
    return _one_of(text, "a kind of network", tuple(map(str, NetworkKind)))


def _verified(_kind: TextKind, text: str) -> str:
    return _one_of(text, "a verdict", _VERDICTS)


def _identity(_kind: TextKind, text: str) -> str:
    name = text.lower()
    if not NAME.fullmatch(name):
        raise Fault(f"{quoted(text)} is not the name of an identity", "as `proxyguard whois` shows it, such as googlebot")
    return name


def read_origin(words: Mapping[str, str]) -> Origin | None:
    """The origin that somebody describes by the words of these fields; None: by none. Raises Fault.

    An identity is verified unless `verified` says otherwise; one that is not is a claim.
    """
    checks = {row.kind: row.check for row in ROWS}
    given = {name: check(TextKind.EQUAL, words[name]) for name, check in checks.items() if check is not None and name in words}
    if not given:
        return None
    verified = {"true": True, "false": False}.get(given.get("verified", "true" if "identity" in given else "unknown"))
    identity = given.get("identity")
    return Origin(
        country=given.get("country"),
        asn=int(given["asn"]) if "asn" in given else None,
        network_kind=NetworkKind(given.get("network_kind", NetworkKind.UNKNOWN)),
        identity=identity if verified else None,
        claim=given.get("claimed_identity", identity),
        verified=verified,
    )


COUNTRY: Final = FieldType(
    kind="country",
    example="DE",
    description="The country of the client's address, two letters; absent when unknown. Needs `origin.country_file`.",
    source=AnyValues(_country_values),
    matchers=EXACT,
    check=_country,
    key=KeyForm.PLAIN,
    of_origin=True,
)
ASN: Final = FieldType(
    kind="asn",
    example="24940",
    description="The number of the network's autonomous system; absent when unknown. Needs `origin.asn_file`.",
    source=AnyValues(_asn_values),
    matchers=(*EXACT, *NUMBERS),
    check=_asn,
    key=KeyForm.PLAIN,
    of_origin=True,
)
NETWORK_KIND: Final = FieldType(
    kind="network_kind",
    example="hosting",
    description="`hosting`, `residential`, `mobile`, `education` or `unknown`.",
    source=SingleValue(_network_kind_value),
    matchers=EXACT,
    check=_network_kind,
    key=KeyForm.PLAIN,
    share=0.5,
    of_origin=True,
)
IDENTITY: Final = FieldType(
    kind="identity",
    example="googlebot",
    description="Who the client is proven to be, such as googlebot; absent unless `verified` is true.",
    source=AnyValues(_identity_values),
    matchers=EXACT,
    check=_identity,
    key=KeyForm.HASHED,
    of_origin=True,
)
CLAIMED_IDENTITY: Final = FieldType(
    kind="claimed_identity",
    example="googlebot",
    description="Whom the user agent or a signature names, proven or not; absent when it names nobody that can be verified.",
    source=AnyValues(_claim_values),
    matchers=EXACT,
    check=_identity,
    key=KeyForm.HASHED,
    of_origin=True,
)
VERIFIED: Final = FieldType(
    kind="verified",
    example="true",
    description="`true`: the claimed identity is proven; `false`: the claim failed; `unknown`: no claim, or not known (yet).",
    source=SingleValue(_verified_value),
    matchers=EXACT,
    check=_verified,
    key=KeyForm.PLAIN,
    of_origin=True,
)
ROWS: Final = (COUNTRY, ASN, NETWORK_KIND, IDENTITY, CLAIMED_IDENTITY, VERIFIED)
