"""A trace on a terminal: with colour where there is one, and without where there is not (or NO_COLOR is set)."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.text import Text

from proxyguard.cli.echo import echo
from proxyguard.core.decision import Decision
from proxyguard.policy.explain.report import RuleVerdict, Trace

_STYLES: Final = {
    RuleVerdict.APPLIES: "bold yellow",
    RuleVerdict.WOULD_APPLY: "cyan",
    RuleVerdict.WITHIN_LIMIT: "green",
    RuleVerdict.NOT_COUNTED: "green",
}


def show_trace(trace: Trace) -> None:
    """Write a trace to standard output, exactly `Trace.as_text` where there is no colour."""
    text = trace.as_text()
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal or console.no_color:
        echo(text)
        return
    for line in text.split("\n"):
        console.print(Text(line, style=_style(line, trace.decision)))


def _style(line: str, decision: Decision) -> str:
    if line.startswith("decision: "):
        return "bold green" if decision.forwards else "bold red"
    if line.startswith("  "):
        verdict = next((verdict for verdict in RuleVerdict if line.startswith(f"  {verdict:<13}")), None)
        return _STYLES.get(verdict, "dim") if verdict else "dim"
    return ""
