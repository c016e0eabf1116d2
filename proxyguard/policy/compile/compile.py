"""A policy made ready to decide: rules in the order they are looked at, and for each fact of a request the rules it can touch.

Decides the effective mode of each rule, the order (allow rules first) and which rules are candidates for a request; knows
nothing of charging or of what follows from a rule that holds: that is the engine's. An immutable value once made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from proxyguard.core.address import DEFAULT_PREFIXES, Prefixes
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.decision import PASS, Action, Allow, Ban, Decision, GiveJar, Mode, Prove, Score, ShadowHit, Tag
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.core.request import Request
from proxyguard.limits.charge import Owner
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.policy.actions.registry import kind_of
from proxyguard.policy.compile.conditions import (
    NO_TAGS,
    SCORED,
    TAGGED,
    Hangs,
    Tags,
    Trigger,
    condition,
    hangs,
    trigger_of_tag,
    triggers,
)
from proxyguard.policy.compile.cooperative import YieldControl, in_steps, never_yield
from proxyguard.policy.compile.facts import FactNumbers, FactTable
from proxyguard.policy.compile.forms import FormFinder, find_forms
from proxyguard.policy.compile.items import ItemFinder, find_items
from proxyguard.policy.compile.keys import BY_CLIENT, BY_NETWORK, KeyMaker, KnownClient, Shown
from proxyguard.policy.compile.normal_form import Node, leaves, normal_form, reads
from proxyguard.policy.compile.outside import Circumstances, OutsideFacts
from proxyguard.policy.compile.teardown import dismantle
from proxyguard.policy.error import PolicyError
from proxyguard.policy.fields.registry import field_types
from proxyguard.policy.model import AccountSource, FieldKind, Policy, Rule, RuleSet, tests_of

GIVEN: Final = (FieldKind.SCORE, FieldKind.TAG, FieldKind.CLASS, FieldKind.REFUSED)
"""What arises while rules are looked at, and is no fact of a request."""

MAX_FOUND: Final = 512
"""Sets of facts for which it is remembered which rules may hold, 3 MiB and at most 5; then it begins anew."""

MAX_FACTS: Final = 64
"""Of a set that is remembered, and rules that may hold."""


class RuleInfo(NamedTuple):
    """What summaries and metrics say of a rule; `mode` is the effective one, rules that are off included."""

    name: str
    rule_set: str
    action: str
    mode: Mode
    limited: bool
    expires: float | None


class CompiledRule:
    """One rule, ready to be asked. Immutable by convention."""

    __slots__ = (
        "action", "action_name", "allows", "announces", "asks_given", "condition", "cost", "enforced", "expires", "hangs",
        "is_own", "key", "limit", "name", "noted", "plain", "points", "reads_refusals", "reason", "refuses", "restriction",
        "settles", "shadow_hit", "tag", "tagged", "terminal", "wakes",
    )  # fmt: skip

    def __init__(
        self, rule: Rule, node: Node, *, enforced: bool, key: Shown | None, is_own: Callable[[Request], bool] | None = None
    ) -> None:
        action = rule.action
        self.name = rule.name
        self.reason = rule.why
        self.action: Action = action
        kind = kind_of(action)
        self.action_name = kind.name
        self.enforced = enforced
        self.allows = isinstance(action, Allow)
        self.refuses = kind.refuses
        self.terminal = kind.is_terminal
        self.points = action.points if isinstance(action, Score) else 0.0
        self.tag = action.name if isinstance(action, Tag) else None
        self.tagged: dict[Tags, Tags] = {}  # what the engine made of tags with the rule's: few sets come together
        self.wakes = _wakes(action) if enforced else ()
        self.limit: Limit | None = rule.limit
        self.key = key
        self.cost = 1.0 if rule.limit is None else rule.limit.count.reserved
        """What a request that is looked at charges to its limit."""
        self.is_own = is_own
        """Whether a request that its limit refuses was refused for what its client did alone; None: it has no limit."""
        self.condition = condition(node)
        self.asks_given = any(reads(node, kind) for kind in GIVEN)
        """Whether facts alone do not say whether it holds."""
        self.hangs: Hangs | None = hangs(node) if rule.limit is None and self.asks_given else None
        """Whether it holds as usages will say; None: they make no difference."""
        self.reads_refusals = self.cost == 0.0 or any(
            leaf.test.field.kind == FieldKind.REFUSED and not leaf.negated for leaf in leaves(node)
        )
        """Whether it applies to those who were refused before: then its own refusals go on counting."""
        self.expires = rule.expires
        self.restriction = rule.restriction
        self.plain = _plain(rule)
        """The decision by this rule when nothing else belongs into it; None where a limit or a ban belongs to it."""
        self.announces = enforced and rule.limit is not None and rule.limit.announce
        self.settles = rule.limit is not None and rule.limit.count.after_response
        """Whether its limit is put right when the response is known."""
        self.shadow_hit = ShadowHit(rule.name, kind.name)
        """What is noted when it applies in shadow; `noted` is the decision when that is all that is."""
        self.noted = Decision(action=PASS, shadow=(self.shadow_hit,))

    def applies(self, facts: set[int], score: float, tags: Tags) -> bool:
        """Whether it holds, for a rule of which `may_hold` is true: then facts need not be asked again."""
        return not self.asks_given or self.condition.holds(facts, score, tags)

    def may_hold(self, facts: set[int]) -> bool:
        """Whether it holds by these facts alone, or where points, tags or refusals are to say whether it does."""
        return self.asks_given or self.condition.holds(facts, 0.0, NO_TAGS)


def _plain(rule: Rule) -> Decision | None:
    action = rule.action
    if rule.limit is not None or isinstance(action, Score | Tag | Ban):
        return None
    return Decision(action=action, rule=rule.name, reason=rule.why, restriction=rule.restriction)


def _wakes(action: Action) -> tuple[Trigger, ...]:
    """The triggers that an applied action sets off for later rules."""
    match action:
        case Score():
            return (SCORED,)
        case Tag(name):
            return (trigger_of_tag(name), TAGGED)
        case _:
            return ()


class Account(NamedTuple):
    """What identifies a session, and where the upstream says whose account it is."""

    session: Shown
    """The keyed hash of the session of a request; None when it has none, AMBIGUOUS when sites may disagree which."""
    header: bytes
    """Lower case."""
    remember_seconds: float

    @classmethod
    def of(cls, source: AccountSource, keys: KeyMaker) -> Account:
        return cls(keys.session_key(source.session), source.header.encode(), source.remember_seconds)


class CompiledPolicy:
    """A policy ready to decide; made by `compile_policy`, asked by the engine."""

    __slots__ = (
        "_always", "_ban_keys", "_by_trigger", "_facts", "_found", "_keys", "account", "asks_origin", "asks_robots",
        "asks_visitors", "classes", "counting_refusals", "digest", "forms", "gives_jars", "items", "learning", "learns", "mode",
        "noted", "outside", "prepares", "reading", "restricts", "rule_sets", "rules", "settles", "summary",
    )  # fmt: skip

    def __init__(
        self,
        policy: Policy,
        mode: Mode,
        *,
        summary: tuple[RuleInfo, ...],
        rules: tuple[CompiledRule, ...],
        facts: FactTable,
        outside: OutsideFacts,
        always: tuple[int, ...],
        by_trigger: dict[Trigger, tuple[int, ...]],
        keys: KeyMaker,
        reading: SiteReading,
        items: ItemFinder | None,
        forms: FormFinder | None,
        gives_jars: bool,
        asks_visitors: bool,
        asks_origin: bool,
        asks_robots: bool,
    ) -> None:
        self.reading = reading
        """How the site reads paths and parameters; requests are read so before they are asked anything."""
        self.asks_origin = asks_origin
        """Whether rules look at, or count by, where requests come from or who they are proven to be."""
        self.asks_robots = asks_robots
        """Whether rules look at, or count by, what robots.txt says."""
        self.digest = policy.digest
        self.noted: dict[Any, Decision] = {}
        """Decisions to pass that the engine has made, by what was noted: points, tags and rules in shadow."""
        self.items = items
        """Finds the item that a request asks for; None when the rules name none."""
        self.forms = forms
        """Finds the guarded form that a request reads or posts; None when the rules guard none."""
        self.gives_jars = gives_jars
        """Whether rules look at, count by or give cookie jars."""
        self.asks_visitors = asks_visitors
        """Whether rules look at which clients were here on an earlier day."""
        self.mode = mode
        self.rule_sets = tuple(rule_set.name for rule_set in policy.rule_sets if not rule_set.common)
        self.summary = summary
        self.rules = rules
        """Allow rules first, then the others, each in file order; rules that are off are not here."""
        self._facts = facts
        self.outside = outside if outside.any else None
        """What is true of the time and the client's place among all; None: no rule asks."""
        self.learning = {rule.name: rule.limit for rule in rules if rule.limit is not None and rule.limit.learned is not None}
        """The limits that follow earlier days, by the names of their rules."""
        self.learns = bool(self.learning)
        self.counting_refusals = tuple(rule for rule in rules if rule.cost == 0.0)
        """The rules whose limits count refusals."""
        self._always = always
        self._by_trigger = by_trigger
        self._found: dict[tuple[frozenset[int], tuple[int, ...], tuple[int, ...]], tuple[set[int], list[int]]] = {}
        """What `find` found for facts that come together again and again."""
        self._keys = keys
        self.account = None if policy.account is None else Account.of(policy.account, keys)
        """How the account behind a request is known, if at all."""
        self.prepares = (
            self.account is not None or gives_jars or asks_visitors or asks_robots or items is not None or forms is not None
        )
        """Whether there is anything to find out about a request before its rules are asked."""
        self.classes = policy.classes
        """The classes of clients, without `anonymous`; none when the rules define none."""
        self.restricts = bool(policy.restrictions)
        """Whether the rules have temporary restrictions."""
        self.settles = any(rule.settles for rule in rules)
        """Whether any limit is charged when the response is known."""
        banning = {_banned_by(rule) for rule in rules if rule.enforced and isinstance(rule.action, Ban)}
        session = None if policy.account is None else policy.account.session
        self._ban_keys = tuple(keys.looked_up(per, session) for per in sorted(banning - {BY_CLIENT, BY_NETWORK}, key=str))

    def find(self, request: Request, now: float, around: Circumstances) -> tuple[set[int], list[int]]:
        """The facts that hold, not to be changed; and positions, ascending, of rules that hold by these alone, and of those where
        points, tags or refusals are to say whether they do."""
        client, path, rest = self._facts.parts(request)
        if self.outside is not None:
            self.outside.add(rest, request, now, around)
        parts = client, path, tuple(rest)
        known = self._found.get(parts)
        if known is None:
            facts = {*client, *path, *rest}
            known = facts, self._look(facts)
            if max(len(facts), len(rest), len(known[1])) <= MAX_FACTS:
                keep_at_hand(self._found, MAX_FOUND, parts, known)
        return known[0], known[1].copy()

    def _look(self, facts: set[int]) -> list[int]:
        rules, by_trigger = self.rules, self._by_trigger
        found: set[int] = set()
        for at in self._always:
            if rules[at].may_hold(facts):
                found.add(at)
        for fact in facts:
            for at in by_trigger.get(fact, ()):
                if rules[at].may_hold(facts):
                    found.add(at)
        return sorted(found)

    def woken_by(self, trigger: Trigger) -> tuple[int, ...]:
        """Positions in `rules`, ascending, of those that may hold once points were given or a tag was attached."""
        return self._by_trigger.get(trigger, ())

    def ban_keys(self, request: Request, own: Owner) -> tuple[str, ...]:
        """The keys by which this request of an owner may be banned; none when nothing may act."""
        if self.mode is not Mode.ENFORCE:
            return ()
        if not self._ban_keys:
            return own
        others = {key for keys in self._ban_keys for key in keys(request)}
        return (*own, *sorted(others.difference(own)))

    def known(self, request: Request) -> KnownClient:
        """What is remembered of a client, as whose request it is, for the tables that counters and bans are kept in."""
        return self._keys.known(request)

    def ban_key(self, rule: CompiledRule, request: Request) -> str:
        """The key that a ban by this rule is remembered by."""
        return self._keys.ban_key(_banned_by(rule))(request)


