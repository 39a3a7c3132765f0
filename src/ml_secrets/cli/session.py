"""One run of the command line: what was chosen, the client it talks through, and how results are shown.

Commands take it as their first argument (`@session`), ask it for answers and give it results to `show`; none of them
prints, formats or connects by itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from ml_secrets.cli import output
from ml_secrets.cli.failures import LocalError
from ml_secrets.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml_secrets.client import Answer, Client

_LONG: Final = 3600.0
FORMATS: Final = ("table", "json", "yaml")


@dataclass(slots=True)
class Session:
    """Options that every command takes, as given on the command line; then those of inline.py. None means: not given."""

    format: str | None = None
    field: str | None = None
    address: str | None = None
    namespace: str | None = None
    wrap_ttl: str | None = None
    debug: bool = False
    role_id: str | None = None
    secret_id_file: str | None = None
    auth_path: str | None = None
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """The client, made on first use: settings from options, then environment, then files."""
        if self._client is None:
            from ml_secrets.cli.connection import connect  # noqa: PLC0415 - help loads no client

            self._client = connect(self)
        return self._client

    def take_time(self) -> None:
        """What this command asks for may take as long as the store is large."""
        from ml_secrets.cli.connection import connect  # noqa: PLC0415 - help loads no client

        self.use(connect(self, timeout=_LONG))

    def use(self, client: Client) -> None:
        """Talk through this client instead."""
        self._client = client

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, path: str, query: Mapping[str, Any] | None = None, *, wrap: bool = False) -> Answer:
        """Read a path of the API. `wrap`: this is the answer that --wrap-ttl is about."""
        return self._heard(self.client.read(path, params=query, wrap_ttl=self.wrap_ttl if wrap else None))

    def write(self, path: str, data: Mapping[str, Any] | None = None, *, wrap: bool = False) -> Answer:
        """Write to a path of the API."""
        return self._heard(self.client.write(path, data or {}, wrap_ttl=self.wrap_ttl if wrap else None))

    def patch(self, path: str, data: Mapping[str, Any], *, wrap: bool = False) -> Answer:
        """Merge into what is at a path of the API."""
        return self._heard(self.client.patch(path, data, wrap_ttl=self.wrap_ttl if wrap else None))

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        """Delete what is at a path of the API."""
        return self._heard(self.client.delete(path, params=query))

    def keys(self, path: str, query: Mapping[str, Any] | None = None) -> list[str]:
        """List the keys under a path of the API."""
        return self._paged(self.client.list, path, query)

    def tree(self, path: str) -> list[str]:
        """Every key under a path and its folders. One SCAN where the server knows it, else folder by folder."""
        try:
            return sorted(self._paged(self.client.scan, path, None)) or self._descend(path.strip("/"), "")
        except Refusal:
            return sorted(self._descend(path.strip("/"), ""))

    def _paged(self, ask: Callable[..., Answer], path: str, query: Mapping[str, Any] | None) -> list[str]:
        """All keys, also where the server gives them in pages."""
        found: list[str] = []
        while (answer := ask(path, params=query)).data.get("next"):
            found += answer.data["keys"]
            query = {**(query or {}), "cursor": answer.data["next"]}
        return found + (self._heard(answer).data.get("keys") or [])

    def _descend(self, top: str, below: str) -> list[str]:
        found: list[str] = []
        for key in self.keys(f"{top}/{below}".rstrip("/")):
            found.extend(self._descend(top, below + key) if key.endswith("/") else [below + key])
        return found

    def _heard(self, answer: Answer) -> Answer:
        """Pass warnings on to the person. A wrapped answer is shown and ends the command: its content is for another."""
        for warning in answer.warnings:
            self.note(f"warning: {warning}")
        if answer.wrap_info:
            self.show_answer(answer)
            raise click.exceptions.Exit(output.OK)
        return answer

    # ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def show(
        self, document: Any, text: str | None = None, *, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Print a result: one field of `fields` (else of `document`), or `document` as JSON or YAML, or `text`.

        Without `text` a table prints the document's pairs.
        """
        if self.field is not None:
            self._show_field(document if fields is None else fields)
        elif (chosen := self.chosen_format()) == "json":
            click.echo(output.as_json(document))
        elif chosen == "yaml":
            click.echo(as_yaml(document))
        else:
            click.echo(output.pairs(document) if text is None else text)

    def show_answer(self, answer: Answer) -> None:
        """Print an answer of the API: its token, its wrapping token, or its data with its lease."""
        fields = answer_fields(answer)
        text = (
            output.pairs(fields if answer.auth or answer.wrap_info else by_name(fields))
            if fields
            else "Done; the server had nothing to add."
        )
        self.show(envelope(answer), text, fields=fields)

    def show_keys(self, keys: Sequence[str]) -> None:
        """Print a list of names."""
        self.show(list(keys), output.table(("Keys",), [(key,) for key in keys]), fields={"keys": list(keys)})

    def done(self, text: str) -> None:
        """Say that something was done: on stdout to people, on stderr where stdout is for a program."""
        click.echo(output.visible(text), err=self.chosen_format() != "table" or self.field is not None)

    def note(self, text: str) -> None:
        """Say something beside the result."""
        click.echo(output.visible(text), err=True)

    def chosen_format(self) -> str:
        """The format from --format, else ML_SECRETS_FORMAT, else table."""
        if self.format:
            return self.format
        named = os.environ.get("ML_SECRETS_FORMAT") or FORMATS[0]
        if named not in FORMATS:
            raise click.UsageError(f"ML_SECRETS_FORMAT is none of {', '.join(FORMATS)}")
        return named

    def _show_field(self, fields: Any) -> None:
        if not isinstance(fields, dict) or self.field not in fields:
            known = ", ".join(fields) if isinstance(fields, dict) and fields else "none here"
            raise LocalError(f'there is no field "{self.field}"', hint=f"its fields: {known}")
        click.echo(output.bare(fields[self.field]), nl=os.isatty(1))


