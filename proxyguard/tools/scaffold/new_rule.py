"""A rule from three answers (what to match, what to do, since when), as YAML with a test, added to a rule file.

The rest of the file stays as it is, to the byte. Knows nothing of terminals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final
from urllib.parse import quote

from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import Mapping, Node, Sequence, read_yaml
from proxyguard.policy.parse.tests import MAX_REPEAT

MATCHES: Final = {
    "user-agent": "a word in the user agent, such as BadBot",
    "path": "the beginning of the path, such as /search",
    "client": "an address or a network, such as 203.0.113.0/24",
    "host": "a host, such as api.example.org",
}
ACTIONS: Final = {
    "reject": "answer 403, or 429 above a limit",
    "tarpit": "answer slowly and hold the connection",
    "drop": "close the connection",
    "ban": "refuse, and go on refusing for ten minutes, longer each time",
    "score": "give 40 points, for a rule that adds points up",
    "allow": "let through, over every other rule",
}

NEW_FILE: Final = """\
# yaml-language-server: $schema=.schema.json
name: {name}
description: {description}

rules:
{rule}"""

_ODD_BREAK: Final = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
"""Line breaks to YAML that are not the end of a line here."""


class CannotAppend(Exception):
    """The file is written in a way that a rule cannot be added to as text. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRule:
    """The answers. `limit` is a rate such as `30/minute`, or empty; `since` one of `shadow` and `now`."""

    name: str
    match: str
    value: str
    action: str
    limit: str = ""
    since: str = "shadow"
    expires: str = ""
    why: str = ""

    def rule_lines(self) -> list[str]:
        """The rule in YAML, each line without indentation of its list."""
        lines = [f"- name: {self.name}", f"  why: {_scalar(self.why)}"] if self.why else [f"- name: {self.name}"]
        lines.append(f"  when: {{{self._condition()}}}")
        if self.limit:
            lines.append(f"  limit: {{rate: {self.limit}, per: [client]}}")
        lines.append(f"  action: {_ACTION_YAML[self.action]}")
        if self.since == "shadow":
            lines.append("  mode: shadow")
        if self.expires:
            lines.append(f"  expires: {self.expires}")
        return lines

    def test_lines(self) -> list[str]:
        """A test that the rule does what it is for; none of a limit that no test can reach."""
        if self._amount >= MAX_REPEAT:
            return []
        lines = [f"- name: {self.name} does what it is for", f"  request: {{{self._example()}}}"]
        if self.limit:
            lines.append(f"  repeat: {self._amount + 1}")
        if self.action == "score":
            return [*lines, f"  expect: {{score: {POINTS}}}"]
        return [*lines, f"  expect: {self.action} by {self.name}"]

    @property
    def _amount(self) -> int:
        return int(self.limit.partition("/")[0]) if self.limit else 0

    def _condition(self) -> str:
        value = _scalar(f"${self.value}" if self.value.startswith("$") else self.value)  # no list: meant as it stands
        match self.match:
            case "user-agent":
                return f"user_agent: {{word: {value}}}"
            case "path":
                return f"path: {{prefix: {value}}}"
            case _:
                return f"{self.match}: {value}"

    def _example(self) -> str:
        match self.match:
            case "user-agent":
                return f"user_agent: {_scalar(f'{self.value}/1.0')}"
            case "client":
                network = ip_network(self.value, strict=False)
                return f"client: {_scalar(str(network.network_address))}"
            case "path":
                return f"path: {_scalar(quote(self.value, safe=_IN_PATHS))}"
            case _:
                return f"{self.match}: {_scalar(self.value)}"


POINTS: Final = 40

_IN_PATHS: Final = "/!$&'()*+,-.:;=@_~"
"""What stands for itself in a path (RFC 3986 section 3.3)."""

_ACTION_YAML: Final = {
    "reject": "reject",
    "tarpit": "{tarpit: {hold: 60s}}",
    "drop": "drop",
    "ban": "{ban: {for: 10m, escalation: 2, max: 1d}}",
    "score": f"{{score: {POINTS}}}",
    "allow": "allow",
}

_PLAIN: Final = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./ -]*(?<! )", re.ASCII)
_SPECIAL: Final = frozenset({"null", "present", "absent", "true", "false", "yes", "no", "on", "off"})


def _scalar(text: str) -> str:
    """A text as YAML, quoted when it has to be."""
    if _PLAIN.fullmatch(text) and text.lower() not in _SPECIAL and not text[:1].isdigit():
        return text
    return "'" + text.replace("'", "''") + "'"


def new_file(rule: NewRule, name: str) -> str:
    text = NEW_FILE.format(
        name=name,
        description="Rules of our own, added as they were needed.",
        rule="".join(f"  {line}\n" for line in rule.rule_lines()),
    )
    tests = rule.test_lines()
    return text + "".join(("\ntests:\n", *(f"  {line}\n" for line in tests))) if tests else text


def appended(text: str, rule: NewRule) -> str:
    """A rule file with the rule after its last one, and the test after its last one. Raises CannotAppend."""
    root = read_yaml(text, Report("rules"))
    if not isinstance(root, Mapping):
        raise CannotAppend("the file has problems of its own")
    if _ODD_BREAK.search(text):
        raise CannotAppend("it has line breaks of an unusual kind")
    ending = "\r\n" if text.count("\r\n") == text.count("\n") > 0 else "\n"
    lines = text.split(ending)
    blocks = {key: block for key, block in (("rules", rule.rule_lines()), ("tests", rule.test_lines())) if block}
    there = [key for key in blocks if root.get(key) is not None]
    from_the_end = sorted(there, key=lambda key: -_line_of(root, key))  # so that lines above keep their numbers
    for key in (*from_the_end, *(key for key in blocks if key not in there)):
        lines = _with_block(lines, root, key, blocks[key])
    return ending.join(lines)


def _line_of(root: Mapping, key: str) -> int:
    return next((entry.key.line for entry in root if entry.key.text == key), 1 << 30)


def _with_block(lines: list[str], root: Mapping, key: str, block: list[str]) -> list[str]:
    node = root.get(key)
    if node is None:
        tail = lines[:-1] if lines[-1] == "" else lines
        return [*tail, "", f"{key}:", *(f"  {line}" for line in block), ""]
    if not isinstance(node, Sequence) or not node.items:
        raise CannotAppend(f"its {key} are not a list")
    indent = lines[node.items[-1].line - 1][: node.items[-1].column - 1]
    if not re.fullmatch(r" *- +", indent):
        raise CannotAppend(f"its {key} are written in brackets, on one line")
    dash = " " * indent.index("-")
    end = _end_of(lines, root, key, node)
    return [*lines[:end], *([""] if key == "rules" else []), *(f"{dash}{line}" for line in block), *lines[end:]]


def _end_of(lines: list[str], root: Mapping, key: str, node: Node) -> int:
    """How many lines there are up to the end of a part of the file, blank lines and comments after it left out."""
    after = [entry.key.line for entry in root if entry.key.line > _line_of(root, key)]
    end = min(after, default=len(lines) + 1) - 1
    while end > node.line and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return end
