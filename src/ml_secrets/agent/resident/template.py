"""Texts with secrets in them, in Jinja2's sandbox.

    {{ secret("team-a/db").password }}                 a field; secret("team-a/db", version=3) of one version
    {{ secret("secret://team-a/db#password") }}        the same, as references are written elsewhere
    {% with db = secret("team-a/db") %}postgres://{{ db.user }}:{{ db.password }}@db/app{% endwith %}
    {% for name, value in secret("team-a/db").items() %}{{ name }}={{ value }}
    {% endfor %}

What `secret` gives is plain data: texts, numbers, lists and dictionaries. `db.keys` is the field "keys" where there is one. A field
that is not there, or a secret that is not, is an error, never an empty text. Numbers, truth values, lists and whole secrets print as JSON.
Filters beside Jinja's: b64encode, b64decode, json (json(true): with keys in order), yaml, and pairs (keys and values in the keys' order; numbers and
elements of a list). No template reads files, other templates or the environment, and nothing in it is worked out before it is filled: a webhook
compiles those of pods that it does not know.
"""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.agent.reference import SCHEME, Reference
from ml_secrets.client.encoding import decode
from ml_secrets.errors import Conflict, Invalid, MlSecretsError
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

    from ml_secrets.agent.source import Source

_MOST_ROUNDS: Final = 1000
_OPENERS: Final = re.compile(r"\{(?:[{%#]|\Z)")
_FIELD: Final = re.compile(r"has no attribute '([^']+)'")


