"""A group of commands whose modules are imported only when they are run: `--help` and `check` never wait for the proxy.

Each command is named with its module and its one line of help, so that the list needs no import; a test holds the lines to
the commands' own help.
"""

from __future__ import annotations

import errno
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from proxyguard.cli.echo import echo
from proxyguard.core.problems import nearest


class Lazy(NamedTuple):
    """A command: `module:attribute`, and its line in the list of commands."""

    where: str
    help: str

    def load(self) -> click.Command:
        module, _, attribute = self.where.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


class LazyGroup(click.Group):
    """A click group over a table of Lazy commands."""

    def __init__(self, *args: Any, lazy: dict[str, Lazy], meant: dict[str, str], **kwargs: Any) -> None:
        """`meant` has the command for a word that other programs have for it."""
        super().__init__(*args, **kwargs)
        self.lazy = lazy
        self.meant = meant

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the system refuses and no command looks after is said with its place, as everything is."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has gone; click ends in silence
                raise
            named = [str(name) for name in (error.filename, error.filename2) if name is not None]
            echo(f"error: {': '.join([*named, error.strerror or str(error)])}", err=True)
            raise SystemExit(1) from error
        except UnicodeEncodeError as error:  # bytes that are no text arrive as halves of surrogate pairs
            shown = ascii(error.object[max(0, error.start - 20) : error.end + 20])
            echo(f"error: a word of the command line is not UTF-8: {shown}", err=True)
            raise SystemExit(2) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.lazy:
            return self.lazy[cmd_name].load()
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, but with a hint at the nearest command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = self.meant.get(args[0]) or nearest(args[0], self.list_commands(ctx))
            if near is None or "did you mean" in error.message.lower():
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near}'?", ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, from the table alone, and options."""
        names = [name for name in self.list_commands(ctx) if name in self.lazy and name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=self.lazy[name].help) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        rows = [(name, self.lazy[name].help) for name in self.list_commands(ctx) if name in self.lazy]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
