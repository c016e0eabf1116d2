"""A condition made ready to be asked: a function of the facts of a request, the score and the tags so far, and its triggers.

A *trigger* is a fact without which the condition cannot hold; a rule is looked at only when one of its triggers is there.
Knows nothing of rules, of how facts are found, or of what follows from a condition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, assert_never

from proxyguard.policy.compile.normal_form import Every, Leaf, Node, Some, leaves
from proxyguard.policy.compile.pattern_set import compile_pattern, pattern_of
from proxyguard.policy.fields.field_type import DEFAULT_SHARE
from proxyguard.policy.fields.registry import field_type
from proxyguard.policy.matchers import During, Refused, Sampled, Signed
from proxyguard.policy.model import (
    ANONYMOUS,
    CLASS_MARK,
    Absent,
    AtLeast,
    AtMost,
    FieldKind,
    InNetworks,
    Present,
    Test,
    Text,
    TextKind,
)

Tags = frozenset[str]
NO_TAGS: Final[Tags] = frozenset()

_Ask = Callable[[AbstractSet[object], float, Tags], bool]
"""Asks about facts, score and tags."""

Trigger = int | str
"""A fact's number; `score`: points were given; `tag:NAME`: that tag was attached; `tag`: any tag was."""

SCORED: Final = "score"
TAGGED: Final = "tag"

SELECTIVITY: Final[dict[str, float]] = {
    "equal": 0.1,
    "word": 0.5,
    "text": 1.0,
    "short prefix": 0.9,
    "signed": 0.3,
    "networks": 0.01,
    "wide networks": 0.5,
    "presence or number": 0.6,
    "arising": 0.5,
}
"""Guesses at the share of requests for which a test holds: the less, the better a trigger it is. Those of texts are multiplied by
the share of the field, which is the guess itself where a field has few values; a field that is seldom there lowers that of its
presence. They steer which rules are looked at first and never a decision; a test holds any table to that."""

_WIDE_NETWORK_ADDRESSES: Final = 1 << 24


def trigger_of_tag(name: str) -> str:
    """The trigger that a tag of this name sets off."""
    return f"tag:{name}"


Numbers = tuple[object, ...]
"""Numbers of facts; as objects, since compiled code takes an `int` apart and makes a new one for each look-up."""


class Condition:
    """A condition ready to be asked."""

    __slots__ = ()

    def holds(self, facts: AbstractSet[object], score: float, tags: Tags) -> bool:
        """Whether it holds for these facts, with the score and the tags so far."""
        raise NotImplementedError


class _Joined(Condition):
    """Facts that are wanted, facts that are not, and other conditions."""

    __slots__ = ("_rest", "_unwanted", "_wanted")

    def __init__(self, wanted: Numbers, unwanted: Numbers, rest: tuple[Condition, ...]) -> None:
        self._wanted = wanted
        self._unwanted = unwanted
        self._rest = rest


class _Every(_Joined):
    """Holds when all wanted facts are there, none of the others is, and all conditions hold."""

    __slots__ = ()

    def holds(self, facts: AbstractSet[object], score: float, tags: Tags) -> bool:
        for number in self._wanted:
            if number not in facts:
                return False
        for number in self._unwanted:
            if number in facts:
                return False
        for part in self._rest:  # noqa: SIM110 - compiled, a loop costs a tenth of a generator
            if not part.holds(facts, score, tags):
                return False
        return True


class _Some(_Joined):
    """Holds when a wanted fact is there, one of the others is not, or a condition holds."""

    __slots__ = ()

    def holds(self, facts: AbstractSet[object], score: float, tags: Tags) -> bool:
        for number in self._wanted:
            if number in facts:
                return True
        for number in self._unwanted:
            if number not in facts:
                return True
        for part in self._rest:  # noqa: SIM110 - as above
            if part.holds(facts, score, tags):
                return True
        return False


class _Arising(Condition):
    """What is asked about the score or the tags."""

    __slots__ = ("_ask", "_negated")

    def __init__(self, ask: _Ask, *, negated: bool) -> None:
        self._ask = ask
        self._negated = negated

    def holds(self, facts: AbstractSet[object], score: float, tags: Tags) -> bool:
        return self._ask(facts, score, tags) is not self._negated