def by_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """In the order of their names, as tables show what a server holds."""
    return dict(sorted(values.items()))


session: Callable[[Callable[..., Any]], Callable[..., Any]] = click.make_pass_decorator(Session, ensure=True)


def as_yaml(document: Any) -> str:
    """YAML, or an error that says what to install."""
    try:
        return output.as_yaml(document)
    except ImportError:
        raise LocalError("YAML needs PyYAML", hint="pip install 'ml-secrets[yaml]'") from None


def envelope(answer: Answer) -> dict[str, Any]:
    """An answer as Vault's CLI prints it in JSON. Answers without an envelope are their data."""
    if not answer.request_id and not answer.wrap_info:
        return answer.data
    shown: dict[str, Any] = {
        "request_id": answer.request_id,
        "lease_id": answer.lease_id,
        "lease_duration": answer.lease_duration,
        "renewable": answer.renewable,
        "data": answer.data or None,
        "warnings": answer.warnings or None,
    }
    extra = {"auth": answer.auth, "wrap_info": answer.wrap_info}
    return shown | {name: value for name, value in extra.items() if value}


def answer_fields(answer: Answer) -> dict[str, Any]:
    """What people and `--field` see of an answer."""
    if answer.wrap_info:
        return wrapping_fields(answer.wrap_info)
    if answer.auth:
        return login_fields(answer.auth)
    lease = {
        "lease_id": answer.lease_id,
        "lease_duration": duration(answer.lease_duration),
        "lease_renewable": answer.renewable,
    }
    return (lease if answer.lease_id else {}) | answer.data


def duration(seconds: int) -> str:
    """5400 -> "1h30m0s"."""
    from ml_secrets.domain.duration import go_text  # noqa: PLC0415 - help is quicker without

    return go_text(seconds)


def login_fields(auth: Mapping[str, Any]) -> dict[str, Any]:
    """A new token, under the names that Vault's CLI gives its parts."""
    shown = {
        "token": auth.get("client_token"),
        "token_accessor": auth.get("accessor"),
        "token_duration": duration(auth.get("lease_duration") or 0),
        "token_renewable": auth.get("renewable"),
        "token_policies": auth.get("token_policies") or [],
        "identity_policies": auth.get("identity_policies") or [],
        "policies": auth.get("policies") or [],
    }
    meta = auth.get("metadata") or {}
    return shown | {f"token_meta_{name}": value for name, value in meta.items()}


def wrapping_fields(info: Mapping[str, Any]) -> dict[str, Any]:
    """A wrapping token, under the names that Vault's CLI gives its parts."""
    shown = {
        "wrapping_token": info.get("token"),
        "wrapping_accessor": info.get("accessor"),
        "wrapping_token_ttl": duration(info.get("ttl") or 0),
        "wrapping_token_creation_time": info.get("creation_time"),
        "wrapping_token_creation_path": info.get("creation_path"),
    }
    return shown | ({"wrapped_accessor": info["wrapped_accessor"]} if info.get("wrapped_accessor") else {})
