"""What is decided about a request: `match` looks at the rules and says what to count, `decide` turns the counts into a decision.

Pure and deterministic: no clock, no store. Between the two calls lies one `Store.charge`. Order: allow rules; active bans; the
other rules in file order up to the first terminal action that applies; else `pass by default`. Knows nothing of how rules are
indexed (policy.compile) or of what carries out a decision.

A rule with a limit is charged when its condition holds for the request and for the score and tags that rules *without* a limit
gave before it; one that counts what responses cost only looks then, and `due` says what to charge later. A rule without a
limit sees all score and tags given before it; where it holds or not as usages will say, it is *open* until they are known.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.decision import ALLOW, PASS, PASS_BY_DEFAULT, Ban, Decision, Quota, Score, ShadowHit, Tag
from proxyguard.core.request import Request
from proxyguard.core.value import Value
from proxyguard.limits.calendar_window import span_of
from proxyguard.limits.charge import Charge, Usage
from proxyguard.limits.learning import LearningPlace
from proxyguard.limits.limit import Limit, Window
from proxyguard.limits.stores.store import BanTerms, Outcome
from proxyguard.policy.compile.compile import CompiledPolicy, CompiledRule
from proxyguard.policy.compile.conditions import NO_TAGS, Arisen, Tags, Trigger, trigger_of_tag
from proxyguard.policy.compile.keys import AMBIGUOUS
from proxyguard.policy.compile.outside import AS_IT_IS, Circumstances


class BanOrder(NamedTuple):
    """A ban to be stored: the request's key is refused from now on."""

    key: str
    rule: str
    reason: str
    terms: BanTerms


class Ruling(Value):
    """A decision, and the ban that goes with it, if any."""

    __slots__ = ("ban", "decision")

    def __init__(self, decision: Decision, ban: BanOrder | None = None) -> None:
        self.decision = decision
        self.ban = ban

    def held(self) -> tuple[object, ...]:
        return self.decision, self.ban


Step = tuple[CompiledRule, int | None, bool]
"""A rule that applies if its limit is exceeded (then the second is the place of its charge in the batch), if its condition still
holds once the usages are known (then the third is True), or for certain."""

FOR_CERTAIN: Final = -1
IF_IT_HOLDS: Final = -2
"""Stand for the place of a charge where a step has none."""


