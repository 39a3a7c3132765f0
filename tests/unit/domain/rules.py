"""Policies in few words."""

import msgspec

from ml_secrets.domain.acl import Acl
from ml_secrets.domain.policy import parse_policy


def rule(pattern, *names, extra=""):
    """The text of one rule."""
    quoted = ", ".join(f'"{name}"' for name in names)
    return f'path "{pattern}" {{ capabilities = [{quoted}] {extra} }}\n'


def acl(*texts, root=False):
    """The policies p0, p1 ... of these texts, together."""
    return Acl.compile([parse_policy(f"p{at}", text) for at, text in enumerate(texts)], root=root)


def raw(**fields):
    """A request's fields."""
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
