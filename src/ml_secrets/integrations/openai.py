"""OpenAI's clients, and others that speak like it: a key that is looked up at each request.

The secret's value is the key (see `Secret.reveal`). openai from version 1.106 on takes a function for one.
"""

from __future__ import annotations

from typing import Any

from ml_secrets.integrations.http import async_token, token
from ml_secrets.integrations.source import Source, library


def client(what: str | Source, **settings: Any) -> Any:
    """`client("openai/api-key")` is `openai.OpenAI` with the key of now. `settings` are its own: `base_url` and so on."""
    return library("openai").OpenAI(api_key=token(what), **settings)


def async_client(what: str | Source, **settings: Any) -> Any:
    """The same as `openai.AsyncOpenAI`."""
    return library("openai").AsyncOpenAI(api_key=async_token(what), **settings)
