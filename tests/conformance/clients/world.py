"""What stands on a server before a client comes: mounts, a policy, three ways to log in, secrets to read.

The same on ours and on OpenBao. A client learns the addresses and credentials from its environment, as its users do.
"""

import time

import hvac
from hvac import exceptions

POLICY = "\n".join(
    f'path "{path}" {{ capabilities = [{", ".join(map(repr, rights))}] }}'.replace("'", '"')
    for path, rights in {
        "secret/data/job/*": ("create", "read", "update", "patch", "delete"),
        "secret/metadata/job/*": ("read", "list", "update", "delete"),
        "secret/delete/job/*": ("update",),
        "secret/undelete/job/*": ("update",),
        "secret/destroy/job/*": ("update",),
        "kv1/job/*": ("create", "read", "update", "delete", "list"),
        "mariadb/data/*": ("read",),
        "sys/mounts/mariadb/tune": ("read",),
        "auth/token/create": ("update",),
        "auth/token/lookup": ("update",),
        "auth/token/renew": ("update",),
        "auth/token/revoke": ("update",),
    }.items()
)
SECRETS = {
    "job/app": {"user": "ada", "password": "fake-app-password"},
    "job/airflow/connections/warehouse": {"conn_uri": "postgresql://ada:fake-db@db.example:5432/ml"},
    "job/airflow/variables/model": {"value": "resnet-example"},
    "job/airflow/config/fernet": {"value": "ZmFrZS1mZXJuZXQta2V5LW5vdC1mb3ItdXNlLTEyMzQ="},
    "job/dynaconf": {"DB_PASSWORD": "fake-db-password", "WORKERS": 4},
    "others/app": {"password": "fake-password-of-others"},
}


def build(server):
    """Lay it out; gives the environment of the clients."""
    root = hvac.Client(url=server.url, token=server.token)
    root.sys.enable_secrets_engine("kv", path="kv1", options={"version": "1"})
    root.sys.enable_secrets_engine("kv", path="mariadb", options={"version": "2"})
    first_write(root, "mariadb", "1", {"data": "0123456789ABCDEF" * 2})
    root.sys.create_or_update_policy("job", POLICY)
    for path, values in SECRETS.items():
        root.secrets.kv.v2.create_or_update_secret(path, values)
    root.secrets.kv.v1.create_or_update_secret("job/app", SECRETS["job/app"], mount_point="kv1")
    root.sys.enable_auth_method("approle")
    root.auth.approle.create_or_update_approle("job", token_policies=["job"], token_ttl="1h")
    root.sys.enable_auth_method("userpass")
    root.auth.userpass.create_or_update_user("ada", "fake-user-password", policies=["job"])
    token = root.auth.token.create(policies=["job"], ttl="1h")["auth"]["client_token"]
    return {
        "VAULT_ADDR": server.url,
        "VAULT_TOKEN": token,
        "ROOT_TOKEN": server.token,
        "ROLE_ID": root.auth.approle.read_role_id("job")["data"]["role_id"],
        "SECRET_ID": root.auth.approle.generate_secret_id("job")["data"]["secret_id"],
        "USER_NAME": "ada",
        "USER_PASSWORD": "fake-user-password",
    }


def first_write(root, mount, path, values):
    """Write to a new mount of KV 2, which OpenBao makes ready only after it has answered."""
    for _ in range(100):
        try:
            root.secrets.kv.v2.create_or_update_secret(path, values, mount_point=mount)
        except exceptions.InvalidRequest as error:
            if "Upgrading" not in str(error):
                raise
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(mount)
