"""The `proxyguard` command. Exit codes: 0 done, 1 problems were found or it could not start, 2 the command line is wrong.

Each module here is a handful of commands; they parse arguments, call what does the work, and word the outcome.
"""

from __future__ import annotations

import click

from proxyguard import __version__
from proxyguard.cli.control import bans, status
from proxyguard.cli.health import health
from proxyguard.cli.rules import check, explain, schema
from proxyguard.cli.run import run

EPILOG = """
\b
Start with:
  proxyguard check rules/                        is every rule file right?
  proxyguard run --upstream http://127.0.0.1:9000
  proxyguard explain --user-agent curl/8.5 --path /profiles/1
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="proxyguard", message="%(prog)s %(version)s")
def main() -> None:
    """A scraper firewall: a reverse proxy that rejects or tarpits automated extraction and leaves people alone."""


for command in (run, check, explain, schema, status, bans, health):
    main.add_command(command)
