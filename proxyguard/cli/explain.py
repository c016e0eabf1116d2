"""`proxyguard explain`: what the rules decide about one request, and why. The request is described, pasted, or looked up."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from time import time
from typing import Any, Final

import click

from proxyguard.cli.as_configured import SiteRules, as_configured
from proxyguard.cli.audit_lookup import SUMMED, find_record, refusals_summed
from proxyguard.cli.echo import echo
from proxyguard.cli.mistaken_address import refuse_mistaken
from proxyguard.cli.options import config_option, fail, paths_option, preset_option, robots_option, settings_or_exit
from proxyguard.cli.request_facts import set_facts
from proxyguard.cli.rules import policy_or_exit, rules_option
from proxyguard.cli.show_record import show_record, show_sum
from proxyguard.cli.show_trace import show_trace
from proxyguard.core.address import Address
from proxyguard.core.printable import printable
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.target import read_authority
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.model import SampleRequest
from proxyguard.policy.parse.lists import reason
from proxyguard.policy.testing.sample_requests import host_field, parse_batch_line, request_from_sample
from proxyguard.tools.curl.curl import CurlError, parse_curl

MAX_LINE: Final = 1024 * 1024
"""Bytes of a line of --batch; a request that a front lets in has far fewer."""

MAX_FAULTS: Final = 20
"""Lines of --batch that are no requests, before the rest is not read."""

BATCH_HINT: Final = '  hint: one request a line: {"client": "192.0.2.1", "path": "/", "headers": [["User-Agent", "curl/8.5.0"]]}'

TELL_SECONDS: Final = 2.0
"""How long an instance may take to hear of a look-up."""


@click.command()
@rules_option
@click.option("--client", default=SampleRequest().client, show_default=True, help="The client's address.")
@click.option("--method", help="Default GET.")
@click.option("--scheme", type=click.Choice(["http", "https"]), help="Default https.")
@click.option("--host", help="Default example.org.")
@click.option("--path", help="With the query, if any. Default /.")
@click.option("--user-agent", help="Short for -H 'User-Agent: …'.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="May be given several times.")
@click.option(
    "--connection", "connection", multiple=True, metavar="NAME=VALUE",
    help="What the connection shows, as fields of conditions: tls.ja4=…, client_kind=curl. May be given several times.",
)  # fmt: skip
@click.option(
    "--curl", metavar="'curl …'",
    help="A command copied from a browser's developer tools (Copy as cURL); - reads it from standard input.",
)  # fmt: skip
@click.option(
    "--fact", "given", metavar="NAME=VALUE", multiple=True,
    help="A fact to assume, such as country=DE, verified=true or robots=disallowed. Default: what lists and tables know.",
)  # fmt: skip
@click.option("--reference", metavar="REF", help="The reference on a block page: looked up in the audit log.")
@click.option("--audit", metavar="FILE", type=click.Path(path_type=Path), help="Audit log. Default: that of the settings.")
@config_option
@robots_option
@paths_option
@preset_option
@click.option("--batch", type=click.File("rb"), help="JSON lines, one request each; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON for another program.")
def explain(
    client: str, method: str | None, scheme: str | None, host: str | None, path: str | None,
    user_agent: str | None, headers: tuple[str, ...], connection: tuple[str, ...], curl: str | None, given: tuple[str, ...],
    reference: str | None, audit: Path | None, config: Path | None, robots_txt: Path | None, batch: Any, *, as_json: bool,
    **_settings: object,
) -> None:  # fmt: skip
    """Show what the rules decide about one request, and which conditions held.

    Each rule that was evaluated has a line with its result, and the tests that held or failed. Limits are counted as if the
    request were the client's first. Where there are settings, the host has the rules and the reading of paths of its site.

    \b
    Exit code 0: explained, whatever was decided. 1: the rules have problems, or the reference is not found.
    2: the command line is wrong.

    \b
    Examples:
      proxyguard explain --user-agent curl/8.5.0 --path /profiles/1
      proxyguard explain --curl "curl 'https://www.example.org/' -H 'Accept: */*'"
      proxyguard explain --method POST --path /SIGNUP/ --paths express
      proxyguard explain --rules bundled --preset strict --user-agent okhttp/4.12.0
      proxyguard explain --reference 7f3a9c21d0 --audit /var/log/proxyguard/audit.jsonl
      proxyguard explain --batch requests.jsonl > decisions.jsonl
    """
    if sum(source is not None for source in (curl, reference, batch)) > 1:
        raise click.UsageError("--curl, --reference and --batch exclude each other: give one of them")
    if reference is not None:
        _explain_reference(reference.strip().lower(), audit, config, as_json=as_json)
        return
    refuse_mistaken(client, "--client")
    try:
        Address.parse(client)
    except ValueError:
        hint = "such as 192.0.2.1 or 2001:db8::1"
        raise click.BadParameter(f"{client!r} is not an address, {hint}", param_hint="--client") from None
    sketch = SampleRequest(client=client)
    if curl is not None:
        sketch = _pasted(curl, client)
    fields = [_header(text) for text in headers]
    named = host_field(fields) if host is None else host
    option = "--host" if host is not None else "--curl" if named is None else "-H"
    sketch = sketch._replace(
        method=sketch.method if method is None else method,
        scheme=sketch.scheme if scheme is None else scheme,
        host=_host_of(sketch.host if named is None else named, option),
        path=sketch.path if path is None else path,
    )
    if user_agent is not None:
        fields.append(("User-Agent", user_agent))
    stated = tuple((name, value) for name, _, value in (text.partition("=") for text in connection))
    sketch = sketch._replace(headers=_with(sketch.headers, fields), connection=stated)
    settings = as_configured(config)
    sites = SiteRules(policy_or_exit(settings.rules, settings.preset), settings)
    if batch is not None:
        explain_batch(sites, batch)
        return
    try:
        request = request_from_sample(sketch)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    policy, reading = sites.of(request.host)
    facts = set_facts(policy, request, given, config, robots_txt)
    found = trace(policy, request, time(), reading=reading)
    if as_json:
        shown = {"facts": [fact._asdict() for fact in facts]} if facts else {}
        echo(json.dumps(found.as_dict() | shown))
    else:
        show_trace(found)
        for fact in facts:
            echo(printable(f"fact: {fact.as_text()}"))


def explain_batch(sites: SiteRules, lines: Any) -> None:
    """One JSON object out per line in; each line that is not a request is reported, and the exit code is 1 then."""
    faults = 0
    for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE), b""), 1):
        if len(line) == MAX_LINE:
            name = getattr(lines, "name", "-")
            fail(f"{name}:{number}: error: the line has {MAX_LINE:,} bytes or more\n  hint: one request a line")
        if not line.strip():
            continue
        try:
            request = parse_batch_line(line)
        except ValueError as error:
            cause = error.__cause__
            column = cause.colno if isinstance(cause, json.JSONDecodeError) else 1
            fault = "the line is not JSON" if isinstance(cause, json.JSONDecodeError) else str(error)
            echo(f"{getattr(lines, 'name', '-')}:{number}:{column}: error: {fault}", err=True)
            faults += 1
            if faults == MAX_FAULTS:
                fail(f"these are {MAX_FAULTS} lines that are no requests; the others were not read\n{BATCH_HINT}")
            continue
        policy, reading = sites.of(request.host)
        sys.stdout.write(json.dumps(trace(policy, request, time(), reading=reading).as_dict()) + "\n")
    if faults:
        fail(BATCH_HINT)


def _host_of(text: str, option: str) -> str:
    """A host as the front reads it: in lower case, without a port and a final dot."""
    try:
        return read_authority(text.encode("utf-8", "surrogateescape")).host.decode("ascii")
    except Malformed:
        message = f"{text!r} is no host, so that a front answers 400"
        raise click.BadParameter(f"{message}\n  hint: such as www.example.org", param_hint=option) from None


def _pasted(command: str, client: str) -> SampleRequest:
    if command == "-":
        command = sys.stdin.read()
    try:
        pasted = parse_curl(command)
    except CurlError as error:
        raise click.BadParameter(str(error), param_hint="--curl") from error
    for option in pasted.unknown:
        echo(f"note: {option} is not known here and was left out", err=True)
    return pasted.request._replace(client=client)


def _with(headers: tuple[tuple[str, str], ...], more: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Headers with others added; one that was pasted gives way to one of the same name on the command line."""
    names = {name.lower() for name, _ in more}
    return (*(pair for pair in headers if pair[0].lower() not in names), *more)


