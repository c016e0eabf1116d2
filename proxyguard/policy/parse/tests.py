"""Tests in a rule file: sample requests and what is expected of them, from nodes to the model.

A test is one request (repeated or not), a request with more steps after it (`then`), or a list of `steps`. Knows nothing of
how a test is run.
"""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

from proxyguard.core.form import FormState
from proxyguard.core.item import ItemHeat
from proxyguard.core.jar import JarState
from proxyguard.core.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.core.yaml.kinds import (
    KEBAB,
    TEXT_SCHEMA,
    Found,
    Key,
    KeyTable,
    Kind,
    Schema,
    duration,
    filled,
    items_of,
    listed_in,
    made,
    number,
    one_or_more,
    plain,
    prose,
    size,
    text,
    whole,
    word,
)
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence
from proxyguard.core.yaml.values import complain, read_choice, read_each, read_mapping, read_scalar, read_text, report_fault
from proxyguard.limits.sliding_log import MAX_AMOUNT
from proxyguard.policy.actions.registry import DECISIONS
from proxyguard.policy.fields.connection import CLIENT_KIND, CONTRADICTION, HTTP2, TLS
from proxyguard.policy.fields.field_type import FieldType, NamedValues
from proxyguard.policy.fields.origin import ROWS as ORIGIN
from proxyguard.policy.fields.origin import read_origin
from proxyguard.policy.fields.robots import ROWS as ROBOTS
from proxyguard.policy.fields.robots import read_robots
from proxyguard.policy.fields.visitor import VisitorState
from proxyguard.policy.meant import meant
from proxyguard.policy.model import Expectation, FieldKind, RuleTest, SampleRequest, TestStep, TextKind
from proxyguard.policy.parse.own_forms import read_minute, read_share
from proxyguard.policy.parse.parsed_file import noted_name, place_of
from proxyguard.policy.parse.texts import read_field_name, read_text_value
from proxyguard.policy.sample_response import SampleResponse

MAX_TESTS: Final = 10_000
MAX_STEPS: Final = 100
MAX_REPEAT: Final = 20_000
"""Tests run at every load: 20,000 decisions take about a third of a second."""

MAX_WITHIN_SECONDS: Final = 366 * 86_400
MAX_TARGET_CHARACTERS: Final = 8192
MAX_VALUE_CHARACTERS: Final = 8192
MAX_ACCOUNT_CHARACTERS: Final = 64
MAX_RESPONSE_BYTES: Final = 10**12
MAX_RESPONSE_SECONDS: Final = 86_400.0

EXPECT_HINT: Final = "ACTION by RULE, such as 'reject by scripted-clients' or 'pass by default'; or {status: 429}"

_EXPECTED: Final = re.compile(r"(\S+)(?:\s+by\s+(\S+))?")

_ANYTHING: Final = Expectation()

_AROUND: Final = {"time_of_day": "minute", "sample": "share", "refused": "refused", "usual": "usual"}
"""What a step says beside its request, by the attribute of the step."""

_MEANT_DECISION: Final = meant("decision")

_STEPS_EXAMPLE: Final = "[{request: {path: /}, expect: pass by default}, …]"


def _during(node: Node, report: Report, _subject: str, around: Any) -> tuple[str, ...]:
    return read_each(items_of(node), report, lambda item: _RESTRICTION.reader(item, report, "the restriction", around))


def _without(node: Node, report: Report, _subject: str, around: Any) -> tuple[str, ...]:
    return read_each(items_of(node), report, lambda item: _LEFT_OUT.reader(item, report, "the rule", around))


def _test(node: Node, report: Report, _subject: str, around: Any) -> RuleTest:
    found = TEST.read(node, report, around)
    if "steps" in found.nodes:
        for key in (*STEP.keys, "then"):
            if key in found.nodes:
                hint = "write everything as steps, or one request with then:"
                found.complain(key, f"a test with steps has no {key} beside them", hint)
        steps = found.get("steps")
    else:
        if "request" not in found.nodes:
            found.complain("request", *_NO_REQUEST)
        steps = (_made_step(found), *(found.get("then") or ()))
    found.sound()
    if steps and steps[-1].expect == _ANYTHING:
        raise Fault("the test expects nothing", f"expect: {EXPECT_HINT}")
    return RuleTest(
        steps=steps, place=place_of(found), name=found.get("name", ""), during=found.get("during", ()),
        without=found.get("without", ()),
    )  # fmt: skip


def _then(node: Node, report: Report, subject: str, around: Any) -> tuple[TestStep, ...] | None:
    one = Sequence(node.line, node.column, [node]) if isinstance(node, Mapping) else node
    steps: tuple[TestStep, ...] | None = STEPS.read(one, report, subject, around)
    return steps


