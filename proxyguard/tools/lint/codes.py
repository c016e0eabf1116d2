"""The table of lints. A code never changes its meaning; one that is given up is never used again."""

from __future__ import annotations

from typing import Final

from proxyguard.tools.lint.findings import Finding, Lint, Severity

_WARNING: Final = Severity.WARNING
_INFO: Final = Severity.INFO

_ALL: Final = (
    Lint("PG001", "unreachable-rule", _WARNING, "An earlier rule decides every request that the rule is for"),
    Lint("PG002", "contradiction", _WARNING, "The condition can hold for no request"),
    Lint("PG003", "nothing-gives-it", _WARNING, "The rule asks for a score or a tag that no earlier rule gives"),
    Lint("PG004", "expired-rule", _WARNING, "The rule has expired and is not looked at any more"),
    Lint("PG005", "unknown-identity", _WARNING, "A rule or a test names an identity that nobody can have"),
    Lint("PG006", "unreachable-class", _WARNING, "No client can be of the class"),
    Lint("PG007", "form-not-posted", _WARNING, "A rule looks at a form's token where no form is posted"),
    Lint("PG010", "broad-allow", _WARNING, "An allow rule lets in a large part of the internet"),
    Lint("PG011", "allow-by-user-agent", _WARNING, "An allow rule trusts a user agent, which anybody can send"),
    Lint("PG012", "good-bot-by-name", _WARNING, "A crawler is trusted for its name alone"),
    Lint("PG013", "allows-everything", _WARNING, "An allow rule holds for every request"),
    Lint("PG014", "everybody-as-client", _WARNING, "A rule names the whole internet as its clients"),
    Lint("PG020", "short-word", _WARNING, "A short text is looked for without word boundaries"),
    Lint("PG021", "stray-blank", _WARNING, "A text begins or ends with a blank"),
    Lint("PG022", "hits-browsers", _WARNING, "The rule acts on real browsers"),
    Lint("PG023", "whole-user-agent", _WARNING, "A user agent is compared as a whole with a bare name"),
    Lint("PG024", "path-read-otherwise", _WARNING, "The site reads the path of a rule otherwise than it was written"),
    Lint("PG030", "burst-beyond-rate", _WARNING, "A limit lets more through at once than its rate in a whole period"),
    Lint("PG031", "closes-the-site", _WARNING, "The rule refuses every request, without a limit and without an end"),
    Lint("PG032", "late-refusals", _WARNING, "A rule for who was refused often stands behind the limit that refuses them"),
    Lint("PG034", "robots-txt-for-people", _WARNING, "A rule about robots.txt also refuses people"),
    Lint("PG035", "counts-one-value", _WARNING, "A limit counts different values of what its key has one value of"),
    Lint("PG040", "similar-names", _INFO, "Two rules have names that are easily mistaken for each other"),
    Lint("PG041", "shadow-without-test", _INFO, "No test expects a rule that waits in shadow"),
    Lint("PG050", "duplicate-entry", _WARNING, "A list has an entry twice"),
    Lint("PG051", "nested-network", _INFO, "A list has a network that lies inside of another one of the list"),
    Lint("PG052", "trailing-blank", _INFO, "Lines of a list file end with blanks"),
    Lint("PG053", "unused-list", _WARNING, "A list is defined and never used"),
    Lint("PG054", "empty-list", _WARNING, "A list has no entry"),
    Lint("PG055", "host-bits", _INFO, "A list file has networks with bits set beyond their prefix length"),
    Lint("PG090", "useless-ignore", _WARNING, "A comment asks to ignore what is not found there"),
)

LINTS: Final = {lint.code: lint for lint in _ALL}


def severity_of(finding: Finding) -> Severity:
    return finding.severity or LINTS[finding.code].severity


def page_of(code: str) -> str:
    """Where a code is explained, relative to the top of the repository."""
    return f"docs/lints/{code}.md"
