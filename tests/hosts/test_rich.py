"""rich colours, wraps and cuts off; no piece of a value comes out."""

import re

import pytest

pytest.importorskip("rich")


def test_console_and_tracebacks_with_locals(closed):
    """A print in colours, a log line, a pretty dictionary, a traceback that shows the variables of each frame."""
    _, guarded = closed(
        """
        import logging, sys
        from rich.console import Console
        from rich.logging import RichHandler
        from rich.text import Text
        from rich.traceback import install
        console = Console(force_terminal=True, width=60)
        console.print("see", value, {"key": value}, Text(value, style="red"))
        logging.basicConfig(handlers=[RichHandler(console=console, rich_tracebacks=True)], format="%(message)s")
        logging.error("logged %s", value)
        install(show_locals=True, console=Console(stderr=True, width=200))
        def connect(password, config):
            raise ValueError(f"bad {password}")
        connect(value, {"nested": [value], "long": "x" * 90 + value})
        """,
        ok=False,
    )
    assert "ValueError: bad [masked]" in guarded.err
    assert "password = '[masked]'" in guarded.err
    assert "sk-example" not in guarded.out + guarded.err


def test_tables_panels_trees_and_markup(closed):
    """In columns too narrow for it, as text and as rich's own; the mask is seen, though rich takes words in brackets for markup."""
    _, guarded = closed(
        """
        import re
        from rich.console import Console, Group
        from rich.panel import Panel
        from rich.progress import Progress
        from rich.table import Table
        from rich.text import Text
        from rich.tree import Tree
        shown = []
        for width in (80, 16):
            console = Console(width=width, record=True)
            console.print(f"see {value}", value)
            console.print("in", "two:", value[:9], value[9:], sep="")
            console.rule(value)
            console.log(value)  # tells this line
            console.print_json('{"key": "%s"}' % value)
            table = Table(title=value)
            table.add_column(value)
            table.add_row(Text(value, style="red"))
            console.print(Group(table, Panel(value), Tree(value)))
            with Progress(console=console) as progress:
                progress.add_task(value)
            shown.append(re.sub(r"[^!-~]", "", console.export_text()))
        print([each.count("[masked]") for each in shown], [each.count(value) for each in shown])
        """
    )
    assert "sk-example" not in guarded.out
    assert "see [masked] [masked]" in guarded.out
    assert "intwo:[masked]" in guarded.out
    assert re.search(r"\[masked\] +train.py:\d+\n", guarded.out)
    assert guarded.out.endswith("\n[12, 11] [0, 0]\n")


def test_mode_fail_stops_a_table(program):
    """Nothing of it is printed."""
    done = program(
        """
        from rich.console import Console
        from rich.table import Table
        table = Table(title="before")
        table.add_column("a")
        table.add_row(value)
        Console().print(table)
        """,
        mode="fail",
        ok=False,
    )
    assert "Leaked: rich would have been given the value of openai" in done.err
    assert "before" not in done.out
    assert done.where == set()
