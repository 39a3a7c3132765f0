"""SQLAlchemy, psycopg and Redis log in with what is stored now: against a real PostgreSQL and a real Redis."""

import asyncio

import pytest

from ml_secrets import Invalid, live
from ml_secrets.integrations import psycopg as our_psycopg
from ml_secrets.integrations import redis as our_redis
from ml_secrets.integrations import sqlalchemy as our_sqlalchemy

pytestmark = pytest.mark.hosts


@pytest.fixture
def role(postgres, writer):
    """A role whose password is rotated in the database and in the store."""
    postgres.sql("DROP ROLE IF EXISTS train")
    postgres.sql("CREATE ROLE train LOGIN PASSWORD 'FAKE-one'")
    writer.kv.put("db/train", {"username": "train", "password": "FAKE-one"})

    def rotate(password):
        postgres.sql(f"ALTER ROLE train PASSWORD '{password}'")
        writer.kv.patch("db/train", {"password": password})

    return rotate


@pytest.fixture
def psycopg():
    return pytest.importorskip("psycopg", reason="psycopg is not installed")


def where(postgres):
    return {"host": "127.0.0.1", "port": postgres.port, "dbname": "postgres"}


def test_an_engine_goes_on_over_a_rotation(here, postgres, role, psycopg, eventually):
    """New connections log in anew, those of the pool are replaced when they are taken out, and who holds one keeps it."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    url = f"postgresql+psycopg://127.0.0.1:{postgres.port}/postgres"
    engine = our_sqlalchemy.attach(sqlalchemy.create_engine(url, pool_size=1), "db/train")
    pid = sqlalchemy.text("SELECT pg_backend_pid()")
    with engine.connect() as held:
        first = held.scalar(pid)
        role("FAKE-two")
        assert held.scalar(pid) == first
    assert eventually(lambda: live("db/train")["password"].reveal() == "FAKE-two")
    with engine.connect() as fresh:
        second = fresh.scalar(pid)
        assert second != first
    with engine.connect() as again:
        assert again.scalar(pid) == second
    assert "FAKE" not in str(engine.url)
    engine.dispose()


def test_a_login_that_is_refused_is_tried_with_what_is_stored_by_then(here, postgres, role, psycopg):
    """Before anybody was told of a rotation; and is refused where there is nothing new."""
    client_is_not_told = live("db/train")
    client_is_not_told.client.following.add = lambda _: None
    with our_psycopg.connect(client_is_not_told, **where(postgres)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("train",)
    role("FAKE-two")
    with our_psycopg.connect(client_is_not_told, **where(postgres)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("train",)
    postgres.sql("ALTER ROLE train PASSWORD 'FAKE-three'")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        our_psycopg.connect(client_is_not_told, **where(postgres))


def test_an_engine_by_creator(here, postgres, role, psycopg, eventually):
    """The other way SQLAlchemy has."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    made = our_sqlalchemy.creator("db/train", psycopg.connect, **where(postgres))
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=made, poolclass=sqlalchemy.NullPool)
    for password in ("FAKE-two", "FAKE-three"):
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT current_user")) == "train"
        role(password)
        assert eventually(lambda password=password: live("db/train")["password"].reveal() == password)


def test_pools_of_psycopg_log_in_anew(here, postgres, role, psycopg, eventually):
    """Sync and async pools, by the class of their connections."""
    pools = pytest.importorskip("psycopg_pool", reason="psycopg_pool is not installed")
    conninfo = "host={host} port={port} dbname={dbname}".format(**where(postgres))
    with pools.ConnectionPool(
        conninfo, min_size=1, connection_class=our_psycopg.connection_class("db/train")
    ) as pool:
        pool.wait(10)
        role("FAKE-two")
        assert eventually(lambda: live("db/train")["password"].reveal() == "FAKE-two")
        pool.drain()
        with pool.connection() as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("train",)

    async def main():
        kind = our_psycopg.async_connection_class("db/train")
        async with (
            pools.AsyncConnectionPool(conninfo, min_size=1, connection_class=kind, open=False) as pool,
            pool.connection() as connection,
        ):
            return await (await connection.execute("SELECT current_user")).fetchone()

    assert asyncio.run(main()) == ("train",)


def test_tasks_try_again_too(here, postgres, role, psycopg):
    """With what is stored by then."""
    untold = live("db/train")
    untold.client.following.add = lambda _: None

    async def main():
        kind = our_psycopg.async_connection_class(untold)
        async with await kind.connect(**where(postgres)) as connection:
            await connection.execute("SELECT 1")
        await asyncio.to_thread(role, "FAKE-two")
        async with await kind.connect(**where(postgres)) as connection:
            row = await (await connection.execute("SELECT current_user")).fetchone()
        await asyncio.to_thread(postgres.sql, "ALTER ROLE train PASSWORD 'FAKE-three'")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await kind.connect(**where(postgres))
        return row

    assert asyncio.run(main()) == ("train",)


def test_a_secret_without_a_login_says_what_it_has(here, writer, psycopg):
    """By the names of its fields."""
    writer.kv.put("db/odd", {"dsn": "FAKE-dsn"})
    with pytest.raises(Invalid, match=r"'db/odd' has none of the fields username, user .it has dsn"):
        our_psycopg.connect("db/odd")


def test_redis_logs_in_with_what_is_stored_now(here, writer, redis_port, eventually):
    """A user and a password, or a password alone; each new connection, also with asyncio."""
    redis = pytest.importorskip("redis", reason="redis is not installed")
    admin = redis.Redis(port=redis_port)
    assert eventually(lambda: _pings(admin))

    def rotate(password):
        admin.acl_setuser(
            "train",
            enabled=True,
            passwords=[f"+{password}"],
            reset_passwords=True,
            commands=["+@all"],
            keys=["*"],
        )
        writer.kv.put("redis/train", {"username": "train", "password": password})

    rotate("FAKE-one")
    client = redis.Redis(port=redis_port, credential_provider=our_redis.provider("redis/train"))
    assert client.acl_whoami() == "train"
    rotate("FAKE-two")
    assert eventually(lambda: live("redis/train")["password"].reveal() == "FAKE-two")
    client.connection_pool.disconnect()
    assert client.acl_whoami() == "train"

    async def main():
        async with redis.asyncio.Redis(
            port=redis_port, credential_provider=our_redis.provider("redis/train")
        ) as tasks:
            return await tasks.acl_whoami()

    assert asyncio.run(main()) == "train"
    writer.kv.put("redis/alone", {"value": "FAKE-alone"})
    assert our_redis.login(live("redis/alone").get()) == ("FAKE-alone",)
    client.close()
    admin.close()


def _pings(admin):
    try:
        return admin.ping()
    except OSError:
        return False
    except Exception as error:
        if type(error).__name__ != "ConnectionError":
            raise
        return False
