"""`proxyguard schema`: the rule language, or the settings file, as a JSON Schema, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.policy.error import PolicyError
from proxyguard.policy.schema.schema import policy_schema
from proxyguard.settings.schema import settings_schema
from proxyguard.tools.lint.fixes import replace_file

SCHEMA_FILE: Final = ".schema.json"
"""Beside the files that it is about; names that begin with a dot are not read as rules."""


def schema_text(*, of_settings: bool = False) -> str:
    found = settings_schema() if of_settings else policy_schema()
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to this file instead.")
@click.option("--settings", "of_settings", is_flag=True, help="The schema of the settings file, proxyguard.yaml.")
def schema(output: Path | None, of_settings: bool) -> None:  # noqa: FBT001 - click passes a flag so
    """Write the JSON Schema of rule files, by which editors complete keys, explain them and mark mistakes while you type.

    \b
    Examples:
      proxyguard schema -o rules/.schema.json
      proxyguard schema --settings -o .schema.json

    \b
    and as the first line of each rule file, and of proxyguard.yaml:
      # yaml-language-server: $schema=.schema.json
    """
    try:
        text = schema_text(of_settings=of_settings)
    except PolicyError as error:
        fail(f"error: {error}")
    if output is None:
        echo(text, nl=False)
        return
    try:
        replace_file(output, text.encode())
    except OSError as error:
        fail(f"error: {output} cannot be written: {error.strerror}")
