"""`proxyguard canary`: which invented people were handed out, and to whom those came that turned up somewhere."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
from rich.table import Table

from proxyguard.cli.as_configured import as_configured
from proxyguard.cli.audit_lookup import find_record, lines_backwards, log_files
from proxyguard.cli.echo import echo
from proxyguard.cli.options import Decorator, config_option, fail, json_option, settings_or_exit
from proxyguard.cli.rules import loaded_or_usage, rules_option
from proxyguard.cli.tables import print_table
from proxyguard.core.printable import printable
from proxyguard.core.settings import Settings
from proxyguard.core.units import format_time
from proxyguard.guard.canaries import TOKEN_CHARACTERS, Canaries, Canary, rule_mark
from proxyguard.policy.parse.lists import reason
from proxyguard.telemetry.rotated import BROKEN

BLOCK_BYTES: Final = 1 << 20

MOST_FOUND: Final = 100_000
"""Different texts in the form of a token that are tried in one file."""

_TOKEN: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{%d}" % TOKEN_CHARACTERS)
_MAZE: Final = b'"action":"maze"'


@click.group()
def canary() -> None:
    """List the canaries that mazes handed out, and trace those that turn up elsewhere.

    \b
    Example:
      proxyguard canary trace 3f6c…@people.example.invalid
    """


audit_option: Decorator = click.option(
    "--audit", metavar="FILE", type=click.Path(path_type=Path), help="Audit log. Default: that of the settings."
)


@canary.command("trace")
@click.argument("text", metavar="TOKEN")
@rules_option
@audit_option
@config_option
@json_option
def trace_canary(text: str, audit: Path | None, config: Path | None, *, as_json: bool, **_settings: object) -> None:
    """Say when a canary was handed out, by which rule, and under which reference.

    TOKEN is the canary, an e-mail address that holds it, or - for a text on standard input, such as a published data set, of
    which every canary is traced. Only the instance's key is needed. The client is told as well where the audit log still has it.

    \b
    Exit code 0: traced. 1: none of it is a canary of this key.

    \b
    Examples:
      proxyguard canary trace 3f6c…@people.example.invalid --config proxyguard.yaml
      zcat dump.csv.gz | proxyguard canary trace - --json
    """
    settings = settings_or_exit(config)
    canaries = _canaries(settings)
    text_file = sys.stdin.buffer if text == "-" else BytesIO(text.encode("utf-8", "surrogateescape"))
    texts = _tokens(text_file)
    found = {token: read for token in texts if (read := canaries.read(token)) is not None}
    if not found:
        fail(
            "error: there is no canary of this key\n"
            f"  hint: a canary is {TOKEN_CHARACTERS} hexadecimal digits; key_secret must be what it was when it was handed out"
        )
    names = _rule_names(as_configured(config))
    log = _log(settings, audit)
    rows = [_traced(token, read, names, log) for token, read in found.items()]
    for row in rows:
        if as_json:
            echo(json.dumps(row))
        else:
            rule = row["rule"] or "a rule that --rules does not have"
            client = row["client"] or "no longer in the audit log"
            when = format_time(row["time"])
            echo(printable(f"{row['canary']}: {when}, by {rule}, reference {row['reference']}, client {client}"))


@canary.command("list")
@audit_option
@click.option("--most", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Only so many, the last ones.")
@config_option
@json_option
def list_canaries(audit: Path | None, most: int, config: Path | None, *, as_json: bool) -> None:
    """List the canaries that were handed out, the last one first, as far as the audit log has them.

    Nothing else keeps them: each is made again from its record. In a flood records are summed; those canaries can be traced all
    the same.

    \b
    Example:
      proxyguard canary list --most 100
    """
    settings = settings_or_exit(config)
    canaries, log = _canaries(settings), _log(settings, audit)
    if log is None:
        fail("error: the audit log is standard output\n  hint: name the file that keeps it: --audit FILE")
    try:
        rows = list(islice(_handed_out(log, canaries), most))
    except BROKEN as error:
        fail(f"error: the audit log {log} cannot be read: {reason(error) if isinstance(error, OSError) else error}")
    if as_json:
        for row in rows:
            echo(json.dumps(row))
        return
    table = Table("handed out", "rule", "reference", "client", "canary", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(format_time(row["time"]), *(printable(row[key]) for key in ("rule", "reference", "client", "canary")))
    print_table(table)


def _canaries(settings: Settings) -> Canaries:
    if not settings.key_secret:
        fail("error: there is no key_secret\n  hint: canaries are made with it: name the settings that have it, --config FILE")
    return Canaries(settings.key_secret.encode())


def _log(settings: Settings, audit: Path | None) -> Path | None:
    return audit or (None if settings.audit.path == "-" else Path(settings.audit.path))


def _rule_names(settings: Settings) -> dict[bytes, str]:
    """Names of rules by their marks; none when the rules cannot be read, which holds up no trace."""
    policy = loaded_or_usage(settings.rules, settings.preset).policy
    rule_sets = () if policy is None else policy.rule_sets
    return {rule_mark(rule.name): rule.name for rule_set in rule_sets for rule in rule_set.rules}


def _traced(token: str, read: Canary, names: dict[bytes, str], log: Path | None) -> dict[str, Any]:
    record: dict[str, Any] = {}
    if log is not None and log_files(log):
        try:
            record = find_record(log, read.reference).record or {}
        except OSError as error:
            echo(f"warning: the audit log {log} cannot be read: {reason(error)}", err=True)
    rule = names.get(read.rule) or str(record.get("rule", ""))
    client = str(record.get("client", ""))
    return {"canary": token, "time": read.time, "rule": rule, "reference": read.reference, "client": client}


def _tokens(text: BinaryIO) -> Iterator[str]:
    """What looks like a token in a text of any length, in the order of the text, each once."""
    seen: dict[bytes, None] = {}
    rest = b""
    while (block := text.read(BLOCK_BYTES)) and len(seen) < MOST_FOUND:
        block = rest + block.lower()
        for found in _TOKEN.findall(block):
            if found not in seen:
                seen[found] = None
                yield found.decode()
        rest = block[-TOKEN_CHARACTERS:]


def _handed_out(log: Path, canaries: Canaries) -> Iterator[dict[str, Any]]:
    for path in log_files(log):
        for line in lines_backwards(path, _MAZE):
            try:
                record = json.loads(line)
                token = canaries.token(record["time"], record["rule"], record["reference"])
                row = {key: record[key] for key in ("time", "rule", "reference", "client")} | {"canary": token}
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # no record, or one of the sums of a flood
                continue
            yield row
