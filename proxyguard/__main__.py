"""`python -m proxyguard` is the `proxyguard` command, and this is where its process begins.

What holds from the first moment on comes before anything heavy is imported: signals, and what the environment must not break.
"""

from __future__ import annotations

import sys

from proxyguard.instance.environment import clean
from proxyguard.instance.init_process import split_off
from proxyguard.instance.signals import SIGNALS


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["run"]:
        split_off()
        SIGNALS.install()
    clean()
    from proxyguard.cli import main as command  # noqa: PLC0415 - see above

    command(prog_name="proxyguard")


if __name__ == "__main__":
    main()
