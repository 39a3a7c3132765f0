"""Cubbyhole: a place of its own for each token, which nobody else reaches and which goes with the token."""

from ml_secrets.engines.cubbyhole import operations
from ml_secrets.engines.cubbyhole.engine import ENGINE

__all__ = ["ENGINE"]

PARTS = (operations,)
"""What this engine is made of."""
