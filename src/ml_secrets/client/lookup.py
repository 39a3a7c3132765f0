"""Secrets by name: from the cache, by a conditional read, by a read, by one batch.

A name is the path inside a KV mount. Which version of KV the mount speaks is asked once (sys/internal/ui/mounts) and
remembered; nobody writes `data/`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client import given
from ml_secrets.client.cache import Key
from ml_secrets.client.encoding import Unreadable, conceal, decode, items, members, part
from ml_secrets.client.faults import error_of
from ml_secrets.client.flows import ask, call
from ml_secrets.client.messages import ANSWER, BATCH, READ, Lost, Once, Response, Shared, Together
from ml_secrets.client.secret import Secret
from ml_secrets.client.sending import Patience, check_path, make
from ml_secrets.errors import (
    Denied,
    Fault,
    Incomplete,
    Invalid,
    Limited,
    MlSecretsError,
    NotFound,
    Refusal,
    Sealed,
    TooLarge,
    Unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ml_secrets.client.cache import Entry
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session
    from ml_secrets.sensitive import Sensitive

MOST_AT_ONCE: Final = 1000
_ONE_TRY: Final = Patience(tries=1, seconds=2.0)
_PASSING: Final = (Fault, Limited, Sealed)


# ── mounts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def mount_version(session: Session, mount: str) -> Flow[int]:
    """1 or 2: the version of the KV mount. Raises what the server says when the token has no business there."""
    known = session.versions.get(mount)
    if known is not None:
        return known
    found: int = yield Once(("mount", session.scope, mount), lambda: _detect(session, mount))
    return found


def _detect(session: Session, mount: str) -> Flow[int]:
    failure: MlSecretsError
    try:
        request = make("GET", f"sys/internal/ui/mounts/{mount}")
        request.shared = shared(session, ANSWER)
        answer = yield from ask(session, request)
    except Denied as error:
        failure = Denied(error.message, hint=_no_mount(mount))
    except NotFound:
        failure = NotFound(f"no mount at {mount}/", hint=_no_mount(mount))
    else:
        kind = answer.data.get("type")
        if kind not in ("kv", "generic"):
            raise Invalid(
                f"{mount}/ is a mount of type {kind}, not kv", hint="use client.read and client.write there"
            )
        version = session.versions[mount] = (
            2 if (answer.data.get("options") or {}).get("version") == "2" else 1
        )
        return version
    raise failure


def _no_mount(mount: str) -> str:
    return f"nothing is mounted at {mount}/, or no policy of the token reaches into it; choose another by mount=... or ML_SECRETS_MOUNT"


def data_path(version: int, mount: str, name: str) -> str:
    """Where a secret's data is."""
    return f"{mount}/data/{name}" if version == 2 else f"{mount}/{name}"


# ── one ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def key_of(session: Session, name: str, version: int | None, mount: str | None) -> Key:
    """What a secret is cached under. Raises `Invalid` for a name that is no path."""
    if isinstance(name, list | tuple | set):
        raise Invalid("a list of names, where one was expected", hint="get_secrets([...]) takes several")
    number = None if version is None else given.whole(version, "version") or None
    return Key(session.scope, check_path(mount or session.settings.mount), check_path(name), number)


def keys_of(session: Session, names: Iterable[str], mount: str | None) -> dict[str, Key]:
    """The same of several."""
    return {name: key_of(session, name, None, mount) for name in given.names(names)}


def get_secret(session: Session, key: Key, field: str | None) -> Flow[Secret]:
    """One secret. Threads and tasks that ask for the same at the same time share one read."""
    secret = session.cache.fresh(key, session.clock())
    if secret is None:
        secret = yield Once((key, session.cache.generation), lambda: _fetch(session, key))
    return secret if field is None else secret.only(field)


def read_anew(session: Session, key: Key) -> Flow[Secret]:
    """One secret, from the server now."""
    return (yield from _ask(session, key, None, anew=True))


def _fetch(session: Session, key: Key) -> Flow[Secret]:
    """Ask the server; only whether it still holds, when there is one at hand. A passing failure lets it serve on."""
    secret = session.cache.fresh(key, session.clock())
    if secret is not None:
        return secret  # somebody else was just done
    entry = session.cache.stale(key, session.clock())
    try:
        return (yield from _ask(session, key, entry))
    except _PASSING:
        if entry is None:
            raise
        session.cache.postpone(key, entry, now=session.clock())
        return entry.secret


def _ask(session: Session, key: Key, entry: Entry | None, *, anew: bool = False) -> Flow[Secret]:
    """What the server says, or whether `entry` still holds. What it refuses is served no more."""
    try:
        return (yield from _read(session, key, entry, anew=anew))
    except _PASSING:
        raise
    except Refusal as error:
        refused = error.with_traceback(None)
    if (yield from _guessed_wrong(session, key.mount, refused)):
        return (yield from _ask(session, key, entry, anew=anew))
    session.cache.drop(key)
    if not isinstance(refused, NotFound):
        raise refused
    if refused.warnings:
        session.versions.pop(key.mount, None)  # the mount has changed its version
    raise _missing(key, refused)


