"""The command that makes rule files from what operators already have: import."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.core.decision import Mode
from proxyguard.tools.importers.ai_robots import read_ai_robots
from proxyguard.tools.importers.anubis import read_anubis
from proxyguard.tools.importers.draft import Draft, ImportFault, slug
from proxyguard.tools.importers.fail2ban import read_fail2ban
from proxyguard.tools.importers.finish import Origin, finish
from proxyguard.tools.importers.nginx_map import read_nginx_map
from proxyguard.tools.importers.robots import read_robots

KINDS: Final[dict[str, Callable[[str, str], Draft]]] = {
    "robots": read_robots,
    "nginx-map": read_nginx_map,
    "ai-robots": read_ai_robots,
    "fail2ban": read_fail2ban,
    "anubis": read_anubis,
}

MAX_BYTES: Final = 16 * 1024 * 1024
"""The bound of a rule file."""


@click.command("import")
@click.argument("kind", type=click.Choice(tuple(KINDS)), metavar="KIND")
@click.argument("file", type=click.File("rb"))
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="The rule file to write, such as rules/70-imported.yaml. Default: standard output.",
)  # fmt: skip
@click.option("--name", help="Name of the rule set. Default: KIND.")
@click.option(
    "--mode", type=click.Choice(["shadow", "enforce"]), default="shadow", show_default=True,
    help="Whether the rules act at once, or only record what they would have done.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def import_rules(
    kind: str, file: BinaryIO, output: Path | None, name: str | None, mode: str, *, force: bool
) -> None:  # fmt: skip
    """Make a rule file from FILE; - is standard input.

    \b
    KIND is one of
      robots      robots.txt
      nginx-map   an nginx configuration with a map of $http_user_agent (or another variable)
      ai-robots   robots.json of the ai.robots.txt project
      fail2ban    output of fail2ban-client status JAIL or get JAIL banip; or one address a line
      anubis      a policy file of Anubis

    Rules come with tests and in shadow. What could not be converted is listed on standard error and at the top of the file.

    Exit code 0: written. 1: it could not be made. 2: the command line is wrong.

    \b
    Examples:
      proxyguard import robots robots.txt -o rules/70-robots.yaml
      fail2ban-client get sshd banip | proxyguard import fail2ban - -o rules/71-fail2ban.yaml
    """
    if output is not None and output.exists() and not force:
        fail(f"{output}: the file is there already\n  hint: choose another name, or --force to write over it")
    path = getattr(file, "name", "-")
    source = "standard input" if path in {"-", "<stdin>"} else Path(path).name
    set_name = slug(name or kind)
    try:
        draft = KINDS[kind](_text(file), set_name)
        command = f"proxyguard import {kind} {'-' if source == 'standard input' else shlex.quote(source)}"
        finished = finish(draft, Origin(source, command, Mode(mode)), output)
    except ImportFault as fault:
        fail(f"{source}: {fault}")
    except OSError as error:
        fail(f"{source}: {error.strerror}")
    for note in finished.draft.notes:
        echo(f"note: {note}", err=True)
    if output is None:
        echo(finished.text, nl=False)
        return
    try:
        part = output.with_name(f".{output.name}.part")  # a running instance reads whole files only, and none with a dot
        part.write_text(finished.text, encoding="utf-8")
        part.replace(output)
    except OSError as error:
        fail(f"{output}: {error.strerror}")
    counts = ((len(finished.draft.rules), "rule"), (len(finished.draft.tests), "test"), (len(finished.draft.notes), "note"))
    summary = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    next_step = "; they are in shadow: see what they would do, then set the mode to enforce" if mode == Mode.SHADOW else ""
    echo(f"{output}: {summary}{next_step}", err=True)


def _text(file: BinaryIO) -> str:
    data: bytes = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ImportFault(f"the file is larger than {MAX_BYTES >> 20} MiB")
    return data.decode("utf-8", "replace")
