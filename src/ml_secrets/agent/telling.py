"""An error in a line, for a log or a person."""

from __future__ import annotations

from pathlib import Path

from ml_secrets.errors import MlSecretsError


def told_of(error: Exception) -> str:
    """An error in one line, without what it may hold beside. One that nobody thought of is told by its place."""
    if isinstance(error, OSError):
        return f"{error.strerror or type(error).__name__}: {error.filename}"
    if isinstance(error, MlSecretsError):
        return error.message
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}; this is a fault in ml-secrets"
