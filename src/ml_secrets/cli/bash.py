"""Completion in bash. Click's own script splits names with spaces, and is lost where bash breaks words (`-mount=x`, `a:b`).

Bash hands over the line up to the cursor; here it is read by the shell's rules, and each offer goes back as it is to
stand on the line: quoted, and without the part of the word that bash leaves alone.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from click.shell_completion import ShellComplete, add_completion_class

from ml_secrets.cli.command import two_dashes

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SCRIPT = r"""
%(complete_func)s() {
    local offer
    COMPREPLY=()
    while IFS= read -r offer; do
        case $offer in
            file,*) compopt -o default ;;
            dir,*) compopt -o dirnames ;;
            plain,*) COMPREPLY+=("${offer#plain,}") ;;
        esac
    done < <(COMP_LINE=${COMP_LINE:0:COMP_POINT} COMP_WORDBREAKS=$COMP_WORDBREAKS \
        %(complete_var)s=bash_complete "$1" 2> /dev/null)
    case ${#COMPREPLY[@]},${COMPREPLY[0]} in 1,*/) compopt -o nospace ;; esac
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_UNSAFE = re.compile(r"[^\w./:=@%+,-]")
_UNSAFE_IN_DOUBLE_QUOTES = re.compile(r'["$`\\]')


class Typed(NamedTuple):
    """A line up to the cursor. `quote`: what is open there. `fixed`: how much of the last word bash leaves alone."""

    words: list[str]
    quote: str
    fixed: int


def read(line: str, breaks: str) -> Typed:
    """Split a line by the shell's rules. `breaks`: where bash begins to complete anew within a word."""
    words, quote, fixed, inside = [""], "", 0, False
    letters = iter(line)
    for letter in letters:
        if letter == "\\" and quote != "'":
            following = next(letters, "")
            words[-1] += following if not quote or following in '"$`\\' else letter + following
        elif quote:
            quote, words[-1] = ("", words[-1]) if letter == quote else (quote, words[-1] + letter)
        elif letter in "'\"":
            quote, fixed = letter, len(words[-1])
        elif letter.isspace():
            words += [""] if inside else []
            fixed = 0
        else:
            words[-1] += letter
            if letter in breaks:
                fixed = len(words[-1]) - (letter == "@")  # which begins a word of its own: a host, to bash
        inside = bool(quote) or not letter.isspace()
    return Typed(words, quote, fixed)


def quoted(text: str, quote: str) -> str:
    """`text` as it stands on a line, after the quote that is open."""
    if quote == "'":
        return text.replace("'", "'\\''")
    return (_UNSAFE_IN_DOUBLE_QUOTES if quote else _UNSAFE).sub(r"\\\g<0>", text)


@add_completion_class
class Bash(ShellComplete):
    """What click asks of a shell."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = _SCRIPT

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.typed = Typed([""], "", 0)

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words after the program's name, and the one that is being typed."""
        self.typed = read(os.environ["COMP_LINE"], os.environ["COMP_WORDBREAKS"])
        *before, incomplete = two_dashes(self.typed.words[1:] or [""])
        return before, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        """An offer: its kind, and what takes the place of the part of the word that bash completes."""
        word, offer = self.typed.words[-1], str(item.value)
        if word.startswith("-") and not offer.startswith("-"):  # the value of --mount=VALUE
            offer = word[: word.find("=") + 1] + offer
        return f"{item.type},{quoted(offer[self.typed.fixed :], self.typed.quote)}"
