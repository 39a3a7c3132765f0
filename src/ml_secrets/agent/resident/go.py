"""A Vault agent's templates (Go's text/template with Consul Template's functions), converted to ours.

What is converted: `secret` in `with`, in a variable or alone in parentheses; fields of it, `index`, `if`, `range`, `with`, `else`,
comments, trimmed white space, comparisons, and the functions in `_FORMS`. Everything else is refused by its name and line: a template
that says something else than it did is worse than none.

Two things are stricter than in Go: a field that is not there, and a secret that is not, are errors.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

from ml_secrets.agent.resident.go_words import Words
from ml_secrets.agent.resident.template import literal
from ml_secrets.errors import Invalid

_FORMS: Final = {
    ("toJSON", 1): "{0}|json(true)",
    ("toYAML", 1): "{0}|yaml",
    ("base64Encode", 1): "{0}|b64encode",
    ("base64Decode", 1): "{0}|b64decode",
    ("toUpper", 1): "{0}|upper",
    ("toLower", 1): "{0}|lower",
    ("trimSpace", 1): "{0}|trim",
    ("len", 1): "{0}|length",
    ("not", 1): "not {0}",
    ("join", 2): "{1}|join({0})",
    ("indent", 2): "{1}|indent({0}, true, true)",
    ("replaceAll", 3): "{2}|replace({0}, {1})",
    ("eq", 2): "{0} == {1}",
    ("ne", 2): "{0} != {1}",
    ("lt", 2): "{0} < {1}",
    ("le", 2): "{0} <= {1}",
    ("gt", 2): "{0} > {1}",
    ("ge", 2): "{0} >= {1}",
}
"""Functions by the number of their arguments, and how the same is said."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def converted(text: str, shown: str, left: str = "{{", right: str = "}}") -> str:
    """The template in Jinja2. Raises `Invalid` that names the line and what cannot be converted."""
    return _Conversion(shown).of(text, left, right)


@dataclass(frozen=True, slots=True)
class _Value:
    """An expression in Jinja2. `secret`: it is what `secret` gave, whose fields are below .Data or .Data.data."""

    code: str
    secret: bool = False


@dataclass(slots=True)
class _Block:
    """A block that is open: what ends it, what `.` is in it, and the variables that are its own."""

    kind: str
    end: tuple[str, ...]
    dot: _Value | None
    names: dict[str, _Value] = field(default_factory=dict)


