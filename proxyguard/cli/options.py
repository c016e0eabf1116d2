"""Options that several commands share, and how settings are found. Problems go to standard error; the exit code is 1."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from proxyguard.cli.echo import echo
from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import format_report
from proxyguard.core.reading import PRESETS

if TYPE_CHECKING:
    from proxyguard.core.settings import Settings

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

config_option: Decorator = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file. Default: $PROXYGUARD_CONFIG, else proxyguard.yaml here, if there is one.",
)
paths_option: Decorator = click.option(
    "--paths", type=click.Choice(list(PRESETS)), default="strict", metavar="SERVER",
    help=f"How the site reads paths: {', '.join(PRESETS)}. Default: as the settings say, else strict.",
)  # fmt: skip
preset_option: Decorator = click.option(
    "--preset", type=click.Choice([str(preset) for preset in RulesPreset]), default=str(DEFAULT_PRESET),
    help=f"How much the bundled rules do. Default: as the settings say, else {DEFAULT_PRESET}.",
)  # fmt: skip
control_option: Decorator = click.option(
    "--control", type=click.Path(path_type=Path), help="Control socket of the running instance."
)
robots_option: Decorator = click.option(
    "--robots", "robots_txt", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The site's robots.txt, for rules that ask for `robots`. Default: what it says is unknown.",
)  # fmt: skip
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Write JSON for another program.")


def settings_or_exit(config: Path | None, overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings of file, environment and command line; ends the program with the report when they are wrong."""
    from proxyguard.core.settings import Settings  # noqa: PLC0415 - as below
    from proxyguard.settings.file import read_settings  # noqa: PLC0415 - commands about rules need no settings: 0.1 s

    settings = read_settings(config, os.environ, overrides or {})
    if not isinstance(settings, Settings):
        fail(format_report(settings))
    return settings


def control_or_exit(config: Path | None, control: Path | None) -> Path:
    """The control socket named, or the one of the settings.

    What is wrong with other settings is said, and holds up no command: an instance that runs has read better ones.
    """
    from proxyguard.instance.control.socket_file import running_socket  # noqa: PLC0415 - as above
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - as above

    if control is not None:
        return control
    found = read_as_given(config, os.environ)
    if found.problems:
        echo(f"{format_report(found.problems)}the running instance is asked all the same", err=True)
    return running_socket(found.settings)


def fail(text: str) -> NoReturn:
    """Write the text to standard error and exit with 1."""
    echo(text.rstrip("\n"), err=True)
    raise SystemExit(1)
