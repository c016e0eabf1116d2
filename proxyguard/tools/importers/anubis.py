"""A policy file of Anubis as rules: bots with their patterns, weights as scores, thresholds as rules on the score.

Anubis takes the first bot that matches, and all conditions of a bot must hold; so do rules, with `pass` for ALLOW. A challenge
has no counterpart: it becomes a tag, for a limit or a score of yours. Imports, expressions in CEL beyond the simplest, countries
and networks by number are left out with notes.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, Final, NamedTuple

from proxyguard.core.problems import Fault, Report
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence, read_yaml
from proxyguard.policy.model import TextKind
from proxyguard.policy.parse.patterns import check_regex
from proxyguard.tools.importers.draft import Draft, DraftRule, DraftTest, ImportFault, Plain, joined, slug
from proxyguard.tools.importers.expressions import NotCarried, condition_of, score_of
from proxyguard.tools.importers.samples import BROWSER, MISSING_OR_EMPTY, browser_hit, example_of

DEFAULT_WEIGHT: Final = "5"
"""What WEIGH without a weight adds."""

CHALLENGE_TAG: Final = "challenge"

_ACTIONS: Final = frozenset({"ALLOW", "DENY", "CHALLENGE", "WEIGH", "DEBUG_BENCHMARK"})
_BOT_KEYS: Final = frozenset(
    ("name", "action", "user_agent_regex", "path_regex", "headers_regex", "remote_addresses", "expression", "weight", "challenge")
)  # fmt: skip


class Bot(NamedTuple):
    """An entry of `bots`, with the parts that a rule is made of."""

    name: str
    action: str
    line: int
    parts: dict[str, Node]


def read_anubis(text: str, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault when the file is not a policy."""
    report = Report("")
    root = read_yaml(text, report)
    if root is None:
        first = report.finished()[0]
        raise ImportFault(f"line {first.line}: {first.message}")
    draft = Draft(name, "Rules of an Anubis policy.")
    entries = _entries(root)
    for node in entries:
        bot = _bot(draft, node)
        if bot is not None:
            _add_bot(draft, bot)
    if isinstance(root, Mapping):
        _add_thresholds(draft, root)
        _note_rest(draft, root)
    if any(rule.action == "pass" for rule in draft.rules):
        draft.note(0, "ALLOW became pass: it ends the rules after it, those of later files too, and lifts no ban; see allow")
    if any(rule.action == {"tag": CHALLENGE_TAG} for rule in draft.rules):
        draft.note(0, f"CHALLENGE became the tag '{CHALLENGE_TAG}': nothing is challenged; give the tag a limit or a score")
    if draft.rules:
        draft.tests.append(DraftTest({"user_agent": BROWSER}, "pass"))
    return draft


def _entries(root: Node) -> list[Node]:
    """The bots: below `bots:`, or the whole file when it is one that others import."""
    if isinstance(root, Sequence):
        return list(root.items)
    bots = _get(root, "bots")
    if not isinstance(bots, Sequence):
        raise ImportFault("it has no bots:, and so is not a policy of Anubis")
    return list(bots.items)


def _get(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, Mapping):
        return None
    return next((entry.value for entry in node.entries if entry.key.text == key), None)


def _text(node: Node | None) -> str | None:
    return node.text if isinstance(node, Scalar) and not node.is_null else None


def _bot(draft: Draft, node: Node) -> Bot | None:
    if not isinstance(node, Mapping):
        draft.note(node.line, "an entry of bots is not a mapping")
        return None
    source = _text(_get(node, "import"))
    if source is not None:
        draft.note(node.line, f"import: {source[:100]} was not followed: import that file by itself")
        return None
    name, action = _text(_get(node, "name")), _text(_get(node, "action"))
    if not name or action not in _ACTIONS:
        draft.note(node.line, f"a bot without a name or a known action was left out: {name or '(no name)'}, {action}")
        return None
    if action == "DEBUG_BENCHMARK":
        draft.note(node.line, f"{name[:60]} was left out: DEBUG_BENCHMARK is for Anubis itself")
        return None
    parts = {entry.key.text: entry.value for entry in node.entries}
    unknown = sorted(parts.keys() - _BOT_KEYS)
    if unknown:
        draft.note(node.line, f"{name[:60]} was left out: it asks for {', '.join(unknown)}, which rules cannot")
        return None
    return Bot(name, action, node.line, parts)


def _add_bot(draft: Draft, bot: Bot) -> None:
    try:
        conditions = _conditions(draft, bot)
    except NotCarried as error:
        draft.note(bot.line, f"{bot.name[:60]} was left out: {error}")
        return
    if not conditions:
        draft.note(bot.line, f"{bot.name[:60]} was left out: it has no condition")
        return
    why = f"The bot {bot.name} of the Anubis policy."[:200]
    rule = draft.add(bot.name, why, reduce(joined, conditions), _action(bot), bot.line)
    _add_test(draft, bot, rule)


def _action(bot: Bot) -> Plain:
    match bot.action:
        case "ALLOW":
            return "pass"
        case "DENY":
            return "reject"
        case "WEIGH":
            return {"score": _text(_get(bot.parts.get("weight"), "adjust")) or DEFAULT_WEIGHT}
        case _:
            return {"tag": CHALLENGE_TAG}


