"""The command that makes rule files from what operators already have: import."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.core.decision import Mode
from proxyguard.tools.importers.draft import ImportFault, slug
from proxyguard.tools.importers.finish import Finished, Provenance, finish
from proxyguard.tools.importers.registry import BY_KIND, IMPORTERS
from proxyguard.tools.importers.sources import MAX_BYTES, Source, Sources

_WIDTH: Final = max(len(each.kind) for each in IMPORTERS)
_KINDS: Final = "\n".join(f"      {each.kind.ljust(_WIDTH)}  {each.summary}" for each in IMPORTERS)

HELP: Final = f"""Make a rule file from FILE; - is standard input.

    \b
    KIND is one of
{_KINDS}

    Files that a configuration includes are read when they lie in the folder of FILE, or in --folder. Rules come with tests and in
    shadow. What could not be converted is listed on standard error and at the top of the file. A rule that would refuse ordinary
    browsers stays in shadow by itself, with a WARNING.

    Exit code 0: written. 1: it could not be made. 2: the command line is wrong.

    \b
    Examples:
      proxyguard import robots robots.txt -o rules/70-robots.yaml
      proxyguard import nginx /etc/nginx/nginx.conf -o rules/72-nginx.yaml
      fail2ban-client get sshd banip | proxyguard import fail2ban - -o rules/71-fail2ban.yaml
    """


@click.command("import", help=HELP)
@click.argument("kind", type=click.Choice(tuple(BY_KIND)), metavar="KIND")
@click.argument("files", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True), nargs=-1, required=True,
                metavar="FILE...")  # fmt: skip
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="The rule file to write, such as rules/70-imported.yaml. Default: standard output.",
)  # fmt: skip
@click.option("--name", help="Name of the rule set. Default: KIND.")
@click.option(
    "--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
    help="Where included files lie. Default: beside FILE.",
)  # fmt: skip
@click.option(
    "--reject", "refusing", multiple=True, metavar="VARIABLE",
    help="nginx: whoever sets this variable of a map or geo is refused, by a file that is not read here.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["shadow", "enforce"]), default="shadow", show_default=True,
    help="Whether the rules act at once, or only record what they would have done.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def import_rules(
    kind: str, files: tuple[Path, ...], output: Path | None, name: str | None, folder: Path | None, refusing: tuple[str, ...],
    mode: str, *, force: bool,
) -> None:  # fmt: skip
    """Make a rule file: read, finish, write. HELP is what the command says."""
    importer = BY_KIND[kind]
    if output is not None and output.exists() and not force:
        fail(f"{output}: the file is there already\n  hint: choose another name, or --force to write over it")
    if refusing and importer.kind != "nginx":
        raise click.UsageError(f"--reject names a variable of nginx; {kind} has none")
    shown = ", ".join("standard input" if str(path) == "-" else path.name for path in files)
    try:
        beside = folder or next((path.parent for path in files if str(path) != "-"), None)
        sources = Sources(_read(files), beside, frozenset(refusing))
        draft = importer.read(sources, slug(name or importer.kind))
        words = ["proxyguard", "import", kind, *("-" if str(path) == "-" else path.name for path in files)]
        words += [word for each in refusing for word in ("--reject", each)]
        finished = finish(draft, Provenance(shown, shlex.join(words), Mode(mode)), output)
    except ImportFault as fault:
        fail(f"{'standard input' if fault.file == '-' else fault.file or shown}: {fault}")
    except OSError as error:
        fail(f"{error.filename or shown}: {error.strerror}")
    for note in finished.draft.notes:
        echo(f"note: {note}" if not note.is_warning else str(note), err=True)
    if output is None:
        echo(finished.text, nl=False)
    else:
        _write(finished, output, Mode(mode))


def _read(files: tuple[Path, ...]) -> tuple[Source, ...]:
    """The named files. Raises ImportFault when they are too large, and OSError."""
    found: list[Source] = []
    left = MAX_BYTES
    for path in files:
        if str(path) == "-":
            data = sys.stdin.buffer.read(left + 1)
        else:
            with path.open("rb") as file:
                data = file.read(left + 1)
        left -= len(data)
        if left < 0:
            raise ImportFault(f"{'the file is' if len(files) == 1 else 'the files are'} larger than {MAX_BYTES >> 20} MiB")
        found.append(Source(path.name, data.decode("utf-8", "replace")))
    return tuple(found)


def _write(finished: Finished, output: Path, mode: Mode) -> None:
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
