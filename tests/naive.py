"""The engine said again, slowly: every rule asked in order, nothing indexed. The property tests hold the compiled one to it.

Keys are tuples of plain values here, so that equal decisions also prove that compiled keys never confuse two clients.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from operator import attrgetter
from typing import Any

import re2

from proxyguard.core.address import Prefixes
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.decision import (
    ACTION_NAMES,
    PASS,
    Allow,
    Ban,
    Decision,
    Delay,
    Drop,
    Mode,
    Pass,
    Quota,
    Reject,
    Score,
    ShadowHit,
    Tag,
    Tarpit,
)
from proxyguard.core.key_values import cookie_values, header_values, query_values
from proxyguard.core.origin import Origin
from proxyguard.core.reading import LOOSE
from proxyguard.core.request import Request
from proxyguard.core.robots import RobotsVerdict
from proxyguard.http.fingerprints.claimed_kind import claimed_kind
from proxyguard.http.fingerprints.contradictions import contradictions
from proxyguard.http.fingerprints.facts import client_kind, hello_kind, http2_of, ja4_of
from proxyguard.limits.charge import Charge, Usage
from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart, Missing
from proxyguard.limits.stores.store import BanRecord, Outcome
from proxyguard.policy.compile.conditions import class_of
from proxyguard.policy.compile.numbers import numbers_of
from proxyguard.policy.compile.signatures import is_signed
from proxyguard.policy.fields.bot import BOT
from proxyguard.policy.fields.origin import ROWS
from proxyguard.policy.matchers import During, Refused, Sampled, Signed
from proxyguard.policy.model import (
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
    Test,
    Text,
    TextKind,
)

PREFIXES = Prefixes()
UNCLEAR = object()
"""Twice: what has several values, which nobody knows."""
REFUSALS = (Reject, Tarpit, Drop, Ban)


def origin_values(kind: str, origin: Origin) -> tuple[bytes, ...]:
    """What is known of an origin, by the word of its field."""
    known = {
        "country": origin.country,
        "asn": origin.asn,
        "network_kind": origin.network_kind,
        "identity": origin.identity if origin.verified else None,
        "claimed_identity": origin.claim,
        "verified": {True: "true", False: "false", None: "unknown"}[origin.verified],
    }[kind]
    return () if known is None else (str(known).encode(),)


def known(request: Request, of: Callable[[ConnectionFacts], bytes]) -> tuple[bytes, ...]:
    return tuple(filter(None, (of(request.connection),))) if request.connection is not None else ()


def origin_list(kind: str) -> Callable[[Request, bytes, frozenset[str]], tuple[bytes, ...]]:
    return lambda r, name, tags: origin_values(kind, r.origin or Origin())


LISTS: dict[str, Callable[[Request, bytes, frozenset[str]], tuple[bytes, ...]]] = {
    FieldKind.CLIENT: lambda r, name, tags: (r.client.text.encode(),),
    FieldKind.HOST: lambda r, name, tags: (r.host,),
    FieldKind.SCHEME: lambda r, name, tags: (r.scheme,),
    FieldKind.METHOD: lambda r, name, tags: (r.method,),
    FieldKind.PATH: lambda r, name, tags: (r.path,),
    FieldKind.LOOSE_PATH: lambda r, name, tags: r.loose_paths,
    FieldKind.QUERY_STRING: lambda r, name, tags: tuple(r.target.split(b"?", 1)[1:]),
    FieldKind.HTTP_VERSION: lambda r, name, tags: (r.http_version,),
    FieldKind.QUERY: lambda r, name, tags: r.query.get(name, ()),
    FieldKind.COOKIE: lambda r, name, tags: r.cookies.get(name, ()),
    FieldKind.HEADER: lambda r, name, tags: tuple(value for key, value in r.headers if key.lower() == name),
    FieldKind.USER_AGENT: lambda r, name, tags: tuple(value for key, value in r.headers if key.lower() == b"user-agent"),
    FieldKind.TAG: lambda r, name, tags: tuple(tag.encode() for tag in sorted(tags)),
    FieldKind.SCORE: lambda r, name, tags: (),
    FieldKind.CLASS: lambda r, name, tags: (class_of(tags).encode(),),
    "bot": lambda r, name, tags: BOT.values(r),
    "jar": lambda r, name, tags: r.jar.states,
    "item": lambda r, name, tags: () if r.item is None else (r.item.family,),
    "form": lambda r, name, tags: () if r.form is None else r.form.states,
    "heat": lambda r, name, tags: () if r.item is None else (r.item.heat, *((b"recent",) if r.item.is_recent else ())),
    "visitor": lambda r, name, tags: (r.visitor,) if r.visitor else (),
    "robots": lambda r, name, tags: ((r.robots or RobotsVerdict()).word.encode(),),
    "robots_group": lambda r, name, tags: (r.robots.group.encode(),) if r.robots and r.robots.group else (),
    "crawl_delay": lambda r, name, tags: (b"%g" % r.robots.crawl_delay,) if r.robots and r.robots.crawl_delay else (),
    FieldKind.ACCOUNT: lambda r, name, tags: () if r.account is None else (r.account,),
    "claimed_kind": lambda r, name, tags: (claimed_kind(r.user_agent).kind,),
    "client_kind": lambda r, name, tags: known(r, client_kind),
    "tls": lambda r, name, tags: known(r, {b"ja4": ja4_of, b"client_kind": hello_kind}.get(name, attrgetter("tls_version"))),
    "http2": lambda r, name, tags: known(r, http2_of),
    "contradiction": lambda r, name, tags: contradictions(r),
    "header_order": lambda r, name, tags: (b",".join(key.lower() for key, _ in r.headers),),
    "header_count": lambda r, name, tags: (str(len(r.headers)).encode(),),
    "query_length": lambda r, name, tags: (str(len(r.target.partition(b"?")[2])).encode(),),
    "query_count": lambda r, name, tags: (str(len([each for each in r.target.partition(b"?")[2].split(b"&") if each])).encode(),),
    "path_segment": lambda r, name, tags: tuple(filter(None, r.path.split(b"/")[int(name) :][:1])) if name.isdigit() else (),
    "body_size": lambda r, name, tags: (b"0",) if r.http_version.startswith(b"1") else (),
    "content_type": lambda r, name, tags: (),
    **{row.kind: origin_list(row.kind) for row in ROWS},
}
"""The values of a field, by its kind; of the request, the field's name and the tags so far."""


