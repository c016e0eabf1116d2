"""The full trace of one request, for `explain` and for tests that fail: each rule looked at, what it said, and the decision.

Evaluates the policy as written, rule by rule and in words; a property test holds it to the decisions of the compiled engine.
Cookies and other secrets are never repeated. Knows nothing of terminals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from proxyguard.core.address import DEFAULT_PREFIXES, Prefixes
from proxyguard.core.decision import ACTION_NAMES, ALLOW, PASS, Allow, Ban, Decision, Mode, Quota, Score, ShadowHit, Tag
from proxyguard.core.form import FormState
from proxyguard.core.item import ItemHeat
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.core.request import Request
from proxyguard.limits.charge import Charge, Usage
from proxyguard.limits.limit import Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import BanTerms, Outcome, Store
from proxyguard.policy.actions.registry import ends, refuses
from proxyguard.policy.compile.conditions import NO_TAGS, Arisen, Tags, hangs
from proxyguard.policy.compile.facts import FactNumbers
from proxyguard.policy.compile.forms import find_forms, form_of
from proxyguard.policy.compile.items import find_items, item_of
from proxyguard.policy.compile.keys import AMBIGUOUS, BY_CLIENT, KeyMaker
from proxyguard.policy.compile.normal_form import normal_form
from proxyguard.policy.compile.outside import AS_IT_IS, Circumstances
from proxyguard.policy.explain.evaluate import Evaluation, Outside, evaluate
from proxyguard.policy.explain.report import Looked, RuleVerdict, Trace
from proxyguard.policy.model import Condition, Policy, Rule, Test
from proxyguard.policy.restriction import tags_of

OwnStore = Callable[[Sequence[Charge], Sequence[str]], Outcome]
"""Answers the one batch of charges of a trace."""


def trace(
    policy: Policy, request: Request, now: float, store: Store | None = None, *,
    mode: Mode = Mode.ENFORCE, secret: bytes = b"", prefixes: Prefixes = DEFAULT_PREFIXES, given: Tags | None = None,
    reading: SiteReading = STRICT,
) -> Trace:  # fmt: skip
    """Decide one request as the engine does and say why. It is counted in `store`; by default in an empty one of its own.
    `reading` is how the site reads paths.

    `given` are the tags of the restrictions that are on; by default of those that wait for nothing but the time.
    `now` is Unix seconds. A ban that follows is stored as well.
    """
    counted = MemoryStore(keys=1024, bans=1024) if store is None else store
    keys = KeyMaker(secret, prefixes, reading)
    request.read_as(reading)
    if request.item is None:
        request.item = item_of(find_items(policy.rule_sets, secret), request, ItemHeat.COLD)
    if request.form is None:
        request.form = form_of(find_forms(policy.rule_sets, reading), request, FormState.NONE)
    outside = Outside(now, position=keys.position(request) if secret else None)
    walk = _Walk(request, now, keys, on_by_time(policy, now) if given is None else given, outside)
    found = walk.run(_entries(policy, mode), lambda charges, bans: counted.charge(charges, bans, now), mode)
    ordered = walk.ordered
    if ordered is not None and isinstance(ordered.action, Ban):
        ban = ordered.action
        per = ordered.limit.per if ordered.limit else BY_CLIENT
        terms = BanTerms(ban.for_seconds, ban.then, ban.escalation, ban.max_seconds, ban.forget_seconds)
        terms = terms._replace(owner=keys.own_ban_keys(request))
        counted.ban(keys.ban_key(per)(request), ordered.name, ordered.why, terms, now)
    return found


def trace_with(
    policy: Policy, request: Request, now: float, charge: OwnStore, *, mode: Mode, keys: KeyMaker, given: Tags = NO_TAGS,
    around: Circumstances = AS_IT_IS,
) -> Trace:  # fmt: skip
    """As `trace`, with somebody else's answer to the charges; bans nobody."""
    return _Walk(request, now, keys, given, Outside(now, *around)).run(_entries(policy, mode), charge, mode)


def on_by_time(policy: Policy, now: float) -> Tags:
    """The tags of the restrictions that are on when nobody started or ended one and no alarm is true."""
    return frozenset(tag for each in policy.restrictions if each.is_on_by_time(now) for tag in tags_of(each))


class TracedRule(NamedTuple):
    """A rule, where it stands and the mode that it really has."""

    rule_set: str
    rule: Rule
    mode: Mode


def _entries(policy: Policy, mode: Mode) -> list[TracedRule]:
    return [
        TracedRule(rule_set.name, rule, rule_set.mode_of(rule, mode)) for rule_set in policy.rule_sets for rule in rule_set.rules
    ]


