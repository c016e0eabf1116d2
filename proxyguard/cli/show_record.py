"""Shows one decision from its audit record and the current rules, as text or JSON.

Of a record's headers only the user agent is known: a test of another is shown as *not recorded*, never guessed.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from proxyguard.cli.echo import echo
from proxyguard.cli.fault_words import in_words
from proxyguard.cli.rules import loaded_or_usage
from proxyguard.core.address import Address
from proxyguard.core.decision import DEFAULT_RULE, FAILURE_RULE, STORE_RULE, SWITCH_RULE, UNASKED
from proxyguard.core.pseudonym import PATTERN
from proxyguard.core.request import Request
from proxyguard.core.settings import Settings
from proxyguard.core.units import format_time
from proxyguard.core.yaml.nodes import Mapping, Sequence
from proxyguard.policy.compile.conditions import NO_TAGS
from proxyguard.policy.compile.normal_form import Leaf, leaves
from proxyguard.policy.explain.evaluate import evaluate
from proxyguard.policy.model import Field, FieldKind, Policy, Rule, SampleRequest
from proxyguard.policy.testing.sample_requests import request_from_sample
from proxyguard.tools.lint.logic import normal
from proxyguard.tools.lint.source import SourceFile, read_source
from proxyguard.tools.lint.words import format_leaf

MAX_LINES: Final = 40
"""Of a rule's text that are shown."""

NOBODY: Final = Address.parse("::")
"""Stands for a client of whom the record has a pseudonym; no request comes from it (RFC 4291, section 2.5.2)."""

_RECORDED: Final = frozenset({FieldKind.CLIENT, FieldKind.METHOD, FieldKind.HOST, FieldKind.PATH})

_AGENT_FIELD: Final = Field(FieldKind.HEADER, "user-agent")

_ALSO: Final = {
    "user_agent": "user agent",
    "referer_host": "came from",
    "client_kind": "speaks like",
    "ja4": "JA4",
    "http2": "HTTP/2",
    "class": "class",
    "network": "network",
    "country": "country",
    "asn": "AS number",
    "robots": "robots.txt group",
}
"""Fields of a record that are shown as they are."""

_VERIFIED: Final = {True: "verified", False: "it is not", None: "not verified"}

_NO_RULE: Final = {
    DEFAULT_RULE: "no rule decided: what nothing refuses passes",
    FAILURE_RULE: "checking failed, and the setting failure_mode decided; the instance's log says why",
    STORE_RULE: "the store was down, and the setting store.on_down says to refuse what limits would count",
    SWITCH_RULE: "an operator had switched acting off (proxyguard shadow on): what would have been done stands under shadow",
    "operator": "an operator's ban (proxyguard bans list)",
}


def show_record(record: dict[str, Any], file: str, settings: Settings, *, as_json: bool) -> None:
    """Write a record and its rule, as the settings have it, to standard output."""
    if record.get("rule") == UNASKED:
        _show_unasked(record, file, as_json=as_json)
        return
    loaded = loaded_or_usage(settings.rules, settings.preset)
    rule = _rule(loaded.policy, str(record.get("rule", "")))
    tests = _tests(rule, record) if rule else []
    text = rule_text(read_source(rule.place.file), rule) if rule else []
    if as_json:
        shown = {
            "file": file,
            "record": record,
            "rule": {"place": str(rule.place), "text": "\n".join(text)} if rule else None,
            "tests": [{"test": test, "holds": holds} for test, holds in tests],
        }
        echo(json.dumps(shown))
        return
    echo("\n".join(_in_words(record, file)))
    if rule is None:
        echo(_why_no_rule(record, loaded.policy, settings.rules))
        return
    echo(f"rule, as it is now: {rule.place}")
    echo("\n".join(f"  | {line}" for line in text))
    words = {True: "holds", False: "does not hold", None: "not recorded"}
    for test, holds in tests:
        echo(f"  {words[holds]:<14}{test}")
    if any(holds is False for _, holds in tests):
        echo("the rule has changed since, or its limit, a ban or a list decided: see the audit record's reason")


def _show_unasked(record: dict[str, Any], file: str, *, as_json: bool) -> None:
    """Write the record of a request that no rule was asked about."""
    if as_json:
        echo(json.dumps({"file": file, "record": record, "rule": None, "tests": []}))
    else:
        echo("\n".join(_in_words(record, file)))


def show_sum(record: dict[str, Any], reference: str, file: str, *, as_json: bool) -> None:
    """Write what a record that stands for several refusals says of one of them."""
    if as_json:
        echo(json.dumps({"file": file, "record": record, "rule": None, "tests": []}))
        return
    by = f" by {record['rule']}" if record.get("rule") else ""
    fault = f"fault: {in_words(str(record['fault']))}\n" if record.get("fault") else ""
    times = (record.get("since"), record.get("time"))
    since, until = (f"{format_time(at)} UTC" if isinstance(at, int | float) else str(at) for at in times)
    echo(
        f"reference {reference}, in {file}\n"
        f"decision: {record.get('action')}{by}\n"
        f"{fault}"
        f"summed: one of {record.get('count')} refusals between {since} and {until} that have no records of their own,\n"
        "as there were more than the setting audit.refusals_per_second allows"
    )