class Template:
    """A text with secrets in it, compiled. `shown` names it in errors: a file's name, or what declares it.

    references: the secrets that it names by constant texts. constant: does it ask for no others?
    """

    def __init__(self, text: str, shown: str) -> None:
        """Compile it. Raises `Invalid` that names the line."""
        self.text = text
        self.shown = shown
        environment = _environment()
        from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - only an agent with templates needs it

        try:
            tree = environment.parse(text)
            _check(tree)
            self.references, self.constant = _constants(tree)
            self._compiled = environment.from_string(tree)
        except TemplateSyntaxError as error:
            place, problem = error.lineno, error.message or ""
        except (SyntaxError, RecursionError):  # of the code that Jinja2 makes of it
            place, problem = 1, "it is nested too deeply"
        else:
            return
        raise Invalid(
            f"{shown}, line {place}: {problem}",
            hint="templates are Jinja2's; see docs/how-to/run-an-agent.md",
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def filled(self, source: Source) -> tuple[Sensitive, set[Reference]]:
        """The text with the secrets in place, and those that it asked for. Fetches what the source has not.

        Raises `Conflict` where the template fails, and what the server says of a secret that it refuses.
        """
        asked: set[Reference] = set()
        if not self.references <= source.values.keys():
            source.fetch(self.references - source.values.keys())
        for _ in range(_MOST_ROUNDS):
            asked.clear()
            try:
                return self._rendered(source, asked), asked
            except _Missing as missing:
                reference = missing.reference
            source.fetch([reference])
            if reference not in source.values:
                raise source.refused[reference]
        raise Conflict(
            f"{self.shown}: it asks for another secret each time", hint="name secrets by constant texts"
        )

    def _rendered(self, source: Source, asked: set[Reference]) -> Sensitive:
        look = _Look(source, asked)
        try:
            return Sensitive(self._compiled.render(secret=look.secret))
        except (_Missing, MlSecretsError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its message and its frames may hold a value
            problem = _problem(error, self.text)
        raise Conflict(f"{self.shown}: {problem}", hint="the file stays as it was")


class _Missing(Exception):  # noqa: N818 - a message, not an error
    """A secret that is not in hand."""

    def __init__(self, reference: Reference) -> None:
        super().__init__()
        self.reference = reference


class _Look:
    """What `secret` in a template is."""

    def __init__(self, source: Source, asked: set[Reference]) -> None:
        self._source = source
        self._asked = asked

    def secret(self, path: object, field: object = None, version: object = None) -> Any:
        reference, fields = parts_of(path, field, version)
        self._asked.add(reference)
        if reference in self._source.refused and reference not in self._source.values:
            raise self._source.refused[reference]
        value = self._source.values.get(reference)
        if value is None:
            raise _Missing(reference)
        whole: dict[str, Any] = decode(value.json)
        return _narrowed(whole, fields, reference)


def _narrowed(whole: dict[str, Any], fields: tuple[str, ...], reference: Reference) -> Any:
    odd = next((name for name in fields if name not in whole), None)
    if odd is not None:
        del whole
        raise Conflict(f"{reference} has no field {odd!r}", hint="check the field's name")
    if len(fields) == 1:
        return whole[fields[0]]
    return {name: whole[name] for name in fields} if fields else whole


def parts_of(path: object, field: object = None, version: object = None) -> tuple[Reference, tuple[str, ...]]:
    """The whole secret that a template asks for, and the fields it wants of it."""
    if not isinstance(path, str) or not isinstance(field, str | None):
        raise Invalid("secret() takes a path and a field, as texts", hint='secret("team-a/db", "password")')
    if not isinstance(version, int | None) or version is False:
        raise Invalid("secret() takes a whole number as version", hint='secret("team-a/db", version=3)')
    named = path if path.startswith(SCHEME) else SCHEME + path
    found = Reference.parse(named)
    fields = found.fields if field is None else (field,)
    return Reference(found.path, (), found.version if version is None else version), fields


def literal(text: str) -> str:
    """A text as a template that gives it: what begins an action, or would with what follows, is written as a text."""
    return _OPENERS.sub(lambda found: f'{{{{ "{found[0]}" }}}}', text)


# ── Jinja2 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _environment() -> Environment:
    try:
        from jinja2 import StrictUndefined  # noqa: PLC0415 - an extra
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - as above
        from jinja2.utils import pass_eval_context  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise Invalid("templates need Jinja2", hint="pip install 'ml-secrets[agent]'") from None

    class Sandbox(ImmutableSandboxedEnvironment):
        """Of a dictionary, `x.name` is first what it holds under that name."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, dict) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    made = Sandbox(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=pass_eval_context(lambda _, value: _printed(value)),  # which is there when it is filled
        optimized=False,
    )
    made.filters |= {
        "b64encode": _b64encode,
        "b64decode": _b64decode,
        "json": _json,
        "yaml": _yaml,
        "pairs": _pairs,
    }
    return made


def _check(tree: nodes.Template) -> None:
    """Raises for `autoescape`: it changes values, and what stands behind it is worked out at once."""
    from jinja2 import TemplateSyntaxError, nodes  # noqa: PLC0415 - as above

    found = tree.find(nodes.EvalContextModifier)
    if found is not None:
        raise TemplateSyntaxError("there is no autoescape here", found.lineno)


def _printed(value: Any) -> Any:
    """How a value stands in a text: as itself, else as JSON."""
    return _json(value) if value is None or isinstance(value, bool | int | float | list | dict) else value


def _json(value: Any, ordered: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=ordered)


def _yaml(value: Any) -> str:
    import yaml  # noqa: PLC0415 - an extra

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text


def _pairs(value: dict[str, Any] | list[Any]) -> list[tuple[Any, Any]]:
    return sorted(value.items()) if isinstance(value, dict) else list(enumerate(value))


def _b64encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _b64decode(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


def _constants(tree: nodes.Template) -> tuple[set[Reference], bool]:
    """The secrets that it names by constant texts, and whether those are all. Raises `Invalid` for one that is wrongly written."""
    from jinja2 import nodes  # noqa: PLC0415 - as above

    found: set[Reference] = set()
    calls = 0
    for call in tree.find_all(nodes.Call):
        if not isinstance(call.node, nodes.Name) or call.node.name != "secret":
            continue
        named = {one.key: one.value for one in call.kwargs}
        given = dict(zip(("path", "field", "version"), call.args, strict=False)) | named
        if all(isinstance(one, nodes.Const) for one in given.values()) and "path" in given:
            found.add(parts_of(**{name: one.value for name, one in given.items()})[0])  # type: ignore[attr-defined]  # all are Const
            calls += 1
    uses = sum(name.name == "secret" for name in tree.find_all(nodes.Name))
    return found, uses == calls


def _problem(error: Exception, text: str) -> str:
    """What went wrong, in words that are the template's own."""
    line = _line_of(error)
    place = f"line {line}: " if line else ""
    field = _FIELD.search(str(error))
    if field is not None and field[1] in text:
        return f"{place}there is no field {field[1]!r}"
    return f"{place}it cannot be filled ({type(error).__name__})"


def _line_of(error: Exception) -> int:
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
