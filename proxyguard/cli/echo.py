"""Writes what a command has to say: nothing that a stranger chose reaches the terminal raw."""

from __future__ import annotations

import click

from proxyguard.core.printable import LINES_AND_TABS, printable


def echo(text: str = "", *, nl: bool = True, err: bool = False) -> None:
    """As `click.echo`, with what a terminal would act on escaped."""
    click.echo(printable(text, LINES_AND_TABS), nl=nl, err=err)