def values(test: Test, request: Request, tags: frozenset[str]) -> tuple[bytes, ...]:
    return LISTS[test.field.kind](request, test.field.name.encode(), tags)


def compares(kind: TextKind, text: bytes, value: bytes) -> bool:
    match kind:
        case TextKind.EQUAL:
            return value == text
        case TextKind.PREFIX:
            return value.startswith(text)
        case TextKind.SUFFIX:
            return value.endswith(text)
        case TextKind.CONTAINS_ANY:
            return text in value.lower()
        case TextKind.CONTAINS:
            return text in value
        case TextKind.WORD:
            return bool(re.search(rb"(?<![0-9A-Za-z])" + re.escape(text) + rb"(?![0-9A-Za-z])", value, re.IGNORECASE))
        case TextKind.GLOB:
            pattern = re.escape(text).replace(rb"\*", b".*").replace(rb"\?", b".")
            return bool(re.fullmatch(pattern, value, re.DOTALL))
        case TextKind.REGEX:
            options = re2.Options()
            options.encoding = re2.Options.Encoding.LATIN1
            options.dot_nl = True
            return re2.compile(text, options).search(value) is not None


def compares_loosely(kind: TextKind, text: bytes, path: bytes) -> bool:
    """As `compares`, for a path that was folded and a text that was not."""
    whole = LOOSE.whole(LOOSE.fold(text)) == LOOSE.whole(path)
    match kind:
        case TextKind.EQUAL:
            return whole
        case TextKind.PREFIX:
            return path.startswith(LOOSE.fold_case(text)) or (text != b"/" and whole)
        case TextKind.REGEX:
            return any(compares(kind, b"(?i)" + text, each) for each in (path, path + b"/")[: 1 + (path != b"/")])
        case _:
            return any(compares(kind, LOOSE.fold_case(text), each) for each in (path, path + b"/")[: 1 + (path != b"/")])


def number(value: bytes) -> tuple[float, ...]:
    return (float(value),) if re.fullmatch(rb"[ \t]*[+-]?\d{1,18}(\.\d{1,18})?[ \t]*", value) else ()