class _Totals(NamedTuple):
    """The points and tags that rules gave so far."""

    score: float = 0.0
    tags: Tags = NO_TAGS

    def plus(self, rule: Rule) -> _Totals:
        match rule.action:
            case Score(points):
                return self._replace(score=self.score + points)
            case Tag(name):
                return self._replace(tags=self.tags | {name})
            case _:
                return self


class _Unsure:
    """What rules give as usages will say, beside the tags that they give for certain."""

    def __init__(self, given: Tags) -> None:
        self.sure = given
        self.maybe = NO_TAGS
        self.score = False

    def add(self, rule: Rule, *, depends: bool) -> None:
        """Take in what a rule gives."""
        if not isinstance(rule.action, Tag):
            self.score = self.score or depends
        elif depends:
            self.maybe |= {rule.action.name}
        else:
            self.sure |= {rule.action.name}

    def decides(self, when: Condition, score: float, holds: Callable[[Test], bool]) -> bool:
        """Whether a condition holds as usages will say. `holds` answers its tests of the request itself."""
        numbers = FactNumbers()
        node = normal_form(when, numbers)
        facts = {number for number, test in enumerate(numbers.tests) if holds(test)}
        return hangs(node)(facts, Arisen(score, self.score, self.sure, self.sure | self.maybe))


