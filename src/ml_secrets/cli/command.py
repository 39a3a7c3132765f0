"""What every command of ours is: how it is declared, parsed and explained. Shared options are parsed here, once.

Rules:
- `--format`, `--field` and the connection options may stand anywhere, before or after the sub-command.
- One dash does for two (`-field=password`), as in Vault's CLI, so that habits and scripts carry over.
- A message never repeats an argument: it may be a secret that somebody typed where it does not belong.
- Help loads nothing but click: a command's module imports the client inside its functions.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any, Final

import click

from ml_secrets.cli.session import FORMATS, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

_ONE_DASH: Final = re.compile(r"-[a-z][a-z0-9_-]+(=.*)?", re.ASCII | re.DOTALL)


def shared_options() -> list[click.Option]:
    """The options that every command takes. Each writes its value into the Session."""
    return [
        _shared("--format", type=click.Choice(FORMATS), help="How to print: table (default), json or yaml."),
        _shared("--field", metavar="NAME", help="Print the bare value of one field."),
        _shared("--address", metavar="URL", help="The server. Else ML_SECRETS_ADDR, VAULT_ADDR, BAO_ADDR."),
        _shared("--namespace", metavar="PATH", help="The namespace to work in."),
        _shared("--wrap-ttl", metavar="TTL", help="Have the answer wrapped into a single-use token."),
        _shared("--debug", is_flag=True, help="On an unexpected error, tell where it came from."),
    ]


def _shared(name: str, **settings: Any) -> click.Option:
    return click.Option([name], expose_value=False, callback=_remember, default=None, **settings)


def _remember(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep what was given; a level where the option was not given leaves an outer level's value alone."""
    if value is not None and option.name:
        setattr(ctx.ensure_object(Session), option.name, value)


class Explained(click.Command):
    """What commands and groups share: shared options in a section of their own, examples, careful messages."""

    def __init__(self, *args: Any, example: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.example = example
        self.shared = shared_options()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, then the shared ones."""
        return [*super().get_params(ctx), *self.shared]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept one dash for two, and count surplus arguments instead of quoting them."""
        rest = super().parse_args(ctx, two_dashes(args))
        if rest and not isinstance(self, click.Group):
            count = "1 argument" if len(rest) == 1 else f"{len(rest)} arguments"
            raise click.UsageError(f"{count} too many", ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Own options first, the shared ones after them in their own section."""
        own = [option for option in super().get_params(ctx) if isinstance(option, click.Option)]
        for title, options in (("Options", own), ("Options of every command", self.shared)):
            records = [record for option in options if (record := option.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """End with an example that works."""
        super().format_epilog(ctx, formatter)
        if self.example:
            lines = self.example.strip().splitlines()
            with formatter.section("Example" if len(lines) == 1 else "Examples"):
                for line in lines:
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


class Command(Explained):
    """One command. Its function gets the Session first."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(
            *args,
            context_settings={"allow_extra_args": True, "help_option_names": ["--help", "-h"]},
            **settings,
        )


class Noun(Explained, click.Group):
    """A noun with its verbs: `kv` with `get` and `put`."""

    command_class = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, context_settings={"help_option_names": ["--help", "-h"]}, **settings)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. A name that is none is not repeated: it may be anything."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib  # noqa: PLC0415 - only for a slip

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            raise click.UsageError(
                "there is no such command" + (f"; did you mean {near[0]}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def verb(
        self, name: str, *, example: str, **settings: Any
    ) -> Callable[[Callable[..., Any]], click.Command]:
        """Declare a verb: `@kv.verb("get", example="ml-secrets kv get app/db")`."""
        return self.command(name, cls=Command, example=example, **settings)


Noun.group_class = Noun


class Front(Noun):
    """The front door: knows each command's name and summary, and imports its module only when it is called."""

    def __init__(self, *args: Any, catalog: dict[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.catalog = catalog

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every name of the catalog, in its order."""
        return list(self.catalog)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the module that holds the command."""
        if cmd_name not in self.catalog:
            return None
        module, _, name = self.catalog[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(module), name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.catalog.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names without importing one."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only while completing

        names = [
            CompletionItem(name, help=text)
            for name, (_, text) in self.catalog.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def two_dashes(args: list[str]) -> list[str]:
    """`-field=x` -> `--field=x`, up to a `--`. Arguments like `-` and `-h` stay."""
    end = args.index("--") if "--" in args else len(args)
    return [f"-{arg}" if _ONE_DASH.fullmatch(arg) else arg for arg in args[:end]] + args[end:]
