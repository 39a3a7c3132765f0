"""Answers that go on: their bodies are taken piece by piece. An open one holds a connection until it is closed."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import httpx

from ml_secrets.client import deadline
from ml_secrets.client.wire import frameless

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.errors import MlSecretsError

    Told = Callable[[Exception], MlSecretsError]


class Stream:
    """For threads. `told` makes an error of ours of one of the network."""

    def __init__(self, answer: httpx.Response, told: Told) -> None:
        self._answer = answer
        self._pieces = answer.iter_raw()
        self._told = told

    def take(self, seconds: float) -> bytes | None:
        """The next piece, within so many seconds; None at the end."""
        handled = sys.exception()
        try:
            with deadline.within(seconds):
                return next(self._pieces, None)
        except (httpx.HTTPError, RuntimeError) as error:
            failure = self._told(error)
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        raise frameless(failure, handled)

    def close(self) -> None:
        """Let go of the connection."""
        self._answer.close()


class AsyncStream:
    """The same for tasks."""

    def __init__(self, answer: httpx.Response, told: Told) -> None:
        self._answer = answer
        self._pieces = answer.aiter_raw()
        self._told = told

    async def take(self, seconds: float) -> bytes | None:
        """The next piece, within so many seconds; None at the end."""
        handled = sys.exception()
        try:
            async with asyncio.timeout(seconds):
                return await anext(self._pieces, None)
        except (httpx.HTTPError, RuntimeError, TimeoutError) as error:
            failure = self._told(error)
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        raise frameless(failure, handled)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._answer.aclose()