class _Walk:
    """One request on its way through the rules."""

    def __init__(self, request: Request, now: float, keys: KeyMaker, given: Tags, outside: Outside) -> None:
        self.request = request
        self.outside = outside
        self.now = now
        self.keys = keys
        self.given = given
        self.looked: list[Looked] = []
        self.shadow: tuple[ShadowHit, ...] = ()
        self.uncounted: set[int] = set()
        """The positions of rules whose limits refuse the request because they cannot count it."""
        self.ordered: Rule | None = None
        """The rule whose ban is to be stored."""

    def run(self, entries: list[TracedRule], charge: OwnStore, mode: Mode) -> Trace:
        allow = [entry for entry in entries if isinstance(entry.rule.action, Allow)]
        others = [entry for entry in entries if not isinstance(entry.rule.action, Allow)]
        for at, entry in enumerate(allow):
            if self._allows(entry):
                rule = entry.rule
                decision = Decision(action=ALLOW, rule=rule.name, reason=rule.why, shadow=self.shadow)
                return self._trace(decision, len(allow) - at - 1 + len(others))
        charges, end = self._charges(others)
        outcome = charge(tuple(charges.values()), self._ban_keys(entries) if mode is Mode.ENFORCE else ())
        ban = outcome.ban
        if ban is not None:
            decision = Decision(action=ban.then, rule=ban.rule, reason=ban.reason, banned=True, shadow=self.shadow)
            return self._trace(decision, len(others))
        usages = dict(zip(charges, outcome.usages, strict=True))
        totals = _Totals(tags=self.given)
        for at, entry in enumerate(others[:end]):
            totals, decision_here = self._look(entry, charges.get(at), usages.get(at), totals, uncounted=at in self.uncounted)
            if decision_here is not None:
                return self._trace(decision_here, len(others) - at - 1)
        decision = Decision(action=PASS, score=totals.score, tags=totals.tags, shadow=self.shadow)
        return self._trace(decision, len(others) - end)

    def _trace(self, decision: Decision, not_looked_at: int) -> Trace:
        return Trace(request=self.request, looked=tuple(self.looked), decision=decision, not_looked_at=not_looked_at)

    def _is_live(self, entry: TracedRule) -> bool:
        expires = entry.rule.expires
        return entry.mode is not Mode.OFF and not (expires is not None and self.now >= expires)

    def _note(
        self, entry: TracedRule, verdict: RuleVerdict, totals: _Totals, reasons: tuple[str, ...] = (),
        counted: tuple[Charge | None, Usage | None] = (None, None),
    ) -> None:  # fmt: skip
        rule = entry.rule
        charge, usage = counted
        looked = Looked(
            rule=rule.name, rule_set=entry.rule_set, place=rule.place, action=ACTION_NAMES[type(rule.action)], mode=entry.mode,
            verdict=verdict, reasons=reasons, charge=charge, usage=usage, score=totals.score,
        )  # fmt: skip
        self.looked.append(looked)

    def _allows(self, entry: TracedRule) -> bool:
        """Look at an allow rule: whether it ends everything."""
        if not self._is_live(entry):
            self._note(entry, RuleVerdict.OFF if entry.mode is Mode.OFF else RuleVerdict.EXPIRED, _Totals())
            return False
        answer = evaluate(entry.rule.when, self.request, 0.0, NO_TAGS, self.outside)
        enforced = entry.mode is Mode.ENFORCE
        applies = RuleVerdict.APPLIES if enforced else RuleVerdict.WOULD_APPLY
        self._note(entry, applies if answer.holds else RuleVerdict.NO, _Totals(), answer.reasons)
        if answer.holds and not enforced:
            self.shadow += (ShadowHit(entry.rule.name, "allow"),)
        return answer.holds and enforced

    def _charges(self, entries: list[TracedRule]) -> tuple[dict[int, Charge], int]:
        """What to count, by the position of the rule, and the position after the last rule to look at."""
        charges: dict[int, Charge] = {}
        totals = _Totals(tags=self.given)
        unsure = _Unsure(self.given)
        for at, entry in enumerate(entries):
            rule = entry.rule
            if not self._is_live(entry):
                continue
            is_open = rule.limit is None and unsure.decides(rule.when, totals.score, self._holds)
            applies = evaluate(rule.when, self.request, totals.score, totals.tags, self.outside).holds
            if not (applies or is_open):
                continue
            if rule.limit is not None:
                key = self._key(entry, rule.limit)
                if key is None:
                    continue
                if key == AMBIGUOUS:
                    self.uncounted.add(at)
                else:
                    stops = entry.mode is Mode.ENFORCE and refuses(rule.action)
                    charges[at] = Charge(
                        key, rule.limit, rule.limit.count.reserved, stops, owner=self.keys.own_ban_keys(self.request)
                    )
            if entry.mode is Mode.SHADOW:
                continue
            if not ends(rule.action):
                unsure.add(rule, depends=is_open or at in charges)
                if applies and at not in charges:
                    totals = totals.plus(rule)
            elif at not in charges and not is_open:
                if refuses(rule.action):
                    charges = {place: charge.at_cost(0.0) for place, charge in charges.items()}
                return charges, at + 1
        return charges, len(entries)

    def _holds(self, test: Test) -> bool:
        return evaluate(test, self.request, 0.0, NO_TAGS, self.outside).holds

    def _look(
        self, entry: TracedRule, charge: Charge | None, usage: Usage | None, totals: _Totals, *, uncounted: bool
    ) -> tuple[_Totals, Decision | None]:
        """Look at a rule with the counts known: what it gives, and the decision if it ends here. `uncounted`: its limit refuses
        requests that it cannot count."""
        rule = entry.rule
        if not self._is_live(entry):
            self._note(entry, RuleVerdict.OFF if entry.mode is Mode.OFF else RuleVerdict.EXPIRED, totals)
            return totals, None
        answer = evaluate(rule.when, self.request, totals.score, totals.tags, self.outside)
        counted = (charge, usage)
        if uncounted:
            answer = Evaluation(holds=True, reasons=(*answer.reasons, "sites may disagree about a part of its key"))
        elif usage is None and (rule.limit is not None or not answer.holds):
            verdict = RuleVerdict.NOT_COUNTED if answer.holds else RuleVerdict.NO
            self._note(entry, verdict, totals, answer.reasons)
            return totals, None
        if usage is not None and not usage.exceeded:
            self._note(entry, RuleVerdict.WITHIN_LIMIT, totals, answer.reasons, counted)
            return totals, None
        if entry.mode is Mode.SHADOW:
            self._note(entry, RuleVerdict.WOULD_APPLY, totals, answer.reasons, counted)
            self.shadow += (ShadowHit(rule.name, ACTION_NAMES[type(rule.action)]),)
            return totals, None
        totals = totals.plus(rule)
        self._note(entry, RuleVerdict.APPLIES, totals, answer.reasons, counted)
        return totals, self._decision(rule, usage, totals)

    def _decision(self, rule: Rule, usage: Usage | None, totals: _Totals) -> Decision | None:
        action = rule.action
        if not ends(action):
            return None
        self.ordered = rule if isinstance(action, Ban) else None
        quota = None
        if usage is not None and rule.limit is not None and not isinstance(action, Ban):
            limit = rule.limit
            quota = Quota(limit.amount, limit.period_seconds, usage.remaining, usage.retry_after_seconds, unit=limit.count.kind)
        return Decision(
            action=action.then if isinstance(action, Ban) else action,
            rule=rule.name,
            reason=rule.why,
            score=totals.score,
            tags=totals.tags,
            banned=isinstance(action, Ban),
            quota=quota,
            shadow=self.shadow,
            restriction=rule.restriction,
        )

    def _key(self, entry: TracedRule, limit: Limit) -> str | None:
        shadow = entry.mode is Mode.SHADOW
        return self.keys.limit_key(entry.rule_set, entry.rule.name, limit, shadow=shadow).of(self.request)

    def _ban_keys(self, entries: list[TracedRule]) -> tuple[str, ...]:
        own = self.keys.own_ban_keys(self.request)
        banning = {
            entry.rule.limit.per if entry.rule.limit else BY_CLIENT
            for entry in entries
            if isinstance(entry.rule.action, Ban) and entry.mode is Mode.ENFORCE
        }
        others = {key for per in banning for key in self.keys.looked_up(per)(self.request)}
        return (*own, *sorted(others.difference(own)))