def _header(text: str) -> tuple[str, str]:
    name, mark, value = text.partition(":")
    if not mark or not name.strip():
        raise click.BadParameter(f"{text!r} is not 'Name: value'", param_hint="-H")
    return name.strip(), value.strip()


def _explain_reference(reference: str, audit: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Look a reference up in the audit log, and show its record."""
    is_of_instance = audit is None or config is not None
    if audit is None:
        path = settings_or_exit(config).audit.path
        if path == "-":
            fail(
                "error: the settings write the audit log to standard output, where nothing can be looked up\n"
                "  hint: name the file that your log collector keeps: --audit FILE"
            )
        audit = Path(path)
    try:
        found = find_record(audit, reference)
    except OSError as error:
        hint = "name it with --audit" if not audit.exists() else "who runs this command must be allowed to read it"
        fail(f"error: the audit log {audit} cannot be read: {reason(error)}\n  hint: {hint}")
    if found.record is None:
        files = ", ".join(str(path) for path in found.files) or str(audit)
        summed = refusals_summed(audit) if audit in found.files else 0
        flood = f"\n        {summed:,} refusals there were summed without their references, in a flood" if summed else ""
        fail(
            f"error: there is no record of {reference!r} in {files}\n"
            "  hint: references are on block pages and in the X-Proxyguard-Reference header; plain passes are recorded only by "
            f"sample\n        (setting audit.passes), and rotated files must lie beside the log to be found{flood}"
        )
    if is_of_instance:
        _tell_instance(config, reference, str(found.record.get("rule", "")))
    if found.record.get("kind") == SUMMED:
        show_sum(found.record, reference, str(found.file), as_json=as_json)
        return
    show_record(found.record, str(found.file), as_configured(config), as_json=as_json)


def _tell_instance(config: Path | None, reference: str, rule: str) -> None:
    """Have the running instance count that a refusal was looked up, for `proxyguard report`; without one nothing is counted."""
    from proxyguard.instance.control.client import ControlError, send_command  # noqa: PLC0415 - only a look-up needs it
    from proxyguard.instance.control.socket_file import running_socket  # noqa: PLC0415 - as above
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - as above

    with contextlib.suppress(ControlError, OSError):
        socket = running_socket(read_as_given(config, os.environ).settings)
        send_command(socket, "looked-up", {"reference": reference, "rule": rule}, TELL_SECONDS)
