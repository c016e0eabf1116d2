"""`proxyguard schema`: the rule language as a JSON Schema, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from proxyguard.cli.options import fail
from proxyguard.lint.fixes import replace_file
from proxyguard.policy.schema import policy_schema

SCHEMA_FILE: Final = ".schema.json"
"""Beside the rule files; names that begin with a dot are not read as rules."""

MODELINE: Final = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""The first line of a rule file, by which editors find the schema."""


def schema_text() -> str:
    """The schema as it is written to files."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to this file instead.")
def schema(output: Path | None) -> None:
    """Write the JSON Schema of rule files, by which editors complete keys, explain them and mark mistakes while you type.

    \b
    Example:
      proxyguard schema -o rules/.schema.json

    \b
    and as the first line of each rule file:
      # yaml-language-server: $schema=.schema.json
    """
    if output is None:
        click.echo(schema_text(), nl=False)
        return
    try:
        replace_file(output, schema_text().encode())
    except OSError as error:
        fail(f"error: {output} cannot be written: {error.strerror}")
