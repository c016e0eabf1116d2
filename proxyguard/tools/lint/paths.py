"""Paths in rules that a site reads otherwise than they were written: PG024."""

from __future__ import annotations

from collections.abc import Iterator

from proxyguard.core.problems import quoted
from proxyguard.policy.compile.normal_form import leaves
from proxyguard.policy.compile.path_index import differs
from proxyguard.policy.model import FieldKind, Text
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.view import PolicyView


def paths(view: PolicyView) -> Iterator[Finding]:
    """PG024, for the reading of the site; none where that folds nothing."""
    if not view.reading.folds_paths:
        return
    for item in view.live:
        for leaf in leaves(item.when):
            matcher = leaf.test.matcher
            if leaf.test.field.kind != FieldKind.PATH or not isinstance(matcher, Text):
                continue
            for text, read in differs(matcher.kind, matcher.texts, view.reading):
                written, seen = text.decode(errors="replace"), read.decode(errors="replace")
                message = f"the rule '{item.rule.name}' is for {quoted(written)}, which the site reads as {quoted(seen)}"
                hint = f"write {quoted(seen)}: it stands for every spelling that the site takes for the same"
                place = item.source.find_text(item.rule, [written])
                yield item.finding("PG024", message, hint, place=place)
