"""Where the logs are, under which names they have a person, and that somebody looked: what the commands about people share."""

from __future__ import annotations

import base64
import os
import pwd
import stat
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from proxyguard.cli.options import control_or_exit, fail
from proxyguard.core.address import Address
from proxyguard.core.printable import printable_json
from proxyguard.core.problems import quoted
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.core.settings import Settings
from proxyguard.instance.control.client import ControlError, send_command
from proxyguard.policy.parse.lists import reason
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_records import Notice
from proxyguard.telemetry.discretion import secret_of
from proxyguard.telemetry.person_records import files_of, lines_about
from proxyguard.telemetry.rotated import BROKEN

MAX_REASON: Final = 300

DAYS: Final = 4_000
"""How far back the names of a person are looked for: copies of logs are kept longer than the settings say."""

STANDARD_OUTPUT: Final = "-"

WRITTEN_SECONDS: Final = 5.0
"""How long a notice may wait for the disk before whoever wrote it looks for another way."""

WRITTEN_BYTES: Final = 8 * 1024 * 1024
"""At the end of the log, where a notice is looked for: what a flood writes in that time."""


class Places(NamedTuple):
    """The logs, and the instance that writes the audit log; None: it is of another one, or none is asked."""

    settings: Settings
    audit: Path | None
    sealed: Path | None
    socket: Path | None


class PersonFacts(NamedTuple):
    """What the instance, or its secret, says of a person."""

    names: tuple[str, ...]
    bans: list[dict[str, Any]]
    sessions: int
    notes: tuple[str, ...] = ()


NOT_ASKED: Final = "with --audit alone no instance is asked: name it with --control"

NAME_IT: Final = "name the file that keeps it: --audit FILE"

NO_LOG: Final = f"error: the audit log is standard output\n  hint: {NAME_IT}"


def find_places(config: Path | None, audit: Path | None, sealed: Path | None, control: Path | None = None) -> Places:
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - `keys` needs no settings: 0.1 s

    settings = read_as_given(config, os.environ).settings
    configured = None if settings.audit.path == STANDARD_OUTPUT else Path(settings.audit.path)
    socket = control_or_exit(config, control) if audit is None or control is not None else None
    return Places(settings, audit or configured, sealed or settings.privacy.sealed, socket)


def known_of(command: str, subject: str, place: Places) -> PersonFacts:
    """The names of an address on every day of eleven years; ends the program when nobody can tell."""
    try:
        address = Address.parse(subject)
    except ValueError:
        address = None
    own = () if address is None else (address.text,)
    try:
        if place.socket is None:
            return _known_without(ControlError(NOT_ASKED), address, place)
        answer = send_command(place.socket, command, {"subject": subject, "days": DAYS})
    except ControlError as error:
        return _known_without(error, address, place)
    names = (*answer["names"], *own, *([answer["client"]] if own else []))
    return PersonFacts(names, answer["bans"], answer["sessions"], not_looked_through(place))


def _known_without(error: ControlError, address: Address | None, place: Places) -> PersonFacts:
    settings = place.settings
    if address is None or not (settings.privacy.key or settings.key_secret):
        _fail_unknown(error)
    pseudonyms = Pseudonyms(secret_of(settings.privacy, (settings.key_secret or "").encode()))
    client = address.client_key(settings.counting.prefixes)
    names = pseudonyms.names(client, time(), DAYS)
    note = f"no instance answers, so bans and sessions are not known: {str(error).splitlines()[0]}"
    return PersonFacts((*names, client, address.text), [], 0, (note, *not_looked_through(place)))


def not_looked_through(place: Places) -> tuple[str, ...]:
    """Which logs say nothing of a person because there is nothing to read, for whoever takes that for an answer."""
    logs = [log for log in (place.audit, place.sealed) if log is not None]
    missing = [
        f"{log}: no such file, so nothing was looked through" for log in logs if not (log.parent.is_dir() and files_of(log))
    ]
    standard = f"the audit log is standard output: what keeps it is not looked through, {NAME_IT}"
    return (standard, *missing) if place.audit is None else tuple(missing)