def holds(when: Condition, request: Request, score: float, tags: frozenset[str]) -> bool:
    match when:
        case AllOf(parts):
            return all(holds(part, request, score, tags) for part in parts)
        case AnyOf(parts):
            return any(holds(part, request, score, tags) for part in parts)
        case Not(part):
            return not holds(part, request, score, tags)
        case Test(field=tested, matcher=matcher):
            found = values(when, request, tags)
            of_score = tested.kind == FieldKind.SCORE
            lenient = tested.kind in (FieldKind.QUERY, FieldKind.HEADER, FieldKind.COOKIE, FieldKind.USER_AGENT)
            numbers = [score] if of_score else [n for each in found for n in (numbers_of(each) if lenient else number(each))]
            match matcher:
                case Text(kind, texts):
                    compare = compares_loosely if tested.kind == FieldKind.LOOSE_PATH else compares
                    return any(compare(kind, text, value) for text in texts for value in found)
                case InNetworks(networks):
                    within = [one for one in networks if request.client.number in one]
                    return any((":" in one.text) is not request.client.is_v4 for one in within)
                case Present():
                    return bool(found) or of_score
                case Absent():
                    return not found and not of_score
                case AtLeast(bound):
                    return any(n >= bound for n in numbers) and tested.kind != FieldKind.TAG
                case AtMost(bound):
                    return any(n <= bound for n in numbers) and tested.kind != FieldKind.TAG
                case Signed():
                    return any(is_signed(matcher, value) for value in found)
                case Refused():
                    return matcher.tag in tags
                case During() | Sampled():
                    raise TypeError("the properties hold without a clock and without a secret")


@dataclass
class Maybe:
    """What rules may have given, as usages will say: points or none, and tags beside those that are `sure`."""

    score: bool = False
    tags: frozenset[str] = frozenset()
    sure: frozenset[str] = frozenset()


def hangs(when: Condition, request: Request, score: float, maybe: Maybe) -> bool:
    """Whether a condition holds as usages will say: it does when all turns out for it, and not when all turns out against it."""
    return turned_out(when, request, score, maybe, well=True) and not turned_out(when, request, score, maybe, well=False)


def turned_out(when: Condition, request: Request, score: float, maybe: Maybe, *, well: bool) -> bool:
    match when:
        case AllOf(parts):
            return all(turned_out(part, request, score, maybe, well=well) for part in parts)
        case AnyOf(parts):
            return any(turned_out(part, request, score, maybe, well=well) for part in parts)
        case Not(part):
            return not turned_out(part, request, score, maybe, well=not well)
        case Test(field=tested, matcher=matcher):
            if tested.kind == FieldKind.SCORE and maybe.score and isinstance(matcher, AtLeast | AtMost):
                return well
            most, least = maybe.sure | maybe.tags, maybe.sure
            return holds(when, request, score, most if well is not isinstance(matcher, Absent) else least)


def part_value(part: KeyPart, request: Request) -> Any:
    name = part.name.encode()
    match part.kind:
        case KeyKind.CLIENT:
            return request.client.client_key(PREFIXES)
        case KeyKind.NETWORK:
            return request.client.network_key(PREFIXES)
        case KeyKind.HOST:
            return request.host
        case KeyKind.PATH:
            return request.path
        case FieldKind.LOOSE_PATH:
            return request.whole_loose_path
        case FieldKind.QUERY_STRING:
            return only(tuple(request.target.split(b"?", 1)[1:]))
        case KeyKind.SITE:
            return "*"
        case KeyKind.QUERY:
            return only(query_values(request, name))
        case KeyKind.USER_AGENT:
            return only(tuple(dict.fromkeys(request.header_index.get(b"user-agent", ()))))
        case KeyKind.HEADER:
            return only(header_values(request, name))
        case KeyKind.COOKIE:
            return only(cookie_values(request, name))
        case KeyKind.ACCOUNT:
            return request.account_key
        case KeyKind.JAR:
            return request.jar.name or request.client.client_key(PREFIXES)
        case KeyKind.ITEM:
            item = request.item
            return None if item is None else (UNCLEAR, UNCLEAR) if item.number is None else item.number
        case _:
            return only(values(Test(Field(part.kind, part.name), Present()), request, frozenset()))


def only(values: tuple[bytes, ...]) -> Any:
    """The only value; all of them when there are several."""
    return values[0] if len(values) == 1 else values or None


def client_ban(request: Request) -> tuple[Any, ...]:
    return (("client", request.client.client_key(PREFIXES)),)


def ban_key(rule: Rule, request: Request) -> tuple[Any, ...]:
    per = rule.limit.per if rule.limit else (KeyPart(KeyKind.CLIENT),)
    key = tuple((str(part), part_value(part, request)) for part in per)
    return client_ban(request) if any(value is None or isinstance(value, tuple) for _, value in key) else key


