"""Commands that query or change a running instance through its control socket."""

from __future__ import annotations

import json
from typing import Any

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.cli.running_instance import RunningInstance, instance_options
from proxyguard.core.units import format_time
from proxyguard.instance.control.client import ControlError


@click.command()
@instance_options
def status(instance: RunningInstance) -> None:
    """Show the state of the running instance: rules in force, connections, faults."""
    answer = instance.ask("status")
    last, promotions = answer.pop("reload", {}), answer.pop("promotions", {})
    upstreams, store = answer.pop("upstreams", []), answer.pop("store", {})
    latencies, audit = answer.pop("latencies", {}), answer.pop("audit", {})
    economy = answer.pop("economy", {})
    for line in pause_lines(answer.pop("shadow", None), answer.pop("paused", {}), answer.pop("emergency", None)):
        echo(line)
    for name, value in answer.items():
        echo(f"{name.replace('_', ' '):<16} {format_value(value)}")
    for line in (
        *upstream_lines(upstreams),
        *store_lines(store),
        *latency_lines(latencies),
        *audit_lines(audit),
        *promotion_lines(promotions),
        *economy_lines(economy),
    ):
        echo(line)
    if last:
        echo(f"{'last reload':<16} {last['result']}, {format_time(last['time'])} UTC")
        for line in last.get("report", "").splitlines():
            echo(f"  {line}")


def format_value(value: Any) -> str:
    """A value of `status` on one line."""
    if isinstance(value, dict):
        value = [f"{key} {item}" for key, item in value.items()]
    if isinstance(value, list):
        value = ", ".join(" ".join(map(str, each.values())) if isinstance(each, dict) else str(each) for each in value)
    return str(value) if value not in ("", None) else "-"


def pause_lines(switch: dict[str, Any] | None, paused: dict[str, Any], emergency: dict[str, Any] | None = None) -> list[str]:
    """The first lines of `status`: that nothing acts, emergency mode, which rules are paused; none when all is as usual."""
    orders = [("NOTHING ACTS", "", switch)] if switch else []
    orders += [("EMERGENCY MODE", "", emergency)] if emergency else []
    orders += [("paused", f"{rule} ", order) for rule, order in paused.items()]
    return [
        f"{what:<16} {rule}until {format_time(order['until'])} UTC, by {order['by'] or 'an unknown user'}: "
        f"{order['why'] or 'no reason given'}"
        for what, rule, order in orders
    ]


def upstream_lines(upstreams: list[dict[str, Any]]) -> list[str]:
    """One line of `status` for each address of an upstream."""
    return [f"{'upstream':<16} {_upstream(state)}" for state in upstreams]


def _upstream(state: dict[str, Any]) -> str:
    name, address = state["upstream"], state["address"]
    text = f"{name} {state['state']}" if address in name else f"{name} at {address} {state['state']}"
    if "since" not in state:
        return text
    return f"{text} since {format_time(state['since'])} UTC ({state['why']}), {state['hurt']} requests refused for it"


def store_lines(store: dict[str, Any]) -> list[str]:
    """The line of `status` about a store outside the process."""
    return [f"{'store':<16} {'up' if store['up'] else 'DOWN'} since {format_time(store['since'])} UTC"] if store else []


def latency_lines(latencies: dict[str, dict[str, float]]) -> list[str]:
    """The line of `status` about how long things took within the last minutes, of nineteen in twenty at most."""
    times = [f"{name.removesuffix('_seconds').replace('_', ' ')} {milliseconds(each['p95'])}" for name, each in latencies.items()]
    return [f"{'p95, last 5 min':<16} {', '.join(times)}"] if times else []


def milliseconds(seconds: float) -> str:
    """A short time to two digits after the point, a long one without any."""
    return f"{seconds * 1000:.2f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def audit_lines(audit: dict[str, Any]) -> list[str]:
    """The line of `status` about records that wait or are lost; none while all are written."""
    if not (audit.get("trouble") or audit.get("lost")):
        return []
    counts = f"{audit['waiting']:,} records wait, {audit['lost']:,} were lost since the start"
    return [f"{'audit log':<16} {'NOT WRITTEN: ' + audit['trouble'] if 'trouble' in audit else 'written'}; {counts}"]


def promotion_lines(promotions: dict[str, Any]) -> list[str]:
    """The lines of `status` about promoted rules; none when there are none."""
    lines = [
        f"{'watched':<16} {rule} until {format_time(watch['until'])} UTC" for rule, watch in promotions.get("watched", {}).items()
    ]
    lines += [f"{'held in shadow':<16} {rule}: its file says enforce" for rule in promotions.get("held_in_shadow", [])]
    for each in promotions.get("rolled_back", []):
        where = f"in memory only: {each['trouble']}" if each["trouble"] else each["file"]
        stopped = f"it stopped {each['stopped']} of {each['seen']} protected clients"
        lines.append(f"{'rolled back':<16} {each['rule']}, {format_time(each['time'])} UTC: {stopped} ({where})")
    return lines


def economy_lines(economy: dict[str, Any]) -> list[str]:
    """The lines of `status` about items, and what more of them would take; none where rules name no items."""
    if not economy:
        return []
    items = ", ".join(f"{count:,} {what}" for what, count in sorted(economy["items"].items()))
    lines = [f"{'items disclosed':<16} {items or 'none'}"]
    for each in economy["for_1000_cold"]:
        needed = ", ".join(f"{count:,} {what}" for what, count in each["needed"].items()) or "no limit"
        of_site = "" if each["of_site"] is None else f"; at most {each['of_site']:,} a day for all together"
        cookies = "with" if each["with_cookies"] else "without"
        lines.append(f"{'1,000 cold items':<16} {each['networks']}, {cookies} cookies: {needed}{of_site}")
    mazes = economy["mazes"]
    wasted = f"{economy['tarpit_seconds']:,.0f} s of theirs in tarpits"
    if mazes["pages"]:
        wasted += f" and {mazes['held_seconds']:,.0f} s in {mazes['pages']:,} pages of mazes"
    ours = f"{economy['check_seconds']:,.1f} s of ours for checks"
    if mazes["pages"]:
        ours += f" and {mazes['cpu_seconds']:,.1f} s for mazes"
    return [*lines, f"{'spent':<16} {wasted}, {economy['refused_bytes']:,} bytes of answers, {ours}"]


@click.command()
@instance_options
def reload(instance: RunningInstance) -> None:
    """Read rules and settings again and put them in force, without waiting for the next check of the files.

    The rules are parsed and their tests run first. When anything is wrong, the report lists it, and the previous rules
    stay in force. Of changed settings those marked `reload` in the reference are taken over; those that need a restart are
    named. Exit code 0: the rules are in force. 1: rules or settings are refused, or no instance answers.

    \b
    Example:
      proxyguard reload && proxyguard status
    """
    try:
        answer = instance.reload("reload")
    except ControlError as error:
        if instance.as_json:
            echo(json.dumps({"result": "refused", "report": str(error)}))
            raise SystemExit(1) from None
        fail(str(error))
    if instance.as_json:
        echo(json.dumps(answer))
    else:
        echo(f"applied: the rules are in force, digest {answer['digest'][:12]}")
        if "report" in answer:
            echo(f"but these lists are broken, and their content of before stays in force:\n{answer['report'].rstrip()}")
        for line in answer.get("notes", ()):
            echo(line)
