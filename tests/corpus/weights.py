"""`make weights`: fits points to what requests show, for the rules and for the table of docs/concepts/contradictions.md.

Usage: python -m tests.corpus.weights [--write]   (without it: compare, and end with 1 when the rules say otherwise)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from tests.corpus import signs
from tests.corpus.fit import LINE, MOST_OF_PEOPLE, fit, most_points, score, upper_bound
from tests.corpus.signs import Shown
from tests.paths import BUNDLED_RULES, ROOT

PAGE: Final = ROOT / "docs/concepts/contradictions.md"
RULES: Final = BUNDLED_RULES / "40-header-consistency.yaml"
BEGIN, END = "<!-- weights: begin -->", "<!-- weights: end -->"

INTERCEPTED: Final = 0.11
"""Of all people, those whose TLS something opens: the largest share published (Durumeric et al., NDSS 2017: 4 to 11 %)."""

EARLIER: Final = 40
"""Captures of real browsers that the table of kinds was made from; of these signs they show `http1` twice."""

OF_CONNECTIONS: Final = {
    "not-the-browsers-hello": 0, "browser-over-http1": 2, "host-not-first": 0, "no-word-about-connection": 0,
    "priority-over-http1": 0, "fields-out-of-order": 0, "names-in-mixed-case": 0,
    "settings-of-another": 0, "hello-of-an-older-browser": 0,
}  # fmt: skip
"""Signs that need the connection, and how many of the earlier captures show them."""

FOR: Final = "speaks-as-it-says"

BY_HAND: Final = {
    "unfilled-user-agent": 80, "impossible-browser": 60, "browser-that-upgrades": 40, "impossible-fetch-metadata": 40,
    "two-browsers": 15, "any-language": 30, "half-of-fetch-metadata": 20, "browser-over-old-http": 20, "ancient-browser": 20,
    "brands-of-no-browser": 25, "cookies-never-returned": 10,
}  # fmt: skip
"""Signs that too few of the recorded scrapers show to be fitted."""

EVASION: Final = {
    "browser-without-fetch-metadata": "send the three fields",
    "chromium-without-client-hints": "send Sec-CH-UA",
    "browser-without-accept": "send Accept",
    "browser-without-accept-language": "send Accept-Language",
    "browser-without-accept-encoding": "send Accept-Encoding",
    "browser-over-old-http": "speak HTTP/1.1",
    "ancient-browser": "take a newer name",
    "impossible-browser": "take a name that exists",
    "two-browsers": "take a name once",
    "unfilled-user-agent": "fill the template",
    "mismatched-client-hints": "change the hints with the name",
    "brands-of-no-browser": "copy the brands of the same version",
    "impossible-fetch-metadata": "copy the fields of a navigation",
    "half-of-fetch-metadata": "send all three",
    "any-language": "name a language",
    "browser-that-upgrades": "switch the upgrade off",
    "not-the-browsers-hello": "use an imitator of TLS",
    "browser-over-http1": "offer HTTP/2",
    "host-not-first": "write the head by hand, or speak HTTP/2",
    "no-word-about-connection": "send `Connection: keep-alive`",
    "priority-over-http1": "leave Priority out",
    "fields-out-of-order": "write the fields in the browser's order",
    "names-in-mixed-case": "write every name in the browser's way",
    "settings-of-another": "take the profile of the same version",
    "hello-of-an-older-browser": "take the name of the hello's version",
    "cookies-never-returned": "keep cookies",
    FOR: "nothing to evade: it speaks for the client",
}


class Row(NamedTuple):
    """One sign: its points, and how seldom people show it."""

    rule: str
    points: int
    hits: int
    of: int
    rate: float
    yields: Sequence[tuple[str, int, int]]


class Fitted(NamedTuple):
    """The points, and what came of them for the half that was kept out."""

    points: dict[str, int]
    rows: tuple[Row, ...]
    scrapers: Sequence[tuple[str, int, int]]
    people: int
    stopped: int


@cache
def fitted() -> Fitted:
    """Fit to one half, look at the other."""
    direct, behind, scrapers = list(signs.browsers()), list(signs.behind_proxies()), signs.scrapers()
    with_connection, opened = list(signs.recorded_browsers("browser")), list(signs.recorded_browsers("intercepted"))
    names = [rule.name for rule in signs.rules() if rule.name not in BY_HAND and rule.name != FOR]
    rates = {name: _rate(name, _fitted_half(direct), with_connection, opened, behind) for name in names}
    points = dict(BY_HAND) | {FOR: -_for(scrapers)}
    points |= fit(
        {name: most_points(rate) for name, (_, _, rate) in rates.items()},
        points,
        [each.signs for each in (*direct, *behind) if not each.kept_out or each.who.startswith(("browser:", "intercepted:"))],
        [[each.signs for each in _fitted_half(group)] for group in scrapers.values()],
    )
    out = {name: [each for each in group if each.kept_out] for name, group in scrapers.items()}
    people = [each for each in (*direct, *behind) if each.kept_out]
    rows = tuple(
        Row(
            rule.name,
            points[rule.name],
            *(rates.get(rule.name) or _rate(rule.name, direct, with_connection, opened, behind)),
            [(name, sum(rule.name in each.signs for each in group), len(group)) for name, group in out.items()],
        )
        for rule in signs.rules()
    )
    reached = [(name, sum(score(each.signs, points) >= LINE for each in group), len(group)) for name, group in out.items()]
    return Fitted(points, rows, reached, len(people), sum(score(each.signs, points) >= LINE for each in people))


def _fitted_half(group: Sequence[Shown]) -> list[Shown]:
    return [each for each in group if not each.kept_out]


def _rate(
    name: str, direct: list[Shown], connected: list[Shown], opened: list[Shown], behind: list[Shown]
) -> tuple[int, int, float]:
    """How many of those who speak directly show a sign, of how many, and the upper bound of its rate among all people."""
    if name in OF_CONNECTIONS:
        hits, of = OF_CONNECTIONS[name] + sum(name in each.signs for each in connected), EARLIER + len(connected)
    else:
        hits, of = sum(name in each.signs for each in direct), len(direct)
    shown = sum(name in each.signs for each in opened)
    among_opened = 1.0 if name in _of_stripped(direct, behind) else upper_bound(shown, len(opened))
    return hits, of, (1 - INTERCEPTED) * upper_bound(hits, of) + INTERCEPTED * among_opened


def _of_stripped(direct: list[Shown], behind: list[Shown]) -> set[str]:
    """The signs that come of taking fields away."""
    whole = {sign for each in (*direct, *behind) if each in direct or each.who.endswith("nothing") for sign in each.signs}
    return {sign for each in behind for sign in each.signs} - whole - set(OF_CONNECTIONS) - {FOR}


def _for(scrapers: dict[str, list[Shown]]) -> int:
    """Points that speak for a client: by how seldom programs whose connection is seen show the sign."""
    programs = [each for name in ("named", "copied", "imitators") for each in _fitted_half(scrapers[name])]
    return most_points(upper_bound(sum(FOR in each.signs for each in programs), len(programs)))


def table(found: Fitted) -> str:
    """The table of all signs, and what the line stops."""
    groups = [name for name, _, _ in found.scrapers]
    lines = [
        f"| rule | points | of people who speak directly | at most, of all people | {' | '.join(groups)} | evaded by |",
        f"|---|---:|---:|---:|{'---:|' * len(groups)}---|",
    ]
    for row in found.rows:
        mark = " (by hand)" if row.rule in BY_HAND else ""
        shares = " | ".join(f"{hits / of:.0%}" if hits else "-" for _, hits, of in row.yields)
        lines.append(
            f"| `{row.rule}`{mark} | {row.points} | {row.hits} of {row.of} | {row.rate:.1%} | {shares} | {EVASION[row.rule]} |"
        )
    lines += ["", f"Of the half that was kept out, {LINE} points and more:", ""]
    lines += [f"- {name}: {hits} of {of}" for name, hits, of in found.scrapers]
    bound = upper_bound(found.stopped, found.people)
    who = "people, as they are and behind what takes fields away and opens TLS"
    lines.append(f"- {who}: {found.stopped} of {found.people:,} (at most {bound:.2%})")
    return "\n".join(lines)


def written(text: str, points: dict[str, int]) -> str:
    """The rule file with these points."""
    for name, number in points.items():
        pattern = re.compile(rf"(- name: {re.escape(name)}\n(?:.*\n)*?    action: {{score: )-?\d+")
        text = pattern.sub(rf"\g<1>{number}", text, count=1)
    return text


def main() -> None:
    found = fitted()
    print(table(found))
    if "--write" in sys.argv:
        RULES.write_text(written(RULES.read_text("utf-8"), found.points), "utf-8")
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{rest.partition(END)[2]}", "utf-8")
    elif found.points != signs.points():
        sys.exit(f"the rules say otherwise (at most {MOST_OF_PEOPLE} points for what people show); --write changes them")


if __name__ == "__main__":
    main()
