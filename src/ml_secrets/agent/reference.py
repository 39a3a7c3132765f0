"""`Reference`: a secret's place written as one text, to stand in files and on command lines where the value must not.

    secret://MOUNT/PATH                     the whole secret, as a JSON object
    secret://MOUNT/PATH#FIELD               one field: text as it is, anything else as JSON
    secret://MOUNT/PATH#FIELD,FIELD         these fields, as a JSON object
    secret://MOUNT/PATH?version=3#FIELD     of that version

Path and fields are percent-decoded once; what has a meaning here (`%`, `?`, `#`, a comma in a field) and
spaces are written `%25`, `%20` and so on. Nothing is guessed or repaired: what is not exactly this is `Invalid`. Errors show the
reference, which is no secret; a text that does not begin with `secret://` may be one, and is never shown.

Where the mount ends and the name begins, only the server knows: gather.py asks it.
"""

from __future__ import annotations

import re
from typing import Final, Self
from urllib.parse import quote, unquote

import msgspec

from ml_secrets.domain.path import canonical_path
from ml_secrets.errors import Invalid

SCHEME: Final = "secret://"
_LONGEST: Final = 4096
_FORM: Final = re.compile(r"secret://([^?#]+)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_PLAIN: Final = re.compile(r"(?:[^\x00-\x20\x7f-\xa0%\s]|%[0-9A-Fa-f]{2})+")
_VERSION: Final = re.compile(r"version=([1-9][0-9]{0,8})", re.ASCII)
_KEPT: Final = "!$&'()*+-.:;=@_~"
_EXAMPLE: Final = "write it like secret://team-a/db/train#password"


class Reference(msgspec.Struct, frozen=True):
    """A secret, or fields of it. `path` is mount and name; no `fields` means all; no `version` the newest."""

    path: str
    fields: tuple[str, ...] = ()
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that `text` is. Raises `Invalid`."""
        if not is_reference(text):
            raise Invalid("this is no reference to a secret", hint=_EXAMPLE)
        if len(text) > _LONGEST:
            raise Invalid(f"a reference is longer than {_LONGEST} characters", hint=_EXAMPLE)
        form = _FORM.fullmatch(text)
        if form is None:
            raise _wrong(text, "it names no path")
        path, query, fragment = form.groups()
        return cls(_path(text, path), _fields(text, fragment), _version(text, query))

    def __str__(self) -> str:
        """How it is written; parsing that gives this again."""
        version = "" if self.version is None else f"?version={self.version}"
        fields = ",".join(quote(field, safe=_KEPT + "/") for field in self.fields)
        return f"{SCHEME}{written(self.path)}{version}{'#' if fields else ''}{fields}"


def written(path: str) -> str:
    """A path as it stands in a reference."""
    return quote(path, safe=_KEPT + ",/")


def is_reference(text: object) -> bool:
    """Does it mean to be one?"""
    return isinstance(text, str) and text.startswith(SCHEME)


def _path(text: str, given: str) -> str:
    if "%2f" in given.lower():
        raise _wrong(text, "its path has an encoded slash")
    path = _decoded(text, given)
    try:
        _, folder = canonical_path(path)
    except Invalid as error:
        raise _wrong(text, error.message) from None
    if folder:
        raise _wrong(text, "it ends in a slash, as a folder does")
    if "/" not in path:
        raise _wrong(text, "it names a mount and no secret in it")
    return path


def _fields(text: str, given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    fields = tuple(_decoded(text, field) for field in given.split(","))
    if len(set(fields)) != len(fields):
        raise _wrong(text, "it names a field twice")
    return fields


def _version(text: str, given: str | None) -> int | None:
    if given is None:
        return None
    found = _VERSION.fullmatch(given)
    if found is None:
        raise _wrong(text, "after its ? may stand version=N and nothing else, N from 1 on")
    return int(found[1])


def _decoded(text: str, part: str) -> str:
    if not _PLAIN.fullmatch(part):
        raise _wrong(
            text, "a part of it is empty, or holds a space, a control character or a % that encodes nothing"
        )
    try:
        decoded = unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise _wrong(text, "it encodes bytes that are not UTF-8") from None
    if not decoded.isprintable():
        raise _wrong(text, "it encodes a control character")
    return decoded


def _wrong(text: str, problem: str) -> Invalid:
    return Invalid(f"{text!r} is no reference to a secret: {problem}", hint=_EXAMPLE)
