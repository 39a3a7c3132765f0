"""What this process was handed out is known, and only while somebody watches."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml_secrets import redaction
from ml_secrets.redaction.known import KNOWN, Known
from ml_secrets.sensitive import Sensitive


def test_the_oldest_are_forgotten():
    """Memory is bounded: at least the last so many values are known, at most twice as many."""
    known = Known(most=10)
    known.know((str(n), Sensitive(f"value-{n:05}")) for n in range(35))
    assert len(known) <= 20
    assert all(known.search(f"value-{n:05}".encode())[0] for n in range(25, 35))
    assert not known.search(b"value-00000")[0]


def test_a_forked_child_knows_what_its_parent_knew(value):
    """Also when a thread of the parent was just adding a value."""
    with KNOWN._lock:
        child = os.fork()
        if child == 0:
            redaction.know(another="learnt-in-the-child")
            seen = redaction.redact(f"{value} learnt-in-the-child")
            os._exit(0 if seen == "[masked] [masked]" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_may_add_while_others_search():
    """Each value is found from the moment its call returned."""
    known = Known()

    def work(number):
        value = f"value-{number:05}-{time.monotonic_ns()}"
        known.know([(str(number), Sensitive(value))])
        return bool(known.search(value.encode())[0])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_text_without_utf_8_is_none_of_ours(value):
    """It stops nothing: no stream takes it either."""
    redaction.know(odd="\udc80lone surrogate")
    assert redaction.redact(value) == "[masked]"


@pytest.mark.parametrize("most", [1, 3])
def test_a_value_read_again_is_known_anew(most):
    """A value that was forgotten comes back when the server gives it again."""
    known = Known(most=most)
    known.know((str(n), Sensitive(f"value-{n:05}")) for n in range(9))
    known.know([("0", Sensitive("value-00000"))])
    assert known.search(b"value-00000")[0]
