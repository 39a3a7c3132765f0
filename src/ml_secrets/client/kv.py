"""The KV operations as flows: names instead of paths, for both versions of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.client import flows
from ml_secrets.client.lookup import data_path, mount_version
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.client.answer import Answer
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session


def put(session: Session, mount: str, name: str, data: Sensitive, cas: int | None) -> Flow[Answer]:
    version = yield from mount_version(session, mount)
    path = data_path(version, mount, name)
    body = data if version == 1 else wrapped(data, cas)
    return (yield from flows.write(session, "POST", path, body))


def wrapped(data: Sensitive, cas: int | None) -> Sensitive:
    """The body of a KV version 2 write around an encoded object."""
    options = b"" if cas is None else b',"options":{"cas":%d}' % cas
    return Sensitive(b'{"data":' + data.reveal_bytes() + options + b"}")
