"""`proxyguard range learn`: cohorts from access logs, and a site from its sitemap."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import click
import msgspec

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.cli.rules import policy_or_exit, rules_option
from proxyguard.core.preset import DEFAULT_PRESET
from proxyguard.core.printable import printable
from proxyguard.tools.range.learning.families import Vocabulary, words_of
from proxyguard.tools.range.learning.learned import MAX_FAMILIES, LearnedTraffic, format_learned
from proxyguard.tools.range.learning.learner import Learner, words_kept
from proxyguard.tools.range.learning.sitemap import SitemapError, read_sitemap
from proxyguard.tools.replay.detect import Stated
from proxyguard.tools.replay.formats.registry import NAMES
from proxyguard.tools.replay.log_files import Journal, LogFile, LogUnreadable, in_time_order
from proxyguard.tools.replay.order import LogDisordered

INTERRUPTED = 130


@click.command("learn")
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@rules_option
@click.option(
    "--sitemap", "sitemaps", metavar="FILE", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
    help="The site has the paths of this sitemap, or index of sitemaps; plain or gz. May be given several times.",
)  # fmt: skip
@click.option("--output", "-o", metavar="FILE", default="-", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
              help="Where to write what was learned; - is standard output, and the default.")  # fmt: skip
@click.option("--name", default="learned", show_default=True, help="The cohorts' names begin with it.")
@click.option(
    "--kind", type=click.Choice(["legitimate", "adversary"]), default="legitimate", show_default=True,
    help="What the clients of the logs are: to be served, or to be stopped.",
)  # fmt: skip
@click.option("--format", "log_format", metavar="NAME", type=click.Choice(NAMES),
              help="Format of the logs, as for replay. Default: detected from their first lines.")  # fmt: skip
@click.option("--forwarded-for", "forwarded", is_flag=True,
              help="The client is the last address of X-Forwarded-For, as for replay.")  # fmt: skip
def learn(
    logs: tuple[str, ...], directory: Path, sitemaps: tuple[Path, ...], output: Path, name: str, kind: str,
    log_format: str | None, *, forwarded: bool,
) -> None:  # fmt: skip
    """Learn cohorts from access logs, and the site from its sitemap.

    LOG is any log that replay reads. Written are numbers (when sessions begin, how long and how fast they are, families of
    paths with their statuses and sizes, which header fields there were) and words that the rules have; no address, name,
    query, user agent or time of anybody. Nothing is sent anywhere.

    Exit code 0: done. 1: rules, logs or a sitemap cannot be used. 2: the command line is wrong. 130: interrupted.

    \b
    Examples:
      proxyguard range learn /var/log/nginx/access.log -o ours.json
      proxyguard range --learned ours.json
      proxyguard range learn attack.log --kind adversary --name july -o july.json
      proxyguard range learn access.log --sitemap sitemap.xml.gz -o ours.json
    """
    if not logs and not sitemaps:
        raise click.UsageError("nothing to learn from: a LOG, --sitemap FILE, or both")
    if logs.count("-") > 1:
        raise click.UsageError("standard input can be read only once")
    vocabulary = Vocabulary(words_of([policy_or_exit(directory, DEFAULT_PRESET)]))
    try:
        learned = _of_logs(logs, vocabulary, Stated(log_format, forwarded), name, kind) if logs else LearnedTraffic()
        for path in sitemaps:
            learned = _with_sitemap(learned, path, vocabulary)
    except KeyboardInterrupt:
        echo("interrupted: nothing was written", err=True)
        raise SystemExit(INTERRUPTED) from None
    _write(learned, output)


def _of_logs(logs: tuple[str, ...], vocabulary: Vocabulary, stated: Stated, name: str, kind: str) -> LearnedTraffic:
    journal = Journal()
    try:
        files = [LogFile(each, stated) for each in logs]
        knowledge = files[0].format.knowledge
        for file in files[1:]:
            knowledge = knowledge.common(file.format.knowledge)
        learner = Learner(vocabulary, knowledge)
        learner.learn(in_time_order(files, journal, None))
    except (LogUnreadable, LogDisordered) as error:
        fail(str(error))
    if not learner.requests:
        fail(f"no request could be read from {journal.lines:,} lines")
    learned = learner.learned(name, cast("Literal['legitimate', 'adversary']", kind))
    if not learned.cohorts:
        fail(f"no kind of client has five sessions in {learner.requests:,} requests: too few to learn from")
    return learned


def _with_sitemap(learned: LearnedTraffic, path: Path, vocabulary: Vocabulary) -> LearnedTraffic:
    """The site has the sitemap's families as well; what the log said of one stays."""
    try:
        families, notes = read_sitemap(path, vocabulary)
    except SitemapError as error:
        fail(str(error))
    for note in notes:
        echo(f"note: {printable(note)}", err=True)
    there = {family.path for family in learned.site}
    site = (*learned.site, *(family for family in families if family.path not in there))[:MAX_FAMILIES]
    return msgspec.structs.replace(learned, site=site)


def _write(learned: LearnedTraffic, output: Path) -> None:
    text = format_learned(learned)
    if str(output) == "-":
        echo(text, nl=False)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            fail(f"{output}: {error.strerror}")
    for cohort in learned.cohorts:
        echo(f"{cohort.name}: {cohort.sessions_a_day:,} sessions a day from {cohort.addresses_a_day:,} addresses", err=True)
    echo(f"{len(learned.site):,} families of paths; words in them: {', '.join(words_kept(learned)) or 'none'}", err=True)
