"""The list of AI crawlers that the ai.robots.txt project publishes as JSON: one rule for each function the list names.

The list is `{NAME: {"operator": …, "function": …, …}}`. Names become words that a user agent is searched for.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from proxyguard.tools.importers.draft import Draft, DraftTest, ImportFault, slug
from proxyguard.tools.importers.robots import NEVER_SENT
from proxyguard.tools.importers.samples import word_fault
from proxyguard.tools.importers.sources import Sources

_UNCLEAR: Final = re.compile(r"(?i)unclear|unknown|n/a|none|^\W*$")
_LINK: Final = re.compile(r"\[([^\]]{1,100})\]\([^)]{0,300}\)")

MAX_FUNCTION: Final = 60
MAX_FUNCTIONS: Final = 12
"""Functions with a rule of their own; the others are sentences that no second crawler has."""


def read_ai_robots(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault when the file is not such a list."""
    try:
        found = json.loads(sources.text)
    except (ValueError, RecursionError) as error:
        raise ImportFault(f"it is not JSON: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise ImportFault('it is not a list of crawlers, such as {"GPTBot": {"operator": "OpenAI", "function": "…"}}')
    draft = Draft(name, "Declared AI crawlers, from the list of the ai.robots.txt project.")
    by_function: dict[str, list[str]] = {}
    for crawler, entry in found.items():
        if _usable(draft, crawler):
            by_function.setdefault(_function(entry), []).append(crawler)
    for function, crawlers in _few(by_function).items():
        _add(draft, function, crawlers)
    return draft


def _usable(draft: Draft, crawler: str) -> bool:
    if crawler.lower() in NEVER_SENT:
        draft.note(0, f"{crawler} was left out: it is a name for robots.txt only, no request carries it")
        return False
    fault = word_fault(crawler)
    if fault is not None or not crawler.isprintable():
        draft.note(0, f"{crawler[:40]!r} was left out: {fault or 'it is not the name of a crawler'}")
        return False
    return True


def _function(entry: dict[str, Any]) -> str:
    """The purpose of a crawler in the words of the list; '' if it is unclear or a whole sentence."""
    text = _LINK.sub(r"\1", str(entry.get("function", ""))).strip()
    return "" if _UNCLEAR.search(text) or len(text) > MAX_FUNCTION else text.rstrip(".")


def _few(by_function: dict[str, list[str]]) -> dict[str, list[str]]:
    """The functions that several crawlers share, and all others as one."""
    by_slug: dict[str, tuple[str, list[str]]] = {}
    for function, crawlers in by_function.items():
        by_slug.setdefault(slug(function) if function else "", (function, []))[1].extend(crawlers)
    ranked = sorted(by_slug.values(), key=lambda item: (-len(item[1]), item[0]))
    kept = {function: crawlers for function, crawlers in ranked[:MAX_FUNCTIONS] if function and len(crawlers) > 1}
    others = [crawler for function, crawlers in by_slug.values() if function not in kept for crawler in crawlers]
    return {**kept, "": others} if others else kept


def _add(draft: Draft, function: str, crawlers: list[str]) -> None:
    list_name = slug(function) if function else "other-purposes"
    draft.lists[list_name] = sorted(set(crawlers), key=str.casefold)
    why = f"The list says what they are for: {function}." if function else "The list has them for other or unclear purposes."
    action = {"reject": {"message": "This site may not be collected by AI crawlers."}}
    rule = draft.add(list_name, why, {"user_agent": {"word": f"${list_name}"}}, action)
    for crawler in draft.lists[list_name][:2]:
        if crawler.isascii():
            draft.tests.append(DraftTest({"user_agent": f"Mozilla/5.0 (compatible; {crawler}/1.0)"}, f"reject by {rule.name}"))
