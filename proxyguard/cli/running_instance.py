"""What commands to a running instance have in common: three options, one question, and its answer as JSON when that is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from proxyguard.cli.options import config_option, control_option, control_or_exit, fail, json_option
from proxyguard.instance.control.client import ControlError, send_command

RELOAD_SECONDS: Final = 300.0
"""For the largest policy, on a machine that is busy with an attack."""


def call_instance(
    config: Path | None, control: Path | None, name: str, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Send a command to the running instance; ends the program with the message when it refuses."""
    try:
        return send_command(control_or_exit(config, control), name, arguments)
    except ControlError as error:
        fail(f"error: {error}")


@dataclass(frozen=True, slots=True)
class RunningInstance:
    """The instance that --config or --control name, and whether --json was given."""

    config: Path | None
    control: Path | None
    as_json: bool

    def ask(self, command: str, arguments: dict[str, Any] | None = None, *, needs: str = "") -> dict[str, Any]:
        """The answer to a command, to be shown. --json: written, and the program ends; with 1 if `needs` is empty in it."""
        answer = call_instance(self.config, self.control, command, arguments)
        if self.as_json:
            click.echo(json.dumps(answer))
            raise SystemExit(0 if not needs or answer[needs] else 1)
        return answer

    def reload(self, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a command that reads the rules again. Raises ControlError when the instance refuses it."""
        return send_command(control_or_exit(self.config, self.control), command, arguments, RELOAD_SECONDS)


def instance_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --config, --control and --json, and call it with a RunningInstance first."""

    @config_option
    @control_option
    @json_option
    @wraps(command)
    def run(*, config: Path | None, control: Path | None, as_json: bool, **options: Any) -> None:
        command(RunningInstance(config, control, as_json), **options)

    return run
