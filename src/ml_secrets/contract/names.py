"""Answers to a LIST. Nothing to list is no answer (a 404 on the wire), as clients expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.contract.response import Response

if TYPE_CHECKING:
    from ml_secrets.storage.interface import Transaction


def named(names: list[str]) -> Response | None:
    """These names."""
    return Response({"keys": names}) if names else None


def names_in(store: Transaction, folder: str, after: str, limit: int) -> Response | None:
    """The names in a folder of the store that come after `after`: at most `limit`, or all where that is 0 or less."""
    return named(store.list(folder, after=after, limit=limit if limit > 0 else -1))
