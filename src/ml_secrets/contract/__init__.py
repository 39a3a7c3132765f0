"""What an engine promises: operations declared once, from which routes, help, OpenAPI and audit rules are read."""

from typing import TYPE_CHECKING

from ml_secrets.contract.context import Context
from ml_secrets.contract.engine import Engine
from ml_secrets.contract.fields import Help, Json, Names, Raw, Seconds, Strings, TextMap, UnixTime
from ml_secrets.contract.login import Login
from ml_secrets.contract.operation import Operation, Shape, Verb
from ml_secrets.contract.request import Caller, Request
from ml_secrets.contract.response import Response, Waits

if TYPE_CHECKING:
    from ml_secrets.storage.interface import Transaction as Transaction  # for annotations only

__all__ = [
    "Caller",
    "Context",
    "Engine",
    "Help",
    "Json",
    "Login",
    "Names",
    "Operation",
    "Raw",
    "Request",
    "Response",
    "Seconds",
    "Shape",
    "Strings",
    "TextMap",
    "UnixTime",
    "Verb",
    "Waits",
]
