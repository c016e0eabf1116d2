"""All lints over one policy: findings in order of place, without those that a comment in the files asks to ignore."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from proxyguard.core.problems import name_hint, quoted
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.policy.bundled import is_bundled
from proxyguard.policy.model import Place, Policy
from proxyguard.tools.lint.browsers import hits_browsers
from proxyguard.tools.lint.classes import classes
from proxyguard.tools.lint.codes import LINTS
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.forms import forms
from proxyguard.tools.lint.identities import identities
from proxyguard.tools.lint.lists import lists
from proxyguard.tools.lint.maintenance import maintenance
from proxyguard.tools.lint.paths import paths
from proxyguard.tools.lint.patterns import patterns
from proxyguard.tools.lint.reach import reach
from proxyguard.tools.lint.refusals import refusals
from proxyguard.tools.lint.robots import robots
from proxyguard.tools.lint.source import Ignore, ignores_of, read_source
from proxyguard.tools.lint.trusted import trusted
from proxyguard.tools.lint.view import PolicyView

CHECKS: Final[tuple[Callable[[PolicyView], Iterator[Finding]], ...]] = (
    robots, classes, identities, forms,
    reach, refusals, trusted, patterns, paths, hits_browsers, maintenance, lists,
)  # fmt: skip


def lint_policy(policy: Policy, now: float, reading: SiteReading = STRICT) -> list[Finding]:
    """Everything that the lints find in a policy that loads, by place. Reads its files once more. `now` is Unix seconds.

    `reading` is how the site reads paths. What is found in bundled rules that were imported is not the operator's to mend,
    but for what an override says.
    """
    files = dict.fromkeys(each.file for each in policy.rule_sets if not each.common)
    files |= dict.fromkeys(place.file for _, place in policy.overrides)
    sources = {file: read_source(file) for file in files}
    view = PolicyView(policy, sources, now, reading)
    unsaid = {place for _, place in policy.overrides}  # of findings in imported rules about what their overrides do not say
    found = [finding for check in CHECKS for finding in check(view) if finding.place not in unsaid]
    ignores = {file: source.ignores for file, source in sources.items()}
    for file in {str(written.file) for source in sources.values() for written in source.lists if written.file}:
        ignores[file] = _ignores_in_list(Path(file))
    kept = (finding for finding in _unignored(found, ignores) if not is_bundled(finding.place.file))
    return sorted(kept, key=lambda finding: (finding.place, finding.code))


def findings_of(rule: str, policy: Policy, now: float, reading: SiteReading = STRICT) -> list[Finding]:
    """What the lints find in the rule of this name, beside all others of the policy; otherwise as `lint_policy`."""
    return [finding for finding in lint_policy(policy, now, reading) if finding.rule == rule]


def _ignores_in_list(path: Path) -> tuple[Ignore, ...]:
    try:
        return ignores_of(path.read_text("utf-8", "replace").split("\n"))
    except OSError:
        return ()


def _unignored(found: list[Finding], ignores: dict[str, tuple[Ignore, ...]]) -> Iterator[Finding]:
    """Findings that no comment covers, and comments that cover nothing."""
    used: dict[tuple[str, int], set[str]] = defaultdict(set)
    for finding in found:
        covering = [ignore for ignore in ignores.get(finding.place.file, ()) if _covers(ignore, finding)]
        for ignore in covering:
            used[finding.place.file, ignore.line].add(finding.code)
        if not covering:
            yield finding
    for file, every in ignores.items():
        for ignore in every:
            for code in ignore.codes:
                if code not in used[file, ignore.line]:
                    yield _useless(file, ignore, code)


def _covers(ignore: Ignore, finding: Finding) -> bool:
    if finding.code not in ignore.codes:
        return False
    lines = {finding.place.line, *finding.also}
    return ignore.whole_file or ignore.line in lines or (ignore.alone and ignore.line + 1 in lines)


def _useless(file: str, ignore: Ignore, code: str) -> Finding:
    place = Place(file, ignore.line, 1)
    if code not in LINTS:
        message = f"the comment asks to ignore {quoted(code)}, which is no code"
        return Finding(place, "PG090", message, name_hint(code, tuple(LINTS), "codes"))
    where = "in this file" if ignore.whole_file else "on this line or the next" if ignore.alone else "on this line"
    message = f"the comment asks to ignore {code}, which is not found {where}"
    return Finding(place, "PG090", message, "delete the comment")