def condition(node: Node) -> Condition:
    """The condition of a normal form."""
    match node:
        case Leaf(test, negated, number):
            if not node.is_fact:
                return _Arising(_ASKING[test.field.kind](test), negated=negated)
            return _Every((), (number,), ()) if negated else _Every((number,), (), ())
        case Every(parts) | Some(parts):
            facts = [part for part in parts if isinstance(part, Leaf) and part.is_fact]
            wanted = tuple({fact.number for fact in facts if not fact.negated})
            unwanted = tuple({fact.number for fact in facts if fact.negated})
            rest = tuple(condition(part) for part in parts if not (isinstance(part, Leaf) and part.is_fact))
            return _Every(wanted, unwanted, rest) if isinstance(node, Every) else _Some(wanted, unwanted, rest)
        case _:
            assert_never(node)


class Arisen(NamedTuple):
    """What rules gave before one is looked at, as far as usages are not known: `sure_tags` for certain, `all_tags` at most."""

    score: float
    score_open: bool
    sure_tags: Tags
    all_tags: Tags


Hangs = Callable[[AbstractSet[int], Arisen], bool]
"""Asks whether a condition holds or not as usages will say: Kleene's third value."""

_Best = Callable[[AbstractSet[int], Arisen, bool], bool]
"""Whether a condition holds when all that is open turns out for it (True), or against it."""


def hangs(node: Node) -> Hangs:
    """Whether a condition hangs on usages, as a function."""
    best = _best(node)
    return lambda facts, given: best(facts, given, True) and not best(facts, given, False)  # noqa: FBT003 - see _Best


def _best(node: Node) -> _Best:
    match node:
        case Every(parts):
            every = tuple(map(_best, parts))
            return lambda facts, given, well: all(part(facts, given, well) for part in every)
        case Some(parts):
            some = tuple(map(_best, parts))
            return lambda facts, given, well: any(part(facts, given, well) for part in some)
        case Leaf(test, negated, number):
            if node.is_fact:
                return lambda facts, _given, _well: (number in facts) is not negated
            return _arising_best(test, negated=negated)
        case _:
            assert_never(node)


def _arising_best(test: Test, *, negated: bool) -> _Best:
    ask, kind = _ASKING[test.field.kind](test), test.field.kind
    if kind == FieldKind.SCORE and isinstance(test.matcher, AtLeast | AtMost):
        return lambda facts, given, well: well if given.score_open else ask(facts, given.score, given.sure_tags) is not negated
    if kind in {FieldKind.SCORE, FieldKind.CLASS}:  # no rule gives a class by what was counted
        return lambda facts, given, _well: ask(facts, given.score, given.sure_tags) is not negated
    rises = isinstance(test.matcher, Absent) is negated
    return lambda facts, given, well: ask(facts, given.score, given.all_tags if well is rises else given.sure_tags) is not negated


def _score(test: Test) -> _Ask:
    """The score is a number that is always there and has no text."""
    match test.matcher:
        case AtLeast(bound):
            return lambda _facts, score, _tags: score >= bound
        case AtMost(bound):
            return lambda _facts, score, _tags: score <= bound
        case Present():
            return lambda _facts, _score, _tags: True
        case Absent() | Text() | InNetworks() | Signed() | During() | Sampled() | Refused():
            return lambda _facts, _score, _tags: False
        case _:
            assert_never(test.matcher)


def _tags(test: Test) -> _Ask:
    """The tags are a field with one value per tag."""
    match test.matcher:
        case Text(TextKind.EQUAL, texts):
            names = frozenset(map(bytes.decode, texts))
            return lambda _facts, _score, tags: not names.isdisjoint(tags)
        case Present():
            return lambda _facts, _score, tags: bool(tags)
        case Absent():
            return lambda _facts, _score, tags: not tags
        case _:
            return _texts(test, lambda tags: tags)


def class_of(tags: Tags) -> str:
    """The class that tags say: at most one of them does."""
    for tag in tags:
        if tag.startswith(CLASS_MARK):
            return tag[len(CLASS_MARK) :]
    return ANONYMOUS


def class_tag(name: str) -> str:
    """The tag that says a class."""
    return CLASS_MARK + name


def _class(test: Test) -> _Ask:
    """The class is a field that is always there and has one value."""
    match test.matcher:
        case Text(TextKind.EQUAL, texts):
            names = frozenset(map(bytes.decode, texts))
            if ANONYMOUS in names:
                return lambda _facts, _score, tags: class_of(tags) in names
            wanted = frozenset(map(class_tag, names))
            return lambda _facts, _score, tags: not wanted.isdisjoint(tags)
        case Present():
            return lambda _facts, _score, _tags: True
        case _:
            return _texts(test, lambda tags: (class_of(tags),))