class _Conversion:
    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._line = 1
        self._blocks = [_Block("", (), None)]
        self._made = 0

    def of(self, text: str, left: str, right: str) -> str:
        """Literal text and actions, in turn."""
        action = _action_between(left, right)
        out, at = [], 0
        while (start := text.find(left, at)) >= 0:
            found = action.match(text, start)
            if found is None:
                raise self._refused("an action that is not closed")
            out += [
                self._plain(text[at:start]),
                self._action(found[2].strip(), bool(found[1]), bool(found[3])),
            ]
            self._line += found[0].count("\n")
            at = found.end()
        out.append(self._plain(text[at:]))
        if len(self._blocks) > 1:
            raise self._refused(f"{self._blocks[-1].kind} that has no end")
        return "".join(out)

    def _plain(self, text: str) -> str:
        self._line += text.count("\n")
        return literal(text)

    # ── actions ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _action(self, text: str, before: bool, after: bool) -> str:
        marks = ("-" if before else "", "-" if after else "")
        if text.startswith("/*"):
            if not text.endswith("*/"):
                raise self._refused("a comment that is not closed")
            return f"{{#{marks[0]} {marks[1]}#}}"
        words = Words(text, self._refused)
        first = words.peek
        if first in {"if", "with", "range", "else", "end"}:
            words.take()
            statements: list[str] = getattr(self, f"_{first}")(words)
        elif (name := words.assigned) is not None:
            statements = [self._set(name, words)]
        else:
            code = self._pipeline(words).code
            words.finish()
            return f"{{{{{marks[0]} {code} {marks[1]}}}}}"
        words.finish()
        return f"{{%{marks[0]} {' %}{% '.join(statements)} {marks[1]}%}}"

    def _set(self, name: str, words: Words) -> str:
        value = self._pipeline(words)
        own = self._name(name)
        self._blocks[-1].names[name] = _Value(own, value.secret)
        return f"set {own} = {value.code}"

    def _if(self, words: Words) -> list[str]:
        self._blocks.append(_Block("if", ("endif",), self._blocks[-1].dot))
        return [f"if {self._pipeline(words).code}"]

    def _with(self, words: Words) -> list[str]:
        name = words.assigned
        value = self._pipeline(words)
        own = self._name(name or "it")
        dot = _Value(own, value.secret)
        names = {} if name is None else {name: dot}
        if value.secret:
            self._blocks.append(_Block("with secret", ("endwith",), dot, names))
            return [f"with {own} = {value.code}"]
        self._blocks.append(_Block("with", ("endwith", "endif"), dot, names))
        return [f"if {value.code}", f"with {own} = {value.code}"]

    def _range(self, words: Words) -> list[str]:
        """Over lists and over dictionaries, whose keys come in order: `pairs` of ours does both."""
        names = words.ranged
        value = self._pipeline(words)
        given = ["key", "it", *names][-2:]
        key, one = (self._name(name) for name in given)
        known = {name: _Value(own) for name, own in zip(given, (key, one), strict=True) if name in names}
        self._blocks.append(_Block("range", ("endfor",), _Value(one), known))
        return [f"for {key}, {one} in {value.code}|pairs"]

    def _else(self, words: Words) -> list[str]:
        block = self._blocks[-1]
        if block.kind not in {"if", "range"}:
            raise self._refused(f"else after {block.kind or 'no if'}")
        block.names.clear()
        if words.peek != "if":
            return ["else"]
        words.take()
        if block.kind != "if":
            raise self._refused("else if after range")
        return [f"elif {self._pipeline(words).code}"]

    def _end(self, _: Words) -> list[str]:
        if len(self._blocks) == 1:
            raise self._refused("end of nothing")
        return list(self._blocks.pop().end)

    # ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _pipeline(self, words: Words) -> _Value:
        value = self._command(words, None)
        while words.peek == "|":
            words.take()
            value = self._command(words, value)
        return value

    def _command(self, words: Words, piped: _Value | None) -> _Value:
        """A value alone, or a function and its arguments; what is piped in comes last."""
        word = words.take()
        if not _NAME.fullmatch(word) or word in {"true", "false", "nil"}:
            if piped is not None:
                raise self._refused(f"a pipe into {word}")
            return self._operand(word, words)
        given = []
        while words.peek not in {"", "|", ")"}:
            given.append(self._operand(words.take(), words))
        return self._call(word, given if piped is None else [*given, piped])

    def _operand(self, word: str, words: Words) -> _Value:
        if word == "(":
            value = self._pipeline(words)
            words.expect(")")
            return self._field(value, words.take()) if words.peek.startswith(".") else value
        if word.startswith("."):
            dot = self._blocks[-1].dot
            if dot is None:
                raise self._refused(f"{word} outside of with and range")
            return self._field(dot, word)
        if word.startswith("$"):
            name, dot_sign, chain = word.partition(".")
            return self._field(self._variable(name), dot_sign + chain)
        if word[0] in '"`' or word.lstrip("-").isdecimal():
            return _Value(_literal(word))
        if word in {"true", "false"}:
            return _Value(word)
        raise self._refused(word)

    def _call(self, name: str, given: list[_Value]) -> _Value:
        codes = [one.code for one in given]
        count = len(codes)
        if name == "secret":
            return _Value(f"secret({self._path(codes)})", secret=True)
        if name == "index" and count > 1:
            return _Value(self._whole(given[0]) + "".join(f"[{code}]" for code in codes[1:]))
        if name in {"and", "or"} and count > 1:
            return _Value("(" + f" {name} ".join(codes) + ")")
        if (name, count) in _FORMS:
            return _Value("(" + _FORMS[name, count].format(*codes) + ")")
        raise self._refused(name)

    def _path(self, codes: list[str]) -> str:
        """The path as references have it: Vault's API has data/ after the mount of a kv version 2."""
        if len(codes) != 1:
            raise self._refused("secret with arguments beside its path")
        if not codes[0].startswith('"'):
            raise self._refused("secret with a path that is not written out")
        path: str = json.loads(codes[0])
        if "?" in path:
            raise self._refused("secret with a version in its path")
        mount, data, name = path.partition("/data/")
        return _text(f"{mount}/{name}" if data else path)

    def _whole(self, value: _Value) -> str:
        if value.secret:
            raise self._refused("index of a secret without .Data")
        return value.code

    def _field(self, value: _Value, chain: str) -> _Value:
        names = [name for name in chain.split(".") if name]
        if not value.secret:
            return _Value(value.code + "".join(f".{name}" for name in names)) if names else value
        if not names:
            return value
        if names[0] != "Data" or names[1:2] == ["metadata"]:
            raise self._refused(f".{'.'.join(names[:2])} of a secret")
        rest = names[2:] if names[1:2] == ["data"] else names[1:]
        return _Value(value.code + "".join(f".{name}" for name in rest))

    def _variable(self, name: str) -> _Value:
        for block in reversed(self._blocks):
            if name in block.names:
                return block.names[name]
        raise self._refused(f"the variable {name}, which is not set here,")

    def _name(self, name: str) -> str:
        """A name of our own for a variable, another one each time."""
        self._made += 1
        return f"{name.removeprefix('$') or 'root'}_{self._made}"

    def _refused(self, what: str) -> Invalid:
        return Invalid(
            f"{self._shown}, line {self._line}: {what} cannot be converted",
            hint="write it in our own templates; docs/how-to/run-an-agent.md shows them",
        )


def _action_between(left: str, right: str) -> re.Pattern[str]:
    """An action, its trim marks and what is in it. What was read is not read another way: in some texts there are more ways than there is time."""
    close, end = r"(?<=\s)-", re.escape(right)
    comment, one = r"\s*/\*.*?\*/", r"\"(?:[^\"\\\n]|\\.)*+\"|`[^`]*`|."
    inner = rf"(?>{comment})?(?:(?!(?:{close})?{end})(?>{one}))*+"
    return re.compile(rf"{re.escape(left)}(-(?=\s))?({inner})({close})?{end}", re.DOTALL)


def _literal(word: str) -> str:
    """A text or number of Go's, as Jinja2 and JSON have it."""
    if word.startswith("`"):
        return _text(word[1:-1])
    return _text(json.loads(word)) if word.startswith('"') else word


def _text(text: str) -> str:
    """As Jinja2 reads it: it would take what JSON escapes for two halves of a character."""
    return json.dumps(text, ensure_ascii=False)
