"""What is read off declarations: OpenAPI, help, reference pages."""

import json
import re
from typing import Annotated

import pytest

from ml_secrets.contract import Context, Engine, Help, Response, Seconds, Shape, Strings, TextMap, Verb
from ml_secrets.contract.readings import shared
from ml_secrets.contract.readings.docs import reference
from ml_secrets.contract.readings.help import engine_help, help_of, help_operation
from ml_secrets.contract.readings.openapi import openapi
from ml_secrets.engines.system import ENGINE as SYSTEM
from ml_secrets.errors import NotFound
from ml_secrets.sensitive import Sensitive


@pytest.fixture(scope="module")
def engine():
    """An engine with one of everything."""
    engine = Engine("sample", summary="Keeps samples.")

    @engine.read("box/{path:path}")
    def read(ctx: Context, path: Annotated[str, Help("Where | it lies.")], version: int = 3) -> Response:
        """Read a sample.

        The newest one, unless told otherwise.
        """
        return Response({})

    @engine.write("box/{path:path}", exists=lambda ctx, captures: True)
    def write(
        ctx: Context,
        path: str,
        value: Annotated[Sensitive, Help("What to keep.")],
        ttl: Seconds | None = None,
        tags: Strings | None = None,
        meta: TextMap | None = None,
        force: bool = False,
    ) -> None:
        """Keep a sample."""

    @engine.patch("box/{path:path}")
    def patch(ctx: Context, path: str, value: Sensitive | None = None) -> None:
        """Change a sample."""

    @engine.delete("box/{path:path}", sudo=True)
    def delete(ctx: Context, path: str, reason: str = "") -> None:
        """Drop a sample."""

    @engine.list("box/{path:path}")
    @engine.scan("box/{path:path}")
    def list_(ctx: Context, path: str, limit: int = 0) -> Response:
        """List samples."""
        return Response({})

    @engine.read("status", public=True, while_sealed=True, shape=Shape.BARE)
    def status(ctx: Context) -> Response:
        """Tell how it is."""
        return Response({})

    return engine


def refs(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from refs(value)
    elif isinstance(node, list):
        for part in node:
            yield from refs(part)


@pytest.mark.parametrize("which", ["sample", "system"])
def test_the_openapi_document_is_whole(engine, which):
    """It is JSON; every path argument is declared; operation ids are unique; every reference resolves."""
    document = openapi({"sample/": engine} if which == "sample" else {"sys/": SYSTEM, "auth/x/": SYSTEM})
    assert json.loads(json.dumps(document)) == document
    assert document["openapi"].startswith("3.0.")
    ids = []
    for path, item in document["paths"].items():
        declared = {p["name"] for p in item.get("parameters", []) if p["in"] == "path" and p["required"]}
        assert declared == set(re.findall(r"\{(\w+)\}", path))
        for method in {"get", "post", "patch", "delete"} & item.keys():
            ids.append(item[method]["operationId"])
            assert item[method]["summary"]
            assert {"200", "default"} <= item[method]["responses"].keys()
    assert ids
    assert len(ids) == len(set(ids))
    for ref in refs(document):
        node = document
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]


