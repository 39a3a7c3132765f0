"""Apache Airflow with its provider for Vault: connections, variables and settings from the server, and the hook."""

import json
import os
from pathlib import Path
from urllib.parse import urlencode

from steps import AT, USER, refused, step

FERNET = "ZmFrZS1mZXJuZXQta2V5LW5vdC1mb3ItdXNlLTEyMzQ="
PATHS = {f"{kind}_path": f"job/airflow/{kind}" for kind in ("connections", "variables", "config")}
PLACE = {"url": AT["VAULT_ADDR"], "mount_point": "secret", **PATHS}
TOKEN_FILE = Path(AT["HOME"]) / "token"
TOKEN_FILE.write_text(AT["VAULT_TOKEN"], encoding="ascii")
LOGINS = {
    "token": {"token_path": str(TOKEN_FILE)},
    "approle": {"role_id": AT["ROLE_ID"], "secret_id": AT["SECRET_ID"]},
    "userpass": {"username": AT["USER_NAME"], "password": AT["USER_PASSWORD"]},
}


def hooked(login, person="", word="", **extra):
    """A connection of Airflow's own to the server, as its address."""
    scheme, where = AT["VAULT_ADDR"].split("://")
    query = urlencode({"auth_type": login, "use_tls": scheme == "https", **extra})
    return f"vault://{person}:{word}@{where}/secret?{query}"


os.environ.update(
    AIRFLOW__SECRETS__BACKEND="airflow.providers.hashicorp.secrets.vault.VaultBackend",
    AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps({**PLACE, "auth_type": "approle", **LOGINS["approle"]}),
    AIRFLOW__CORE__FERNET_KEY_SECRET="fernet",
    AIRFLOW_CONN_TOKEN=hooked("token", word=AT["VAULT_TOKEN"]),
    AIRFLOW_CONN_APPROLE=hooked("approle", AT["ROLE_ID"], AT["SECRET_ID"]),
)

from airflow.configuration import conf  # noqa: E402 - it reads the environment as it is imported
from airflow.providers.hashicorp.hooks.vault import VaultHook  # noqa: E402
from airflow.providers.hashicorp.secrets.vault import VaultBackend  # noqa: E402
from airflow.sdk import Connection, Variable  # noqa: E402
from hvac.exceptions import VaultError  # noqa: E402

with step("Airflow's own lookup: a connection"):
    found = Connection.get("warehouse")
    assert (found.host, found.login, found.password, found.schema) == ("db.example", "ada", "fake-db", "ml")

with step("Airflow's own lookup: a variable"):
    assert Variable.get("model") == "resnet-example"

with step("Airflow's own lookup: a setting"):
    assert conf.get("core", "fernet_key") == FERNET

for kind, credentials in LOGINS.items():
    with step(f"secrets backend, {kind}: connection, variable, setting, and what is not there"):
        backend = VaultBackend(**PLACE, auth_type=kind, **credentials)
        assert backend.get_connection("warehouse").password == "fake-db"
        assert backend.get_variable("model") == "resnet-example"
        assert backend.get_config("fernet") == FERNET
        assert backend.get_variable("nowhere") is None

for kind in ("token", "approle"):
    with step(f"hook, {kind}: connection test, read, write, versions"):
        hook = VaultHook(vault_conn_id=kind)
        assert hook.test_connection()[0], hook.test_connection()
        assert hook.get_secret("job/app") == USER
        hook.create_or_update_secret(f"job/airflow/hook-{kind}", {"a": "1"})
        hook.create_or_update_secret(f"job/airflow/hook-{kind}", {"a": "2"})
        assert hook.get_secret(f"job/airflow/hook-{kind}", secret_version=1) == {"a": "1"}
        assert hook.get_secret_metadata(f"job/airflow/hook-{kind}")["data"]["current_version"] == 2
        assert hook.get_secret("job/nowhere") is None

with (
    step("another team's secret is refused, after one more login"),
    refused(VaultError, "Vault Authentication Error"),
):
    VaultHook(vault_conn_id="token").get_secret("others/app")
