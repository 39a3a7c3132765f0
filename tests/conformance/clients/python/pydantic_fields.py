"""pydantic-settings-vault: fields that it reads from KV 1 and 2, with a token, a token file and AppRole."""

import os

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings
from pydantic_vault import VaultSettingsSource
from steps import AT, step


class Sourced(BaseSettings):
    """Settings whose fields come from the server."""

    model_config = {"vault_url": AT["VAULT_ADDR"]}

    @classmethod
    def settings_customise_sources(
        cls, settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
    ):
        return init_settings, env_settings, VaultSettingsSource(settings_cls)


class Two(Sourced):
    database_user: str = Field(
        json_schema_extra={"vault_secret_path": "secret/data/job/app", "vault_secret_key": "user"}
    )
    database_word: SecretStr = Field(
        json_schema_extra={"vault_secret_path": "secret/data/job/app", "vault_secret_key": "password"}
    )
    whole: dict[str, str] = Field(json_schema_extra={"vault_secret_path": "secret/data/job/app"})


class One(Sourced):
    database_user: str = Field(
        json_schema_extra={"vault_secret_path": "kv1/job/app", "vault_secret_key": "user"}
    )


class Denied(Sourced):
    word: str = Field(
        "unset",
        json_schema_extra={"vault_secret_path": "secret/data/others/app", "vault_secret_key": "password"},
    )


class Absent(Denied):
    word: str = Field(
        "unset", json_schema_extra={"vault_secret_path": "secret/data/job/nowhere", "vault_secret_key": "x"}
    )


def login(**names):
    for name in ("VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID"):
        os.environ.pop(name, None)
    os.environ.update(names)


with step("token: fields of KV 2, alone and as a whole"):
    seen = Two()
    assert (seen.database_user, seen.database_word.get_secret_value()) == ("ada", "fake-app-password")
    assert seen.whole == {"user": "ada", "password": "fake-app-password"}

with step("token: a field of KV 1"):
    assert One().database_user == "ada"

with step("403 and 404 leave the default"):
    assert (Denied().word, Absent().word) == ("unset", "unset")

with step("login: AppRole"):
    login(VAULT_ROLE_ID=AT["ROLE_ID"], VAULT_SECRET_ID=AT["SECRET_ID"])
    assert Two().database_user == "ada"
