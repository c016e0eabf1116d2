"""`proxyguard privacy`: keys of the sealed log, whom a pseudonym means, and what records have of a person who asks."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from time import time

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.mistaken_address import refuse_mistaken
from proxyguard.cli.options import config_option, control_option, fail, json_option
from proxyguard.cli.record_access import (
    NO_LOG,
    client_of,
    count_lines,
    find_places,
    known_of,
    lines_of_person,
    read_private_key,
    record_notice,
)
from proxyguard.core.printable import printable
from proxyguard.core.problems import quoted
from proxyguard.core.pseudonym import PATTERN
from proxyguard.core.units import format_time
from proxyguard.policy.parse.lists import reason
from proxyguard.telemetry.audit_chain import check_chain
from proxyguard.telemetry.person_records import CannotErase, erase, files_of, lines_about
from proxyguard.telemetry.rotated import BROKEN, lines_of, rotated_files

AUDIT_OPTION = click.option(
    "--audit", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="The audit log. Default: as configured."
)
SEALED_OPTION = click.option(
    "--sealed", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="The sealed log. Default: as configured."
)
REASON_OPTION = click.option("--reason", required=True, help="Why: a ticket, a request. It is recorded.")


@click.group()
def privacy() -> None:
    """Tell whom a pseudonym means; answer who asks for their records.

    \b
    Examples:
      proxyguard privacy keys --out /media/safe/reveal.key
      proxyguard privacy reveal c-5f2b8e01c77a --key /media/safe/reveal.key --reason "case 17"
      proxyguard privacy find 203.0.113.9
    """


@privacy.command()
@click.option("--out", required=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="The private key.")
def keys(out: Path) -> None:
    """Make the two keys of the sealed log: the private one in a file, the public one for the settings.

    Keep the private key off this machine: whoever has it can tell who was refused. Without it nobody can.

    \b
    Example:
      proxyguard privacy keys --out reveal.key
    """
    from proxyguard.telemetry.sealed import new_keys  # noqa: PLC0415 - only keys and reveal need the cryptography: 0.1 s

    private, public = new_keys()
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(base64.b64encode(private).decode() + "\n")
    except FileExistsError:
        fail(f"error: {out} is there already, and may be the only key of what is sealed\n  hint: name another file")
    except OSError as error:
        fail(f"error: {out}: {reason(error)}")
    echo(f"the private key is in {out}: keep it elsewhere. In proxyguard.yaml:\n")
    echo("privacy:\n  sealed: /var/log/proxyguard/sealed.jsonl")
    echo(f"  public_key: {base64.b64encode(public).decode()}")


@privacy.command()
@click.argument("who")
@click.option(
    "--key", "key_file", required=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="The private key."
)
@REASON_OPTION
@AUDIT_OPTION
@SEALED_OPTION
@config_option
@control_option
@json_option
def reveal(
    who: str,
    key_file: Path,
    reason: str,
    audit: Path | None,
    sealed: Path | None,
    config: Path | None,
    control: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show the addresses that a pseudonym, or the client of a reference, had. It is recorded in the audit log before.

    Nothing is shown when it cannot be recorded. Acting needs none of it: `bans add` takes the pseudonym.

    \b
    Examples:
      proxyguard privacy reveal c-5f2b8e01c77a --key reveal.key --reason "case 17"
      proxyguard privacy reveal 8a0c4841c4432675 --key reveal.key --reason "police, 4711/26"
    """
    from proxyguard.telemetry.sealed import opened, read_line  # noqa: PLC0415 - as above

    place = find_places(config, audit, sealed, control)
    if place.sealed is None:
        fail("error: there is no sealed log\n  hint: the setting privacy.sealed, or --sealed FILE")
    key = read_private_key(key_file)
    is_name = PATTERN.fullmatch(who) is not None
    client = who if is_name else client_of(place.audit, who)
    found, closed = [], 0
    try:
        for _, line in lines_about(place.sealed, (client,)):
            entry = read_line(line)
            if entry is None:
                continue
            try:
                found += [each for each in opened(entry, key) if each.client == client and (is_name or each.reference == who)]
            except ValueError:
                closed += 1
    except BROKEN as error:
        fail(f"error: {place.sealed}: {error}")
    record_notice(place, "reveal", who, reason, len(found))
    if as_json:
        fields = ("client", "address", "port", "reference", "time")
        echo(json.dumps({"found": [{name: getattr(each, name) for name in fields} for each in found], "closed": closed}))
    for each in () if as_json else found:
        port = "" if each.port is None else f" port {each.port}"
        echo(f"{format_time(each.time)} UTC  {each.client}  {each.address}{port}  {each.reference}")
    if closed:
        echo(f"{closed} entries were sealed to another key, or are damaged", err=True)
    if not found:
        fail(f"error: the sealed log has nothing of {quoted(who)}\n  hint: it has refused and flagged clients, while it is kept")


