"""Commands about rules that need no running instance: check, explain, schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import time
from typing import Any

import click

from proxyguard.cli.options import fail
from proxyguard.decision import Mode
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy, RequestSketch, rules_by_mode
from proxyguard.policy.schema import policy_schema
from proxyguard.problems import format_report
from proxyguard.selftest import parse_batch_line, request_from_sketch, run_tests
from proxyguard.trace import trace

rules_argument = click.argument("directory", type=click.Path(path_type=Path), default=Path("rules"))
rules_option = click.option(
    "--rules", "directory", metavar="DIR", type=click.Path(path_type=Path), default=Path("rules"), show_default=True,
    help="Folder of rule sets.",
)  # fmt: skip


def policy_or_exit(directory: Path) -> Policy:
    """The policy of a directory whose own tests hold; ends the program with the report otherwise."""
    loaded = load_policy(directory)
    problems = loaded.problems
    if loaded.policy is not None and not problems:
        problems = tuple(failure.problem for failure in run_tests(loaded.policy))
    if loaded.policy is None or problems:
        fail(format_report(problems))
    return loaded.policy


@click.command()
@rules_argument
def check(directory: Path) -> None:
    """Read every rule file, report all problems, and run the tests inside the files.

    Exit code 0: all is well. 1: problems were found. 2: the command line is wrong.

    \b
    Example:
      proxyguard check rules/
    """
    policy = policy_or_exit(directory)
    modes = [mode for _, mode in rules_by_mode(policy, Mode.ENFORCE)]
    counts = ", ".join(f"{modes.count(mode)} {mode}" for mode in Mode if mode in modes)
    tests = sum(len(rule_set.tests) for rule_set in policy.rule_sets)
    click.echo(
        f"{directory}: {len(policy.rule_sets)} rule sets, {len(modes)} rules ({counts or 'none'}), {tests} tests passed"
    )


@click.command()
@rules_option
@click.option("--client", default="192.0.2.1", show_default=True, help="The client's address.")
@click.option("--method", default="GET", show_default=True)
@click.option("--scheme", type=click.Choice(["http", "https"]), default="https", show_default=True)
@click.option("--host", default="example.org", show_default=True)
@click.option("--path", default="/", show_default=True, help="With the query, if any.")
@click.option("--user-agent", help="Short for -H 'User-Agent: …'.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="May be given several times.")
@click.option("--batch", type=click.File("rb"), help="JSON lines, one request each; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON for another program.")
def explain(
    directory: Path,
    client: str,
    method: str,
    scheme: str,
    host: str,
    path: str,
    user_agent: str | None,
    headers: tuple[str, ...],
    batch: Any,
    *,
    as_json: bool,
) -> None:
    """Say what the rules decide about one request, and which condition said so.

    \b
    Examples:
      proxyguard explain --user-agent curl/8.5.0 --path /profiles/1
      proxyguard explain --batch requests.jsonl > decisions.jsonl
    """
    policy = policy_or_exit(directory)
    if batch is not None:
        explain_batch(policy, batch)
        return
    fields = [_header(text) for text in headers]
    if user_agent is not None:
        fields.append(("User-Agent", user_agent))
    sketch = RequestSketch(client, method, scheme, host, path, headers=tuple(fields))
    try:
        request = request_from_sketch(sketch)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    found = trace(policy, request, time())
    click.echo(json.dumps(found.as_dict()) if as_json else found.as_text())


def explain_batch(policy: Policy, lines: Any) -> None:
    """One JSON object out per line in; a line that is not a request ends the program with its number."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            request = parse_batch_line(line)
        except ValueError as error:
            fail(f"{getattr(lines, 'name', '-')}:{number}:1: error: {error}")
        sys.stdout.write(json.dumps(trace(policy, request, time()).as_dict()) + "\n")


def _header(text: str) -> tuple[str, str]:
    name, mark, value = text.partition(":")
    if not mark or not name.strip():
        raise click.BadParameter(f"{text!r} is not 'Name: value'", param_hint="-H")
    return name.strip(), value.strip()


@click.command()
def schema() -> None:
    """Write the JSON Schema of rule files, for editors.

    \b
    Example, first line of a rule file:
      # yaml-language-server: $schema=./rules.schema.json
    """
    click.echo(json.dumps(policy_schema(), indent=2))
