"""dynaconf: settings that it loads from the server with a token, AppRole and userpass."""

import os

from dynaconf import Dynaconf
from steps import AT, step


def settings(path="job/dynaconf", **login):
    """As a program has them that names the server in its settings."""
    return Dynaconf(
        environments=False,
        vault_enabled=True,
        vault={"url": AT["VAULT_ADDR"]},
        vault_path=path,
        vault_mount_point="secret",
        vault_kv_version=2,
        **login,
    )


for name in ("VAULT_TOKEN", "VAULT_ADDR"):
    os.environ.pop(name, None)

with step("token: values, with their types"):
    seen = settings(vault_root_token=AT["VAULT_TOKEN"])
    assert (seen.DB_PASSWORD, seen.WORKERS) == ("fake-db-password", 4)

with step("a token that is renewed as it starts"):
    assert settings(vault_root_token=AT["VAULT_TOKEN"], vault_token_renew=True).WORKERS == 4

with step("login: AppRole"):
    seen = settings(vault_role_id=AT["ROLE_ID"], vault_secret_id=AT["SECRET_ID"])
    assert seen.DB_PASSWORD == "fake-db-password"

with step("login: userpass"):
    seen = settings(vault_username=AT["USER_NAME"], vault_password=AT["USER_PASSWORD"])
    assert seen.DB_PASSWORD == "fake-db-password"

with step("all of it named by the environment"):
    place = {"ENABLED": "true", "URL": AT["VAULT_ADDR"], "MOUNT_POINT": "secret", "PATH": "job/dynaconf"}
    login = {"KV_VERSION": "2", "ROLE_ID": AT["ROLE_ID"], "SECRET_ID": AT["SECRET_ID"]}
    os.environ.update({f"VAULT_{name}_FOR_DYNACONF": text for name, text in (place | login).items()})
    assert Dynaconf(environments=False).WORKERS == 4
    for name in place | login:
        del os.environ[f"VAULT_{name}_FOR_DYNACONF"]

with step("where the token may not read there is nothing"):
    assert "PASSWORD" in settings("job/app", vault_root_token=AT["VAULT_TOKEN"])
    assert "PASSWORD" not in settings("others/app", vault_root_token=AT["VAULT_TOKEN"])
