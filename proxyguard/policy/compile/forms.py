"""Finds the guarded form that a request reads or posts: the first whose paths match, as the site reads paths."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.form import FormVisit, GuardedForm
from proxyguard.core.reading import SiteReading
from proxyguard.core.request import Request
from proxyguard.policy.compile.path_index import named_path, path_finder
from proxyguard.policy.compile.text_index import TextIndex
from proxyguard.policy.model import RuleSet

_NEITHER: Final = (b"HEAD", b"OPTIONS")
"""Methods that neither read a page nor post anything."""


class FormFinder:
    """The guarded forms of one policy."""

    __slots__ = ("_find", "_forms")

    def __init__(self, forms: tuple[GuardedForm, ...], reading: SiteReading) -> None:
        self._forms = forms
        texts = [
            (*named_path(path), 2 * at + is_post)
            for at, form in enumerate(forms)
            for is_post, paths in enumerate((form.read, form.post))
            for path in paths
        ]
        self._find = path_finder(texts, reading) if reading.folds_paths else TextIndex(texts).finder()

    def find(self, request: Request) -> tuple[GuardedForm, bool] | None:
        """The form, and whether it is posted: with any method but GET, HEAD and OPTIONS."""
        method = request.method.upper()
        if method in _NEITHER:
            return None
        is_post = method != b"GET"
        marks = [mark for path in request.paths for mark in self._find(path) or () if mark % 2 == is_post]
        return (self._forms[min(marks) // 2], is_post) if marks else None


def find_forms(rule_sets: tuple[RuleSet, ...], reading: SiteReading) -> FormFinder | None:
    """The finder of all guarded forms; None where rule sets that are not off guard none."""
    forms = tuple(form for rule_set in rule_sets if rule_set.mode is not Mode.OFF for form in rule_set.forms)
    return FormFinder(forms, reading) if forms else None


def form_of(finder: FormFinder | None, request: Request, state: str) -> FormVisit | None:
    """The form of a request, where somebody says what its token shows."""
    found = None if finder is None else finder.find(request)
    if found is None:
        return None
    guarded, is_post = found
    return FormVisit(guarded, (state.encode(),) if is_post else ())
