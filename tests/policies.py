"""Random policies and requests from a small world, in which rules and requests meet often."""

from __future__ import annotations

from hypothesis import strategies as st

from proxyguard.core.address import Address, Network
from proxyguard.core.decision import Action, Allow, Ban, Delay, Drop, Mode, Pass, Reject, Score, Tag, Tarpit
from proxyguard.core.form import FormVisit, GuardedForm
from proxyguard.core.item import Item
from proxyguard.core.jar import ASKED_JAR, NO_JAR, Jar
from proxyguard.core.number64 import Number64
from proxyguard.core.origin import NetworkKind, Origin
from proxyguard.core.request import Request
from proxyguard.limits.limit import REQUESTS, Count, CountKind, KeyPart, Limit, Missing
from proxyguard.policy.fields.origin import ROWS
from proxyguard.policy.fields.registry import key_kinds, named_values
from proxyguard.policy.model import (
    ALWAYS,
    Absent,
    AllOf,
    AnyOf,
    AtLeast,
    AtMost,
    Condition,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Policy,
    Present,
    Rule,
    RuleSet,
    Test,
    Text,
    TextKind,
)

ADDRESSES = ("192.0.2.1", "192.0.2.77", "198.51.100.3", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:192.0.2.1")
NETWORKS = ("192.0.2.0/24", "192.0.2.1", "192.0.2.0/25", "198.51.100.0/24", "2001:db8::/32", "2001:db8::/64", "0.0.0.0/0", "::/0")
ATOMS = (
    b"",
    b"a",
    b"A",
    b"ab",
    b"b",
    b"a-b",
    b"bot",
    b"x bot",
    b"Bot",
    b"bots",
    b"a.b/1",
    b"-",
    b"--",
    b"\xc3\xa9",
    b"/",
    b"/a",
    b"/a/b",
    b"1",
    b"10",
    b"9.5",
    b" 2 ",
    b"1e3",
    b"nan",
    b"*",
    b"?",
    b"a|b",
    b"\n",
)
GLOBS = (b"*", b"a*", b"*b", b"*a*", b"?", b"a?b", b"*bot?", b"/a/*", b"**", b"a*b*", b"", b"[a]*")
REGEXES = (rb"^a", rb"b$", rb"(?i)bot", rb"\bbot\b", rb"[0-9]+", rb"a|b", rb"\x{e9}|x", rb".", rb"^$", rb"a{2,3}", rb"\d\.\d")
NAMES = ("x", "y")
TAGS = ("one", "two", "bot")
ORIGINS = (
    None,
    Origin(country="a", asn=10, network_kind=NetworkKind.HOSTING),
    Origin(asn=1, claim="bot", verified=False),
    Origin(country="b", identity="bot", claim="bot", verified=True),
)

atoms = st.sampled_from(ATOMS)
values = st.one_of(atoms, st.lists(atoms, min_size=2, max_size=3).map(b"".join))

plain_texts = st.builds(
    Text,
    st.sampled_from([TextKind.EQUAL, TextKind.PREFIX, TextKind.SUFFIX, TextKind.CONTAINS, TextKind.WORD]),
    st.lists(atoms, min_size=1, max_size=4).map(tuple),
)
anywhere = st.builds(Text, st.just(TextKind.CONTAINS_ANY), st.lists(atoms.map(bytes.lower), min_size=1, max_size=4).map(tuple))
globs = st.builds(Text, st.just(TextKind.GLOB), st.lists(st.sampled_from(GLOBS), min_size=1, max_size=2).map(tuple))
regexes = st.builds(Text, st.just(TextKind.REGEX), st.lists(st.sampled_from(REGEXES), min_size=1, max_size=2).map(tuple))
bounds = st.sampled_from([-5.0, 0.0, 1.0, 5.0, 9.5, 10.0, 30.0])
numbers = st.one_of(st.builds(AtLeast, bounds), st.builds(AtMost, bounds))
presence = st.sampled_from([Present(), Absent()])
networks = st.lists(st.sampled_from(NETWORKS).map(Network.parse), min_size=1, max_size=3).map(tuple)

named_fields = st.builds(Field, st.sampled_from([FieldKind.HEADER, FieldKind.QUERY, FieldKind.COOKIE]), st.sampled_from(NAMES))
single_fields = st.sampled_from(
    [
        Field(FieldKind.HOST),
        Field(FieldKind.SCHEME),
        Field(FieldKind.METHOD),
        Field(FieldKind.PATH),
        Field(FieldKind.CLIENT),
        Field(FieldKind.HTTP_VERSION),
        Field(FieldKind.USER_AGENT),
        Field(FieldKind.HEADER, "user-agent"),
        Field(FieldKind.ACCOUNT),
        Field("jar"),
        Field("item"),
        Field("heat"),
        Field("form"),
        *(Field(row.kind) for row in ROWS),
    ]
)
tests_of_request = st.one_of(
    st.builds(Test, st.one_of(named_fields, single_fields), st.one_of(plain_texts, anywhere, globs, regexes, numbers, presence)),
    st.builds(Test, st.just(Field(FieldKind.CLIENT)), st.builds(InNetworks, networks)),
)
tag_texts = st.builds(
    Text,
    st.sampled_from([TextKind.EQUAL, TextKind.EQUAL, TextKind.PREFIX, TextKind.WORD]),
    st.lists(st.sampled_from(TAGS).map(str.encode), min_size=1, max_size=2).map(tuple),
)
tests_of_gifts = st.one_of(
    st.builds(Test, st.just(Field(FieldKind.SCORE)), st.one_of(numbers, numbers, presence)),
    st.builds(Test, st.just(Field(FieldKind.TAG)), st.one_of(tag_texts, tag_texts, presence)),
)
negated_presence = st.builds(Not, st.builds(Test, st.one_of(named_fields, single_fields), presence))
two_nots = st.builds(
    AnyOf, st.tuples(st.builds(Not, tests_of_request), st.one_of(negated_presence, st.builds(Not, tests_of_request)))
)
leaves = st.one_of(tests_of_request, tests_of_request, tests_of_gifts, negated_presence)
conditions: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(leaves, st.just(ALWAYS)),
    lambda inner: st.one_of(
        st.builds(AllOf, st.lists(inner, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)

easy_conditions: st.SearchStrategy[Condition] = st.one_of(
    st.just(ALWAYS),
    tests_of_gifts,
    st.builds(Not, tests_of_gifts),
    st.builds(AllOf, st.tuples(tests_of_gifts, tests_of_gifts)),
    negated_presence,
    two_nots,
    st.sampled_from([Test(Field(FieldKind.HEADER, "x"), Present()), Test(Field(FieldKind.HEADER, "y"), Absent())]),
)
"""Those that hold often, or hang on what other rules gave."""

key_parts = st.one_of(
    st.builds(KeyPart, st.sampled_from([kind for kind in key_kinds() if not named_values(kind)])),
    st.builds(KeyPart, st.sampled_from([kind for kind in key_kinds() if named_values(kind)]), st.sampled_from(NAMES)),
)
counts = st.one_of(
    st.sampled_from([REQUESTS, REQUESTS, Count(CountKind.BYTES), Count(CountKind.UPSTREAM_SECONDS)]),
    st.just(Count(CountKind.STATUSES, statuses=((404, 404), (500, 599)))),
    st.builds(Count, st.just(CountKind.DISTINCT), of=key_parts),
)
limits = st.builds(
    Limit,
    amount=st.integers(1, 3),
    period_seconds=st.just(60.0),
    burst=st.sampled_from([1, 1, 2]),
    per=st.lists(key_parts, min_size=1, max_size=3, unique=True).map(tuple),
    missing=st.sampled_from(Missing),
    count=counts,
)
actions: st.SearchStrategy[Action] = st.one_of(
    st.sampled_from([Pass(), Reject(), Reject(status=404), Tarpit(), Delay(1.0), Drop()]),
    st.sampled_from([Ban(10.0), Ban(20.0, then=Drop())]),
    st.builds(Score, st.sampled_from([-5.0, 1.0, 5.0, 30.0])),
    st.builds(Score, st.sampled_from([-5.0, 1.0, 5.0, 30.0])),
    st.builds(Tag, st.sampled_from(TAGS)),
    st.builds(Tag, st.sampled_from(TAGS)),
)
modes = st.sampled_from([*[Mode.ENFORCE] * 8, Mode.SHADOW, Mode.SHADOW, Mode.OFF])
expiries = st.sampled_from([*[None] * 8, 5.0, 15.0])


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    """What gives points and tags holds often; what ends a policy mostly hangs on a limit or on what was given."""
    action = Allow() if draw(st.integers(0, 11)) == 0 else draw(actions)
    counted = None if isinstance(action, Allow) else draw(st.one_of(st.none(), limits))
    match action:
        case Score() | Tag():
            when = draw(st.one_of(st.just(ALWAYS), easy_conditions, conditions))
        case _ if counted is not None:
            when = draw(st.one_of(easy_conditions, conditions))
        case _:
            when = draw(st.one_of(tests_of_gifts, easy_conditions, conditions, conditions))
    return Rule(
        name=name, action=action, when=when, limit=counted, mode=draw(modes), why=f"because {name}", expires=draw(expiries)
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rule_sets = []
    for index in range(draw(st.integers(1, 2))):
        own = tuple(draw(rules(f"rule-{index}-{at}")) for at in range(draw(st.integers(0, 7))))
        rule_sets.append(RuleSet(name=f"set-{index}", file="f", mode=draw(modes), rules=own))
    return Policy(tuple(rule_sets))


JARS = [NO_JAR, ASKED_JAR, Jar("j1", (b"a",)), Jar("j2", (b"b",))]
GUARDED = GuardedForm(name="f", read=(b"/f",), post=(b"/f",))
FORMS = [None, FormVisit(GUARDED, ()), FormVisit(GUARDED, (b"a",)), FormVisit(GUARDED, (b"b",))]
ITEMS = [None, Item(b"a", Number64.of(1), -1, b"b"), Item(b"b", Number64.of(2), -1, b"a"), Item(b"a", None, -1, b"b")]
"""With states and names that the atoms have, so that conditions meet them."""


@st.composite
def requests(draw: st.DrawFn) -> Request:
    names = st.sampled_from([b"X", b"x", b"Y", b"y", b"User-Agent", b"user-agent"])
    headers = draw(st.lists(st.tuples(names, values), max_size=4))
    cookies = draw(st.lists(st.tuples(st.sampled_from([b"x", b"y"]), atoms), max_size=2))
    if cookies:
        headers.append((b"Cookie", b"; ".join(name + b"=" + value for name, value in cookies)))
    target = b"/" + draw(values)
    if draw(st.booleans()):
        target += b"?" + b"&".join(
            n + b"=" + v for n, v in draw(st.lists(st.tuples(st.sampled_from([b"x", b"y"]), atoms), max_size=2))
        )
    request = Request(
        Address.parse(draw(st.sampled_from(ADDRESSES))),
        draw(st.sampled_from([b"GET", b"POST", b"a"])),
        draw(st.sampled_from([b"http", b"https"])),
        draw(st.sampled_from([b"example.org", b"a", b"b", b""])),
        target,
        tuple(headers),
        draw(st.sampled_from([b"1.0", b"1.1", b"2"])),
    )
    request.account = draw(st.one_of(st.none(), atoms))
    request.account_key = draw(st.sampled_from([None, "s1", "s2"]))
    request.jar = draw(st.sampled_from(JARS))
    request.form = draw(st.sampled_from(FORMS))
    request.item = draw(st.sampled_from(ITEMS))
    request.origin = draw(st.sampled_from(ORIGINS))
    return request