class Match:
    """A request looked at before counting. `decision` set: nothing is to be counted, the request is allowed.

    `charges` and `ban_keys` are what to ask the store; the other attributes are for `decide`.
    """

    __slots__ = (
        "ban_keys", "charges", "client", "counted", "decision", "facts", "given", "learning", "now", "open_tags", "places",
        "policy", "request", "rules", "score", "score_open", "settling", "shadow", "sure_tags", "tags", "woken",
    )  # fmt: skip

    def __init__(self, policy: CompiledPolicy, request: Request, facts: set[int], now: float, given: Tags) -> None:
        self.policy = policy
        self.request = request
        self.client = policy.known(request)
        self.facts = facts
        self.now = now
        self.given = given
        self.shadow: tuple[ShadowHit, ...] = ()
        self.decision: Decision | None = None
        self.rules: list[CompiledRule] = []
        self.places: list[int] = []
        """The rules of `steps`, and of each the place of its charge: two lists cost a third of one of tuples."""
        self.charges: tuple[Charge, ...] = ()
        self.ban_keys: tuple[str, ...] = ()
        self.counted: list[Charge] = []
        """The charges so far, while rules are looked at."""
        self.settling: list[int] = []
        """Places among the charges of those that the response is to put right."""
        self.learning: list[LearningPlace] = []
        """The charges whose limits learn."""
        self.woken: set[Trigger] = set()
        self.score = 0.0
        self.tags = given
        """Those that rules gave for certain, among them the class; none when the request is allowed."""
        self.score_open = False
        """Whether usages can still add points; `open_tags` are the tags that they can."""
        self.open_tags = NO_TAGS
        self.sure_tags = NO_TAGS
        """The tags that no usage can take away; kept while there are open ones."""

    @property
    def steps(self) -> list[Step]:
        """The rules that apply, or may."""
        steps = zip(self.rules, self.places, strict=True)
        return [(rule, place if place >= 0 else None, place == IF_IT_HOLDS) for rule, place in steps]

    def allow(self, rule: CompiledRule) -> bool:
        """Take an allow rule that holds; whether it ends everything."""
        if not rule.enforced:
            self.shadow += (rule.shadow_hit,)
            return False
        decision = rule.plain
        if decision is None or self.shadow:
            decision = Decision(action=ALLOW, rule=rule.name, reason=rule.reason, shadow=self.shadow)
        self.decision = decision
        self.tags = NO_TAGS
        return True

    def visit(self, rule: CompiledRule, order: list[int], position: int) -> bool:
        """Look at another rule, and add to `order` what it wakes; whether it ends evaluation whatever the usages are."""
        limit = rule.limit
        is_open = rule.hangs is not None and (self.score_open or bool(self.open_tags)) and self._is_open(rule)
        applies = rule.applies(self.facts, self.score, self.tags)
        if not (applies or is_open):
            return False
        charge: Charge | None = None
        if limit is not None and rule.key is not None:
            client, slot = self.client, rule.key.slot
            charge = client.charges[slot] if slot >= 0 else None
            if charge is None:
                key = rule.key.of(self.request)
                if key is None:
                    return False
                if key != AMBIGUOUS:  # else the limit refuses what it cannot count
                    charge = Charge(key, limit, rule.cost, rule.enforced and rule.refuses, False, client.owner)  # noqa: FBT003 - as in `Charge`
                if slot >= 0:
                    client.charges[slot] = charge
        self.rules.append(rule)
        if limit is not None and charge is not None:
            at = len(self.counted)
            if rule.settles:
                self.settling.append(at)
            if limit.learned is not None:
                self.learning.append(LearningPlace(at, rule.name))
            self.places.append(at)
            self.counted.append(charge)
        else:
            self.places.append(IF_IT_HOLDS if is_open else FOR_CERTAIN)
        if not rule.enforced:
            return False
        depends = is_open or charge is not None
        if not rule.terminal:
            self._give(rule, order, position, is_certain=applies and charge is None, depends=depends)
            return False
        if depends:
            return False
        if rule.refuses and self.counted:
            self.counted = [charge.at_cost(0.0) for charge in self.counted]
        return True

    def _is_open(self, rule: CompiledRule) -> bool:
        """Whether a rule holds as usages will say."""
        sure = self.sure_tags if self.open_tags else self.tags
        return rule.hangs is not None and rule.hangs(self.facts, Arisen(self.score, self.score_open, sure, sure | self.open_tags))

    def _give(self, rule: CompiledRule, order: list[int], position: int, *, is_certain: bool, depends: bool) -> None:
        """Give points or a tag, for certain or (`depends`) as the usages will say, and wake the rules that ask for it."""
        tag = rule.tag
        if not depends:
            if tag is not None and self.open_tags:
                self.sure_tags |= {tag}
        elif tag is None:
            self.score_open = True
        else:
            if not self.open_tags:
                self.sure_tags = self.tags
            self.open_tags |= {tag}
        if is_certain:
            self.score, self.tags = _with_action(rule, self.score, self.tags)
        for trigger in rule.wakes:
            if trigger not in self.woken:  # what an earlier rule woke is in the order already
                self.woken.add(trigger)
                _wake(self.policy, trigger, position, order)


MAX_TAGGED: Final = 64
"""Sets of tags of which a rule keeps what it makes of them."""

MAX_NOTED: Final = 1024
"""Decisions to pass that a policy keeps, about 400 KiB: one for each set of points, tags and shadow hits that came together."""

NO_RESPONSE: Final = (0, 0, None)
"""The status, bytes and seconds of an exchange that never reached the site."""

PASSED = Ruling(PASS_BY_DEFAULT)