def _made_step(found: Found) -> TestStep:
    if "within" in found.nodes and "repeat" not in found.nodes:
        found.complain("within", "within stands without repeat", "within is the time that the repeated requests take in all")
    return TestStep(
        found.sound().values["request"],
        found.get("repeat", 1),
        found.get("within", 0.0),
        found.get("expect", _ANYTHING),
        place_of(found),
        found.get("response", SampleResponse()),
        found.get("under_way", 0),
        **{each: found.values[key] for key, each in _AROUND.items() if key in found.values},
    )


def _request(node: Node, report: Report, _subject: str, around: Any) -> SampleRequest:
    """The request; what it is given as user agent and cookies become header fields."""
    found = REQUEST.read(node, report, around)
    headers = [("User-Agent", found.values["user_agent"])] if "user_agent" in found.values else []
    for name, value, place in found.get("headers") or ():
        taken = {"host": "host", "cookie": "cookies", "user-agent": "user_agent"}.get(name.lower())
        if taken is not None and (taken == "host" or taken in found.nodes):
            complain(report, place, f"the header {quoted(name)} is given by {taken}", f"request: {{{taken}: …}}")
        headers.append((name, value))
    cookies = found.get("cookies")
    if cookies:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value, _ in cookies)))
    connection = tuple(pair for key in _CONNECTION for pair in found.get(key) or ())
    facts = {name: found.values[name] for name in _FACTS if name in found.values}
    return found.fill(
        SampleRequest, headers=tuple(headers), connection=connection, origin=read_origin(facts), robots=read_robots(facts)
    )


def _pairs(kind: str) -> Kind:
    """Names and texts, several for a name in a list, with the place of each name."""

    def read(node: Node, report: Report, subject: str, _around: Any) -> list[tuple[str, str, Scalar]]:
        pairs = []
        for entry in read_mapping(node, subject, f"{subject}: {{NAME: VALUE}}"):
            name = entry.key.text
            try:
                read_field_name(kind, name)
            except Fault as fault:
                report_fault(report, entry.key, fault)
            called = f"the {kind} {quoted(name)}"
            values = (_VALUE.read(item, report, called) for item in items_of(entry.value))
            pairs += [(name, value or "", entry.key) for value in values]
        return pairs

    schema = {"type": "object", "additionalProperties": {"$ref": "#/definitions/texts"}}
    return Kind(read, f"{kind}s by name", schema)


def _fact(kind: str) -> Kind:
    """A text that is written as the field's values are in conditions."""

    def read(node: Node, subject: str) -> str:
        return read_text_value(kind, TextKind.EQUAL, read_text(node, subject, MAX_VALUE_CHARACTERS)).decode()

    return Kind(plain(read), str(kind), TEXT_SCHEMA)


def _shown(row: FieldType) -> Kind:
    """What a connection shows, as pairs of a field's name and a text: `{ja4: …}` for a family of fields, else one or a list."""
    kind = row.kind
    named = row.source if isinstance(row.source, NamedValues) else None

    def read(node: Node, report: Report, subject: str, around: Any) -> list[tuple[str, str]]:
        fact = _fact(kind)
        if named is None:
            values = read_each(items_of(node), report, lambda item: fact.reader(item, report, subject, around))
            return [(kind, value) for value in values]
        pairs = []
        for entry in read_mapping(node, subject, f"{subject}: {{{named.example}: …}}"):
            try:
                name = named.read_name(entry.key.text)
            except Fault as fault:
                report_fault(report, entry.key, fault)
                continue
            pairs.append((f"{kind}.{name}", fact.read(entry.value, report, f"{kind}.{name}", around) or ""))
        return pairs

    return Kind(read, kind, {"type": "object"} if named is not None else one_or_more(TEXT_SCHEMA))


def _client(node: Node, subject: str) -> str:
    value = read_text(node, subject, 64)
    try:
        return str(ip_address(value))
    except ValueError:
        hint = "such as 192.0.2.1 or 2001:db8::1"
        raise Fault(f"client must be one address, not {quoted(value)}", hint) from None


def _target(node: Node, subject: str) -> str:
    value = read_text(node, subject, MAX_TARGET_CHARACTERS)
    if not value.startswith("/"):
        raise Fault(f"the path {quoted(value)} does not begin with /", "such as /search?q=x")
    if not value.isascii() or " " in value:
        hint = "write it as a client sends it, percent-encoded: %20 for a blank"
        raise Fault(f"the path {quoted(value)} has a blank or a character that is not ASCII", hint)
    return value


