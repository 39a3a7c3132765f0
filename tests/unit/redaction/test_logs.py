"""`logging`: no handler, filter or formatter gets a value, whenever it was added."""

import io
import json
import logging
import logging.handlers
import queue

import pytest

from ml_secrets.errors import Leaked


@pytest.fixture
def written(install):
    """What a handler wrote that is older than the guard; `.log` is its logger."""
    stream = io.StringIO()
    stream.handler = logging.StreamHandler(stream)
    stream.handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    stream.log = logging.Logger("train")  # noqa: LOG001 - of this test alone
    stream.log.addHandler(stream.handler)
    install(only=["logging"])
    return stream


def test_message_and_arguments(value, written):
    """In the text, in an argument, in a mapping, inside a list, across two arguments, and in base64."""
    import base64

    log = written.log
    log.error(f"text {value}")  # noqa: G004 - what people write
    log.error("argument %s", value)
    log.error("mapping %(key)s", {"key": value})
    log.error("list %s", [value])
    log.error("halves %s%s", value[:9], value[9:])
    log.error("coded %s", base64.b64encode(value.encode()).decode())
    log.error("plain %d", 3)
    assert written.getvalue().splitlines() == [
        "train text [masked]",
        "train argument [masked]",
        "train mapping [masked]",
        "train list ['[masked]']",
        "train halves [masked]",
        "train coded [masked]",
        "train plain 3",
    ]


def test_what_is_added_later_gets_no_value(value, written):
    """A handler, a filter and a formatter that come after the guard, and a handler that is handed a record by itself."""
    seen = []

    class Collect(logging.Handler):
        def emit(self, record):
            seen.append((record.getMessage(), dict(vars(record))))

    class Adds(logging.Filter):
        def filter(self, record):
            record.added = f"by a filter: {value}"
            return True

    handler = Collect()
    written.log.addFilter(Adds())
    written.log.addHandler(handler)
    written.log.error("late %s", value, extra={"dsn": f"postgresql://u:{value}@h"})
    handler.handle(logging.makeLogRecord({"msg": f"alone {value}"}))
    assert [text for text, _ in seen] == ["late [masked]", "alone [masked]"]
    assert seen[0][1]["added"] == "by a filter: [masked]"
    assert seen[0][1]["dsn"] == "postgresql://u:[masked]@h"


def test_what_is_changed_on_the_way_to_the_second_handler(value, written):
    """A handler that puts the value into a record that was looked at already; the next handler gets none."""
    seen = []

    class Spoils(logging.Handler):
        def emit(self, record):
            record.args = (value,)

    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    written.log.addHandler(Spoils())
    written.log.addHandler(handler)
    written.log.error("with %s", "another")
    assert seen == ["with [masked]"]


def test_records_from_a_queue(value, written):
    """What another process put into the queue is masked where it is handled."""
    line = queue.Queue()
    listener = logging.handlers.QueueListener(line, written.handler)
    line.put(logging.makeLogRecord({"name": "worker", "msg": value}))
    listener.start()
    listener.stop()
    assert written.getvalue() == "worker [masked]\n"


def test_an_exception_with_its_causes(value, written):
    """The text of an exception, of its cause, its notes and the members of a group; what formatters of others get is masked too."""
    seen = []

    class Structured(logging.Formatter):
        def format(self, record):
            seen.append(record.exc_info[1])
            return json.dumps({"message": record.getMessage(), "error": repr(record.exc_info[1].args)})

    second = io.StringIO()
    handler = logging.StreamHandler(second)
    handler.setFormatter(Structured())
    written.log.addHandler(handler)
    try:
        try:
            raise KeyError(value)
        except KeyError as error:
            error.add_note(f"note {value}")
            raise ExceptionGroup("several", [ValueError(f"bad {value}")]) from error
    except ExceptionGroup:
        written.log.exception("it failed")
    assert value not in written.getvalue()
    assert "KeyError" in written.getvalue()
    assert "note [masked]" in written.getvalue()
    assert "ValueError: bad [masked]" in written.getvalue()
    assert value not in second.getvalue()
    assert type(seen[0]).__name__ == "ExceptionGroup"
    assert "test_an_exception_with_its_causes" in written.getvalue()


def test_the_program_keeps_its_exception(value, written):
    """What is masked is what is shown; the exception that the program handles stays the same."""
    error = ValueError(value)
    try:
        raise error
    except ValueError:
        written.log.exception("it failed")
    assert error.args == (value,)
    assert written.getvalue().endswith("ValueError: [masked]\n")


def test_an_object_that_prints_a_value(value, written):
    """What stands in no text until the record is formatted."""

    class Url:
        def __str__(self):
            return f"https://{value}@host"

    written.log.error("to %s", Url())
    written.log.error(Url())
    assert written.getvalue() == "train to https://[masked]@host\n" * 1 + "train https://[masked]@host\n"


def test_a_record_that_does_not_format_is_the_callers_affair(value, written, capsys):
    """A wrong number of arguments is reported by logging as ever, without the value."""
    written.log.error("one %s two %s", value)  # noqa: PLE1206 - the point of it
    told = capsys.readouterr().err
    assert "not enough arguments" in told
    assert "Arguments: ('[masked]',)" in told


def test_mode_fail_stops_the_run(value, install, written):
    """The call that would have logged the value raises, and nothing is written."""
    install("fail", only=["logging"])
    with pytest.raises(Leaked, match="the log 'train' would have been given the value of openai") as caught:
        written.log.error("text %s", value)
    assert value not in str(caught.value)
    assert written.getvalue() == ""


def test_mode_warn_says_where(value, install, written):
    """It is masked all the same."""
    install("warn", only=["logging"])
    with pytest.warns(match="the log 'train' would have been given the value of openai; it was masked"):
        written.log.error("text %s", value)
    assert written.getvalue() == "train text [masked]\n"


def test_structured_messages_keep_their_type(value, written):
    """A dictionary as message, as structlog hands it over, stays one."""
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.msg)
    written.log.addHandler(handler)
    written.log.error({"event": "connect", "key": value})
    assert seen == [{"event": "connect", "key": "[masked]"}]


def test_without_guards_all_is_as_before(value, written, install):
    """Put on twice is on once; taken off is off."""
    from ml_secrets import redaction

    install(only=["logging"])
    assert redaction.standing() == ["logging"]
    redaction.uninstall()
    assert not hasattr(logging.Handler.handle, "__wrapped__")
    assert not hasattr(logging.Logger.handle, "__wrapped__")
    written.log.error(value)
    assert value in written.getvalue()
