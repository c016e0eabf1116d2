"""A policy file of Anubis as rules: bots with their patterns, weights as scores, thresholds as rules on the score.

Anubis takes the first bot that matches and is not WEIGH; all conditions of a bot must hold. ALLOW is `pass`, DENY is `reject`. A
challenge has no counterpart: it becomes a tag, for a limit or a score of yours. It is final in Anubis, so later rules leave alone
what has the tag. What is lost is named: countries, networks by number, block lists of addresses, the honeypot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence, read_yaml
from proxyguard.tools.importers.anubis_terms import condition_of, score_of
from proxyguard.tools.importers.conditions import Condition, every
from proxyguard.tools.importers.draft import Draft, ImportFault, NotCarried, Plain, not_carried
from proxyguard.tools.importers.networks import clients, network_of
from proxyguard.tools.importers.patterns import pattern_condition
from proxyguard.tools.importers.sources import Source, Sources

DEFAULT_WEIGHT: Final = "5"
"""What WEIGH without a weight adds."""

CHALLENGE_TAG: Final = "challenge"

MAX_DEPTH: Final = 20
"""Of files that import each other."""

_ACTIONS: Final = frozenset({"ALLOW", "DENY", "CHALLENGE", "WEIGH", "DEBUG_BENCHMARK"})
_BOT_KEYS: Final = frozenset(
    ("name", "action", "user_agent_regex", "path_regex", "headers_regex", "remote_addresses", "expression", "weight", "challenge")
)  # fmt: skip
_LOST: Final = {
    "dnsbl": "the block list of addresses (DNSBL) that Anubis asks: that defence is lost here",
    "honeypot": "the honeypot, which refuses who follows hidden links: that is lost here; a rule can ban for a path",
}  # fmt: skip
_OFF: Final = frozenset({"false", "no", "off", "disabled", ""})


class Bot(NamedTuple):
    """An entry of `bots`, with the parts that a rule is made of."""

    name: str
    action: str
    line: int
    file: str
    parts: dict[str, Node]


def read_anubis(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault when the file is not a policy."""
    draft = Draft(name, "Rules of an Anubis policy.")
    root = _read(Source("", sources.text))
    challenged = False
    for node, file in _entries(draft, sources, root, "", 0):
        bot = _bot(draft, node, file)
        if bot is not None:
            challenged = _add_bot(draft, bot, challenged=challenged) or challenged
    if isinstance(root, Mapping):
        _add_thresholds(draft, root, challenged=challenged)
        _note_rest(draft, root)
    if any(rule.action == "pass" for rule in draft.rules):
        draft.note(0, "ALLOW became pass: it ends the rules after it, those of later files too, and lifts no ban; see allow")
    if any(rule.action == {"tag": CHALLENGE_TAG} for rule in draft.rules):
        draft.note(0, f"CHALLENGE became the tag '{CHALLENGE_TAG}': nothing is challenged; give the tag a limit or a score")
    return draft


def _read(source: Source) -> Node:
    report = Report("")
    root = read_yaml(source.text, report)
    if root is None:
        first = report.finished()[0]
        raise ImportFault(f"line {first.line}: {first.message}", source.name)
    return root


def _entries(draft: Draft, sources: Sources, root: Node, file: str, depth: int) -> Iterator[tuple[Node, str]]:
    """The bots: below `bots:`, or the whole file when it is one that others import; those of imported files in their places."""
    bots = root if isinstance(root, Sequence) else _get(root, "bots")
    if not isinstance(bots, Sequence):
        raise ImportFault("it has no bots:, and so is not a policy of Anubis")
    for node in bots.items:
        wanted = _text(_get(node, "import"))
        if wanted is None:
            yield node, file
            continue
        opened = sources.beside(wanted.removeprefix("(data)/"))
        if not opened or depth >= MAX_DEPTH:
            draft.note(
                node.line, f"not followed: import {wanted[:100]}: it does not lie beside this file; --folder says where", file
            )
        for source in opened if depth < MAX_DEPTH else []:
            yield from _entries(draft, sources, _read(source), source.name, depth + 1)


def _get(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, Mapping):
        return None
    return next((entry.value for entry in node.entries if entry.key.text == key), None)


def _text(node: Node | None) -> str | None:
    return node.text if isinstance(node, Scalar) and not node.is_null else None


def _bot(draft: Draft, node: Node, file: str) -> Bot | None:
    if not isinstance(node, Mapping):
        draft.note(node.line, "an entry of bots is not a mapping", file)
        return None
    name, action = _text(_get(node, "name")), _text(_get(node, "action"))
    if not name or action not in _ACTIONS:
        draft.note(node.line, f"a bot without a name or a known action was left out: {name or '(no name)'}, {action}", file)
        return None
    if action == "DEBUG_BENCHMARK":
        draft.note(node.line, f"{name[:60]} was left out: DEBUG_BENCHMARK is for Anubis itself", file)
        return None
    parts = {entry.key.text: entry.value for entry in node.entries}
    unknown = sorted(parts.keys() - _BOT_KEYS)
    if unknown:
        draft.note(node.line, f"{name[:60]} was left out: it asks for {', '.join(unknown)[:100]}, which rules cannot", file)
        return None
    return Bot(name, action, node.line, file, parts)