def _banned_by(rule: CompiledRule) -> tuple[KeyPart, ...]:
    return rule.limit.per if rule.limit is not None else BY_CLIENT


def compile_policy(
    policy: Policy,
    *,
    mode: Mode = Mode.ENFORCE,
    secret: bytes,
    prefixes: Prefixes = DEFAULT_PREFIXES,
    reading: SiteReading = STRICT,
    yield_control: YieldControl = never_yield,
) -> CompiledPolicy:
    """Index a policy; `mode` is the weakest mode of all, `secret` keys the hashes in limit and ban keys.

    `reading` is how the site reads paths: texts of rules are folded as paths are.

    `yield_control` is called between steps of a few milliseconds, for a compilation in a thread beside a serving loop.
    Raises PolicyError for what parsing cannot see: a pattern too large to compile, an `allow` with a limit.
    """
    ordered = [(rule_set, rule, rule_set.mode_of(rule, mode)) for rule_set in policy.rule_sets for rule in rule_set.rules]
    live = [(rule_set, rule, own) for rule_set, rule, own in ordered if own is not Mode.OFF]
    live.sort(key=lambda entry: not isinstance(entry[1].action, Allow))
    keys = KeyMaker(secret, prefixes, reading)
    numbers = FactNumbers()
    nodes = [normal_form(rule.when, numbers) for _, rule, _ in in_steps(live, yield_control)]
    compiled = tuple(
        _compiled_rule(rule_set, rule, node, keys, enforced=own is Mode.ENFORCE)
        for (rule_set, rule, own), node in in_steps(tuple(zip(live, nodes, strict=True)), yield_control)
    )
    always, by_trigger = _index(nodes, yield_control)
    made = CompiledPolicy(
        policy,
        mode,
        summary=tuple(_info(rule_set, rule, own) for rule_set, rule, own in ordered if not rule_set.common),
        rules=compiled,
        facts=FactTable(numbers.tests, yield_control, reading),
        outside=OutsideFacts(numbers.tests, keys.position),
        always=always,
        by_trigger=by_trigger,
        keys=keys,
        reading=reading,
        items=find_items(policy.rule_sets, secret),
        forms=find_forms(policy.rule_sets, reading),
        gives_jars=any(_is_about_jars(rule) for _, rule, _ in live),
        asks_visitors=any(FieldKind.VISITOR in asked_about(rule) for _, rule, _ in live),
        asks_origin=any(asks_origin(rule) for _, rule, _ in live),
        asks_robots=any(asks_robots(rule) for _, rule, _ in live),
    )
    if yield_control is not never_yield:
        leaving: list[object] = [ordered, live, nodes, numbers]
        del ordered, live, nodes, numbers
        dismantle(leaving, yield_control)
    return made


