"""Tokens by the thousand, without a login for each."""

from ml_secrets.domain.token import TokenEntry


def fill(server, number, ttl=60.0):
    """So many tokens that end in the same second."""
    tokens = server.house.tokens
    with server.house.units.write() as unit:
        for _ in range(number):
            made = TokenEntry(
                accessor=tokens.new_accessor(),
                policies=("default",),
                path="auth/ci/login",
                created=server.now,
                expires=server.now + ttl,
            )
            tokens.issue(unit, made)
