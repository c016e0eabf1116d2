"""What can keep a process from starting: variables that name what cannot be used, standard streams that are closed.

Each is reported in a line on standard error, and ignored. Nothing here is read by proxyguard itself: Python and OpenSSL read it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from typing import Final

KEY_LOGS: Final = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")
"""Files that TLS secrets are appended to; Python refuses to make any TLS context when one cannot be opened."""


def clean() -> None:
    """Take out of the environment, for children too, what would end the program, and say so."""
    open_standard_streams()
    for line in (*_unusable_key_logs(), *_fatal_warnings()):
        sys.stderr.write(f"proxyguard: warning: {line}\n")


def open_standard_streams() -> None:
    """Put the null device where standard input, output or error is closed; else a socket would take its number."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)  # noqa: FBT003 - the only argument beside the file
    os.close(opened)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - stays open as long as the process lives
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - as above
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - as above


def _unusable_key_logs() -> Iterator[str]:
    for name in KEY_LOGS:
        path = os.environ.get(name)
        if not path:
            continue
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
        except (OSError, ValueError) as error:
            del os.environ[name]
            yield f"{name}={path} is ignored: {getattr(error, 'strerror', None) or error}"


def _fatal_warnings() -> Iterator[str]:
    """Warnings of libraries are no errors of ours, whatever PYTHONWARNINGS or -W says."""
    fatal = [option for option in sys.warnoptions if (action := option.split(":")[0].strip()) and "error".startswith(action)]
    if fatal:
        os.environ.pop("PYTHONWARNINGS", None)
        sys.warnoptions.clear()
        warnings.simplefilter("ignore")
        yield f"{', '.join(fatal)} in PYTHONWARNINGS or -W is ignored: a library's warning would end the program"
