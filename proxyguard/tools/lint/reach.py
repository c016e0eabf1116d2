"""Rules that can never apply: decided earlier, contradictory, asking for what nothing gives, or expired. PG001 to PG004."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from proxyguard.core.decision import ACTION_NAMES, Mode, Score, Tag
from proxyguard.core.problems import listed, plural
from proxyguard.core.units import format_minute
from proxyguard.policy.bundled import is_bundled
from proxyguard.policy.compile.normal_form import Every, Leaf, Node, Some, holds_with, leaves
from proxyguard.policy.model import AtLeast, Field, FieldKind, Text, TextKind
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.logic import always_holds, contradiction, implies
from proxyguard.tools.lint.view import PolicyView, RuleView
from proxyguard.tools.lint.words import format_leaf, rule_at

MAX_TEXT: Final = 64
"""Bytes of a text whose parts are looked up; more are compared with rules of the same text only."""

MAX_LOOSE_PAIRS: Final = 200_000
"""Comparisons with rules that no text leads to (networks, patterns); enough for 600 such rules, about a second."""

_OWN_MARK: Final = b":"
"""In tags that no rule attaches: classes and restrictions have them, names of tags cannot."""

type Handle = tuple[Field, TextKind, bytes]


def reach(view: PolicyView) -> Iterator[Finding]:
    """PG001 to PG004, each rule at most once."""
    deciders = _Deciders()
    given = _GivenBefore()
    hidden: dict[str, list[RuleView]] = defaultdict(list)
    for item in view.live:
        found = _impossible(item) or _ungiven(item, given)
        earlier = deciders.covering(item) if found is None else None
        if found is not None:
            yield found
        elif earlier is None:
            given.add(item)
            deciders.add(item)
        elif is_bundled(item.rule_set.file) and not is_bundled(earlier.rule_set.file):
            hidden[earlier.rule.name].append(item)
        else:
            yield _decided_before(item, earlier)
    for item in view.live:
        if item.rule.name in hidden:
            yield _hides_imported(item, hidden[item.rule.name])
    reported: set[str] = set()
    for item in view.every:
        expires, restriction = item.rule.expires, item.rule.restriction
        if expires is not None and view.is_expired(item.rule) and item.mode is not Mode.OFF and restriction not in reported:
            day = format_minute(expires)
            what = f"the restriction '{restriction}' ended" if restriction else f"the rule '{item.rule.name}' expired"
            message = f"{what} on {day}"
            reported |= {restriction} if restriction else set()
            place = item.source.find_key(item.rule, "expires")
            yield item.finding("PG004", message, "delete it, or give it a later day", place=place)


def _impossible(item: RuleView) -> Finding | None:
    clash = contradiction(item.when)
    if clash is None:
        return None
    tests = " and ".join(format_leaf(leaf) for leaf in clash[:3])
    reason = f"{tests} exclude each other" if tests else "its condition is empty"
    hint = "values of one field that are alternatives go into one list; conditions that are go below any:"
    place = item.source.find_key(item.rule, "when")
    return item.finding("PG002", f"the rule '{item.rule.name}' can never apply: {reason}", hint, place=place)


class _GivenBefore:
    """The points and tags that rules before the present one can give."""

    def __init__(self) -> None:
        self.most = 0.0
        self.tags: set[bytes] = set()
        self.in_shadow = False

    def add(self, item: RuleView) -> None:
        action = item.rule.action
        if item.mode is not Mode.ENFORCE:
            self.in_shadow = self.in_shadow or isinstance(action, Score | Tag)
        elif isinstance(action, Score):
            self.most += max(0.0, action.points)
        elif isinstance(action, Tag):
            self.tags.add(action.name.encode())

    def lacks(self, leaf: Leaf) -> bool:
        """Whether a test cannot hold with what can have been given."""
        if leaf.negated:
            return False
        match leaf.test.field.kind, leaf.test.matcher:
            case FieldKind.SCORE, AtLeast(bound):
                return bound > self.most
            case FieldKind.TAG, Text(TextKind.EQUAL, texts):
                return self.tags.isdisjoint(texts) and not any(_OWN_MARK in text for text in texts)
            case _:
                return False


def _ungiven(item: RuleView, given: _GivenBefore) -> Finding | None:
    lacking = [leaf for leaf in leaves(item.when) if given.lacks(leaf)]
    if not lacking or holds_with(item.when, lambda leaf: not given.lacks(leaf)):
        return None
    leaf = lacking[0]
    matcher = leaf.test.matcher
    if isinstance(matcher, AtLeast):
        reason = f"it asks for a score of {matcher.bound:g}, and the rules before it give at most {given.most:g}"
    else:
        reason = f"it asks for the {format_leaf(leaf)}, which no rule before it attaches"
    hint = "put it after the rules that give it, or ask for less"
    if given.in_shadow:
        hint += "; rules in shadow give nothing"
    place = item.source.find_key(item.rule, "when", str(leaf.test.field))
    return item.finding("PG003", f"the rule '{item.rule.name}' can never apply: {reason}", hint, place=place)


def _decided_before(item: RuleView, earlier: RuleView) -> Finding:
    verb = ACTION_NAMES[type(earlier.rule.action)]
    which = "every request" if always_holds(earlier.when) else "every request that it is for"
    message = f"the rule '{item.rule.name}' can never apply: {rule_at(earlier.rule)} decides {which} before it ({verb})"
    if earlier.allows and not item.allows:
        hint = "allow rules come first wherever they stand: make that one narrower, or use pass, which keeps its place"
    elif always_holds(earlier.when):
        hint = "put the rule that holds for everything last"
    else:
        hint = "put the narrower rule first, or delete it"
    return item.finding("PG001", message, hint)


def _hides_imported(item: RuleView, imported: list[RuleView]) -> Finding:
    """At the rule of the operator's, which can be mended; the imported ones cannot."""
    names = listed(each.rule.name for each in imported)
    message = f"the rule '{item.rule.name}' decides before {plural(len(imported), 'imported rule')}: {names} can never apply"
    other = "use pass, which keeps its place" if item.allows else "put it behind the import"
    hint = f"make it narrower, or {other}; what is meant to be off is said so: override: {{NAME: {{mode: off}}}}"
    return item.finding("PG001", message, hint)


