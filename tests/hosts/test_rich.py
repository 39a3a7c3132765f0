"""rich colours, wraps and cuts off; no piece of a value comes out."""

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
