"""Where the control socket of an instance is, and whose it may be: in a folder that only its user can write.

In one that everybody can write, such as /tmp, another user could take the name first and be spoken to in the instance's place.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import tempfile
from pathlib import Path
from typing import Final

from proxyguard.core.settings import Settings

SYSTEM_FOLDER: Final = Path("/run/proxyguard")
"""Made by the container image, or by systemd (`RuntimeDirectory=proxyguard`)."""

NAME: Final = "proxyguard"

MAX_SOCKETS_SHOWN: Final = 5

_CREDENTIALS: Final = struct.Struct("3i")
"""Linux' struct ucred: process, user, group."""


def control_path(settings: Settings) -> Path:
    """Where the control socket of an instance with these settings is: the setting, or a name by the admin port."""
    return settings.control or control_folder() / f"{settings.admin.port}.sock"


def control_folder() -> Path:
    """The folder of control sockets: of the system, of the log-in, or else in the temporary folder. It need not exist yet."""
    if is_own(SYSTEM_FOLDER):
        return SYSTEM_FOLDER
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and is_own(Path(runtime)):
        return Path(runtime) / NAME
    return Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"


def running_socket(settings: Settings) -> Path:
    """Where a command finds the control socket: where it is expected, or in another of the folders that it may be in.

    An instance that systemd started, say, has no folder of a log-in. Root finds those of other users too.
    """
    expected = control_path(settings)
    if settings.control is not None or expected.exists():
        return expected
    name, temporary = expected.name, Path(tempfile.gettempdir())
    folders = [SYSTEM_FOLDER, temporary / f"{NAME}-{os.getuid()}"]
    if os.getuid() == 0:
        folders += sorted(folder for folder in temporary.glob(f"{NAME}-*") if _is_private(folder))
    return next((folder / name for folder in folders if (folder / name).exists()), expected)


def sockets_found(folder: Path) -> list[str]:
    """The control sockets in a folder and in the one of this user, for a hint: the first few."""
    found = sorted({path for each in (folder, control_folder()) for path in each.glob("*.sock") if path.is_socket()})
    return [str(path) for path in found[:MAX_SOCKETS_SHOWN]]


def _is_private(folder: Path) -> bool:
    """Whether a folder is, by its name, of the user who owns it, and nobody else's."""
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and folder.name == f"{NAME}-{facts.st_uid}" and not facts.st_mode & 0o077


def prepare_folder(path: Path) -> None:
    """Make the folder of a socket if it is one of ours. Raises OSError when another user could write in it."""
    folder = path.parent
    if folder != control_folder():
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    if not is_own(folder):
        raise PermissionError(1, "the folder of the control socket is another user's, or others can write in it", str(folder))


def is_own(folder: Path) -> bool:
    """Whether this is a folder, not a link to one, that this user owns and can write, and nobody else."""
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o022 and os.access(folder, os.W_OK)
    )


def stranger(connection: socket.socket, path: Path) -> str:
    """Why what listens at a path is not to be spoken to; empty: it is this user's or the system's.

    An administrator (root) may speak to any instance whose socket file is of the same user as the process behind it.
    """
    owner = path.stat().st_uid
    peer = owner
    if hasattr(socket, "SO_PEERCRED"):
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        peer = _CREDENTIALS.unpack(data)[1]
    user = os.geteuid()
    if peer != owner:
        return f"its file is of user {owner}, and user {peer} answers"
    if user not in (0, peer) and peer != 0:
        return f"it is of user {peer}, not of this one ({user})"
    if user == 0 and peer != 0 and _anybody_writes(path.parent):
        return f"it is of user {peer}, in a folder that everybody can write"
    return ""


def _anybody_writes(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o002)