@privacy.command()
@click.argument("subject")
@AUDIT_OPTION
@SEALED_OPTION
@config_option
@control_option
@json_option
def find(
    subject: str, audit: Path | None, sealed: Path | None, config: Path | None, control: Path | None, *, as_json: bool
) -> None:
    """Say what is kept of an address, or of an account as the upstream calls it: records, entries, bans, sessions.

    \b
    Examples:
      proxyguard privacy find 203.0.113.9
      proxyguard privacy find alice --json
    """
    refuse_mistaken(subject, "SUBJECT")
    place = find_places(config, audit, sealed, control)
    known = known_of("person-find", subject, place)
    records, entries = count_lines(place.audit, known.names), count_lines(place.sealed, known.names)
    shown = {"records": records, "sealed": entries, "bans": known.bans, "sessions": known.sessions}
    for note in known.notes:
        echo(note, err=True)
    if as_json:
        echo(json.dumps(shown))
        return
    for what, files in (("audit records", records), ("sealed entries", entries)):
        echo(f"{sum(files.values())} {what}" + "".join(f"\n  {count} in {path}" for path, count in files.items()))
    echo(
        f"{len(known.bans)} bans in force"
        + "".join(f"\n  until {format_time(ban['until'])} UTC, by {printable(ban['rule'])}" for ban in known.bans)
    )
    echo(f"{known.sessions} sessions of an account of that name")


@privacy.command()
@click.argument("subject")
@REASON_OPTION
@AUDIT_OPTION
@SEALED_OPTION
@config_option
@control_option
def export(subject: str, reason: str, audit: Path | None, sealed: Path | None, config: Path | None, control: Path | None) -> None:
    """Write what `privacy find` finds to standard output, one JSON object a line. It is recorded in the audit log.

    \b
    Example:
      proxyguard privacy export 203.0.113.9 --reason "request 12" > records.jsonl
    """
    refuse_mistaken(subject, "SUBJECT")
    place = find_places(config, audit, sealed, control)
    known = known_of("person-find", subject, place)
    lines = [line for log in (place.audit, place.sealed) if log is not None for line in lines_of_person(log, known.names)]
    record_notice(place, "export", "a person's request", reason, len(lines))
    for line in lines:
        echo(line.decode("utf-8", "replace").rstrip())
    for ban in known.bans:
        echo(json.dumps({"kind": "ban", **ban}))
    for note in known.notes:
        echo(note, err=True)


@privacy.command("erase")
@click.argument("subject")
@REASON_OPTION
@AUDIT_OPTION
@SEALED_OPTION
@click.option("--yes", is_flag=True, help="Do it; without, say what would be erased.")
@config_option
@control_option
def erase_records(
    subject: str, reason: str, audit: Path | None, sealed: Path | None, config: Path | None, control: Path | None, *, yes: bool
) -> None:
    """Erase what `privacy find` finds, but for bans in force, which `bans remove` lifts. It is recorded in the audit log.

    An erased record leaves a tombstone, so that `privacy verify` still tells whether anything else is missing.

    \b
    Example:
      proxyguard privacy erase 203.0.113.9 --reason "request 12" --yes
    """
    refuse_mistaken(subject, "SUBJECT")
    place = find_places(config, audit, sealed, control)
    known = known_of("person-erase" if yes else "person-find", subject, place)
    if not yes:
        count = sum(sum(count_lines(log, known.names).values()) for log in (place.audit, place.sealed))
        fail(f"{count} lines and {known.sessions} sessions would be erased; --yes erases them")
    count, faults = 0, []
    for log in (place.audit, place.sealed):
        for path in [] if log is None or not log.parent.is_dir() else files_of(log):
            try:
                count += erase(path, known.names, time())
            except (*BROKEN, CannotErase) as error:
                faults.append(f"{path}: {error}")
    record_notice(place, "erase", "a person's request", reason, count)
    echo(f"{count} lines and {known.sessions} sessions are erased; {len(known.bans)} bans stay in force")
    for note in known.notes:
        echo(note, err=True)
    if faults:
        fail("error: not everywhere:\n  " + "\n  ".join(faults))


@privacy.command()
@AUDIT_OPTION
@config_option
def verify(audit: Path | None, config: Path | None) -> None:
    """Check the chain of the audit log and of its rotated files: whether a record was changed, or is missing.

    Exit code 1 when there is one. Records at the very end may be missing unnoticed: keep a copy of the last line elsewhere.

    \b
    Example:
      proxyguard privacy verify --audit /var/log/proxyguard/audit.jsonl
    """
    log = find_places(config, audit, None).audit
    if log is None:
        fail(NO_LOG)
    try:
        files = list(reversed(rotated_files(log, 0.0)))
        found = check_chain(*map(lines_of, files))
    except BROKEN as error:
        fail(f"error: {log}: {error}")
    if not files:
        fail(f"error: {log}: no such file")
    echo(f"{found.lines} lines of {found.writers} writers in {len(files)} files, {found.erased} of them erased by request")
    if found.unchained:
        echo(f"{found.unchained} lines have no link: they are of an older version, or not ours")
    if found.problems:
        fail("\n".join(("error: the chain is broken", *found.problems)))
    echo("the chain holds")
