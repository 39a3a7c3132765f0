"""What the server's own log tells: levels of its loggers, from now on and until the process ends."""

from __future__ import annotations

import logging
from typing import Annotated, Final

from ml_secrets.contract import Context, Help, Response
from ml_secrets.domain.log_level import LEVELS, level_word
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid

_TOP: Final = "ml_secrets"
Level = Annotated[str | None, Help("trace, debug, info, notice, warn or error.")]


@ENGINE.read("loggers")
def read_levels(ctx: Context) -> Response:  # noqa: ARG001 - every operation is given its context
    """Show the level of each logger."""
    return Response({name: _level(name) for name in _loggers()})


@ENGINE.read("loggers/{name}")
def read_level(ctx: Context, name: str) -> Response:  # noqa: ARG001 - as above
    """Show the level of one logger."""
    return Response({name: _level(name)} if name in _loggers() else {})


@ENGINE.write("loggers", plain=("level",))
def set_levels(ctx: Context, level: Level = None) -> None:
    """Have all loggers log from this level on, until the server is started anew."""
    _set(ctx, dict.fromkeys(_loggers(), logging.NOTSET) | {_TOP: _number(level)})


@ENGINE.write("loggers/{name}", plain=("level",))
def set_level(ctx: Context, name: str, level: Level = None) -> None:
    """Have one logger log from this level on, until the server is started anew."""
    _set(ctx, {_known(name): _number(level)})


@ENGINE.delete("loggers")
def reset_levels(ctx: Context) -> None:
    """Have all loggers log as the configuration says."""
    _set(ctx, dict.fromkeys(_loggers(), logging.NOTSET))


@ENGINE.delete("loggers/{name}")
def reset_level(ctx: Context, name: str) -> None:
    """Have one logger log as the others do."""
    _set(ctx, {_known(name): logging.NOTSET})


def _set(ctx: Context, levels: dict[str, int]) -> None:
    def act() -> None:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)

    ctx.unit.after_commit(act)


def _loggers() -> list[str]:
    known = logging.getLogger().manager.loggerDict
    return sorted({_TOP, *(name for name in known if name.startswith(f"{_TOP}."))})


def _level(name: str) -> str:
    return level_word(logging.getLogger(name).getEffectiveLevel())


def _known(name: str) -> str:
    if name not in _loggers():
        raise Invalid("there is no such logger", hint="see them with GET sys/loggers")
    return name


def _number(level: str | None) -> int:
    if level is None:
        raise Invalid("level is required", hint='send {"level": "info"}')
    if level.lower() not in LEVELS:
        raise Invalid("there is no such level", hint=f"choose from {', '.join(LEVELS)}")
    return LEVELS[level.lower()]
