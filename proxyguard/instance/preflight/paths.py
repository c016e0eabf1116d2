"""Files that an instance is to write and cannot: the audit log, the snapshot, restrictions, bodies that are held.

Tries it as far as that leaves no trace: opens what is there for appending, and makes a file without a name in a folder. Goes by
the user that runs it, as an instance does.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from proxyguard.core.settings import Settings
from proxyguard.instance.preflight.concern import Concern, Weight


def paths(settings: Settings) -> Iterator[Concern]:
    """Every path of the settings that cannot be written."""
    if settings.audit.path != "-":
        yield from _appended("audit.path", Path(settings.audit.path))
    if settings.store.snapshot is not None:
        what = "bans and counts end with the instance"
        yield from _replaced("store.snapshot", settings.store.snapshot, what)
    if settings.store.learned is not None:
        yield from _replaced("store.learned", settings.store.learned, "what was learned ends with the instance")
    if settings.restrictions_file is not None:
        what = "restrictions given by command end with the instance"
        yield from _replaced("restrictions.file", settings.restrictions_file, what)
    folder = settings.buffer_budget.directory
    if folder is not None:
        why = _why_not_in(folder)
        if why:
            message = f"buffering.directory {folder}: {why}; responses are not held there, and the site waits for slow clients"
            yield Concern("buffering.directory", message, _hint(why, folder), Weight.LOSS)
    if settings.control is not None:
        why = _why_not_in(settings.control.parent)
        if why:
            yield Concern("control", f"control {settings.control}: {why}", _hint(why, settings.control.parent))


def _appended(key: str, path: Path) -> Iterator[Concern]:
    """A log, which is opened for appending."""
    why, place = "", path
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        why, place = _why_not_in(path.parent), path.parent
    except OSError as error:
        why = _reason(error)
    else:
        if stat.S_ISDIR(mode):
            why = "it is a folder"
        elif stat.S_ISREG(mode):
            why = _why_not_appended(path)
    if why:
        yield Concern(key, f"{key} {path}: {why}", _hint(why, place, "name a file, or - for standard output"))


def _why_not_appended(path: Path) -> str:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    except OSError as error:
        return _reason(error)
    return ""


def _replaced(key: str, path: Path, loss: str) -> Iterator[Concern]:
    """A file that is written beside its place and then put there."""
    if path.is_dir():
        yield Concern(key, f"{key} {path}: it is a folder, so {loss}", "name a file in it", Weight.LOSS)
        return
    why = _why_not_in(path.parent)
    if why:
        yield Concern(key, f"{key} {path}: {why}, so {loss}", _hint(why, path.parent), Weight.LOSS)
    elif path.exists() and not os.access(path, os.R_OK):
        hint = f"let the user that runs proxyguard own it: chown USER {path}"
        yield Concern(key, f"{key} {path}: it cannot be read, so what it keeps is lost", hint, Weight.LOSS)


def _why_not_in(folder: Path) -> str:
    """Why no file can be made in a folder; empty when one can."""
    if not folder.exists():
        return f"there is no folder {folder}"
    if not folder.is_dir():
        return f"{folder} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"nothing can be written in {folder}: {_reason(error)}"


def _reason(error: OSError) -> str:
    words = {
        errno.EACCES: "this user has no permission",
        errno.EPERM: "this user has no permission",
        errno.EROFS: "it is read-only",
        errno.ENOSPC: "the disk is full",
    }
    return words.get(error.errno or 0) or (error.strerror or str(error)).lower()


def _hint(why: str, place: Path, otherwise: str = "") -> str:
    if "there is no folder" in why:
        return f"mkdir -p {place}, and let the user that runs proxyguard own it"
    if "read-only" in why:
        return "in a container give it a volume (volumes: in compose.yaml); with systemd: StateDirectory= or ReadWritePaths="
    if "no permission" in why:
        return f"let the user that runs proxyguard own it: chown USER {place}"
    return otherwise or "name another place"
