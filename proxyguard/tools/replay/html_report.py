"""The report of a replay as one HTML page that needs nothing else: styles and pictures inside, no scripts.

Whatever a client chose is escaped, and the page forbids itself everything but its own style. Addresses are cut to their network
unless whole ones are asked for: reports are passed on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from proxyguard import __version__
from proxyguard.tools.replay.charts import Row, spark, stacked
from proxyguard.tools.replay.report import masked
from proxyguard.tools.replay.report_values import (
    ChangeLine,
    Counted,
    Difference,
    ReplayReport,
    RuleLine,
    Share,
    SuspectLine,
    UnjudgedLine,
)
from proxyguard.tools.replay.text_report import format_change, format_time, percent

SERIES: Final = 5
"""Rules with a colour of their own; the others share one."""

MAX_ROWS: Final = 200


def html_report(report: ReplayReport, *, full_addresses: bool = False) -> str:
    """The whole page."""
    log = report.log
    parts = [
        _tiles(report),
        *(f'<p class="note">{escape(note)}</p>' for note in report.notes),
        _over_time(report),
        _rules(report),
        _difference(report.difference) if report.difference is not None else "",
        _suspects(report.suspects, full_addresses=full_addresses),
        _networks(report),
        _unjudged(report),
        _reading(report),
    ]
    when = f"{format_time(log.first)} to {format_time(log.last)}"
    files = ", ".join(log.files) if len(log.files) <= 3 else f"{len(log.files)} files"
    return _PAGE.format(
        title=escape(f"Replay of {files}"),
        style=_STYLE,
        subtitle=escape(f"{log.requests:,} requests, {when}; through {report.rules_directory} ({report.rules} rules)"),
        body="\n".join(part for part in parts if part),
        version=escape(__version__),
        policy=escape(report.policy[:12]),
    )


def _tiles(report: ReplayReport) -> str:
    total = report.all.requests
    tiles = [
        ("would be stopped", report.stopped, "stopped"),
        ("only by rules in shadow", report.shadowed, "shadowed"),
        ("all requests", report.all, "passed"),
    ]
    if report.difference is not None:
        tiles[2:2] = [
            ("newly stopped", report.difference.newly_stopped, "stopped"),
            ("no longer stopped", report.difference.no_longer_stopped, "passed"),
        ]
    shown = "".join(
        f'<div class="tile"><span class="key {css}"></span><b>{share.requests:,}</b><span>{escape(name)}</span>'
        f"<small>{percent(share.requests, total)} · {_clients(share)} · {share.logged_in:,} logged in"
        f"{f' · {share.verified:,} verified' if share.verified else ''}</small></div>"
        for name, share, css in tiles
    )
    return f'<section class="tiles">{shown}</section>'


def _clients(share: Share) -> str:
    about = "" if share.exact else "about "
    return f"{about}{share.clients:,} clients in {share.networks:,} networks"


def _over_time(report: ReplayReport) -> str:
    time = report.over_time
    rows = [
        Row("forwarded", "passed", time.passed),
        Row("only by rules in shadow", "shadowed", time.shadowed),
        Row("stopped", "stopped", time.stopped),
    ]
    picture = stacked("Requests over time", rows, time.start, time.width_seconds)
    if not picture:
        return ""
    stopping = [line for line in report.by_rule if line.mode == "enforce" and line.stops]
    layers = [Row(line.rule, f"s{at}", line.over_time) for at, line in enumerate(stopping[:SERIES])]
    rest = stopping[SERIES:]
    if rest:
        layers.append(
            Row("other rules", "rest", [sum(column) for column in zip(*(line.over_time for line in rest), strict=True)])
        )
    by_rule = stacked("Stopped requests over time, by rule", layers, time.start, time.width_seconds) if layers else ""
    html = f"<h2>Requests over time</h2>{_legend(rows)}{picture}"
    return f"<section>{html}{f'<h2>Stopped, by rule</h2>{_legend(layers)}{by_rule}' if by_rule else ''}</section>"


def _legend(rows: Iterable[Row]) -> str:
    return (
        '<p class="legend">'
        + "".join(f'<span><i class="key {row.css}"></i>{escape(row.name)}</span>' for row in rows)
        + "</p>"
    )


def _rules(report: ReplayReport) -> str:
    parts = []
    for mode, title in (("enforce", "Decided by rule"), ("shadow", "Rules in shadow: what they would have done")):
        rules = [line for line in report.by_rule if line.mode == mode]
        if rules:
            parts.append(f"<section><h2>{title}</h2>{_rule_table(rules, report.all.requests)}</section>")
    return "".join(parts)


def _table(head: str, body: str) -> str:
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{body}</tbody></table></div>"


def _rule_table(rules: Sequence[RuleLine], total: int) -> str:
    most = max(line.share.requests for line in rules)
    body = []
    for line in rules[:MAX_ROWS]:
        share = line.share
        bar = f'<span class="bar"><span class="{_bar_css(line)}" style="width:{100 * share.requests / most:.1f}%"></span></span>'
        body.append(
            f"<tr><td><details><summary>{escape(line.rule)}</summary>{_examples(line.paths, line.user_agents)}</details></td>"
            f"<td>{escape(line.action)}</td><td class=n>{share.requests:,}</td><td class=n>{percent(share.requests, total)}</td>"
            f"<td>{bar}</td><td>{spark(line.over_time)}</td>{_clients_text(share)}</tr>"
        )
    head = "<tr><th>rule<th>action<th class=n>requests<th class=n>share<th><th>over time" + _WHO_HEAD
    return f"{_table(head, ''.join(body))}"


_WHO_HEAD: Final = "<th class=n>clients<th class=n>networks<th class=n>logged in<th class=n>verified</tr>"


def _bar_css(line: RuleLine) -> str:
    if not line.stops:
        return "passed"
    return "shadowed" if line.mode == "shadow" else "stopped"


def _clients_text(share: Share) -> str:
    about = "" if share.exact else "~"
    return (
        f"<td class=n>{about}{share.clients:,}</td><td class=n>{about}{share.networks:,}</td>"
        f"<td class=n>{share.logged_in:,}</td><td class=n>{share.verified:,}</td>"
    )


def _examples(paths: Sequence[Counted], agents: Sequence[Counted]) -> str:
    def items(counted: Sequence[Counted]) -> str:
        return "".join(f"<li><code>{escape(each.text or '(none)')}</code> {each.requests:,}" for each in counted)

    return f"<div class=examples>paths<ul>{items(paths)}</ul>user agents<ul>{items(agents)}</ul></div>"


def _difference(found: Difference) -> str:
    title = f"<h2>Compared with {escape(found.against)}</h2>"
    if not found.changes:
        return f"<section>{title}<p>Both stop the same requests.</p></section>"
    body = "".join(_change(change) for change in found.changes[:MAX_ROWS])
    head = "<tr><th>change<th>before<th>now<th class=n>requests" + _WHO_HEAD
    return f"<section>{title}{_table(head, body)}</section>"


def _change(change: ChangeLine) -> str:
    css = "stopped" if change.before is None else "passed" if change.after is None else "rest"
    return (
        f'<tr><td><details><summary><i class="key {css}"></i>{format_change(change)}</summary>'
        f"{_examples(change.paths, change.user_agents)}</details></td><td>{escape(change.before or '-')}</td>"
        f"<td>{escape(change.after or '-')}</td><td class=n>{change.share.requests:,}</td>{_clients_text(change.share)}</tr>"
    )


def _suspects(suspects: Sequence[SuspectLine], *, full_addresses: bool) -> str:
    if not suspects:
        return ""
    body = []
    for line in suspects:
        client = line.client if full_addresses else masked(line.client)
        rules = ", ".join(f"{rule} ({count:,})" for rule, count in line.rules.items())
        body.append(
            f"<tr><td>{escape(client)}</td><td class=n>{line.weight}</td>"
            f'<td><span class="bar"><span class="weight" style="width:{line.weight}%"></span></span></td>'
            f"<td class=n>{line.stopped + line.shadowed:,} of {line.requests:,}</td><td>{escape(rules)}</td>"
            f"<td>{escape(', '.join(line.signs))}<div class=agent>{escape(line.user_agent)}</div></td></tr>"
        )
    head = "<tr><th>client<th class=n>weight<th><th class=n>stopped<th>by<th>signs, and the last user agent</tr>"
    cut = "" if full_addresses else " Addresses are cut to their network; several lines may show the same one."
    return (
        "<section><h2>Who may be stopped wrongly</h2><p>A weight to look by, not a verdict: a good imitation has every sign, "
        f"and a person may have none.{cut}</p>{_table(head, ''.join(body))}</section>"
    )


def _networks(report: ReplayReport) -> str:
    if not report.networks:
        return ""
    body = "".join(
        f"<tr><td>{escape(line.network)}</td><td class=n>{line.clients:,}</td><td class=n>{line.requests:,}</td>"
        f"<td class=n>{line.stopped:,}</td><td class=n>{line.shadowed:,}</td></tr>"
        for line in report.networks
    )
    head = "<tr><th>network<th class=n>clients<th class=n>requests<th class=n>stopped<th class=n>shadow only</tr>"
    return f"<section><h2>Networks</h2>{_table(head, body)}</section>"


def _unjudged(report: ReplayReport) -> str:
    if not report.unjudged:
        return ""
    body = "".join(_unjudged_row(line) for line in report.unjudged[:MAX_ROWS])
    head = "<tr><th>rule<th>action<th>lacks<th>so</tr>"
    return (
        f"<section><h2>Cannot be judged from this log</h2><p>The log does not have: {escape(report.log.unknown)}. "
        "Rules that look at these are left out.</p>"
        f"{_table(head, body)}</section>"
    )


def _unjudged_row(line: UnjudgedLine) -> str:
    effect = line.effect + (" (judged in part)" if line.in_part else "")
    if line.concerns is not None:
        effect = f"of what is shown as stopped, up to {line.concerns.requests:,} requests may be let through by it"
    return (
        f"<tr><td>{escape(line.rule)}</td><td>{escape(line.action)}</td><td>{escape(', '.join(line.lacks))}</td>"
        f"<td>{escape(effect)}</td></tr>"
    )


def _reading(report: ReplayReport) -> str:
    log = report.log
    said = [
        f"{log.lines:,} lines of {', '.join(log.formats)}; {log.malformed:,} could not be read.",
        f"{log.no_request:,} lines hold no request that rules would see: the front refuses malformed requests by itself.",
        "The clock was the log's. What a client did after it was really stopped, or would have done, is in no log.",
        *log.notes,
    ]
    items = "".join(f"<li>{escape(text)}" for text in said)
    bad = "".join(f"<li>{escape(f'{each.file}:{each.line}: {each.reason}')}" for each in log.malformed_shown)
    return f"<section><h2>Reading</h2><ul>{items}</ul>{f'<p>First of them:</p><ul>{bad}</ul>' if bad else ''}</section>"


_STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#5b6470;--line:#e3e6ea;--card:#f6f7f9;
--passed:#a9b4c0;--shadowed:#d99a2b;--stopped:#c8433c;--weight:#3b76d1;
--s0:#3b76d1;--s1:#d9822b;--s2:#2f9e6e;--s3:#a3478f;--s4:#8a6d3b;--rest:#9aa3ad}
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ed;--soft:#9aa3ad;--line:#2b3138;--card:#1d2126;
--passed:#4f5a66;--shadowed:#d9a441;--stopped:#e0645c;--weight:#6c9ee8;
--s0:#6c9ee8;--s1:#e6a15c;--s2:#55bf90;--s3:#cc7abb;--s4:#b89a66;--rest:#6b7480}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:24px 20px 60px;background:var(--bg);color:var(--fg);
font:15px/1.45 system-ui,sans-serif}
h1{font-size:22px;margin:0;overflow-wrap:anywhere}h2{font-size:16px;margin:32px 0 8px}
.sub,small,.legend,footer{color:var(--soft)}.sub{margin:4px 0 20px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px}
.tile{background:var(--card);border-radius:8px;padding:12px 14px;display:grid;gap:2px;grid-template-columns:auto 1fr;
column-gap:8px;align-items:center;align-content:start}
.tile b{font-size:24px;font-weight:600;font-variant-numeric:tabular-nums}
.tile span:nth-of-type(2),.tile small{grid-column:1/-1}
.note{background:var(--card);border-left:3px solid var(--shadowed);padding:8px 12px}
svg{display:block;width:100%;height:auto}.spark{width:120px;height:22px}
.spark polyline{fill:none;stroke:var(--soft);stroke-width:1.5}
.grid{stroke:var(--line)}.tick{fill:var(--soft);font-size:11px}.hover{fill:transparent}g:hover .hover{fill:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:0 0 6px;font-size:13px}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
rect.passed{fill:var(--passed)}rect.shadowed{fill:var(--shadowed)}rect.stopped{fill:var(--stopped)}
.key.passed,.bar .passed{background:var(--passed)}.key.shadowed,.bar .shadowed{background:var(--shadowed)}
.key.stopped,.bar .stopped{background:var(--stopped)}.bar .weight{background:var(--weight)}
rect.s0{fill:var(--s0)}rect.s1{fill:var(--s1)}rect.s2{fill:var(--s2)}rect.s3{fill:var(--s3)}rect.s4{fill:var(--s4)}
rect.rest{fill:var(--rest)}
.key.s0{background:var(--s0)}.key.s1{background:var(--s1)}.key.s2{background:var(--s2)}.key.s3{background:var(--s3)}
.key.s4{background:var(--s4)}.key.rest{background:var(--rest)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th{font-weight:500;color:var(--soft);text-align:left;white-space:nowrap}
td,th{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{display:block;width:110px;height:10px;margin-top:6px;background:var(--card);border-radius:2px}
.bar span{display:block;height:100%;min-width:2px;border-radius:2px}
.agent{overflow-wrap:anywhere;font-size:12px;color:var(--soft)}
summary{cursor:pointer}.examples{font-size:12px;color:var(--soft);max-width:420px;overflow-wrap:anywhere}
.examples ul{margin:0 0 6px;padding-left:16px}
footer{margin-top:40px;font-size:13px}
"""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="sub">{subtitle}</p>
{body}
<footer>proxyguard {version}, policy {policy}</footer>
</body>
</html>
"""
