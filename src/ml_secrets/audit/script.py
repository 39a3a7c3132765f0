"""Records that are made again and again, and the form of a line."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_UNSEEN: Final = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_shared: Final = lru_cache(1024)(bytes)
"""One object for equal bytes: who asks is the same in all scripts of a token."""


class Script:
    """The two records of a read that is answered again and again: all but the time, the request's id and where from."""

    __slots__ = ("_auth", "_end", "_response", "_start", "size")

    def __init__(self, auth: bytes, start: bytes, end: bytes, response: bytes) -> None:
        self._auth = auth = _shared(one_line(auth))
        self._start = b'",%b"remote_address":"' % one_line(start)
        self._end = end + b"}"
        self._response = b',"response":%b}' % one_line(response)
        self.size = sum(map(len, (auth, self._start, self._end, self._response)))

    def records(self, time: bytes, request_id: bytes, address: bytes, port: int) -> tuple[bytes, bytes]:
        """The records of one repetition. `address` is an IP address."""
        auth = self._auth
        request = b'%b%b%b","remote_port":%d%b' % (request_id, self._start, address, port, self._end)
        return (
            b'{"time":"%b","type":"request","auth":%b,"request":{"id":"%b}' % (time, auth, request),
            b'{"time":"%b","type":"response","auth":%b,"request":{"id":"%b%b'
            % (time, auth, request, self._response),
        )


def one_line(record: bytes) -> bytes:
    """`record` with every character escaped that a terminal would act on or not show."""
    if record.isascii() and b"\x7f" not in record:
        return record
    return _UNSEEN.sub(_escaped, record.decode()).encode()


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
