"""Options of `proxyguard range` that would do nothing beside others: refused, with what they are for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import click
from click.core import ParameterSource

from proxyguard.tools.range.peers.fronts import OURSELVES
from proxyguard.tools.range.peers.log_readers import LOG_READERS

VIRTUAL_ONLY: Final = {
    "against": "rules are compared on the virtual clock",
    "with_history": "only the virtual clock has days before",
    "emergency": "a front is switched by its operator: proxyguard emergency on",
    "gate": "gates are about figures of the virtual clock",
}
RULES_OF_FRONT: Final = "a front has rules of its own"
NO_FRONT: Final = {
    "site_port": "it is where the site behind --front listens",
    "duration": "on the virtual clock a run lasts as long as its scenario",
}
READERS: Final = frozenset(reader.name for reader in LOG_READERS)


def refuse_idle(context: click.Context, *, front: bool, peers: Collection[str]) -> None:
    """Raises UsageError for all options of the command line that do nothing in this run."""
    given = {each.name: each for each in context.command.params if _is_given(context, each)}
    found = [(given[name].opts[0], why) for name, why in _idle(front=front, peers=peers) if name in given]
    if found:
        beside = "--front" if front else f"--peer {' '.join(peers)}" if peers else ""
        when = f"with {beside}" if beside else "without --front or --peer"
        raise click.UsageError("\n".join(f"{option} does nothing {when}: {why}" for option, why in found))


def refuse_before(context: click.Context, command: str) -> None:
    """Raises UsageError for options that stand before the name of a command, which has its own."""
    found = [each.opts[0] for each in context.command.params if _is_given(context, each)]
    if found:
        raise click.UsageError(f"{', '.join(found)} before {command} does nothing; options of {command} stand behind its name")


def _is_given(context: click.Context, parameter: click.Parameter) -> bool:
    return context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE


def _idle(*, front: bool, peers: Collection[str]) -> Iterator[tuple[str, str]]:
    """Names of parameters with what they are for."""
    if front or peers:
        yield from VIRTUAL_ONLY.items()
    else:
        yield from NO_FRONT.items()
    if front:
        yield "peers", "a run goes through one front"
        yield "directory", RULES_OF_FRONT
        yield "presets", RULES_OF_FRONT
    elif peers:
        yield "site_port", NO_FRONT["site_port"]
        if OURSELVES not in peers:
            yield "directory", f"it is for --peer {OURSELVES}"
            yield "presets", f"it is for --peer {OURSELVES}"
        if READERS.issuperset(peers):
            yield "duration", NO_FRONT["duration"]
