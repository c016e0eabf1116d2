"""Tests in a rule file: sketches of requests and what is expected of them, from nodes to the model.

A test is one request (repeated or not), a request with more steps after it (`then`), or a list of `steps`. Knows nothing of
how a test is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from proxyguard.core.problems import Fault, Report, folded, name_hint, quoted
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence
from proxyguard.core.yaml.values import (
    complain,
    read_choice,
    read_duration,
    read_integer,
    read_keys,
    read_mapping,
    read_name,
    read_number,
    read_prose,
    read_scalar,
    read_sequence,
    read_size,
    read_text,
)  # fmt: skip
from proxyguard.policy.model import (
    Expectation,
    FieldKind,
    Place,
    RuleTest,
    SampleRequest,
    SampleResponse,
    TestStep,
    TextKind,
)
from proxyguard.policy.parse.texts import read_field_name, read_text_value

MAX_TESTS: Final = 10_000
MAX_STEPS: Final = 100
MAX_REPEAT: Final = 20_000
"""Tests run at every load: 20,000 decisions take about a third of a second."""

MAX_WITHIN_SECONDS: Final = 366 * 86_400
MAX_TARGET_CHARACTERS: Final = 8192
MAX_VALUE_CHARACTERS: Final = 8192
MAX_ACCOUNT_CHARACTERS: Final = 64
MAX_RESPONSE_BYTES: Final = 10**12
MAX_RESPONSE_SECONDS: Final = 86_400.0

TEST_KEYS: Final = ("name", "during", "request", "response", "repeat", "within", "expect", "then", "steps")
STEP_KEYS: Final = ("request", "response", "repeat", "within", "expect")
SKETCH_KEYS: Final = (
    "client", "method", "scheme", "host", "path", "http_version", "user_agent", "headers", "cookies",
    "account",
)  # fmt: skip
RESPONSE_KEYS: Final = ("status", "bytes", "seconds")
EXPECT_KEYS: Final = ("action", "rule", "status", "score")

DECISIONS: Final = ("allow", "pass", "reject", "tarpit", "delay", "drop", "ban")
"""What a decision can be called; score and tag never decide."""

EXPECT_HINT: Final = "ACTION by RULE, such as 'reject by scripted-clients' or 'pass by default'; or {status: 429}"

_EXPECTED: Final = re.compile(r"(\S+)(?:\s+by\s+(\S+))?")

_ANYTHING: Final = Expectation()

_MEANT_STEP: Final = {"then": "write all steps one after the other in one list"}

_MEANT_SKETCH: Final = {
    **dict.fromkeys(("ip", "address", "remote_addr"), "did you mean 'client'?"),
    **dict.fromkeys(("header",), "did you mean 'headers'?"),
    **dict.fromkeys(("cookie",), "did you mean 'cookies'?"),
    **dict.fromkeys(("url", "uri", "target", "query"), "did you mean 'path'? it may carry a query: /search?q=x"),
    **dict.fromkeys(("ua", "agent"), "did you mean 'user_agent'?"),
}


@dataclass(slots=True)
class TestReader:
    """Reads the tests of one rule file. `expected_rules` names the rules that tests expect, and where."""

    report: Report
    expected_rules: list[tuple[str, int, int]] = field(default_factory=list)
    expected_restrictions: list[tuple[str, int, int]] = field(default_factory=list)
    __test__ = False  # pytest: not a test class

    def read(self, node: Node) -> tuple[RuleTest, ...]:
        """The `tests` of a rule file; those with problems are left out."""
        sequence = read_sequence(node, self.report, "tests", "[{request: {path: /signup}, expect: pass by default}]")
        if sequence is None:
            return ()
        if len(sequence.items) > MAX_TESTS:
            complain(self.report, node, f"the file has {len(sequence.items)} tests", f"at most {MAX_TESTS}")
            return ()
        tests = (self._test(item) for item in sequence.items)
        return tuple(test for test in tests if test is not None)

    def _test(self, node: Node) -> RuleTest | None:
        mapping = read_mapping(node, self.report, "a test", "{request: {path: /}, expect: pass by default}")
        if mapping is None:
            return None
        before = len(self.report.problems)
        values = read_keys(mapping, TEST_KEYS, self.report, "a test")
        name = read_prose(values["name"], self.report, "name", 200) if "name" in values else ""
        during = self._during(values["during"]) if "during" in values else ()
        if "steps" in values:
            for key in (*STEP_KEYS, "then"):
                if key in values:
                    hint = "write everything as steps, or one request with then:"
                    complain(self.report, values[key], f"a test with steps has no {key} beside them", hint)
            steps = self._steps(values["steps"], "steps")
        else:
            first = self._step(mapping, values)
            steps = [*([first] if first else []), *(self._steps(values["then"], "then") if "then" in values else [])]
        if len(self.report.problems) > before or name is None:
            return None
        if steps and steps[-1].expect == _ANYTHING:
            complain(self.report, node, "the test expects nothing", f"expect: {EXPECT_HINT}")
            return None
        return RuleTest(tuple(steps), Place(self.report.file, node.line, node.column), name, during)

    def _during(self, node: Node) -> tuple[str, ...]:
        names = []
        for item in node.items if isinstance(node, Sequence) else [node]:
            name = read_name(item, self.report, "the restriction")
            if name is not None:
                names.append(name)
                self.expected_restrictions.append((name, item.line, item.column))
        return tuple(names)

    def _steps(self, node: Node, subject: str) -> list[TestStep]:
        hint = "[{request: {path: /}, expect: pass by default}, …]"
        if isinstance(node, Mapping) and subject == "then":
            node = Sequence(node.line, node.column, [node])
        sequence = read_sequence(node, self.report, subject, hint)
        if sequence is None:
            return []
        if len(sequence.items) > MAX_STEPS:
            complain(self.report, node, f"the test has {len(sequence.items)} steps", f"at most {MAX_STEPS}")
            return []
        steps = []
        for item in sequence.items:
            mapping = read_mapping(item, self.report, "a step", hint)
            if mapping is None:
                continue
            step = self._step(mapping, read_keys(mapping, STEP_KEYS, self.report, "a step", _MEANT_STEP))
            if step is not None:
                steps.append(step)
        return steps

    def _step(self, node: Mapping, values: dict[str, Node]) -> TestStep | None:
        if "request" not in values:
            complain(
                self.report, node, "the test has no request", "request: {user_agent: curl/8.5.0, path: /profiles/1}"
            )
        sketch = self._sketch(values["request"]) if "request" in values else None
        repeat = read_integer(values["repeat"], self.report, "repeat", 1, MAX_REPEAT) if "repeat" in values else 1
        within: float | None = 0.0
        if "within" in values:
            within = read_duration(values["within"], self.report, "within", 0, MAX_WITHIN_SECONDS)
            if "repeat" not in values:
                hint = "within is the time that the repeated requests take in all"
                complain(self.report, values["within"], "within stands without repeat", hint)
        expect = self._expect(values["expect"]) if "expect" in values else _ANYTHING
        response = self._response(values["response"]) if "response" in values else SampleResponse()
        if sketch is None or repeat is None or within is None or expect is None or response is None:
            return None
        return TestStep(sketch, repeat, within, expect, Place(self.report.file, node.line, node.column), response)

    def _response(self, node: Node) -> SampleResponse | None:
        report = self.report
        mapping = read_mapping(node, report, "response", "response: {status: 404, bytes: 1200, seconds: 0.2}")
        if mapping is None:
            return None
        values = read_keys(mapping, RESPONSE_KEYS, report, "response")
        status: int | None = 200
        size: int | None = 0
        seconds: float | None = 0.0
        if "status" in values:
            status = read_integer(values["status"], report, "status", 200, 599)
        if "bytes" in values:
            size = read_size(values["bytes"], report, "bytes", 0, MAX_RESPONSE_BYTES)
        if "seconds" in values:
            seconds = read_number(values["seconds"], report, "seconds", 0.0, MAX_RESPONSE_SECONDS)
        if status is None or size is None or seconds is None:
            return None
        return SampleResponse(status, size, seconds)

    def _sketch(self, node: Node) -> SampleRequest | None:
        report = self.report
        if isinstance(node, Mapping) and not node.entries:
            return SampleRequest()
        mapping = read_mapping(node, report, "request", "request: {user_agent: curl/8.5.0, path: /profiles/1}")
        if mapping is None:
            return None
        before = len(report.problems)
        values = read_keys(mapping, SKETCH_KEYS, report, "request", _MEANT_SKETCH)
        facts: dict[str, str] = {}
        for key, kind in _SKETCH_FIELDS.items():
            if key in values:
                facts[key] = self._fact(values[key], kind)
        if "client" in values:
            facts["client"] = self._client(values["client"])
        if "path" in values:
            facts["path"] = self._target(values["path"])
        if "account" in values:
            facts["account"] = read_text(values["account"], report, "account", MAX_ACCOUNT_CHARACTERS) or ""
        headers = self._headers(values)
        if len(report.problems) > before:
            return None
        return SampleRequest(headers=headers, **facts)

    def _fact(self, node: Node, kind: str) -> str:
        text = read_text(node, self.report, str(kind), MAX_VALUE_CHARACTERS)
        if text is None:
            return ""
        try:
            return read_text_value(kind, TextKind.EQUAL, text).decode()
        except Fault as fault:
            complain(self.report, node, fault.message, fault.hint)
            return ""

    def _client(self, node: Node) -> str:
        text = read_text(node, self.report, "client", 64)
        if text is None:
            return ""
        try:
            return str(ip_address(text))
        except ValueError:
            complain(
                self.report, node, f"client must be one address, not {quoted(text)}", "such as 192.0.2.1 or 2001:db8::1"
            )
            return ""

    def _target(self, node: Node) -> str:
        text = read_text(node, self.report, "path", MAX_TARGET_CHARACTERS)
        if text is None:
            return ""
        if not text.startswith("/"):
            complain(self.report, node, f"the path {quoted(text)} does not begin with /", "such as /search?q=x")
        elif not text.isascii() or " " in text:
            hint = "write it as a client sends it, percent-encoded: %20 for a blank"
            complain(self.report, node, f"the path {quoted(text)} has a blank or a character that is not ASCII", hint)
        return text

    def _headers(self, values: dict[str, Node]) -> tuple[tuple[str, str], ...]:
        headers: list[tuple[str, str]] = []
        if "user_agent" in values:
            text = read_text(values["user_agent"], self.report, "user_agent", MAX_VALUE_CHARACTERS, empty=True)
            headers.append(("User-Agent", text or ""))
        if "headers" in values:
            for name, text, place in self._pairs(values["headers"], "headers", FieldKind.HEADER):
                taken = {"host": "host", "cookie": "cookies", "user-agent": "user_agent"}.get(name.lower())
                if taken is not None and (taken == "host" or taken in values):
                    complain(
                        self.report, place, f"the header {quoted(name)} is given by {taken}", f"request: {{{taken}: …}}"
                    )
                headers.append((name, text))
        if "cookies" in values:
            pairs = self._pairs(values["cookies"], "cookies", FieldKind.COOKIE)
            if pairs:
                headers.append(("Cookie", "; ".join(f"{name}={text}" for name, text, _ in pairs)))
        return tuple(headers)

    def _pairs(self, node: Node, subject: str, kind: str) -> list[tuple[str, str, Scalar]]:
        mapping = read_mapping(node, self.report, subject, f"{subject}: {{NAME: VALUE}}")
        pairs = []
        for entry in mapping.entries if mapping else ():
            try:
                read_field_name(kind, entry.key.text)
            except Fault as fault:
                complain(self.report, entry.key, fault.message, fault.hint)
            items = entry.value.items if isinstance(entry.value, Sequence) else [entry.value]
            for item in items:
                text = read_text(
                    item, self.report, f"the {kind} {quoted(entry.key.text)}", MAX_VALUE_CHARACTERS, empty=True
                )
                pairs.append((entry.key.text, text or "", entry.key))
        return pairs

    def _expect(self, node: Node) -> Expectation | None:
        if isinstance(node, Mapping):
            return self._expect_mapping(node)
        scalar = read_scalar(node, self.report, "expect", "an action and a rule", EXPECT_HINT)
        if scalar is None:
            return None
        match = _EXPECTED.fullmatch(scalar.text.strip())
        if match is None:
            complain(self.report, node, f"expect cannot be {quoted(scalar.text)}", EXPECT_HINT)
            return None
        if match[1] not in DECISIONS:
            self._unknown_decision(node, match[1])
            return None
        if match[2]:
            self.expected_rules.append((match[2], node.line, node.column))
        return Expectation(match[1], match[2])

    def _expect_mapping(self, node: Mapping) -> Expectation | None:
        if not node.entries:
            complain(self.report, node, "expect is empty", EXPECT_HINT)
            return None
        before = len(self.report.problems)
        values = read_keys(node, EXPECT_KEYS, self.report, "expect")
        action = rule = None
        if "action" in values:
            place = values["action"]
            if isinstance(place, Scalar) and place.text not in DECISIONS and not place.is_null:
                self._unknown_decision(place, place.text)
            else:
                action = read_choice(place, self.report, "action", DECISIONS)
        if "rule" in values:
            place = values["rule"]
            rule = read_text(place, self.report, "rule", 200)
            if rule is not None:
                self.expected_rules.append((rule, place.line, place.column))
        status = read_integer(values["status"], self.report, "status", 100, 599) if "status" in values else None
        score = read_number(values["score"], self.report, "score", -1e6, 1e6) if "score" in values else None
        if len(self.report.problems) > before:
            return None
        return Expectation(action, rule, status, score)

    def _unknown_decision(self, node: Node, word: str) -> None:
        hint = _MEANT_DECISION.get(folded(word)) or name_hint(word, DECISIONS, "actions")
        complain(self.report, node, f"no request ends with {quoted(word)}", hint)


_SKETCH_FIELDS: Final = {
    "method": FieldKind.METHOD,
    "scheme": FieldKind.SCHEME,
    "host": FieldKind.HOST,
    "http_version": FieldKind.HTTP_VERSION,
}

_MEANT_DECISION: Final = {
    "score": "scores add up and never end a request: expect: {score: 40}",
    "tag": "tags never end a request; expect what is done with them",
    **dict.fromkeys(("deny", "block", "blocked", "403", "429"), "did you mean 'reject'?"),
    **dict.fromkeys(("banned",), "did you mean 'ban'?"),
}
