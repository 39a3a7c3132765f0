"""The messages of the Secrets Store CSI driver's provider protocol, v1alpha1, declared where they are read: no generated code.

`MESSAGES["MountRequest"]` and the like are classes of protobuf's own.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

SERVICE: Final = "v1alpha1.CSIDriverProvider"
_TEXT, _BYTES, _INT, _MESSAGE = "string", "bytes", "int32", "message"
_FIELDS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "VersionRequest": (("version", _TEXT, ""),),
    "VersionResponse": (("version", _TEXT, ""), ("runtime_name", _TEXT, ""), ("runtime_version", _TEXT, "")),
    "ObjectVersion": (("id", _TEXT, ""), ("version", _TEXT, "")),
    "Error": (("code", _TEXT, ""),),
    "File": (("path", _TEXT, ""), ("mode", _INT, ""), ("contents", _BYTES, "")),
    "MountRequest": (
        ("attributes", _TEXT, ""),
        ("secrets", _TEXT, ""),
        ("target_path", _TEXT, ""),
        ("permission", _TEXT, ""),
        ("current_object_version", _MESSAGE, "ObjectVersion*"),
    ),
    "MountResponse": (
        ("object_version", _MESSAGE, "ObjectVersion*"),
        ("error", _MESSAGE, "Error"),
        ("files", _MESSAGE, "File*"),
    ),
}
"""A message's fields in the order of their numbers, from 1 on. A star: it may come several times."""


@cache
def messages() -> dict[str, Any]:
    """The classes by name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - an extra

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="ml_secrets/csi.proto", package="v1alpha1", syntax="proto3"
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, of) in enumerate(fields, 1):
            made = message.field.add(
                name=field,
                number=number,
                type=kinds.Type.Value(f"TYPE_{kind.upper()}"),
                label=kinds.LABEL_REPEATED if of.endswith("*") else kinds.LABEL_OPTIONAL,
            )
            if of:
                made.type_name = f".v1alpha1.{of.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1alpha1.{name}"))
        for name in _FIELDS
    }