def looked_up(rule: Rule, request: Request) -> set[Any]:
    """All keys that a request may be banned by: of every value that it has."""
    per = rule.limit.per if rule.limit else (KeyPart(KeyKind.CLIENT),)
    each = [(str(part), part_value(part, request)) for part in per]
    spread = [[(name, one) for one in (value if isinstance(value, tuple) else (value,))] for name, value in each]
    return {ban_key(rule, request), *(key for key in product(*spread) if all(value is not None for _, value in key))}


def limit_key(owner: str, mode: Mode, rule: Rule, request: Request) -> tuple[Any, ...] | None:
    assert rule.limit is not None
    key: list[Any] = [owner, mode, rule.name, rule.limit]
    for part in rule.limit.per:
        value = part_value(part, request)
        if value is None and rule.limit.missing is Missing.SKIP:
            return None
        if value is None and rule.limit.missing is Missing.SEPARATE:
            value = ("instead", request.client.client_key(PREFIXES))
        if isinstance(value, tuple):
            value = ("instead", request.client.client_key(PREFIXES))
        key.append(value)
    counted = rule.limit.count.of
    if counted is not None:
        value = part_value(counted, request)
        if value is None and rule.limit.missing is Missing.SKIP:
            return None
        if value is None and rule.limit.missing is Missing.SEPARATE:
            value = ("instead", request.client.client_key(PREFIXES))
        if isinstance(value, tuple) and value[0] != "instead":
            value = (request.target, request.header_index.get(b"cookie"))
        key.append(("of", value))
    return tuple(key)


@dataclass
class TallyStore:
    """A store to decide by in tests: each key has `burst` units and gets none back; a ban lasts `for_seconds`."""

    used: dict[Any, float] = field(default_factory=dict)
    banned: dict[Any, tuple[float, BanRecord]] = field(default_factory=dict)
    reserved: list[Charge] = field(default_factory=list)
    """Of the last decision, the charges that the response puts right; `unreserved` did not fit."""
    unreserved: list[Charge] = field(default_factory=list)

    def charge(self, charges: Any, ban_keys: Any, now: float) -> Outcome:
        found = [self.banned[key] for key in ban_keys if key in self.banned and now < self.banned[key][0]]
        if found:
            return Outcome(min((record for _, record in found), key=lambda record: record.rule), ())
        exceeded = [self.used.get(charge.key, 0.0) + charge.cost > charge.limit.burst for charge in charges]
        stopped = any(over and charge.stops for over, charge in zip(exceeded, charges, strict=True))
        usages = []
        if not (charges and charges[0].owed):
            late = [
                (one, not (over or stopped) and one.cost > 0)
                for over, one in zip(exceeded, charges, strict=True)
                if one.limit.count.after_response
            ]
            self.reserved = [one for one, fits in late if fits]
            self.unreserved = [one.at_cost(0.0) for one, fits in late if not fits]
        for over, charge in zip(exceeded, charges, strict=True):
            if charge.owed or not (over or stopped):
                self.used[charge.key] = max(0.0, self.used.get(charge.key, 0.0) + charge.cost)
            remaining = max(0, int(charge.limit.burst - self.used.get(charge.key, 0.0)))
            usages.append(Usage(over, remaining, charge.limit.interval_seconds if over else 0.0))
        return Outcome(None, tuple(usages))

    def ban(self, key: Any, record: BanRecord, until: float) -> None:
        if key not in self.banned or self.banned[key][0] <= until:
            self.banned[key] = (until, record)


def naive(
    policy: Policy, mode: Mode, request: Request, now: float, store: TallyStore, response: tuple[int, int, float] | None = None
) -> Decision:
    """Decide one request the plain way, counting and banning in `store`; `response` is the site's: status, bytes, seconds."""
    store.reserved, store.unreserved = [], []
    decision = _decided(policy, mode, request, now, store)
    if response is not None:
        forwards = isinstance(decision.action, Pass | Delay)
        for charge in store.reserved:
            cost = _cost(charge.limit.count, *response) if forwards else 0
            store.charge([charge.arisen(cost - charge.cost)], (), now)
        for charge in store.unreserved if forwards else ():
            store.charge([charge.arisen(_cost(charge.limit.count, *response))], (), now)
    return decision


def _cost(count: Count, status: int, size: int, seconds: float) -> float:
    match count.kind:
        case CountKind.BYTES:
            return size
        case CountKind.UPSTREAM_SECONDS:
            return seconds
        case CountKind.STATUSES:
            return any(status in range(first, last + 1) for first, last in count.statuses)
        case CountKind.REQUESTS | CountKind.DISTINCT | CountKind.CONCURRENT | CountKind.REFUSALS:
            return 0


