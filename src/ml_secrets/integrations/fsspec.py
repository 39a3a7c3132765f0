"""fsspec: storage options for s3fs (and so for pandas, dask, datasets, pyarrow) whose credentials are current.

The fields of the secret: see aws.py. Nothing secret is in the options, so they may be logged, stored in a dataset's
configuration and sent to workers: there, the credentials are looked up by their name.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from ml_secrets.integrations.aws import keys
from ml_secrets.integrations.source import Source, library, source


def s3_options(what: str | Source, **settings: Any) -> dict[str, Any]:
    """`pandas.read_parquet("s3://data/x.parquet", storage_options=s3_options("aws/train"))`. `settings` are s3fs's own."""
    return {**settings, "session": s3_session(what)}


def s3_session(what: str | Source) -> Any:
    """A session of aiobotocore, for `s3fs.S3FileSystem(session=…)`. It pickles as the name of the secret."""
    return _session_kind()(what)


@cache
def _session_kind() -> Any:
    library("s3fs")

    class LiveSession(library("aiobotocore.session", "s3fs").AioSession):  # type: ignore[misc]
        """Its clients sign each request with the credentials of now."""

        def __init__(self, what: str | Source) -> None:
            super().__init__()
            self._what = what
            self._credentials = _credentials_kind()(source(what))

        def __reduce__(self) -> Any:
            return s3_session, (self._what,)

        def __repr__(self) -> str:
            return f"<LiveSession {getattr(self._what, 'name', self._what)}>"  # fsspec tells file systems apart by it

    return LiveSession


@cache
def _credentials_kind() -> Any:
    frozen = library("botocore.credentials").ReadOnlyCredentials

    class AioLiveCredentials(library("aiobotocore.credentials", "s3fs").AioCredentials):  # type: ignore[misc]
        """Those of the source, at each look."""

        method = "ml-secrets"

        def __init__(self, kept: Source) -> None:
            self._source = kept

        async def get_frozen_credentials(self) -> Any:
            """What a request is signed with."""
            secret = await asyncio.to_thread(self._source.get)
            return frozen(*keys(secret), None)

        def __repr__(self) -> str:
            return "<AioLiveCredentials>"

    return AioLiveCredentials
