"""Names across the files of a policy: taken twice, or wanted by a test or a rule and defined nowhere.

Knows nothing of how files are read or rules evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxyguard.core.decision import DEFAULT_RULE, FAILURE_RULE, STORE_RULE, SWITCH_RULE
from proxyguard.core.problems import name_hint, nearest, quoted
from proxyguard.policy.model import ANONYMOUS
from proxyguard.policy.parse.parsed_file import Mention, ParsedFile
from proxyguard.policy.restriction import SUSPECTED

RESERVED: Final = (DEFAULT_RULE, FAILURE_RULE, STORE_RULE, SWITCH_RULE)
"""Names of decisions that no rule makes."""


def listed_reserved() -> str:
    *others, last = (quoted(name) for name in RESERVED)
    return f"{', '.join(others)} and {last}"


def check_names(files: Iterable[ParsedFile], *, whole: bool) -> None:
    """Report names that are taken, and, when `whole`, tests that expect a rule which is nowhere."""
    rule_sets: dict[str, str] = {}
    rules: dict[str, str] = {}
    restrictions: dict[str, str] = {}
    every = list(files)
    for parsed in sorted(every, key=lambda each: each.imported_by is not None):
        if parsed.name is not None:
            _claim(parsed.name, "rule set", rule_sets, parsed)
        for rule_name in parsed.rule_names:
            _claim(rule_name, "rule", rules, parsed)
        for restriction_name in parsed.restriction_names:
            _claim(restriction_name, "restriction", restrictions, parsed)
    check_only_once(every)
    if not whole or not all(parsed.readable for parsed in every):
        return
    check_classes(every)
    check_forms(every)
    check_items(every)
    _check_during(every, sorted(restrictions))
    known = {*rules, *RESERVED, *_shedding(every, restrictions)}
    limits = {
        rule.name: rule.limit for parsed in every if parsed.rule_set is not None for rule in parsed.rule_set.rules if rule.limit
    }
    for parsed in every:
        for name, line, column in parsed.expected_rules:
            if name not in known:
                hint = name_hint(name, sorted(known), "rules")
                parsed.report.add(line, column, f"the test expects the rule {quoted(name)}, which is in no file", hint)
        for name, line, column in parsed.counted_rules:
            if name not in known:
                hint = name_hint(name, sorted(known), "rules")
                parsed.report.add(
                    line, column, f"the refusals of the rule {quoted(name)} cannot be counted: it is in no file", hint
                )
            limit = limits.get(name)
            if limit is not None and not limit.is_own:
                per = " and ".join(map(str, limit.per))
                message = f"the limit of {quoted(name)} is used up by many together (per {per}): one would be counted for all"
                parsed.report.add(line, column, message, "add client or account to its per, or leave it out here")
        for name, line, column in parsed.left_out_rules:
            if name not in known:
                hint = name_hint(name, sorted(known), "rules")
                parsed.report.add(line, column, f"the test leaves out the rule {quoted(name)}, which is in no file", hint)


def check_only_once(files: list[ParsedFile]) -> None:
    """Report what may be said once in a policy and is said again."""
    first: dict[str, str] = {}
    for parsed in files:
        report = parsed.report
        places = {"account": parsed.account, "classes": next(iter(parsed.classes.values()), None)}
        for noun, place in places.items():
            if place is None:
                continue
            first_place = first.setdefault(noun, f"{report.file}:{place[0]}")
            if first_place != f"{report.file}:{place[0]}":
                report.add(*place, f"{noun} is already said in {first_place}", "all files share it: say it once")


def _shedding(files: list[ParsedFile], restrictions: Iterable[str]) -> set[str]:
    """What the rules of restrictions that shed load can be called: by the classes that any file defines."""
    steps = (SUSPECTED, ANONYMOUS, *(name for parsed in files for name in parsed.classes))
    return {f"{name}-{step}" for name in restrictions for step in steps}


def _check_during(files: list[ParsedFile], known: list[str]) -> None:
    """Report tests that take place during a restriction which no file defines."""
    for parsed in files:
        for name, line, column in parsed.expected_restrictions:
            if name not in known:
                hint = name_hint(name, known, "restrictions") if known else "no file defines restrictions"
                parsed.report.add(line, column, f"there is no restriction {quoted(name)}", hint)


def check_classes(files: list[ParsedFile]) -> None:
    """Report classes that no file defines, and accounts that no file says how to know."""
    defined = {name for parsed in files for name in parsed.classes}
    known = sorted({*defined, ANONYMOUS})
    has_account = any(parsed.account for parsed in files)
    for parsed in files:
        for name, line, column in parsed.class_uses:
            if name not in known:
                is_slip = defined or nearest(name, known) is not None
                hint = name_hint(name, known, "classes") if is_slip else "no file defines classes: {name, when}"
                parsed.report.add(line, column, f"there is no class {quoted(name)}", hint)
        for name, line, column in parsed.account_uses if not has_account else ():
            hint = "account: {key: cookie.session, class_header: x-account-class}, once in any file"
            parsed.report.add(line, column, f"{name} needs to know accounts, and no file says how", hint)


def check_forms(files: list[ParsedFile]) -> None:
    """Report forms that two files guard, and rules about forms where no file guards any."""
    taken: dict[str, str] = {}
    for parsed in files:
        for name, line, column in parsed.forms:
            first = taken.setdefault(name, f"{parsed.report.file}:{line}")
            if first != f"{parsed.report.file}:{line}":
                hint = "its cookie bears the name: choose another"
                parsed.report.add(line, column, f"the form {quoted(name)} is already guarded in {first}", hint)
    for parsed in files if not taken else ():
        for word, line, column in parsed.form_uses:
            hint = "form_guard: {sign-up: {read: /signup, post: /signup}}, in any file"
            parsed.report.add(line, column, f"{word} needs to know which forms are guarded, and no file says so", hint)


def check_items(files: list[ParsedFile]) -> None:
    """Report kinds of items that stand twice or nowhere, and rules about items where no file says what one is."""
    taken: dict[str, str] = {}
    for parsed in sorted(files, key=lambda each: each.imported_by is None):
        for name, line, column in parsed.items:
            first = taken.setdefault(name, f"{parsed.report.file}:{line}")
            if first != f"{parsed.report.file}:{line}":
                hint = "choose another name; your own kinds are looked for before imported ones"
                parsed.report.add(line, column, f"the kind of item {quoted(name)} is already in {first}", hint)
    for parsed in files:
        for word, line, column in parsed.item_uses if not taken else ():
            hint = "items: {profiles: {path: /profiles/*, id: path_segment.2}}, in any file"
            parsed.report.add(line, column, f"{word} needs to know what an item is, and no file says so", hint)
        for name, line, column in parsed.item_kind_uses if taken else ():
            if name not in taken:
                hint = name_hint(name, taken, "kinds of items")
                parsed.report.add(line, column, f"there is no kind of item {quoted(name)}", hint)


def _claim(name: Mention, noun: str, taken: dict[str, str], parsed: ParsedFile) -> None:
    text, line, column = name
    report = parsed.report
    first = taken.setdefault(text, f"{report.file}:{line}")
    if first != f"{report.file}:{line}":
        hint = "metrics and records tell rules apart by name: choose another"
        if parsed.imported_by is not None:
            report, line, column = parsed.imported_by
            hint = "it is imported here as well: take one of the two out"
        report.add(line, column, f"the {noun} {quoted(text)} is already in {first}", hint)
