"""The `proxyguard` command. Exit codes: 0 done, 1 problems were found or it could not start, 2 the command line is wrong.

Each module here is a handful of commands; they parse arguments, call the package, and format the outcome. A command is
imported when it is run: to add one, add its line to COMMANDS.
"""

from __future__ import annotations

from typing import Final

import click

from proxyguard import __version__
from proxyguard.cli.lazy import Lazy, LazyGroup
from proxyguard.core.build_info import BUILD_KIND

COMMANDS: Final = {
    "run": Lazy("proxyguard.cli.run:run", "Run the firewall in front of a web server."),
    "check": Lazy("proxyguard.cli.check:check", "Read every rule file, report all problems, run the tests."),
    "explain": Lazy("proxyguard.cli.explain:explain", "Show what the rules decide about one request."),
    "import": Lazy("proxyguard.cli.importing:import_rules", "Make a rule file from robots.txt, an nginx map and the like."),
    "range": Lazy("proxyguard.cli.range:range_", "Let people and scrapers loose on the rules: who is hurt, and what leaks."),
    "replay": Lazy("proxyguard.cli.replay:replay", "Run the rules over access logs."),
    "test": Lazy("proxyguard.cli.testing:test", "Run the tests in rule files."),
    "schema": Lazy("proxyguard.cli.schema:schema", "Write the JSON Schema of rule files."),
    "status": Lazy("proxyguard.cli.control:status", "Show the state of the running instance."),
    "top": Lazy("proxyguard.cli.top:top", "Show who talks most, live."),
    "report": Lazy("proxyguard.cli.report:report", "Say what happened, who is hurt, and what to do next."),
    "reload": Lazy("proxyguard.cli.control:reload", "Read the rules again and put them in force."),
    "shadow": Lazy("proxyguard.cli.shadow:shadow", "Switch acting off and on; report what shadow rules would have done."),
    "pause": Lazy("proxyguard.cli.pause:pause", "Have rules only record for a while."),
    "resume": Lazy("proxyguard.cli.pause:resume", "Have paused rules act again."),
    "promote": Lazy("proxyguard.cli.shadow:promote", "Let a shadow rule act."),
    "demote": Lazy("proxyguard.cli.shadow:demote", "Put a rule back into shadow."),
    "restrict": Lazy("proxyguard.cli.restrict:restrict", "List, try, start and end temporary restrictions."),
    "emergency": Lazy("proxyguard.cli.emergency:emergency", "Have rules for emergencies act for a while."),
    "campaigns": Lazy("proxyguard.cli.campaigns:campaigns", "Show what looks like a campaign against the items of a site."),
    "privacy": Lazy("proxyguard.cli.privacy:privacy", "Tell whom a pseudonym means; answer who asks for their records."),
    "bans": Lazy("proxyguard.cli.bans:bans", "List, add, remove and export bans on the running instance."),
    "canary": Lazy("proxyguard.cli.canary:canary", "Trace invented people from mazes that turn up elsewhere."),
    "whois": Lazy("proxyguard.cli.whois:whois", "Say who an address is, or whom a user agent claims to be."),
    "lists": Lazy("proxyguard.cli.lists:lists", "Show and update the address lists that identities are proven with."),
    "init": Lazy("proxyguard.cli.starter:init", "Write a first set of files into a folder."),
    "new": Lazy("proxyguard.cli.starter:new", "Add something to the rules."),
    "rules": Lazy("proxyguard.cli.bundled:rules", "Compare copies of the bundled rules with this version, and update them."),
    "addon": Lazy("proxyguard.cli.addon:addon", "Print the path of the addon for mitmdump and mitmweb."),
    "completion": Lazy("proxyguard.cli.completion:completion", "Write a shell completion script."),
    "health": Lazy("proxyguard.cli.health:health", "Exit with 0 when the instance is ready to serve."),
}

MEANT: Final = {"lint": "check", "validate": "check", "configtest": "check", "start": "run", "serve": "run", "simulate": "replay"}
"""What other programs call our commands."""

EPILOG: Final = """
\b
Start with:
  proxyguard check rules/                        is every rule file right?
  proxyguard run --upstream http://127.0.0.1:9000
  proxyguard explain --user-agent curl/8.5 --path /profiles/1

\b
Exit codes: 0 done, 1 problems were found, 2 the command line is wrong.
"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    meant=MEANT,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(f"{__version__} ({BUILD_KIND})", prog_name="proxyguard", message="%(prog)s %(version)s")
def main() -> None:
    """A scraper firewall: a reverse proxy that rejects or tarpits automated extraction and leaves people alone."""