def _in_words(record: dict[str, Any], file: str) -> list[str]:
    def has(name: str) -> Any:
        return record.get(name)

    at = has("time")
    when = f"{format_time(at)} UTC" if isinstance(at, int | float) else str(at)
    port = f" port {has('port')}" if has("port") else ""
    lines = [
        f"{when}  reference {has('reference')}, in {file}",
        f"{has('method') or '?'} {has('host')}{has('path')} from {has('client')}{port}",
    ]
    verdict = f"decision: {has('action')} by {has('rule')}" if has("rule") else "refused before any rule was asked"
    if has("status"):
        verdict += f", answered {has('status')}"
    if has("score"):
        verdict += f", score {has('score'):g}"
    if has("mode") == "shadow":
        verdict += " (in shadow: nothing was done)"
    lines.append(verdict)
    if has("reason"):
        lines.append(f"why: {has('reason')}")
    if has("tags"):
        lines.append(f"tags: {', '.join(map(str, record['tags']))}")
    lines += [f"shadow: {hit}" for hit in has("shadow") or ()]
    if has("action") == "ban":
        lines.append("ban: the client is banned, by this request or an earlier one (proxyguard bans list)")
    if has("action") == "tarpit" and has("status") == HTTPStatus.OK:
        lines.append("held: the client was kept waiting on a page that never ends")
    if has("fault"):
        lines.append(f"fault: {in_words(str(has('fault')))}")
    if has("upstream"):
        lines.append(f"upstream: {has('upstream')}")
    lines += [f"{label}: {has(name)}" for name, label in _ALSO.items() if has(name)]
    if has("identity"):
        lines.append(f"identity: {has('identity')} ({_VERIFIED[has('verified')]})")
    return lines


def _why_no_rule(record: dict[str, Any], policy: Policy | None, directory: Path) -> str:
    name = str(record.get("rule", ""))
    if name in _NO_RULE:
        return f"rule: {_NO_RULE[name]}"
    if policy is None:
        return f"rule: the rules in {directory} have problems now (proxyguard check {directory})"
    return f"rule: there is no rule '{name}' in {directory} now; it was renamed or deleted, or lies in another folder (--rules)"


def _rule(policy: Policy | None, name: str) -> Rule | None:
    every = (rule for rule_set in policy.rule_sets for rule in rule_set.rules) if policy else ()
    return next((rule for rule in every if rule.name == name), None)


def _tests(rule: Rule, record: dict[str, Any]) -> list[tuple[str, bool | None]]:
    """Each test of a rule's condition, and whether it holds for the record; None: the record does not have the field."""
    request = _request(record)
    has_agent = "user_agent" in record
    return [(format_leaf(leaf), _holds(leaf, request, has_agent=has_agent)) for leaf in leaves(normal(rule.when))]


def _holds(leaf: Leaf, request: Request | None, *, has_agent: bool) -> bool | None:
    field = leaf.test.field
    if field.kind == FieldKind.CLIENT and request is not None and request.client.number == NOBODY.number:
        return None
    is_agent = field == _AGENT_FIELD  # what `user_agent` is read as
    if request is None or not (field.kind in _RECORDED or (is_agent and has_agent)):
        return None
    return evaluate(leaf.test, request, 0.0, NO_TAGS).holds is not leaf.negated


def _request(record: dict[str, Any]) -> Request | None:
    client, method, host, path = (str(record.get(name, "")) for name in ("client", "method", "host", "path"))
    client = NOBODY.text if PATTERN.fullmatch(client) else client
    agent = record.get("user_agent")
    headers = (("User-Agent", str(agent)),) if agent else ()
    try:
        return request_from_sample(SampleRequest(client=client, method=method, host=host, path=path, headers=headers))
    except ValueError:
        return None


def rule_text(source: SourceFile, rule: Rule) -> list[str]:
    """The lines of a rule in its file, without their indentation."""
    parts = [entry.value for entry in source.root] if source.root else []
    items = [item for part in parts if isinstance(part, Sequence) for item in part.items]
    later = [item.line for item in items if isinstance(item, Mapping) and item.line > rule.place.line]
    keys = [entry.key.line for entry in source.root if entry.key.line > rule.place.line] if source.root else []
    end = min([*later, *keys, len(source.lines) + 1])
    lines = source.lines[rule.place.line - 1 : end - 1]
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    shown = [line[indent:] for line in lines[:MAX_LINES]]
    return [*shown, f"… {len(lines) - MAX_LINES} more lines"] if len(lines) > MAX_LINES else shown