def _conditions(draft: Draft, bot: Bot) -> list[dict[str, Any]]:
    """The conditions of a bot, all of which must hold. Raises NotCarried."""
    found: list[dict[str, Any]] = []
    for key, field in (("user_agent_regex", "user_agent"), ("path_regex", "path")):
        pattern = _text(bot.parts.get(key))
        if pattern is not None:
            found.append({field: _text_or_missing(draft, bot, pattern, field)})
    headers = bot.parts.get("headers_regex")
    if isinstance(headers, Mapping):
        found += [_header(draft, bot, entry.key.text, _text(entry.value) or "") for entry in headers.entries]
    addresses = bot.parts.get("remote_addresses")
    if isinstance(addresses, Sequence):
        found.append({"client": _addresses(draft, bot, addresses)})
    expression = bot.parts.get("expression")
    if expression is not None:
        found.append(condition_of(expression))
    return found


def _header(draft: Draft, bot: Bot, name: str, pattern: str) -> dict[str, Any]:
    field = f"header.{name.lower()}"
    if pattern in {".*", "^.*$", ".+", "^.+$"}:
        return {field: "present"}
    return {field: _text_or_missing(draft, bot, pattern, field)}


def _text_or_missing(draft: Draft, bot: Bot, pattern: str, field: str) -> Any:
    """A pattern as a condition; a pattern for the empty text matches a missing field too."""
    if pattern.strip() == "^$" and field != "path":
        return list(MISSING_OR_EMPTY)
    return {"regex": _pattern(draft, bot, pattern, field)}


def _pattern(draft: Draft, bot: Bot, pattern: str, field: str) -> str:
    bare = pattern.rstrip("\n")
    try:
        check_regex(bare)
    except Fault as fault:
        raise NotCarried(f"'{bare[:60]}': {fault.message}; {fault.hint}") from fault
    if field == "user_agent" and bot.action == "DENY":
        hit = browser_hit(TextKind.REGEX, bare)
        if hit is not None:
            draft.note(bot.line, f"{bot.name[:60]}: '{bare[:60]}' is in the user agents of real browsers, such as {hit}")
    return bare


def _addresses(draft: Draft, bot: Bot, addresses: Sequence) -> str:
    """A list of the networks, and its name as a condition."""
    entries = [text for item in addresses.items if (text := _text(item)) is not None]
    if not entries:
        raise NotCarried("its remote_addresses are empty")
    if {"0.0.0.0/0", "::/0"} & set(entries):
        raise NotCarried("its remote_addresses are all addresses")
    name = slug(bot.name)
    while name in draft.lists:
        name = slug(f"{name}-too")
    draft.lists[name] = list(dict.fromkeys(entries))
    return f"${name}"


def _add_test(draft: Draft, bot: Bot, rule: DraftRule) -> None:
    """A test, where a request that the rule finds is easily made."""
    request: dict[str, Any] = {}
    pattern = _text(bot.parts.get("user_agent_regex"))
    if pattern is not None:
        example = example_of(pattern.rstrip("\n"))
        if example is None:
            return
        request["user_agent"] = example
    path = _text(bot.parts.get("path_regex"))
    if path is not None:
        example = example_of(path.rstrip("\n"))
        if example is None or not example.startswith("/"):
            return
        request["path"] = example
    if bot.parts.keys() & {"headers_regex", "expression"}:
        return
    addresses = bot.parts.get("remote_addresses")
    if isinstance(addresses, Sequence):
        request["client"] = (_text(addresses.items[0]) or "").partition("/")[0]
    if isinstance(rule.action, str):
        draft.tests.append(DraftTest(request, f"{rule.action} by {rule.name}"))
    elif isinstance(rule.action, dict) and "score" in rule.action:
        draft.tests.append(DraftTest(request, {"score": str(rule.action["score"])}))


def _add_thresholds(draft: Draft, root: Mapping) -> None:
    """Thresholds on the weight as rules on the score, after all bots as Anubis has it."""
    node = _get(root, "thresholds")
    for item in node.items if isinstance(node, Sequence) else []:
        name, action = _text(_get(item, "name")) or "threshold", _text(_get(item, "action"))
        expression = _get(item, "expression")
        if action == "ALLOW":
            draft.note(item.line, f"the threshold {name[:60]} lets pass: nothing has to be done for that")
            continue
        if action not in {"DENY", "CHALLENGE"} or expression is None:
            draft.note(item.line, f"the threshold {name[:60]} was left out: its action is {action}")
            continue
        try:
            when = score_of(expression)
        except NotCarried as error:
            draft.note(item.line, f"the threshold {name[:60]} was left out: {error}")
            continue
        why = f"The threshold {name} of the Anubis policy."[:200]
        draft.add(name, why, when, "reject" if action == "DENY" else {"tag": CHALLENGE_TAG}, item.line)


def _note_rest(draft: Draft, root: Mapping) -> None:
    for entry in root.entries:
        if entry.key.text not in {"bots", "thresholds"}:
            draft.note(entry.key.line, f"{entry.key.text[:60]} was left out: it is a setting of Anubis, not a rule")
