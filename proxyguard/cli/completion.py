"""`proxyguard completion`: shell completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from proxyguard.cli.echo import echo

WHERE = {
    "bash": 'eval "$(proxyguard completion bash)"     # in ~/.bashrc',
    "zsh": 'eval "$(proxyguard completion zsh)"      # in ~/.zshrc, after compinit',
    "fish": "proxyguard completion fish | source     # in ~/.config/fish/config.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(WHERE)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write a shell completion script. It completes commands, options and file names.

    \b
    Examples:
      eval "$(proxyguard completion bash)"     # in ~/.bashrc
      eval "$(proxyguard completion zsh)"      # in ~/.zshrc, after compinit
      proxyguard completion fish | source     # in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"completion for {shell} is not in this version of click")
    group = context.find_root().command
    echo(found(group, {}, "proxyguard", "_PROXYGUARD_COMPLETE").source())