def _version_to_read(session: Session, mount: str) -> Flow[int]:
    """The mount's version; a guess where asking would be one more login: most are of version 2, others refuse what is read."""
    if session.inside is not None and mount not in session.versions:
        return 2
    return (yield from mount_version(session, mount))


def _guessed_wrong(session: Session, mount: str, refused: MlSecretsError | None) -> Flow[bool]:
    """After a refusal: was the version only a guess, and is it another?"""
    guessed = session.inside is not None and mount not in session.versions
    if not guessed or not isinstance(refused, NotFound | Denied):
        return False
    try:
        return (yield from mount_version(session, mount)) != 2
    except MlSecretsError:
        return False


def _read(session: Session, key: Key, entry: Entry | None, *, anew: bool) -> Flow[Secret]:
    version = yield from _version_to_read(session, key.mount)
    asked, generation = session.clock(), session.cache.generation
    request = make("GET", data_path(version, key.mount, key.name), params={"version": key.version})
    request.shared = None if anew else shared(session)
    if entry is None:
        response = yield from call(session, request)
    else:
        request.headers = {"If-None-Match": entry.etag} if entry.etag else {}
        response = yield from call(session, request, _ONE_TRY)
        if response.status == 304:
            session.cache.keep(
                key, entry.secret, entry.etag, now=asked, generation=generation, age=response.age
            )
            return entry.secret
    secret = read_secret(key, version, response.body)
    _pass_on(session, key, response.body)
    session.cache.keep(
        key, secret, response.headers.get("etag", ""), now=asked, generation=generation, age=response.age
    )
    return secret


def shared(session: Session, kind: str = READ) -> Shared | None:
    """Others' answers will do as long as our own would; whoever keeps none takes none."""
    if not session.settings.cache_ttl:
        return None
    return Shared(kind, fresh=session.settings.revalidate, stale=session.settings.cache_ttl)


def _missing(key: Key, error: NotFound) -> NotFound:
    what = f"no secret {key.name!r} in {key.mount}/"
    if key.version:
        what = f"no version {key.version} of {key.name!r} in {key.mount}/"
    return NotFound(what, hint=_advice(key, error), data=error.data)


def _advice(key: Key, error: NotFound) -> str:
    """What to do about a secret that is not there."""
    described = (error.data or {}).get("metadata") or {}
    if key.name.startswith((f"{key.mount}/", "data/")):
        return f"a name has neither the mount nor data/ in front: ask for {key.name.removeprefix(key.mount + '/').removeprefix('data/')!r}"
    if described.get("destroyed"):
        return f"its version {described.get('version')} was destroyed, which cannot be undone"
    if described.get("deletion_time"):
        return f"its version {described.get('version')} was deleted on {described['deletion_time']}; client.kv.undelete brings it back"
    return error.hint or f"`ml-secrets kv list {key.mount}/` shows the names there are"


def _pass_on(session: Session, key: Key, body: Sensitive) -> None:
    """Log what the server warns of beside a secret (that it has expired), once for each secret."""
    warnings = part(body, "warnings")
    if warnings is None or key in session.warned:
        return
    import logging  # noqa: PLC0415 - only when there is something to say

    session.warned.add(key)
    for text in decode(warnings):
        logging.getLogger("ml_secrets").warning("%s/%s: %s", key.mount, key.name, text)


def read_secret(key: Key, version: int, body: Sensitive) -> Secret:
    """The secret in the body of a KV read. Raises `Lost` when there is none in it."""
    data = part(body, "data")
    described: Any = {}
    if version == 2 and data is not None:
        metadata = part(data, "metadata")
        described = {} if metadata is None else decode(metadata)
        data = part(data, "data")
    try:
        fields = None if data is None else members(data)
    except Unreadable:
        fields = None
    if data is None or fields is None or not isinstance(described, dict):
        raise Lost(
            f"the server's answer holds no secret {key.name!r}",
            hint="is the address that of a Vault-compatible server?",
        )
    return Secret(
        key.name,
        data,
        fields,
        mount=key.mount,
        version=int(described.get("version") or 0),
        created_time=str(described.get("created_time") or ""),
        metadata=described.get("custom_metadata") or {},
    )


# ── several ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def get_secrets(session: Session, keys: Mapping[str, Key], *, partly: bool) -> Flow[dict[str, Secret]]:
    """Several secrets by name. Raises `Incomplete` with all that failed. `partly` leaves out what is refused; a failing server is still an error."""
    found = yield from each_secret(session, keys.values())
    errors = {name: one for name, key in keys.items() if isinstance(one := found[key], MlSecretsError)}
    if partly:
        errors = {name: error for name, error in errors.items() if not isinstance(error, Refusal)}
    if errors:
        told = "; ".join(f"{name}: {error}" for name, error in errors.items())
        raise Incomplete(f"{len(errors)} of {len(keys)} secrets cannot be had: {told}", errors=errors)
    return {name: one for name, key in keys.items() if isinstance(one := found[key], Secret)}