def _is_about_jars(rule: Rule) -> bool:
    return isinstance(rule.action, GiveJar | Prove) or KeyKind.JAR in asked_about(rule)


def asks_origin(rule: Rule) -> bool:
    """Whether a rule looks at, or counts by, where a request comes from or who it is."""
    return any(field_types()[kind].of_origin for kind in asked_about(rule) & field_types().keys())


def asks_robots(rule: Rule) -> bool:
    """Whether a rule looks at, or counts by, what robots.txt says."""
    return any(field_types()[kind].of_robots for kind in asked_about(rule) & field_types().keys())


def asked_about(rule: Rule) -> set[str]:
    """The kinds of fields that a rule looks at, and of the parts of a request that its limit counts by or counts."""
    kinds = {test.field.kind for test in tests_of(rule.when)}
    if rule.limit is not None:
        of = rule.limit.count.of
        kinds.update(str(part.kind) for part in (*rule.limit.per, *(() if of is None else (of,))))
    return kinds


def _info(rule_set: RuleSet, rule: Rule, mode: Mode) -> RuleInfo:
    return RuleInfo(rule.name, rule_set.name, kind_of(rule.action).name, mode, rule.limit is not None, rule.expires)


def _compiled_rule(rule_set: RuleSet, rule: Rule, node: Node, keys: KeyMaker, *, enforced: bool) -> CompiledRule:
    if rule.limit is None:
        return CompiledRule(rule, node, enforced=enforced, key=None)
    if isinstance(rule.action, Allow):
        raise PolicyError(f"{rule.place}: rule {rule.name}: an allow rule cannot have a limit, because it is never counted")
    key = keys.limit_key(rule_set.name, rule.name, rule.limit, shadow=not enforced)
    return CompiledRule(rule, node, enforced=enforced, key=key, is_own=keys.is_own(rule.limit))


def _index(nodes: list[Node], yield_control: YieldControl) -> tuple[tuple[int, ...], dict[Trigger, tuple[int, ...]]]:
    """Which rules are always candidates, and which by which trigger."""
    popularity = Counter(
        number for node in in_steps(nodes, yield_control) for number in {leaf.number for leaf in leaves(node) if leaf.is_fact}
    )
    always: list[int] = []
    by_trigger: dict[Trigger, list[int]] = {}
    for position, node in enumerate(in_steps(nodes, yield_control)):
        found = triggers(node, popularity)
        if found is None:
            always.append(position)
        else:
            for trigger in found:
                by_trigger.setdefault(trigger, []).append(position)
    return tuple(always), {trigger: tuple(positions) for trigger, positions in by_trigger.items()}
