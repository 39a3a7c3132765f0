"""Dynamic credentials plug into the refreshers: OpenBao makes users of a real PostgreSQL, and ends them."""

import time

import pytest
from tests.postgres import lent_by

from ml_secrets import Client
from ml_secrets.client.leased import leased
from ml_secrets.integrations import psycopg as our_psycopg
from ml_secrets.integrations import sqlalchemy as our_sqlalchemy

pytestmark = pytest.mark.hosts


@pytest.fixture
def bao(openbao, postgres):
    """A role whose users live three seconds, and six at most."""
    with Client(openbao.url, openbao.token) as client:
        lent_by(client, postgres, default_ttl="3s", max_ttl="6s")
        yield client


def test_an_engine_lives_on_leases(bao, postgres, eventually):
    """It outlives the longest time of its first user, of which nothing stays; and its last one ends with the handle."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    url = f"postgresql+psycopg://127.0.0.1:{postgres.port}/postgres"
    with leased("database/creds/train", client=bao) as login:
        engine = our_sqlalchemy.attach(sqlalchemy.create_engine(url), login)
        users, end = [], time.monotonic() + 9
        while time.monotonic() < end:
            with engine.connect() as connection:
                users.append(connection.scalar(sqlalchemy.text("SELECT current_user")))
            time.sleep(0.2)
        assert len(set(users)) >= 2
        assert eventually(lambda: users[0] not in postgres.sql("SELECT rolname FROM pg_roles"))
        engine.dispose()
    assert eventually(lambda: users[-1] not in postgres.sql("SELECT rolname FROM pg_roles"))


def test_a_user_that_was_revoked_is_replaced(bao, postgres):
    """The login that is refused has others made."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with leased("database/creds/train", client=bao) as login:
        first = login.get()["username"].reveal()
        bao.write("sys/leases/revoke-prefix/database/creds/train", {"sync": True})
        connection = our_psycopg.connect(login, host="127.0.0.1", port=postgres.port, dbname="postgres")
        with connection:
            assert connection.execute("SELECT current_user").fetchone()[0] != first


def test_a_database_that_is_away_has_no_users_made(bao):
    """Not one for each try."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with leased("database/creds/train", client=bao) as login:
        first = login.get()["username"].reveal()
        with pytest.raises(psycopg.OperationalError):
            our_psycopg.connect(login, host="127.0.0.1", port=1, dbname="postgres")
        assert login.get()["username"].reveal() == first