def _refused(test: Test) -> _Ask:
    """How often a client was refused is said by a tag that hidden rules give: see `expand`."""
    wanted = test.matcher.tag if isinstance(test.matcher, Refused) else None
    return lambda _facts, _score, tags: wanted in tags


def _texts(test: Test, values_of: Callable[[Tags], Iterable[str]]) -> _Ask:
    """Values that rules give are compared with texts only."""
    if not isinstance(test.matcher, Text):
        return lambda _facts, _score, _tags: False
    kind = test.matcher.kind
    patterns = tuple(compile_pattern(pattern_of(kind, text)) for text in test.matcher.texts)
    return lambda _facts, _score, tags: any(_found(pattern, value) for value in values_of(tags) for pattern in patterns)


_ASKING: Final[Mapping[str, Callable[[Test], _Ask]]] = {
    FieldKind.SCORE: _score, FieldKind.TAG: _tags, FieldKind.CLASS: _class, FieldKind.REFUSED: _refused,
}  # fmt: skip


def _found(pattern: Any, tag: str) -> bool:
    return pattern.search(tag.encode()) is not None


def triggers(node: Node, popularity: Counter[int]) -> frozenset[Trigger] | None:
    """Triggers of a condition: if none of them is there it does not hold. None: it may hold for any request.

    `popularity` says in how many conditions of the policy a fact occurs; of several choices the most selective is taken.
    """
    match node:
        case Leaf(test, negated, number):
            if not node.is_fact:
                return _arising_triggers(test, negated=negated)
            return None if negated else frozenset((number,))
        case Every(parts):
            found = [choice for part in parts if (choice := triggers(part, popularity)) is not None]
            costs = _costs(node, popularity)
            arising = SELECTIVITY["arising"]
            return min(found, key=lambda choice: sum(costs.get(trigger, arising) for trigger in choice), default=None)
        case Some(parts):
            every: set[Trigger] = set()
            for part in parts:
                choice = triggers(part, popularity)
                if choice is None:
                    return None
                every |= choice
            return frozenset(every)
        case _:
            assert_never(node)


def _arising_triggers(test: Test, *, negated: bool) -> frozenset[Trigger] | None:
    match test.matcher, negated:
        case (AtLeast(bound), False) if test.field.kind == FieldKind.SCORE and bound > 0:
            return frozenset((SCORED,))
        case (Text(TextKind.EQUAL, texts), False) if test.field.kind == FieldKind.TAG:
            return frozenset(map(trigger_of_tag, map(bytes.decode, texts)))
        case ((Text() | Present()), False) if test.field.kind == FieldKind.TAG:
            return frozenset((TAGGED,))
        case (Refused() as refused, False):
            return frozenset((trigger_of_tag(refused.tag),))
        case (Text(TextKind.EQUAL, texts), False) if test.field.kind == FieldKind.CLASS:
            names = set(map(bytes.decode, texts))
            return None if ANONYMOUS in names else frozenset(trigger_of_tag(class_tag(name)) for name in names)
        case _:
            return None


def _costs(node: Node, popularity: Counter[int]) -> Mapping[Trigger, float]:
    return {leaf.number: _share(leaf.test) * popularity[leaf.number] for leaf in leaves(node) if leaf.is_fact}


def _share(test: Test) -> float:
    """A guess at the share of requests for which a test holds."""
    match test.matcher:
        case Text(TextKind.PREFIX, texts) if any(len(text) <= 1 for text in texts):
            return SELECTIVITY["short prefix"]
        case Text(kind):
            row = field_type(test.field.kind)
            return row.share if row.is_exact else row.share * SELECTIVITY.get(str(kind), SELECTIVITY["text"])
        case Signed() | During():
            return SELECTIVITY["signed"]
        case Sampled(share):
            return share
        case InNetworks(networks):
            wide = any(network.last - network.first > _WIDE_NETWORK_ADDRESSES for network in networks)
            return SELECTIVITY["wide networks" if wide else "networks"]
        case Present() | Absent() | AtLeast() | AtMost() | Refused():
            return SELECTIVITY["presence or number"] * min(1.0, field_type(test.field.kind).share / DEFAULT_SHARE)
        case _:
            assert_never(test.matcher)
