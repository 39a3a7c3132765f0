"""What the tests of several auth methods need."""

import pytest


@pytest.fixture
def token_defaults():
    """The token fields of a new role or user as they are shown."""
    return {
        "token_bound_cidrs": [],
        "token_explicit_max_ttl": 0,
        "token_max_ttl": 0,
        "token_no_default_policy": False,
        "token_num_uses": 0,
        "token_period": 0,
        "token_policies": [],
        "token_strictly_bind_ip": False,
        "token_ttl": 0,
        "token_type": "default",
    }
