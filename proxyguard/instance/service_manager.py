"""Tells systemd how far this process is: ready, stopping, still alive. Without NOTIFY_SOCKET nothing is told.

The protocol is sd_notify(3): datagrams of `KEY=value` lines to a Unix socket. Sending never waits and never raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final, Self

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"
WATCHDOG_PROCESS: Final = "WATCHDOG_PID"

READY: Final = b"READY=1\nSTATUS=serving"
DRAINING: Final = b"STOPPING=1\nSTATUS=draining: requests under way may finish"
ALIVE: Final = b"WATCHDOG=1"


class ServiceManager:
    """The service manager that started this process, if one did."""

    def __init__(self, address: str = "", watchdog_seconds: float = 0.0) -> None:
        """`address`: a path, `@name` of an abstract socket, or empty: nobody. `watchdog_seconds`: wanted between signs."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_seconds = watchdog_seconds

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Self:
        """As the environment names it. The names are taken out: what a child process said would count as said by this one."""
        address, wanted, process = (environment.pop(name, "") for name in (SOCKET, WATCHDOG, WATCHDOG_PROCESS))
        meant = process in {"", str(os.getpid())}
        seconds = int(wanted) / 1e6 if meant and wanted.isascii() and wanted.isdigit() else 0.0
        return cls(address if address.startswith(("/", "@")) else "", seconds)

    def notify(self, message: bytes) -> None:
        """Send one message. One that cannot be sent is lost: the service manager then acts by its own time limits."""
        if not self._address:
            return
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.settimeout(0)
            sending.sendto(message, self._address)

    async def keep_alive(self) -> None:
        """Give signs of life from the event loop for ever, twice in the time that is wanted; one that hangs gives none."""
        while self._address and self._watchdog_seconds:
            self.notify(ALIVE)
            await asyncio.sleep(self._watchdog_seconds / 2)
