"""The two KV engines' tables of operations, which the files beside this one fill."""

from ml_secrets.contract import Engine

KV1 = Engine("kv", version="1", summary="Secrets as maps of fields, one state each.")
KV2 = Engine(
    "kv",
    version="2",
    summary="Secrets as JSON objects with numbered versions, soft delete and check-and-set.",
)
