"""Rules that look at a form's token where no form is posted: PG007."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from proxyguard.core.problems import listed
from proxyguard.policy.compile.normal_form import Every, Leaf, Node, Some, reads
from proxyguard.policy.compile.path_index import named_path
from proxyguard.policy.model import Field, FieldKind, Test, Text, TextKind
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.logic import contradiction
from proxyguard.tools.lint.view import PolicyView
from proxyguard.tools.lint.words import text_of

_FORM: Final = "form"
_NO_POST: Final = Leaf(Test(Field(FieldKind.METHOD), Text(TextKind.EQUAL, (b"GET", b"HEAD", b"OPTIONS"))), negated=True)


def forms(view: PolicyView) -> Iterator[Finding]:
    """PG007; none where the site folds paths, as rule and form may then spell one path in two ways."""
    posts = dict.fromkeys(path for rule_set in view.policy.rule_sets for form in rule_set.forms for path in form.post)
    if not posts or view.reading.folds_paths:
        return
    post = Every((_NO_POST, _any_of(posts)))
    for item in view.live:
        if not reads(item.when, _FORM) or contradiction(item.when) or contradiction(Every((item.when, post))) is None:
            continue
        message = f"the rule '{item.rule.name}' can never apply: it looks at form where no guarded form is posted"
        hint = f"forms are posted to {listed(map(text_of, posts))}, with any method but GET, HEAD, OPTIONS; see form_guard"
        yield item.finding("PG007", message, hint, place=item.source.find_key(item.rule, "when", _FORM))


def _any_of(paths: dict[bytes, None]) -> Node:
    by_kind: dict[TextKind, list[bytes]] = defaultdict(list)
    for kind, text in map(named_path, paths):
        by_kind[kind].append(text)
    return Some(tuple(Leaf(Test(Field(FieldKind.PATH), Text(kind, tuple(texts)))) for kind, texts in by_kind.items()))
