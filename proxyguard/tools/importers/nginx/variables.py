"""What nginx's variables stand for: fields of a request, or values that `map`, `geo` and `set` choose by conditions.

A variable that is chosen is a list of decisions, of which the first that holds counts. A question about it (is it set, equal,
found by a pattern) becomes a condition on fields, whatever was chosen from what.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import re2

from proxyguard.policy.parse.patterns import OPTIONS
from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, every, negated, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.patterns import ALWAYS_THERE, pattern_condition, text_condition
from proxyguard.tools.importers.request_line import target_condition

MAX_DECISIONS: Final = 2000
"""Values that a variable may get, with those that are composed of several."""

MAX_DEPTH: Final = 20

FIELDS: Final = {
    "http_user_agent": "user_agent", "host": "host", "http_host": "host", "uri": "path", "document_uri": "path",
    "request_method": "method", "remote_addr": "client", "binary_remote_addr": "client", "realip_remote_addr": "client",
    "scheme": "scheme", "args": "query_string", "query_string": "query_string", "content_type": "header.content-type",
    "content_length": "header.content-length", "server_protocol": "http_version",
}  # fmt: skip
_PREFIXES: Final = (("http_", "header."), ("cookie_", "cookie."), ("arg_", "query."))

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_REASONS: Final = (
    ("geoip", "rules know no countries"), ("ssl_", "rules do not see TLS"), ("server_port", "rules do not see ports"),
    ("remote_port", "rules do not see ports"), ("request_filename", "rules do not see the site's files"),
    ("document_root", "rules do not see the site's files"), ("upstream", "it is known after the answer only"),
    ("status", "it is known after the answer only"), ("request_completion", "it is known after the answer only"),
    ("request_body", "rules do not see bodies"), ("time_", "rules know no time of day"), ("msec", "rules know no time of day"),
)  # fmt: skip

Decision = tuple[Condition, str]
"""When it holds, the variable has the value, which may hold variables itself."""


class Question(NamedTuple):
    """What is asked of a text: `kind` is `=`, `~`, `~*` or `set` (neither empty nor 0)."""

    kind: str
    text: str
    is_negated: bool = False

    def about(self, found: Condition | None) -> Condition | None:
        """The answer, turned round if the question is."""
        return negated(found) if self.is_negated else found

    def holds(self, value: str) -> bool:
        """The answer for a constant. Raises NotCarried for a pattern that RE2 does not have."""
        return self._holds(value) is not self.is_negated

    def _holds(self, value: str) -> bool:
        if self.kind == "=":
            return value == self.text
        if self.kind == "set":
            return value not in {"", "0"}
        try:
            pattern = f"(?i){self.text}" if self.kind == "~*" else self.text
            return re2.compile(pattern.encode(), OPTIONS).search(value.encode()) is not None
        except re2.error as error:
            raise NotCarried(f"the pattern '{self.text[:60]}' is not one of RE2") from error


class Variables:
    """The chosen variables that are known at a place. `used` are the names that questions were asked about."""

    def __init__(self, chosen: dict[str, Sequence[Decision]] | None = None, used: set[str] | None = None) -> None:
        self.chosen: dict[str, Sequence[Decision]] = dict(chosen or {})
        self.used: set[str] = set() if used is None else used

    def copy(self) -> Variables:
        return Variables(self.chosen, self.used)

    def choose(self, name: str, value: str, when: Condition) -> None:
        """`set $name value` where `when` holds. Raises NotCarried when it may have too many values."""
        earlier = self.chosen.get(name, ())
        if name not in variables_in(value):
            added: list[Decision] = [(when, value)]
        else:
            added = []
            for condition, known in earlier or [(ALWAYS, "")]:
                both = every([when, condition])
                text = value.replace(f"${{{name}}}", known).replace(f"${name}", known)
                added += [(both, text)] if both is not None else []
        made = added if not when and len(added) == 1 else [*added, *earlier]
        if len(made) > MAX_DECISIONS:
            raise NotCarried(f"${name} may have more than {MAX_DECISIONS} values")
        self.chosen[name] = made

    def ask(self, source: str, question: Question, depth: int = 0) -> Condition | None:
        """When the answer is yes, for a text with variables. Raises NotCarried."""
        if depth > MAX_DEPTH:
            raise NotCarried("variables that are made of each other")
        found = _VARIABLE.fullmatch(source)
        if found is None:
            if "$" not in source:
                return ALWAYS if question.holds(source) else None
            return self._ask_composed(source, question)
        name = found[1] or found[2]
        self.used.add(name)
        if name in self.chosen:
            decisions = self.chosen[name]
            return _selected(decisions, [self.ask(value, question, depth + 1) for _, value in decisions])
        if name == "request_uri":
            return question.about(_target(question))
        return question.about(field_condition(field_of(name), question))

    def _ask_composed(self, source: str, question: Question) -> Condition | None:
        """A text of several variables: read when all are chosen among constants."""
        combined: list[Decision] = [(ALWAYS, "")]
        at = 0
        for found in _VARIABLE.finditer(source):
            name = found[1] or found[2]
            self.used.add(name)
            between, at = source[at : found.start()], found.end()
            decisions = self._constants(name, source)
            combined = [
                (both, text + between + value)
                for first, text in combined
                for second, value in decisions
                if (both := every([first, second])) is not None
            ]
            if len(combined) > MAX_DECISIONS:
                raise NotCarried(f"'{source[:60]}' may have more than {MAX_DECISIONS} values")
        tail = source[at:]
        return _selected(combined, [ALWAYS if question.holds(text + tail) else None for _, text in combined])

    def _constants(self, name: str, source: str) -> list[Decision]:
        """The values of a variable with conditions that exclude each other. Raises NotCarried."""
        decisions = self.chosen.get(name, ())
        if not decisions or any("$" in value for _, value in decisions):
            raise NotCarried(f"'{source[:60]}' is composed of several fields, and rules compare one at a time")
        return self.values_of(f"${name}")

    def values_of(self, source: str, depth: int = 0) -> list[Decision]:
        """The texts that a source may have, with when; fields stay variables."""
        found = _VARIABLE.fullmatch(source)
        name = (found[1] or found[2]) if found else ""
        if depth > MAX_DEPTH or name not in self.chosen:
            return [(ALWAYS, source)]
        self.used.add(name)
        made: list[Decision] = []
        decisions = self.chosen[name]
        for value in dict.fromkeys(value for _, value in decisions):
            outer = _selected(decisions, [ALWAYS if other == value else None for _, other in decisions])
            for inner, text in self.values_of(value, depth + 1):
                both = every([outer, inner])
                made += [(both, text)] if both is not None else []
        return made


def _selected(decisions: Sequence[Decision], answers: Sequence[Condition | None]) -> Condition | None:
    """When the first decision that holds has a yes: those with a yes, without those before them that have a no."""
    parts: list[Condition | None] = []
    yes: list[Condition | None] = []
    no: list[Condition | None] = []
    for (condition, _), answer in zip(decisions, answers, strict=True):
        yes.append(every([condition, answer]))
        if answer != ALWAYS:
            parts.append(every([some(yes), negated(some(no))]))
            yes = []
            no.append(every([condition, negated(answer)]))
    parts.append(every([some(yes), negated(some(no))]))
    return some(parts)


def _target(question: Question) -> Condition | None:
    """`$request_uri`: path and query together."""
    match question.kind:
        case "set":
            return ALWAYS
        case "=":
            return target_condition(f"^{re.escape(question.text)}$", ignore_case=False)
        case _:
            return target_condition(question.text, ignore_case=question.kind == "~*")


def variables_in(text: str) -> list[str]:
    """The names of the variables in a text."""
    return [found[1] or found[2] for found in _VARIABLE.finditer(text)]


def field_of(name: str) -> str:
    """The field that a variable stands for. Raises NotCarried."""
    known = FIELDS.get(name)
    if known is not None:
        return known
    for prefix, field in _PREFIXES:
        if name.startswith(prefix) and len(name) > len(prefix):
            rest = name.removeprefix(prefix)
            return field + (rest.replace("_", "-") if field == "header." else rest)
    unknown = "nothing in these files says what it is, and rules have no such field"
    reason = next((why for prefix, why in _REASONS if name.startswith(prefix)), unknown)
    raise NotCarried(f"${name}: {reason}")


def field_condition(field: str, question: Question) -> Condition | None:
    """When the answer is yes for a field. nginx does not distinguish a missing field from an empty one."""
    if question.kind == "set":
        return ALWAYS if field in ALWAYS_THERE else {"not": {field: ["absent", "", "0"]}}
    if question.kind != "=":
        return pattern_condition(field, question.text, ignore_case=question.kind == "~*")
    text = question.text
    if field == "http_version":
        text = text.upper().removeprefix("HTTP/").replace("2.0", "2").replace("3.0", "3")
    if not text:
        return None if field in ALWAYS_THERE else {field: ["absent", ""]}
    return equal(field, [text])


def entry_condition(field: str, source: str) -> Condition | None:
    """An exact entry of a map: compared without regard to case, as nginx does."""
    if field in ALWAYS_THERE - {"path"} or not any(char.isalpha() for char in source):
        return field_condition(field, Question("=", source))
    return text_condition(field, "equal", [source], ignore_case=True)
