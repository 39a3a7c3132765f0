"""The KV operations as flows: names instead of paths, for both versions of the engine.

A name is checked first, and taken without outer slashes, as in lookup.py: what is written under it is what is cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.client import flows, given
from ml_secrets.client.answer import Answer
from ml_secrets.client.encoding import conceal, decode, part
from ml_secrets.client.lookup import data_path, mount_version
from ml_secrets.client.sending import check_path, make
from ml_secrets.errors import Conflict, MlSecretsError, NotFound, Unsupported
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session


def put(session: Session, mount: str, name: str, data: Sensitive, cas: int | None) -> Flow[Answer]:
    """Write all fields. With `cas` a write whose fate is unknown is sent again: the server takes it once."""
    name = check_path(name)
    version = yield from mount_version(session, mount)
    path = data_path(version, mount, name)
    if version == 1:
        if cas is not None:
            raise _no_versions(mount, "check-and-set")
        return (yield from _change(session, "POST", path, data, (mount, name)))
    try:
        return (
            yield from _change(
                session, "POST", path, around(data, cas), (mount, name), repeatable=cas is not None
            )
        )
    except Conflict as error:
        conflict = error
    mine = None if cas is None else (yield from _my_write(session, path, data, cas + 1))
    if mine is None:
        raise conflict.with_traceback(None)
    return mine


def _my_write(session: Session, path: str, data: Sensitive, number: int) -> Flow[Answer | None]:
    """After a lost check-and-set: was it our own first try that won? Then its version holds just what we sent."""
    try:
        response = yield from flows.call(session, make("GET", path, params={"version": number}))
    except MlSecretsError:
        return None
    there, described = part(response.body, "data", "data"), part(response.body, "data", "metadata")
    if there is None or described is None or _plain(there) != _plain(data):
        return None
    return Answer(response.status, data=decode(described))


def _plain(json: Sensitive) -> Sensitive:
    """JSON in one way of writing, so that two can be compared."""
    return conceal(decode(json), ordered=True)


def around(data: Sensitive, cas: int | None) -> Sensitive:
    """The body of a KV version 2 write around an encoded object."""
    options = b"" if cas is None else b',"options":{"cas":%d}' % given.whole(cas, "version to compare with")
    return Sensitive(b'{"data":' + data.reveal_bytes() + options + b"}")


def patch(session: Session, mount: str, name: str, data: Sensitive, cas: int | None) -> Flow[Answer]:
    """Change some fields, remove those that are null, leave the others."""
    name = check_path(name)
    version = yield from mount_version(session, mount)
    if version == 1 and cas is not None:
        raise _no_versions(mount, "check-and-set")
    path, body = data_path(version, mount, name), around(data, cas) if version == 2 else data
    try:
        return (yield from _change(session, "PATCH", path, body, (mount, name)))
    except Unsupported:
        if version == 2:
            raise
    raise _no_versions(mount, "patch")


def delete(session: Session, mount: str, name: str, versions: Sequence[int] | None) -> Flow[Answer]:
    """Delete the current version, or those that are named. They can be undeleted, but not on a KV version 1 mount."""
    if versions is not None:
        return (yield from on_versions(session, "delete", mount, name, versions))
    name = check_path(name)
    version = yield from mount_version(session, mount)
    return (yield from _change(session, "DELETE", data_path(version, mount, name), None, (mount, name)))


def on_versions(session: Session, verb: str, mount: str, name: str, versions: Sequence[int]) -> Flow[Answer]:
    """Delete, undelete or destroy the versions that are named."""
    name, body = check_path(name), conceal({"versions": given.versions(versions)})
    yield from _versioned(session, mount, verb)
    return (
        yield from _change(session, "POST", f"{mount}/{verb}/{name}", body, (mount, name), repeatable=True)
    )


def names(
    session: Session,
    mount: str,
    folder: str,
    verb: str,
    *,
    only: str | None = None,
    depth: int | None = None,
) -> Flow[list[str]]:
    """The names in a folder; folders end in a slash. A folder that is not there holds none.

    only, depth: see `Kv.scan`. Where the server answers in pages, all of them are read.
    """
    version = yield from mount_version(session, mount)
    folder = given.text(folder, "folder")
    path = f"{mount}/metadata/{folder}" if version == 2 else f"{mount}/{folder}"
    pages = yield from _pages(session, path, {"filter": only, "depth": depth}, verb)
    return [name for page in pages for name in page.get("keys") or []]


def _pages(session: Session, path: str, fields: Mapping[str, Any], verb: str) -> Flow[list[dict[str, Any]]]:
    """What a LIST, SCAN or READ answers, page by page; nothing where nothing is. Ignored fields are refused."""
    found: list[dict[str, Any]] = []
    params = {name: value for name, value in fields.items() if value is not None}
    while True:
        try:
            if verb == "read":
                answer = yield from flows.read(session, path, params, None)
            else:
                answer = yield from flows.listing(session, path, params, verb)
        except NotFound as error:
            if error.message.startswith("no handler"):
                raise
            if _no_such_path(error):
                raise _no_such_call() from None
            return found
        if params and any("ignored these unrecognized" in text for text in answer.warnings):
            raise _no_such_call()
        found.append(answer.data)
        if not answer.data.get("next"):
            return found
        params["cursor"] = answer.data["next"]


def details(
    session: Session, mount: str, path: str, fields: Mapping[str, Any], verb: str
) -> Flow[dict[str, dict[str, Any]]]:
    """`key_info` of all pages: of a trash, of a search."""
    yield from _versioned(session, mount, path.partition("/")[0])
    pages = yield from _pages(session, f"{mount}/{path}".rstrip("/"), fields, verb)
    return {name: about for page in pages for name, about in page["key_info"].items()}


def trash(session: Session, mount: str, folder: str) -> Flow[list[dict[str, Any]]]:
    """What was removed at a path and below it, and can be restored."""
    return list((yield from details(session, mount, f"trash/{folder}", {}, "scan")).values())


def due(session: Session, mount: str, within: str | int) -> Flow[list[dict[str, Any]]]:
    """Secrets that expire or are to be rotated within a time, and those that are overdue, by date."""
    yield from _versioned(session, mount, "dates")
    fields = {"within": within, "limit": 1000}
    found = yield from details(session, mount, "due", fields, "read")
    return [{"path": name, **about} for name, about in found.items()]


def search(
    session: Session, mount: str, folder: str, query: str, where: Sequence[str]
) -> Flow[dict[str, list[str]]]:
    """Secrets that fit, and where each did."""
    fields = {"query": query, "in": ",".join(where), "limit": 1000}
    found = yield from details(session, mount, f"search/{folder}", fields, "read")
    return {name: about["matched"] for name, about in found.items()}


def restore(session: Session, mount: str, name: str, id_: str | None) -> Flow[Answer]:
    """Bring a removed secret back under its name."""
    name = check_path(name)
    yield from _versioned(session, mount, "trash")
    body = conceal({} if id_ is None else {"id": id_})
    return (yield from _ours(session, "POST", f"{mount}/restore/{name}", body, (mount, name)))


def purge(session: Session, mount: str, name: str, id_: str | None) -> Flow[int]:
    """Remove what was removed of a name for good; how many secrets that were."""
    name = check_path(name)
    yield from _versioned(session, mount, "trash")
    body = conceal({} if id_ is None else {"id": id_})
    done = 0
    while True:
        answer = yield from _ours(session, "DELETE", f"{mount}/trash/{name}", body, (mount, name))
        done += int(answer.data["purged"])
        if not answer.data["more"]:
            return done


def _ours(session: Session, method: str, path: str, body: Sensitive, secret: tuple[str, str]) -> Flow[Answer]:
    """A call that ml-secrets alone has."""
    try:
        return (yield from _change(session, method, path, body, secret))
    except NotFound as error:
        if not _no_such_path(error):
            raise
    raise _no_such_call()


def metadata(session: Session, mount: str, name: str) -> Flow[Answer]:
    """What is known of a secret and its versions, without any value."""
    name = check_path(name)
    yield from _versioned(session, mount, "metadata")
    return (yield from flows.read(session, f"{mount}/metadata/{name}", None, None))


def put_metadata(
    session: Session, method: str, mount: str, name: str, settings: Mapping[str, Any]
) -> Flow[Answer]:
    """Set (POST) or change (PATCH) what is kept beside the versions."""
    name = check_path(name)
    yield from _versioned(session, mount, "metadata")
    body = conceal({key: value for key, value in settings.items() if value is not None})
    return (yield from _change(session, method, f"{mount}/metadata/{name}", body, (mount, name)))


def delete_all(session: Session, mount: str, name: str) -> Flow[Answer]:
    """Remove a secret with all its versions, for good."""
    name = check_path(name)
    version = yield from mount_version(session, mount)
    path = f"{mount}/metadata/{name}" if version == 2 else f"{mount}/{name}"
    return (yield from _change(session, "DELETE", path, None, (mount, name)))


def transfer(
    session: Session, verb: str, old: tuple[str, str], new: tuple[str, str], *, recursive: bool = False
) -> Flow[int]:
    """Move or copy a secret (or all below a folder, page by page) with all its versions; how many secrets that were.

    `old` and `new` are (mount, name). Raises `Conflict` where a name is taken; `Unsupported` where the server cannot.
    """
    old = old[0], check_path(old[1])
    yield from _versioned(session, old[0], verb)
    done, after = 0, ""
    while True:
        body = {"to": new[1], "mount": new[0], "recursive": recursive, "after": after}
        data = yield from _transfer(session, f"{old[0]}/{verb}/{old[1]}", conceal(body))
        done += int(data["secrets"])
        after = data.get("next") or ""
        if not after:
            return done


def _transfer(session: Session, path: str, body: Sensitive) -> Flow[Mapping[str, Any]]:
    try:
        return (yield from flows.ask(session, make("POST", path, body=body))).data
    except NotFound as error:
        if not _no_such_path(error):
            raise
    finally:
        session.cache.clear()  # whatever had the old name, or has the new one
    raise _no_such_call()


def _no_such_call() -> Unsupported:
    return Unsupported("this server has no such call", hint="ml-secrets has it, Vault and OpenBao have not")


def _no_such_path(error: NotFound) -> bool:
    """How servers say that they do not know a path below a KV version 2 mount."""
    return any("versioned K/V" in text for text in error.warnings)


def _versioned(session: Session, mount: str, what: str) -> Flow[None]:
    version = yield from mount_version(session, mount)
    if version == 1:
        raise _no_versions(mount, what)


def _no_versions(mount: str, what: str) -> Unsupported:
    hint = f"upgrade it: client.write('sys/mounts/{mount}/tune', {{'options': {{'version': '2'}}}})"
    return Unsupported(f"{mount}/ is a KV version 1 mount, which has no {what}", hint=hint)


def _change(
    session: Session,
    method: str,
    path: str,
    body: Sensitive | None,
    secret: tuple[str, str],
    *,
    repeatable: bool = False,
) -> Flow[Answer]:
    request = make(method, path, body=body, repeatable=repeatable)
    try:
        return (yield from flows.ask(session, request))
    finally:
        session.cache.forget(*secret)