def _expect(node: Node, report: Report, subject: str, around: Any) -> Expectation:
    if isinstance(node, Mapping):
        return EXPECT.read(node, report, around, hint=EXPECT_HINT).fill(Expectation)
    text = read_scalar(node, subject, "an action and a rule", EXPECT_HINT)
    match = _EXPECTED.fullmatch(text.strip())
    if match is None:
        raise Fault(f"expect cannot be {quoted(text)}", EXPECT_HINT)
    if match[1] not in DECISIONS:
        raise _unknown_decision(match[1])
    if match[2]:
        around.parsed.expected_rules.append((match[2], node.line, node.column))
    return Expectation(match[1], match[2])


def _expected_action(node: Node, subject: str) -> str:
    if isinstance(node, Scalar) and node.text not in DECISIONS and not node.is_null:
        raise _unknown_decision(node.text)
    return read_choice(node, subject, DECISIONS)


def _expected_rule(node: Node, _report: Report, subject: str, around: Any) -> str:
    rule = read_text(node, subject, 200)
    around.parsed.expected_rules.append((rule, node.line, node.column))
    return rule


def _unknown_decision(name: str) -> Fault:
    hint = _MEANT_DECISION.get(folded(name)) or name_hint(name, DECISIONS, "actions")
    return Fault(f"no request ends with {quoted(name)}", hint)


_RESTRICTION: Final = noted_name(lambda parsed: parsed.expected_restrictions)
_LEFT_OUT: Final = noted_name(lambda parsed: parsed.left_out_rules)
_VALUE: Final = text(MAX_VALUE_CHARACTERS, empty=True)

_CONNECTION: Final = {
    "tls": Key(_shown(TLS), "What its TLS shows; nothing unless given.", examples=({"version": "1.3"},), attribute=None),
    "http2": Key(_shown(HTTP2), "The first frames of its HTTP/2; nothing unless given.",
        examples=({"fingerprint": "1:65536;2:0|15663105|0|m,a,s,p"},), attribute=None),
    "client_kind": Key(_shown(CLIENT_KIND), "What the connection speaks like; not known unless given.", examples=("curl",),
        attribute=None),
    "contradiction": Key(_shown(CONTRADICTION), "What contradicts its user agent, beside what follows from `client_kind`.",
        examples=("hello",), attribute=None),
}  # fmt: skip
"""What tests may say of the connection; see policy.fields.connection."""

_NO_REQUEST: Final = ("the test has no request", "request: {user_agent: curl/8.5.0, path: /profiles/1}")

_FACTS: Final = {
    row.kind: Key(_fact(row.kind), f"The field `{row.kind}`; not known unless given.", examples=(row.example,), attribute=None)
    for row in (*ORIGIN, *ROBOTS)
}
"""What tests may say of where a request comes from, who it is, and what robots.txt says of it."""

REQUEST: Final = KeyTable(
    subject="request",
    example="request: {user_agent: curl/8.5.0, path: /profiles/1}",
    meant=meant("request"),
    may_be_empty=True,
    keys={
        "client": Key(Kind(plain(_client), "address", TEXT_SCHEMA), "The client's address; 192.0.2.1 unless given.",
            examples=("192.0.2.1", "2001:db8::1")),
        "method": Key(_fact(FieldKind.METHOD), "The method; GET unless given.", examples=("POST",)),
        "scheme": Key(_fact(FieldKind.SCHEME), "http or https; https unless given.", examples=("http",)),
        "host": Key(_fact(FieldKind.HOST), "The host; example.org unless given.", examples=("www.example.org",)),
        "path": Key(Kind(plain(_target), "path", TEXT_SCHEMA),
            "The path as the client sends it, with the query; / unless given.", examples=("/search?q=ada",)),
        "http_version": Key(_fact(FieldKind.HTTP_VERSION), "The version of HTTP; 1.1 unless given.",
            examples=("1.0", "2")),
        "user_agent": Key(_VALUE, "The User-Agent header; none unless given.",
            examples=("curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"),
            attribute=None),
        "headers": Key(_pairs(FieldKind.HEADER),
            "Other headers: a text, or a list of texts for a header that is repeated.",
            examples=({"Accept": "text/html", "X-Twice": ["a", "b"]},), attribute=None),
        "cookies": Key(_pairs(FieldKind.COOKIE), "Cookies by name.", examples=({"session": "abc"},), attribute=None),
        "jar": Key(word(JarState), "The state of its cookie jar; `none` unless given."),
        "heat": Key(word(ItemHeat), "Whether the item that it asks for is `cold`, `recent` or `hot`; `cold` unless given."),
        "visitor": Key(word(VisitorState), "Whether its client was here on an earlier day; `new` unless given."),
        "form": Key(word(FormState), "What the token of the form that it posts shows; `none` unless given."),
        "account": Key(text(MAX_ACCOUNT_CHARACTERS), "What the site said of the session's account before.",
            examples=("verified",)),
        **_CONNECTION,
        **_FACTS,
    },
)  # fmt: skip