def match(policy: CompiledPolicy, request: Request, now: float, given: Tags = NO_TAGS, around: Circumstances = AS_IT_IS) -> Match:
    """Look at the rules: what applies for certain, what depends on counts, and what to count. `now` is Unix seconds.

    `given` are tags that the request has before any rule is looked at: those of the restrictions that are on. `around` is what a
    test in a rule file says of the time and the client.
    """
    if request.reading is not policy.reading:
        request.read_as(policy.reading)
    facts, order = policy.find(request, now, around)
    if given:  # hardly ever
        for tag in given:
            _wake(policy, trigger_of_tag(tag), -1, order)
    found = Match(policy, request, facts, now, given)
    rules = policy.rules
    for position in order:
        rule = rules[position]
        if rule.expires is not None and now >= rule.expires:
            continue
        if rule.allows:
            if rule.applies(facts, 0.0, given) and found.allow(rule):
                return found
        elif found.visit(rule, order, position):
            break
    found.charges = tuple(found.counted)
    found.ban_keys = policy.ban_keys(request, found.client.owner)
    return found


def decide(found: Match, outcome: Outcome) -> Ruling:
    """Decide with the counts known. `outcome` is what the store said to `found.charges` and `found.ban_keys`."""
    if found.decision is not None:
        return Ruling(found.decision)
    ban = outcome.ban
    if ban is not None:
        return Ruling(Decision(action=ban.then, rule=ban.rule, reason=ban.reason, banned=True, shadow=found.shadow))
    shadow = found.shadow
    if not found.rules and not shadow:
        return PASSED
    usages = outcome.usages
    score, tags = 0.0, found.given
    quotas: tuple[Quota, ...] = ()
    last: CompiledRule | None = None
    for at, charge in enumerate(found.places):
        rule = found.rules[at]
        usage = usages[charge] if charge >= 0 else None
        if usage is not None:
            if rule.announces:
                quotas += (_announced(rule, found.charges[charge].limit, usage, found.now),)
            if not usage.exceeded:
                continue
        elif charge == IF_IT_HOLDS and not rule.applies(found.facts, score, tags):
            continue
        if not rule.enforced:
            shadow += (rule.shadow_hit,)
            last = rule
        elif rule.terminal:
            if rule.plain is not None and not (score or tags or shadow or quotas):
                return Ruling(rule.plain)
            limit = None if charge < 0 else found.charges[charge].limit
            return _final(found, rule, limit, usage, Accumulated(score, tags, shadow, quotas))
        else:
            score, tags = _with_action(rule, score, tags)
    if not (score or tags or shadow or quotas):
        return PASSED
    if last is not None and len(shadow) == 1 and not (score or tags or quotas):
        return Ruling(last.noted)
    if quotas:
        return Ruling(Decision(action=PASS, score=score, tags=tags, shadow=shadow, quotas=quotas))
    return Ruling(_noted(found.policy, score, tags, shadow))


def _noted(policy: CompiledPolicy, score: float, tags: Tags, shadow: tuple[ShadowHit, ...]) -> Decision:
    """The decision to pass with what rules noted of a request. Few differ, and to make one costs more than to look at rules."""
    kept = policy.noted
    key: Any = (score, tags)  # Any: else mypyc makes the tuple again for each use
    if len(shadow) == 1:
        key = (score, tags, shadow[0].rule, shadow[0].action)
    elif shadow:
        key = (score, tags, tuple([text for hit in shadow for text in (hit.rule, hit.action)]))
    decision = kept.get(key)
    if decision is None:
        decision = keep_at_hand(kept, MAX_NOTED, key, Decision(action=PASS, score=score, tags=tags, shadow=shadow))
    return decision


def due(found: Match, outcome: Outcome, decision: Decision) -> tuple[Charge, ...]:
    """The charges to put right when the exchange is over; the cost of each is what is reserved, 0 when it did not fit.

    When we answer ourselves, which costs nobody anything, they are what is to be given back at once.
    """
    if not found.settling or outcome.ban is not None or found.decision is not None:
        return ()
    charges, usages = found.charges, outcome.usages
    if len(charges) != len(usages):
        raise ValueError(f"{len(usages)} usages of {len(charges)} charges")
    stopped = not outcome.counted
    for at, charge in enumerate(charges):
        if charge.stops and usages[at].exceeded:
            stopped = True
            break
    forwards = decision.forwards
    settling: list[Charge] = []
    for at in found.settling:
        charge = charges[at]
        if charge.cost and (stopped or usages[at].exceeded):
            charge = charge.at_cost(0.0)
        if forwards or charge.cost:
            settling.append(charge)
    return tuple(settling)


