"""The configuration of what is injected, as text: of `ml-secrets fetch`, or of `ml-secrets agent`.

It travels as an annotation of the pod and is mounted by the downward API, so that no shell, no ConfigMap and no right to make one is needed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.agent.resident import go, own_config
from ml_secrets.agent.resident.template import literal
from ml_secrets.agent.texts import Text
from ml_secrets.domain.tree import parse

if TYPE_CHECKING:
    from ml_secrets.integrations.kubernetes.injection import Injection, SecretFile

_NO_VARIABLE: Final = re.compile(r"[^A-Za-z0-9_]", re.ASCII)


def for_fetch(injection: Injection) -> str:
    """What `fetch --config` reads. Its files have names of their own; what else they are called does not matter."""
    out = []
    for number, file in enumerate(injection.files):
        name = f"FILE_{number}_{_NO_VARIABLE.sub('_', file.name)}"
        out += [f"[files.{name}]", *_lines({"name": file.name, "value": file.text, "mode": file.mode}), ""]
    return "\n".join(out)


def for_agent(injection: Injection, folder: str, socket: str) -> str:
    """What `agent run --config` reads. `folder`: where our containers see the files. Raises `Invalid` for what an agent would not take."""
    out = _lines({"poll": injection.poll} if injection.poll else {})
    out += ["[login]", *_lines(injection.login.settings()), ""]
    for file in injection.files:
        entry: dict[str, Any] = {
            "path": f"{folder}/{file.name}",
            "mode": file.mode,
            "contents": template_of(file),
        }
        if file.command:
            entry["on-change"] = ["sh", "-c", file.command]
        out += ["[[template]]", *_lines(entry), ""]
    if injection.token:
        out += ["[[sink]]", *_lines({"path": f"{folder}/{injection.token}"}), ""]
    if injection.proxy_port:
        out += ["[[listener]]", *_lines({"tcp": f"127.0.0.1:{injection.proxy_port}"}), ""]
    out += ["[[listener]]", *_lines({"socket": socket, "proxy": False}), ""]
    text = "\n".join(out)
    own_config.read(parse(text, ".toml"), Path("/"))  # what an agent would refuse is refused here
    return text


def template_of(file: SecretFile) -> str:
    """A file's text in our templates. Raises `Invalid` where Go's cannot be converted."""
    if file.kind == "go":
        return go.converted(file.text, file.name, *file.delimiters)
    if file.kind == "jinja":
        return file.text
    parts = Text.parse(file.text).parts
    return "".join(
        literal(one) if isinstance(one, str) else f"{{{{ secret({_quoted(str(one))}) }}}}" for one in parts
    )


def _lines(table: dict[str, Any]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_quoted(one) for one in value)}]"
    return _quoted(value)


def _quoted(text: str) -> str:
    """JSON's texts are TOML's, but for one character that TOML wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