RESPONSE: Final = KeyTable(
    subject="response",
    example="response: {status: 404, bytes: 1200, seconds: 0.2}",
    keys={
        "status": Key(whole(200, 599), "The status of the response; 200 unless given."),
        "bytes": Key(size(0, MAX_RESPONSE_BYTES), "The size of its body; 0 unless given.", None, (1200, "2MiB"),
            "bytes_sent"),
        "seconds": Key(number(0.0, MAX_RESPONSE_SECONDS), "The time that the site works for it; 0 unless given.",
            attribute="upstream_seconds"),
    },
)  # fmt: skip

EXPECT: Final = KeyTable(
    subject="expect",
    keys={
        "action": Key(Kind(plain(_expected_action), "action", {"enum": list(DECISIONS)}),
            "What must be done in the end."),
        "rule": Key(Kind(_expected_rule, "name", TEXT_SCHEMA), "The rule that must decide; `default` when none does."),
        "status": Key(whole(100, 599), "The status that the client must get."),
        "score": Key(number(-1e6, 1e6), "The score that the request must have."),
    },
)  # fmt: skip

_EXPECT_SCHEMA: Final[Schema] = {
    "anyOf": [{"type": "string", "pattern": rf"^({'|'.join(DECISIONS)})(\s+by\s+\S+)?$"}, EXPECT.schema(minProperties=1)]
}

STEP: Final = KeyTable(
    subject="a step",
    example=_STEPS_EXAMPLE,
    meant=meant("step"),
    keys={
        "request": Key(Kind(_request, "request", {"$ref": "#/definitions/request"}),
            "The request; what is left out gets plain defaults.", _NO_REQUEST),
        "response": Key(
            Kind(filled(RESPONSE, SampleResponse), "response", {"$ref": "#/definitions/response"}),
            "What the site answers, for limits that count responses."),
        "repeat": Key(whole(1, MAX_REPEAT), "How many equal requests to send; `expect` is about the last.",
            examples=(20,)),
        "under_way": Key(whole(1, MAX_REPEAT), "How many equal requests began before and end after those that are sent.",
            examples=(10,)),
        "time_of_day": Key(Kind(plain(read_minute), "time", {"type": "string"}),
            "The time, by every clock that rules go by; 12:00 unless given.", examples=("23:30",)),
        "sample": Key(Kind(plain(read_share), "share", {"type": "string"}),
            "The client is in samples of this share and larger ones; in none unless given.", examples=("10%",)),
        "refused": Key(whole(1, MAX_AMOUNT), "How often the client was refused just before, by whatever rule.", examples=(20,)),
        "usual": Key(whole(1, MAX_AMOUNT), "What was usual on earlier days, for limits that learn; nothing unless given.",
            examples=(300,)),
        "within": Key(duration(0, MAX_WITHIN_SECONDS),
            "The time that the repeated requests take in all; without it they come at once."),
        "expect": Key(Kind(_expect, "expectation", _EXPECT_SCHEMA), "`ACTION by RULE`, or a mapping.",
            examples=("reject by scripted-clients", "pass by default", {"status": 429})),
    },
)  # fmt: skip

_STEP: Final[Schema] = {"$ref": "#/definitions/step"}
STEPS: Final = listed_in(
    "steps", Kind(made(STEP, _made_step), STEP.subject, _STEP), MAX_STEPS, example=_STEPS_EXAMPLE, owner="the test"
)

TEST: Final = KeyTable(
    subject="a test",
    example="{request: {path: /}, expect: pass by default}",
    keys={
        "name": Key(prose(200), "What the test shows.", examples=("a flood of sign-ups",)),
        "during": Key(Kind(_during, "restrictions", one_or_more(KEBAB.schema)),
            "The restrictions that are on meanwhile. Those whose rules the test expects are on anyway."),
        "without": Key(Kind(_without, "rules", one_or_more(KEBAB.schema)),
            "The rules that the test leaves out. All others of the file are in force in its tests, whatever their modes say.",
            examples=(["too-suspicious"],)),
        **STEP.keys,
        "request": replace(STEP.keys["request"], required=None),
        "then": Key(Kind(_then, "steps", one_or_more(_STEP, minItems=1)),
            "More steps after this one, on the same clock."),
        "steps": Key(STEPS, "Several steps, one after the other, on one clock."),
    },
)  # fmt: skip

TESTS: Final = listed_in(
    "tests",
    Kind(_test, TEST.subject, {"$ref": "#/definitions/test"}),
    MAX_TESTS,
    example="[{request: {path: /signup}, expect: pass by default}]",
)