def owed(
    charges: Sequence[Charge], status: int, bytes_sent: int, upstream_seconds: float | None, *, since: float, now: float
) -> tuple[Charge, ...]:
    """What is to be charged, or given back, of `due` charges of `since` now that the exchange is over.

    `status` 0: the site did not answer. What was reserved in a window of the calendar that is over is not given back: the one
    that followed never had it.
    """
    costs: list[Charge] = []
    for charge in charges:
        cost = charge.limit.count.cost(status, bytes_sent, upstream_seconds) - charge.cost
        if cost > 0 or (cost < 0 and not (charge.limit.window is Window.CALENDAR and span_of(charge.limit, since).end <= now)):
            costs.append(charge.arisen(cost))
    return tuple(costs)


class Accumulated(NamedTuple):
    """What rules gave before the one that decides."""

    score: float
    tags: Tags
    shadow: tuple[ShadowHit, ...]
    quotas: tuple[Quota, ...]


def _announced(rule: CompiledRule, limit: Limit, usage: Usage, now: float) -> Quota:
    """The quota to announce for a limit. A sliding one gives back evenly, one by the calendar all at once. Of a log it is the end
    of the period that begins now, or, when it is used up, when the first unit comes back."""
    if limit.window is Window.CALENDAR:
        reset = span_of(limit, now).end - now
    elif limit.window is Window.SLIDING_LOG:
        reset = usage.retry_after_seconds if usage.exceeded else limit.period_seconds
    else:
        reset = max(usage.retry_after_seconds, (limit.burst - usage.remaining) * limit.interval_seconds)
    return Quota(
        limit.amount, limit.period_seconds, usage.remaining, usage.retry_after_seconds, rule.name, reset, limit.count.kind
    )


def _final(found: Match, rule: CompiledRule, limit: Limit | None, usage: Usage | None, given: Accumulated) -> Ruling:
    """The ruling of a terminal rule that applies. `limit` is what was charged, which earlier days may have made wider."""
    action = rule.action
    order = None
    banned = isinstance(action, Ban)
    if isinstance(action, Ban):
        key = found.policy.ban_key(rule, found.request)
        terms = BanTerms(action.for_seconds, action.then, action.escalation, action.max_seconds, action.forget_seconds)
        terms = terms._replace(owner=found.client.owner)
        order = BanOrder(key, rule.name, rule.reason, terms)
        action = action.then
    if isinstance(action, Score | Tag):
        raise TypeError(f"rule {rule.name}: {rule.action_name} ends nothing")
    quota = None
    if usage is not None and limit is not None and not banned:
        quota = Quota(limit.amount, limit.period_seconds, usage.remaining, usage.retry_after_seconds, unit=limit.count.kind)
        if rule.announces:
            quota = given.quotas[-1]
    decision = Decision(
        action=action,
        rule=rule.name,
        reason=rule.reason,
        score=given.score,
        tags=given.tags,
        banned=banned,
        quota=quota,
        shadow=given.shadow,
        quotas=given.quotas,
        restriction=rule.restriction,
    )
    return Ruling(decision, order)


def _with_action(rule: CompiledRule, score: float, tags: Tags) -> tuple[float, Tags]:
    if rule.tag is None:
        return score + rule.points, tags
    tagged = rule.tagged.get(tags)
    if tagged is None:
        tagged = keep_at_hand(rule.tagged, MAX_TAGGED, tags, tags | {rule.tag})
    return score, tagged


def _wake(policy: CompiledPolicy, trigger: Trigger, position: int, order: list[int]) -> None:
    """Add to the rules still to be looked at those that what just happened can make hold."""
    for woken in policy.woken_by(trigger):
        if woken > position:
            at = bisect_left(order, woken)
            if at == len(order) or order[at] != woken:
                order.insert(at, woken)
