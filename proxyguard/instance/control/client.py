"""Client of the control socket: sends one command to a running instance and returns the answer.

Knows nothing of what commands mean.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Final

from proxyguard.instance.control.socket_file import sockets_found, stranger

TIMEOUT_SECONDS: Final = 60.0
"""The slowest command is a reload of a very large policy."""


class ControlError(Exception):
    """No instance answers, or it refused the command. The message is for the operator."""


class CommandRefused(ControlError):
    """The instance answered with a refusal."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
        why = stranger(self.sock, self._path)
        if why:
            raise ControlError(f"the control socket {self._path} is not to be trusted: {why}")


def send_command(
    path: Path, name: str, arguments: dict[str, Any] | None = None, timeout: float = TIMEOUT_SECONDS
) -> dict[str, Any]:
    """Send one command; returns the answer. Raises ControlError, and UnicodeEncodeError for what is no text."""
    body = json.dumps(arguments or {}, ensure_ascii=False).encode()
    connection = _UnixConnection(path, timeout)
    try:
        if name == "status":
            connection.request("GET", "/status")
        else:
            connection.request("POST", f"/command/{name}", body)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except FileNotFoundError:
        others = sockets_found(path.parent)
        known = f"; there are {', '.join(others)}" if others else ""
        raise ControlError(
            f"no instance is running with the control socket {path}\n"
            f"  hint: name its settings with --config, or the socket with --control{known}"
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ControlError(f"control socket {path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise CommandRefused(str(answer.get("error", f"status {response.status}")))
    if not isinstance(answer, dict):
        raise ControlError(f"control socket {path}: the answer is not an object")
    return answer
