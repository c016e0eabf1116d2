"""`proxyguard addon`: where the script for mitmproxy is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

import proxyguard
from proxyguard.cli.echo import echo

SCRIPT: Final = Path(proxyguard.__file__).with_name("instance") / "addon" / "proxyguard_addon.py"
"""Named, not imported: the command needs nothing of it."""


@click.command()
def addon() -> None:
    """Print the path of the addon for mitmdump and mitmweb.

    \b
    Examples:
      mitmdump -s "$(proxyguard addon)" --set proxyguard_rules=bundled \\
        --mode reverse:http://127.0.0.1:9000 --listen-port 8080
      mitmweb -s "$(proxyguard addon)" --mode reverse:http://127.0.0.1:9000
    """
    echo(str(SCRIPT))
