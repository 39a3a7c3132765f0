"""Text in HCL to a tree of items that know their lines: HCL in its first version, as policies and Vault's settings are written.

The grammar is what those need and nothing else: no expressions, no functions, no interpolation. Keys may be quoted,
items may be followed by a comma, a table may be given with or without "=", a text may be a here-document. JSON is read with its repeated keys, so that
no rule is lost behind another one of the same path.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

MOST_TEXT: Final = 128 * 1024
"""The longest policy, in characters."""

_MOST_DEPTH: Final = 8
_GRAMMAR: Final = r"""
    start: (item ","?)*
    item: key "=" value -> attribute
        | key key* table -> block
    key: NAME | STRING
    table: "{" (item ","?)* "}"
    list: "[" (value ("," value)* ","?)? "]"
    ?value: STRING | HEREDOC | NUMBER | TRUE | FALSE | list | table

    TRUE.2: /true\b/
    FALSE.2: /false\b/
    NAME: /[A-Za-z_][A-Za-z0-9_.-]*/
    NUMBER: /-?[0-9]{1,18}(\.[0-9]{1,18})?(?![0-9A-Za-z_.])/
    STRING: /"(?:[^"\\\n]|\\.)*"/
    HEREDOC: /<<-?(?P<end>[A-Za-z_][A-Za-z0-9_]*)[ \t]*\r?\n(?:[^\n]*\n)*?[ \t]*(?P=end)(?=[ \t]*\r?(?:\n|$))/
    COMMENT: /(#|\/\/)[^\n]*/ | /\/\*[^*]*\*+([^\/*][^*]*\*+)*\//
    %ignore /[ \t\r\n\f]+/
    %ignore COMMENT
"""


class Item(NamedTuple):
    """`key` or `key "label"`, and what it holds: a text, number, truth value, list, or `Table`. line 0: not known."""

    key: str
    labels: tuple[str, ...]
    value: Any
    line: int


class Table(list[Item]):
    """Items in the order they were written, repeated keys and all."""


def read(text: str) -> Table:
    """Parse HCL, or JSON when the text begins with "{". Raises `Invalid` naming the line."""
    if len(text) > MOST_TEXT:
        raise failure(0, "the text is too long", hint=f"the longest has {MOST_TEXT} characters")
    return _read_json(text) if text.lstrip()[:1] == "{" else _read_hcl(text)


class Unreadable(Invalid):
    """A refusal of text. `line` is 0 where it is not known; `place` is the line and the reason, whatever the text is."""

    def __init__(self, line: int, text: str, hint: str) -> None:
        self.place = f"line {line}: {text}" if line else text
        super().__init__(f"failed to parse policy: {self.place}", hint=hint)


def failure(line: int, text: str, *, hint: str = "") -> Unreadable:
    """A refusal of policy text."""
    return Unreadable(line, text, hint)


# ── HCL ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark  # noqa: PLC0415 - only a server that is written policies needs it

    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True)


def _read_hcl(text: str) -> Table:
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - see _parser

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        line = error.line
        found = getattr(getattr(error, "token", None), "type", "")
    else:
        return _table(tree, 0)
    if found == "$END":
        raise failure(line, "the text ends inside a rule", hint="a brace, bracket or value is missing")
    raise failure(
        line, "not understood here", hint='a rule reads: path "secret/data/x" { capabilities = ["read"] }'
    )


def _table(tree: Tree[Token], depth: int) -> Table:
    return Table(_item(node, depth) for node in tree.children if not isinstance(node, str))


def _item(node: Tree[Token], depth: int) -> Item:
    *keys, held = node.children
    texts = [_word(key.children[0]) for key in keys if not isinstance(key, str)]
    return Item(texts[0], tuple(texts[1:]), _value(held, depth + 1), node.meta.line)


def _value(node: Tree[Token] | Token, depth: int) -> Any:
    if isinstance(node, str):
        return _scalar(node)
    if depth > _MOST_DEPTH:
        raise failure(node.meta.line, "nested too deeply")
    if node.data == "table":
        return _table(node, depth)
    return [_value(child, depth + 1) for child in node.children]


def _scalar(token: Token) -> str | int | float | bool:
    if token.type == "STRING":
        return _word(token)
    if token.type == "HEREDOC":
        return _document(str(token))
    if token.type == "NUMBER":
        return float(token) if "." in token else int(token)
    return token.type == "TRUE"


def _document(text: str) -> str:
    """What stands between `<<END` and `END`; after `<<-END`, without the white space that all its lines begin with."""
    _, *lines, _ = text.split("\n")
    if text.startswith("<<-"):
        lead = os.path.commonprefix(  # noqa: RUF071 - of texts, not of paths
            [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip()]
        )
        lines = [line.removeprefix(lead) for line in lines]
    return "".join(f"{line}\n" for line in lines)


def _word(token: Any) -> str:
    if token.type == "NAME":
        return str(token)
    try:
        return msgspec.json.decode(str(token), type=str)
    except ValueError:
        raise failure(token.line, "a text has an escape that is not understood") from None


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_json(text: str) -> Table:
    try:
        tree: Table = json.loads(text, object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        line, reason = error.lineno, error.msg
    except (ValueError, RecursionError):
        line, reason = 0, "not JSON that can be read"
    else:
        if "\\u" in text and not _is_unicode(text):
            raise failure(0, "a text has an escape that is not understood")
        return tree
    raise failure(line, reason)


def _is_unicode(text: str) -> bool:
    """Whether every text in this JSON is one that UTF-8 can say. msgspec tells; it does not know lines, so it is not asked first."""
    try:
        msgspec.json.decode(text)
    except ValueError:
        return False
    return True


def _pairs(pairs: list[tuple[str, Any]]) -> Table:
    return Table(Item(key, (), value, 0) for key, value in pairs)
