"""Prints tables: as wide as the terminal, and whole into a file or another program."""

from __future__ import annotations

import sys
from typing import Final

import click
from rich.console import Console
from rich.table import Table

WIDE: Final = 400
"""Columns of a table that goes into a file or another program: nothing is cut or wrapped there."""


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, or whole when the output is none."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else WIDE)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