def _decided(policy: Policy, mode: Mode, request: Request, now: float, store: TallyStore) -> Decision:
    rules = [(rs.name, rule, rs.mode_of(rule, mode)) for rs in policy.rule_sets for rule in rs.rules]
    live = [e for e in rules if e[2] is not Mode.OFF and not (e[1].expires is not None and now >= e[1].expires)]
    shadow: tuple[ShadowHit, ...] = ()
    for _, rule, own in live:
        if isinstance(rule.action, Allow) and holds(rule.when, request, 0.0, frozenset()):
            if own is Mode.ENFORCE:
                return Decision(action=rule.action, rule=rule.name, reason=rule.why, shadow=shadow)
            shadow += (ShadowHit(rule.name, "allow"),)
    live = [entry for entry in live if not isinstance(entry[1].action, Allow)]
    charges, places, live = to_count(live, request)
    bans = {client_ban(request)}.union(
        *(looked_up(r, request) for _, r, m in rules if isinstance(r.action, Ban) and m is Mode.ENFORCE)
    )
    outcome = store.charge(charges, sorted(bans, key=str) if mode is Mode.ENFORCE else (), now)
    if (ban := outcome.ban) is not None:
        return Decision(action=ban.then, rule=ban.rule, reason=ban.reason, banned=True, shadow=shadow)
    score, tags = 0.0, frozenset[str]()
    for at, (_, rule, own) in enumerate(live):
        usage = outcome.usages[places[at]] if at in places else None
        applies = usage.exceeded if usage else rule.limit is None and holds(rule.when, request, score, tags)
        if not applies:
            continue
        if own is Mode.SHADOW:
            shadow += (ShadowHit(rule.name, ACTION_NAMES[type(rule.action)]),)
        elif isinstance(rule.action, Score):
            score += rule.action.points
        elif isinstance(rule.action, Tag):
            tags |= {rule.action.name}
        elif isinstance(rule.action, Ban):
            then = rule.action.then
            until = now + rule.action.for_seconds
            key = ban_key(rule, request)
            store.ban(key, BanRecord(str(key), now, until, rule.name, rule.why, then), until)
            return Decision(action=then, rule=rule.name, reason=rule.why, score=score, tags=tags, banned=True, shadow=shadow)
        else:
            assert not isinstance(rule.action, Allow)
            limit = rule.limit
            quota = None
            if limit and usage:
                quota = Quota(
                    limit.amount, limit.period_seconds, usage.remaining, usage.retry_after_seconds, unit=limit.count.kind
                )
            return Decision(
                action=rule.action, rule=rule.name, reason=rule.why, score=score, tags=tags, quota=quota, shadow=shadow
            )
    return Decision(action=PASS, score=score, tags=tags, shadow=shadow)


Entry = tuple[str, Rule, Mode]


def to_count(live: list[Entry], request: Request) -> tuple[list[Charge], dict[int, int], list[Entry]]:
    """The charges, which rule each belongs to, and the rules up to the one that ends it whatever the counts are."""
    charges: list[Charge] = []
    places: dict[int, int] = {}
    score, tags = 0.0, frozenset[str]()
    maybe = Maybe()
    for at, (owner, rule, own) in enumerate(live):
        is_open = rule.limit is None and hangs(rule.when, request, score, maybe)
        applies = holds(rule.when, request, score, tags)
        if not applies and not is_open:
            continue
        if rule.limit is not None:
            key = limit_key(owner, own, rule, request)
            if key is None:
                continue
            places[at] = len(charges)
            stops = own is Mode.ENFORCE and isinstance(rule.action, REFUSALS)
            charges.append(Charge(repr(key), rule.limit, 1.0, stops))
        if own is Mode.SHADOW:
            continue
        depends = is_open or rule.limit is not None
        match rule.action:
            case Score(points):
                maybe.score |= depends
                score += points if applies and rule.limit is None else 0.0
            case Tag(name):
                if depends:
                    maybe.tags |= {name}
                else:
                    maybe.sure |= {name}
                tags |= {name} if applies and rule.limit is None else set()
            case _ if not depends:
                if isinstance(rule.action, REFUSALS):
                    charges = [charge.at_cost(0.0) for charge in charges]
                return charges, places, live[: at + 1]
    return charges, places, live