def each_secret(session: Session, keys: Iterable[Key]) -> Flow[dict[Key, Secret | MlSecretsError]]:
    """Each secret, or its error: those not at hand in one batch, or side by side where the server has no batches."""
    wanted = list(dict.fromkeys(keys))
    found = _at_hand(session, wanted)
    missing = [key for key in wanted if key not in found]
    if missing:
        place = ("several", *missing, session.cache.generation)
        found |= yield Once(place, lambda: _fetch_all(session, missing))
    return found


def _at_hand(session: Session, keys: Sequence[Key]) -> dict[Key, Secret | MlSecretsError]:
    now = session.clock()
    return {key: secret for key in keys if (secret := session.cache.fresh(key, now)) is not None}


def _fetch_all(session: Session, keys: Sequence[Key]) -> Flow[dict[Key, Secret | MlSecretsError]]:
    found: dict[Key, Secret | MlSecretsError] = {}
    for start in range(0, len(keys) if len(keys) > 1 else 0, MOST_AT_ONCE):
        part_of_them = keys[start : start + MOST_AT_ONCE]
        if session.batches is not False:
            try:
                found |= yield from _fetch_batch(session, part_of_them)
            except _PASSING as error:
                found |= _without_server(session, part_of_them, error)
    rest = [key for key in keys if key not in found]
    results = (yield Together([partial(_fetch, session, key) for key in rest])) if rest else []
    return found | dict(zip(rest, results, strict=True))


def _without_server(
    session: Session, keys: Sequence[Key], error: MlSecretsError
) -> dict[Key, Secret | MlSecretsError]:
    """What may still be served while the server cannot be asked; the error for the others, or for all."""
    now = session.clock()
    entries = {key: entry for key in keys if (entry := session.cache.stale(key, now)) is not None}
    if not entries:
        raise error.with_traceback(None)
    for key, entry in entries.items():
        session.cache.postpone(key, entry, now=now)
    return {key: entries[key].secret if key in entries else error for key in keys}


def _fetch_batch(session: Session, keys: Sequence[Key]) -> Flow[dict[Key, Secret | MlSecretsError]]:
    """What one batch gives: nothing where the server has no batches or the mount is not to be seen, less where it was too much."""
    paths = yield from _batch_paths(session, keys)
    if not paths:
        return {}
    asked, generation = session.clock(), session.cache.generation
    request = make("POST", "sys/batch", body=conceal({"paths": list(paths.values())}), repeatable=True)
    request.shared = shared(session, BATCH)
    try:
        response = yield from call(session, request)
    except (NotFound, Denied, Unsupported, Invalid):
        session.batches = False
        return {}
    session.batches = True
    results = items(response.body, "data", "results")
    if results is None or len(results) != len(paths):
        raise Lost("the server's answer to the batch does not fit it")
    got: dict[Key, Secret | MlSecretsError] = {}
    for (key, path), item in zip(paths.items(), results, strict=True):
        one = _item(session, key, path, item)
        if isinstance(one, TooLarge):
            continue  # the answer was full: a read by itself will have it
        if isinstance(one, Secret):
            _pass_on(session, key, item)
            etag = part(item, "etag")
            session.cache.keep(
                key,
                one,
                "" if etag is None else str(decode(etag)),
                now=asked,
                generation=generation,
                age=response.age,
            )
        elif (yield from _guessed_wrong(session, key.mount, one)):
            return (yield from _fetch_batch(session, keys))
        got[key] = one if isinstance(one, Secret) else _instead(session, key, one)
    return got


def _batch_paths(session: Session, keys: Sequence[Key]) -> Flow[dict[Key, str]]:
    """What a batch can read of these, by path."""
    paths: dict[Key, str] = {}
    for key in keys:
        try:
            version = yield from _version_to_read(session, key.mount)
        except Refusal:
            continue  # a read by itself will say so
        if key.version is None:
            paths[key] = data_path(version, key.mount, key.name)
    return paths


def _instead(session: Session, key: Key, error: MlSecretsError) -> Secret | MlSecretsError:
    """As for one secret: a passing failure lets what is at hand serve on, and what is refused is served no more."""
    now = session.clock()
    if not isinstance(error, _PASSING):
        session.cache.drop(key)
    elif (entry := session.cache.stale(key, now)) is not None:
        session.cache.postpone(key, entry, now=now)
        return entry.secret
    return error


def _item(session: Session, key: Key, path: str, item: Sensitive) -> Secret | MlSecretsError:
    """The secret in one result of a batch, or its error."""
    status = part(item, "status")
    code = 0 if status is None else decode(status)
    if code == 200:
        try:
            return read_secret(key, session.versions.get(key.mount, 2), item)
        except Lost as lost:
            return lost.with_traceback(None)
    request = make("GET", path)
    request.token, request.login = session.token, session.inside
    error = error_of(request, Response(code if isinstance(code, int) and code >= 400 else 500, {}, item))
    if isinstance(error, NotFound):
        return _missing(key, error)
    return error
