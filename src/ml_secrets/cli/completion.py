"""`ml-secrets completion`: the script that makes a shell complete our commands, options and KV paths."""

from __future__ import annotations

import click

from ml_secrets.cli.command import Command

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=Command,
    example='eval "$(ml-secrets completion bash)"    # in ~/.bashrc\neval "$(ml-secrets completion zsh)"     # in ~/.zshrc, after compinit\nml-secrets completion fish > ~/.config/fish/completions/ml-secrets.fish',
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for your shell."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    from ml_secrets.cli import bash  # noqa: F401, PLC0415 - click learns of it there

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "ml-secrets", "_ML_SECRETS_COMPLETE").source()
    script = script.replace(
        'string split "," ', 'string split -m 1 "," '
    )  # fish: a name or help may hold commas
    click.echo(script.strip())