def test_an_operation_tells_what_it_answers():
    """A backup is a file, health is bare, everything else comes in the envelope; a write may be taken on with 202."""
    paths = openapi({"sys/": SYSTEM})["paths"]
    content = {
        path: paths[path]["get"]["responses"]["200"]["content"]
        for path in ("/sys/storage/snapshot", "/sys/health", "/sys/mounts")
    }
    assert list(content["/sys/storage/snapshot"]) == ["application/octet-stream"]
    assert content["/sys/health"]["application/json"]["schema"] == {"type": "object"}
    assert content["/sys/mounts"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Envelope"}
    assert "202" in paths["/sys/leases/tidy"]["post"]["responses"]
    assert "202" not in paths["/sys/mounts"]["get"]["responses"]


def test_every_operation_is_in_the_openapi_document(engine):
    """LISTs stand under the folder's path, as GET with `list=true`."""
    paths = openapi({"sample/": engine})["paths"]
    assert set(paths) == {"/sample/box/{path}", "/sample/box/{path}/", "/sample/status"}
    assert {"get", "post", "patch", "delete"} <= paths["/sample/box/{path}"].keys()
    folder = paths["/sample/box/{path}/"]["get"]["parameters"]
    assert [(p["name"], p["in"], p["required"]) for p in folder] == [
        ("list", "query", False), ("scan", "query", False), ("limit", "query", False),
    ]  # fmt: skip


def test_secrets_are_write_only_in_openapi(engine):
    """And required fields are marked, durations take both forms, queries carry what is no body."""
    item = openapi({"sample/": engine})["paths"]["/sample/box/{path}"]
    schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["value"] == {
        "type": "string",
        "description": "What to keep.",
        "writeOnly": True,
        "format": "password",
    }
    assert schema["required"] == ["value"]
    assert [kind["type"] for kind in schema["properties"]["ttl"]["oneOf"]] == ["integer", "string"]
    assert schema["properties"]["tags"] == {"type": "array", "items": {"type": "string"}}
    assert schema["properties"]["meta"]["additionalProperties"] == {"type": "string"}
    assert list(item["patch"]["requestBody"]["content"]) == ["application/merge-patch+json"]
    assert [(p["name"], p["schema"]) for p in item["get"]["parameters"]] == [
        ("version", {"type": "integer", "default": 3})
    ]
    assert item["delete"]["parameters"][0]["in"] == "query"
    assert "204" in item["post"]["responses"]
    assert "204" not in item["get"]["responses"]


def test_what_needs_no_token_says_so_in_openapi(engine):
    """Security is the rule, and lifted by name; sudo and create are marked as with the peers."""
    document = openapi({"sample/": engine})
    assert document["security"] == [{"token": []}, {"bearer": []}]
    assert document["paths"]["/sample/status"]["get"]["security"] == []
    assert document["paths"]["/sample/status"]["x-vault-unauthenticated"] is True
    item = document["paths"]["/sample/box/{path}"]
    assert "security" not in item["get"]
    assert item["x-vault-sudo"] is True
    assert item["x-vault-createSupported"] is True
    assert "x-vault-unauthenticated" not in item


def test_operation_ids_are_made_unique(monkeypatch):
    """Two paths that differ only in what an id cannot hold get a number; an uninstalled package has version 0."""

    def missing(name):
        raise shared.PackageNotFoundError(name)

    monkeypatch.setattr(shared, "version", missing)
    engine = Engine("sample", summary="")
    for template in ("a-b", "a/b"):

        @engine.read(template)
        def read(ctx: Context) -> Response:
            """Read."""
            return Response({})

    document = openapi({"s/": engine})
    assert sorted(item["get"]["operationId"] for item in document["paths"].values()) == [
        "s-a-b-read",
        "s-a-b-read-2",
    ]
    assert document["info"]["version"] == "0"


def test_mounts_are_told_apart_by_tags(engine):
    """system, auth and secrets, as the peers tag them."""
    document = openapi({"sys/": engine, "auth/a/": engine, "kv/": engine})
    tags = {path: item["get"]["tags"] for path, item in document["paths"].items() if path.endswith("status")}
    assert tags == {"/sys/status": ["system"], "/auth/a/status": ["auth"], "/kv/status": ["secrets"]}


def test_help_on_a_path_tells_its_operations(engine):
    """Request, route, parameters, and each verb with the right it needs; the OpenAPI of that path alone."""
    answer = help_of(engine, "box/a/b", mount="sample/")
    assert list(answer) == ["help", "openapi", "see_also"]
    text = answer["help"]
    assert text.startswith(
        "Request:        box/a/b\nMatching Route: box/{path}\n\nRead a sample.\n\n## PARAMETERS"
    )
    for words in ("    value (string, required)\n\n        What to keep.", "GET (needs read)", "POST (needs create or update)",
                  "LIST (needs list)", "SCAN (needs scan)", "PATCH (needs patch)", "DELETE (needs delete, sudo)",
                  "        The newest one, unless told otherwise."):  # fmt: skip
        assert words in text
    assert set(answer["openapi"]["paths"]) == {"/sample/box/{path}", "/sample/box/{path}/"}
    assert "needs no token" in help_of(engine, "status", mount="sample/")["help"]


def test_help_on_a_mount_lists_its_paths(engine):
    """Its summary first."""
    text = help_of(engine, "", mount="sample/")["help"]
    assert text == engine_help(engine)
    assert text.startswith("## DESCRIPTION\n\nKeeps samples.\n\n## PATHS")
    assert "    box/{path}\n        GET: Read a sample.\n        LIST: List samples." in text


def test_help_on_nothing_is_not_found(engine):
    """With the way to the list of paths."""
    with pytest.raises(NotFound, match="unsupported path"):
        help_of(engine, "nowhere", mount="sample/")


def test_help_is_an_operation_that_changes_nothing(engine):
    """Bare JSON, not public: who may see it is for the pipeline to say."""
    operation = help_operation(engine, "status", mount="sample/")
    assert (operation.verb, operation.shape, operation.public, operation.changes) == (
        Verb.READ,
        Shape.BARE,
        False,
        False,
    )
    assert operation.run(None).data == help_of(engine, "status", mount="sample/")


def test_the_reference_page_has_every_operation(engine):
    """Headings, rights, a table of fields; no bar of a help text breaks the table."""
    page = reference(engine, mount="sample/", title="Samples")
    assert page.startswith("# Samples\n\nKeeps samples.\n\n## `/v1/sample/box/{path}`\n")
    for words in ("### GET `/v1/sample/box/{path}`", "### LIST `/v1/sample/box/{path}/`", "Needs the capability `create or update`.",
                  "Needs no token.", "Answers while the server is sealed, too.", "| `value` | string, secret | required | What to keep. |",
                  "| `path` | string, in the path |  | Where \\| it lies. |", "| `version` | integer | `3` |  |",
                  "| `force` | boolean | `false` |  |", "| `ttl` | duration |  |  |"):  # fmt: skip
        assert words in page
    assert page.count("### ") == len(engine.operations)


def test_the_system_engine_can_be_read_in_all_three_ways():
    """The largest engine of all."""
    assert reference(SYSTEM, mount="sys/").count("### ") == len(SYSTEM.operations)
    for operation in SYSTEM.operations:
        path = operation.template.replace("{path:path}", "a/b")
        assert help_of(SYSTEM, re.sub(r"\{[^}]*\}", "x", path), mount="sys/")["help"]
