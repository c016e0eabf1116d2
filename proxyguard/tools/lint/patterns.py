"""Texts that match more, or less, than they look like: PG020, PG021 and PG023."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxyguard.core.problems import quoted
from proxyguard.policy.compile.normal_form import Leaf, leaves
from proxyguard.policy.model import FieldKind, Text, TextKind
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.view import PolicyView, RuleView
from proxyguard.tools.lint.words import format_field, text_of

MAX_SHORT: Final = 4
"""Letters of a text that stands in too many others by chance: `bot` is in CUBOT, `lcc` in SLCC1, `code` in Xcode."""

_BARE: Final = re.compile(r"[A-Za-z0-9]+", re.ASCII)
_FLAGS: Final = re.compile(r"^\(\?[a-zA-Z]+\)")
_BLANKS: Final = " \t\r\n\v\f"


def patterns(view: PolicyView) -> Iterator[Finding]:
    """PG020, PG021 and PG023."""
    for item in view.live:
        for leaf in leaves(item.when):
            if isinstance(leaf.test.matcher, Text) and leaf.test.field.kind != FieldKind.TAG:
                yield from _short(item, leaf, leaf.test.matcher)
                yield from _blank(item, leaf.test.matcher)
                yield from _whole(item, leaf, leaf.test.matcher)


def _short(item: RuleView, leaf: Leaf, matcher: Text) -> Iterator[Finding]:
    texts = [text_of(text) for text in matcher.texts]
    short = {text: word for text in texts if (word := _short_word(matcher.kind, text))}
    if not short:
        return
    text, word = next(iter(short.items()))
    field = format_field(leaf)
    more = f" (and {len(short) - 1} more like it)" if len(short) > 1 else ""
    message = f"{matcher.kind} {quoted(text)}{more} finds {quoted(word)} inside of other words too"
    hint = f"{field}: {{word: {word}}} finds it as a whole word, in upper or lower case"
    yield item.finding("PG020", message, hint, place=item.source.find_text(item.rule, list(short)))


def _short_word(kind: TextKind, text: str) -> str | None:
    """The short bare word that a pattern finds anywhere; None when there is none."""
    match kind:
        case TextKind.CONTAINS | TextKind.CONTAINS_ANY:
            words = [text]
        case TextKind.GLOB:
            words = [text.strip("*")] if text.startswith("*") and text.endswith("*") else []
        case TextKind.REGEX:
            words = _alternatives(text)
        case _:
            words = []
    return next((word for word in words if len(word) <= MAX_SHORT and _BARE.fullmatch(word)), None)


def _alternatives(pattern: str) -> list[str]:
    """What a regex without anchors and classes finds: the parts of `(?i)(bot|spider)`."""
    plain = _FLAGS.sub("", pattern)
    if plain.startswith("(") and plain.endswith(")") and plain.count("(") == 1:
        plain = plain[1:-1].removeprefix("?:")
    return plain.split("|") if "(" not in plain and "[" not in plain else []


def _blank(item: RuleView, matcher: Text) -> Iterator[Finding]:
    for raw in matcher.texts:
        text = text_of(raw)
        if not text or text.strip(_BLANKS) == text:
            continue
        where = "ends" if text.rstrip(_BLANKS) != text else "begins"
        blank = text[-1] if where == "ends" else text[0]
        name = {" ": "a blank", "\t": "a tab", "\n": "a line break"}.get(blank, "a blank")
        kind = "the value" if matcher.kind is TextKind.EQUAL else matcher.kind
        message = f"{kind} {quoted(text)} {where} with {name}"
        if matcher.kind in (TextKind.EQUAL, TextKind.SUFFIX, TextKind.PREFIX):
            hint = "values come without blanks around them, so it never matches: take it out"
        elif matcher.kind is TextKind.REGEX and blank == "\n":
            hint = "no value holds a line break, so it never matches: write the pattern on one line, in single quotes"
        else:
            hint = f"take it out, or use word: {text.strip(_BLANKS)} to find it as a whole word"
        yield item.finding("PG021", message, hint, place=item.source.find_text(item.rule, [text]))


def _whole(item: RuleView, leaf: Leaf, matcher: Text) -> Iterator[Finding]:
    if str(leaf.test.field) != "header.user-agent" or matcher.kind is not TextKind.EQUAL:
        return
    bare = [text for raw in matcher.texts if (text := text_of(raw)) and not set(text) & set("/ (")]
    if bare:
        more = f" (and {len(bare) - 1} more like it)" if len(bare) > 1 else ""
        message = f"user_agent {quoted(bare[0])}{more} is compared with the whole header, which says more than a name"
        hint = f"user_agent: {{word: {bare[0]}}} finds the name in it, as in '{bare[0]}/1.0 (…)'"
        yield item.finding("PG023", message, hint, place=item.source.find_text(item.rule, bare))