class _Deciders:
    """Rules that end evaluation for certain when their condition holds, found by the texts that they look for."""

    def __init__(self) -> None:
        self._by_handle: dict[Handle, list[RuleView]] = {}
        self._lengths: dict[tuple[Field, TextKind], set[int]] = {}
        self._loose: list[RuleView] = []
        self._pairs = 0

    def add(self, item: RuleView) -> None:
        """Remember a rule that decides: no limit, in force, without an end, and not by what arises on the way."""
        rule = item.rule
        if not item.is_terminal or rule.limit is not None or item.mode is not Mode.ENFORCE or rule.expires is not None:
            return
        if any(leaf.test.field.kind in (FieldKind.SCORE, FieldKind.TAG, FieldKind.REFUSED) for leaf in leaves(item.when)):
            return
        handles = _handles(item.when)
        if handles is None:
            self._loose.append(item)
            return
        for handle in handles:
            self._by_handle.setdefault(handle, []).append(item)
            self._lengths.setdefault(handle[:2], set()).add(len(handle[2]))

    def covering(self, item: RuleView) -> RuleView | None:
        """The first remembered rule that is proved to decide all that this one is for."""
        for earlier in self._candidates(item.when):
            if implies(item.when, earlier.when):
                return earlier
        for earlier in self._loose:
            self._pairs += 1
            if self._pairs > MAX_LOOSE_PAIRS:
                return None
            if implies(item.when, earlier.when):
                return earlier
        return None

    def _candidates(self, node: Node) -> Iterator[RuleView]:
        for leaf in leaves(node):
            matcher = leaf.test.matcher
            if leaf.negated or not isinstance(matcher, Text) or not matcher.texts:
                continue
            for handle in self._looked_up(leaf.test.field, matcher.kind, matcher.texts[0]):
                yield from self._by_handle.get(handle, ())

    def _looked_up(self, field: Field, kind: TextKind, text: bytes) -> Iterator[Handle]:
        """The handles that a rule covering this text may have."""
        yield field, kind, _folded(kind, text)
        if len(text) > MAX_TEXT:
            return
        for wide in (TextKind.PREFIX, TextKind.SUFFIX, TextKind.CONTAINS, TextKind.CONTAINS_ANY, TextKind.WORD):
            for length in self._lengths.get((field, wide), ()):
                for start in range(len(text) - length + 1):
                    yield field, wide, _folded(wide, text[start : start + length])


def _handles(node: Node) -> set[Handle] | None:
    """Texts of which a covering rule's condition needs one; None when there are none."""
    match node:
        case Leaf():
            matcher = node.test.matcher
            if node.negated or not isinstance(matcher, Text) or matcher.kind in (TextKind.GLOB, TextKind.REGEX):
                return None
            return {(node.test.field, matcher.kind, _folded(matcher.kind, text)) for text in matcher.texts}
        case Every(parts):
            found = [handles for part in parts if (handles := _handles(part)) is not None]
            return min(found, key=len, default=None)
        case Some(parts):
            every: set[Handle] = set()
            for part in parts:
                handles = _handles(part)
                if handles is None:
                    return None
                every |= handles
            return every


def _folded(kind: TextKind, text: bytes) -> bytes:
    return text.lower() if kind in (TextKind.WORD, TextKind.CONTAINS_ANY) else text