def _fail_unknown(error: ControlError) -> NoReturn:
    fail(
        f"error: {error}\n  hint: the names of an address are known to the running instance, or from privacy.key_file or "
        "key_secret (--config); where neither is left, nobody can tell whose records they are"
    )


def lines_of_person(log: Path, names: tuple[str, ...]) -> list[bytes]:
    if not log.parent.is_dir():
        return []
    try:
        return [line for _, line in lines_about(log, names)]
    except BROKEN as error:
        fail(f"error: {log}: {error}")


def count_lines(log: Path | None, names: tuple[str, ...]) -> dict[str, int]:
    """How many lines each file has."""
    counts: dict[str, int] = {}
    if log is None or not log.parent.is_dir():
        return counts
    try:
        for path, _ in lines_about(log, names):
            counts[str(path)] = counts.get(str(path), 0) + 1
    except BROKEN as error:
        fail(f"error: {log}: {error}")
    return counts


def read_private_key(path: Path) -> bytes:
    try:
        key = base64.b64decode(path.read_bytes()[:200].strip(), validate=True)
    except OSError as error:
        fail(f"error: --key {path}: {reason(error)}")
    except ValueError:
        key = b""
    if len(key) != 32:
        fail(f"error: --key {path} is no private key\n  hint: the file that `proxyguard privacy keys` wrote")
    return key


def client_of(log: Path | None, reference: str) -> str:
    """The client of the record with a reference; ends the program when there is none."""
    from proxyguard.cli.audit_lookup import REFERENCE, find_record  # noqa: PLC0415 - only a reference needs it

    if log is None:
        fail(NO_LOG)
    if REFERENCE.fullmatch(reference) is None:
        fail(f"error: {quoted(reference)} is neither a pseudonym nor a reference\n  hint: c-5f2b8e01c77a, or 16 digits of a page")
    try:
        record = find_record(log, reference).record
    except OSError as error:
        fail(f"error: {log}: {reason(error)}")
    if record is None or not isinstance(record.get("client"), str):
        fail(f"error: no record has the reference {quoted(reference)}\n  hint: a sum of refusals has none of its own")
    return str(record["client"])


def record_notice(place: Places, kind: str, subject: str, why: str, records: int) -> None:
    """Record what is about to be done: by the instance, in whose chain it cannot be left out unnoticed, else in the log itself.

    Ends the program when it cannot be written.
    """
    log = place.audit
    notice = Notice(time=round(time(), 3), kind=kind, who=_who(), subject=subject, reason=why[:MAX_REASON], records=records)
    if place.socket is not None and _noted_by(place.socket, notice) and (log is None or _is_written(log, notice)):
        return
    if log is None:
        fail(NO_LOG)
    lost: list[int] = []
    try:
        audit = AuditLog(str(log), lost.append)
    except OSError as error:
        fail(f"error: the audit log {log} cannot be written: {reason(error)}; nothing is done without a record of it")
    audit.note(notice)
    audit.close()
    if lost:
        fail(f"error: the audit log {log} cannot be written; nothing is done without a record of it")


def _noted_by(socket: Path, notice: Notice) -> bool:
    try:
        return bool(send_command(socket, "audit-note", {"notice": msgspec.to_builtins(notice)})["noted"])
    except ControlError:
        return False


def _is_written(log: Path, notice: Notice) -> bool:
    """Whether a notice that waits is in the log in time, which a full disk never takes. True where nobody can tell."""
    line = printable_json(msgspec.json.encode(notice)).removesuffix(b"}")
    end = monotonic() + WRITTEN_SECONDS
    while True:
        try:
            if not stat.S_ISREG(log.stat().st_mode):
                return True
            with log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - WRITTEN_BYTES))
                if line in file.read():
                    return True
        except PermissionError:
            return True
        except OSError:
            return False
        if monotonic() > end:
            return False
        sleep(0.05)


def _who() -> str:
    """The account that runs the command, and the one it was before sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo by {before})" if before else name
