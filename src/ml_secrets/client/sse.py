"""Server-sent events out of the bytes of a stream, as the HTML standard reads them. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from ml_secrets.client.messages import Lost

_LARGEST: Final = 1 << 20


class Message(msgspec.Struct, frozen=True):
    """One event. `id` is the last one that the stream has named."""

    event: str
    data: str
    id: str


class Parser:
    """Takes pieces as they come, and gives the events that are whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, list[str]] = {}
        self._id = ""

    def add(self, piece: bytes) -> list[Message]:
        """What has become whole with this piece. Raises `Lost` for what is no stream of events."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LARGEST:
            raise Lost("what the server sends is no stream of events")
        messages = (self._line(line.removesuffix(b"\r").decode(errors="replace")) for line in lines)
        return [message for message in messages if message is not None]

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._whole()
        name, _, value = line.partition(":")
        if name:  # else it is a comment
            self._fields.setdefault(name, []).append(value.removeprefix(" "))
        return None

    def _whole(self) -> Message | None:
        fields, self._fields = self._fields, {}
        self._id = fields.get("id", [self._id])[-1]
        if "data" not in fields:
            return None
        return Message(fields.get("event", ["message"])[-1], "\n".join(fields["data"]), self._id)
