"""`Secret`: one version of one secret, as it was read. It gives its values only by `reveal`.

It is a snapshot: it never changes. `client.live(name)` gives a handle that follows rotation (live.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.client.encoding import decode, pick
from ml_secrets.errors import NotFound
from ml_secrets.redaction.known import hand_out
from ml_secrets.sensitive import MASK, Masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, KeysView, Mapping
    from datetime import datetime

    from ml_secrets.sensitive import Sensitive


class Secret(Masked):
    """The fields of a secret, and what is known about the version that was read.

        key = get_secret("openai/api-key").reveal()
        user, password = (get_secret("db")[name].reveal() for name in ("user", "password"))

    It prints as dots and does not pickle: hand its name to another process, and fetch it there.
    `version` is 0, `created_time` "" and `metadata` {} where the mount keeps no versions (KV version 1).
    `ends_at` is the end of its lease, None where it has none.
    """

    __slots__ = (
        "__weakref__",
        "_field",
        "_fields",
        "_json",
        "created_time",
        "ends_at",
        "metadata",
        "mount",
        "name",
        "version",
    )

    def __init__(
        self,
        name: str,
        json: Sensitive,
        fields: Mapping[str, Sensitive],
        *,
        mount: str,
        version: int = 0,
        created_time: str = "",
        metadata: Mapping[str, str] | None = None,
        field: str | None = None,
        ends_at: datetime | None = None,
    ) -> None:
        self.name = name
        self.mount = mount
        self.version = version
        self.created_time = created_time
        self.metadata: Mapping[str, str] = metadata or {}
        self._json = json
        self._fields = fields
        self._field = field
        self.ends_at = ends_at
        if field is None:
            hand_out(self)

    def reveal(self) -> str:
        """The value as text.

        That is the field the secret was asked for by; else the field "value"; else the only field. A secret with
        several fields and no "value" gives them all, as the text of a JSON object. A field that is no text (a number,
        a list) is given as JSON.
        """
        if self._field is not None:
            return self._fields[self._field].reveal()
        if "value" in self._fields:
            return self._fields["value"].reveal()
        if len(self._fields) == 1:
            return next(iter(self._fields.values())).reveal()
        return self._json.reveal()

    def reveal_fields(self) -> dict[str, Any]:
        """All fields as plain values, with the types they have in JSON."""
        fields: dict[str, Any] = decode(self._json)
        return fields if self._field is None else {self._field: fields[self._field]}

    def as_json(self, *fields: str) -> Sensitive:
        """These fields (all of them, when none is named) as a JSON object, each just as the server wrote it."""
        return pick(self._json, fields or tuple(self._fields))

    def only(self, field: str) -> Secret:
        """This secret narrowed to one field. Raises `NotFound` that names the fields there are."""
        if field not in self._fields:
            raise NotFound(
                f"{self.name!r} has no field {field!r}",
                hint=f"it has {', '.join(sorted(self._fields)) or 'none'}",
            )
        return Secret(
            self.name,
            self._json,
            {field: self._fields[field]},
            mount=self.mount,
            version=self.version,
            created_time=self.created_time,
            metadata=self.metadata,
            field=field,
            ends_at=self.ends_at,
        )

    def __getitem__(self, field: str) -> Sensitive:
        found = self._fields.get(field)
        if found is None:
            raise KeyError(
                f"{self.name!r} has no field {field!r}; it has {', '.join(sorted(self._fields)) or 'none'}"
            )
        return found

    def handed(self) -> Iterable[tuple[str, Sensitive]]:
        """Every value by a name that may be shown: what guards are to know."""
        return [(f"{self.name}#{field}", value) for field, value in self._fields.items()]

    def keys(self) -> KeysView[str]:
        """The names of the fields."""
        return self._fields.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, field: object) -> bool:
        return field in self._fields

    def __repr__(self) -> str:
        return (
            f"<Secret {self.name} version={self.version} {MASK}>"
            if self.version
            else f"<Secret {self.name} {MASK}>"
        )