def _add_bot(draft: Draft, bot: Bot, *, challenged: bool) -> bool:
    """Add its rule; whether it is a challenge. `challenged`: a bot before it is one."""
    try:
        when = every([_not_challenged() if challenged else {}, *_conditions(bot)])
        if when is None:
            not_carried("it can never hold")
    except NotCarried as error:
        draft.note(bot.line, f"{bot.name[:60]} was left out: {error}", bot.file)
        return False
    why = f"The bot {bot.name} of the Anubis policy."[:200]
    action = _action(bot)
    draft.add(bot.name, why, when or {"path": {"prefix": "/"}}, action, bot.line)
    return action == {"tag": CHALLENGE_TAG}


def _not_challenged() -> Condition:
    return {"not": {"tag": CHALLENGE_TAG}}


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


def _conditions(bot: Bot) -> list[Condition | None]:
    """The conditions of a bot, all of which must hold. Raises NotCarried."""
    found: list[Condition | None] = []
    for key, field in (("user_agent_regex", "user_agent"), ("path_regex", "path")):
        pattern = _text(bot.parts.get(key))
        if pattern is not None:
            found.append(pattern_condition(field, pattern.strip()))
    headers = bot.parts.get("headers_regex")
    if isinstance(headers, Mapping):
        found += [_header(entry.key.text, _text(entry.value) or "") for entry in headers.entries]
    addresses = bot.parts.get("remote_addresses")
    if isinstance(addresses, Sequence):
        found.append(_addresses(addresses))
    expression = bot.parts.get("expression")
    if expression is not None:
        found.append(condition_of(expression))
    if not found:
        raise NotCarried("it has no condition")
    return found


def _header(name: str, pattern: str) -> Condition | None:
    """Anubis looks at headers that are there: a pattern that finds everything asks for that alone."""
    field = "user_agent" if name.lower() == "user-agent" else f"header.{name.lower()}"
    return pattern_condition(field, pattern.strip()) or {field: "present"}


def _addresses(addresses: Sequence) -> Condition | None:
    texts = [text for item in addresses.items if (text := _text(item)) is not None]
    networks = [network for text in texts if (network := network_of(text.strip())) is not None]
    if not networks or len(networks) < len(texts):
        raise NotCarried("its remote_addresses are empty, or one of them is no network")
    return clients(networks)


def _add_thresholds(draft: Draft, root: Mapping, *, challenged: bool) -> None:
    """Thresholds on the weight as rules on the score, after all bots as Anubis has it; without any, Anubis' default."""
    node = _get(root, "thresholds")
    items = node.items if isinstance(node, Sequence) else []
    before = _not_challenged() if challenged else {}
    has_weights = any(isinstance(rule.action, dict) and "score" in rule.action for rule in draft.rules)
    if not items and has_weights:
        why = "Anubis challenges every weight above 0 when a policy has no thresholds."
        draft.add("default-threshold", why, {"score": {"at_least": "0.001"}} | before, {"tag": CHALLENGE_TAG})
    for item in items:
        name, action = _text(_get(item, "name")) or "threshold", _text(_get(item, "action"))
        expression = _get(item, "expression")
        if action == "ALLOW":
            draft.note(item.line, f"the threshold {name[:60]} lets pass: nothing has to be done for that")
            continue
        if action not in {"DENY", "CHALLENGE"} or expression is None:
            draft.note(item.line, f"the threshold {name[:60]} was left out: its action is {action}")
            continue
        try:
            when = score_of(expression) | before
        except NotCarried as error:
            draft.note(item.line, f"the threshold {name[:60]} was left out: {error}")
            continue
        why = f"The threshold {name} of the Anubis policy."[:200]
        draft.add(name, why, when, "reject" if action == "DENY" else {"tag": CHALLENGE_TAG}, item.line)


def _note_rest(draft: Draft, root: Mapping) -> None:
    for entry in root.entries:
        key = entry.key.text
        if key in {"bots", "thresholds"}:
            continue
        off = _text(entry.value) or _text(_get(entry.value, "enabled")) or ("true" if isinstance(entry.value, Mapping) else "")
        if key in _LOST and off.lower() not in _OFF:
            draft.note(entry.key.line, f"{key} was left out: {_LOST[key]}")
        else:
            draft.note(entry.key.line, f"{key[:60]} was left out: it is a setting of Anubis, not a rule")
