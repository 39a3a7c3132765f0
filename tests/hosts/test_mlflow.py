"""MLflow stores what it is given; guarded, no store, artifact or trace has the value."""

import pytest

pytest.importorskip("mlflow")
ENVIRON = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_TRACKING_URI": "sqlite:///store.db",
}
START = """
import logging, mlflow
mlflow.set_experiment("e")
mlflow.start_run(run_name="train")
"""
END = """
import sqlite3, glob, json
with sqlite3.connect("store.db") as store:
    for table, in list(store.execute("select name from sqlite_master where type = 'table'")):
        for row in store.execute(f'select * from "{table}"'):
            open("rows", "a").write(repr(row) + "\\n")
"""


def test_parameters_and_tags(closed):
    """log_param, log_params, set_tag, set_tags, names, and an API key that nobody handed out."""
    bare, guarded = closed(
        START
        + """
mlflow.log_param("dsn", f"postgresql://ada:{value}@db/x")
mlflow.log_params({"key": value, "lr": 0.1, "api_key": "typed-by-hand", "pad_token": "<pad>"})
mlflow.set_tag("note", f"with {value}")
mlflow.set_tags({"second": value})
mlflow.end_run()
mlflow.start_run(run_name=f"run {value}", tags={"given": value}, description=value)
"""
        + END,
        environ=ENVIRON,
    )
    rows = (guarded.folder / "rows").read_text()
    assert "'dsn', 'postgresql://ada:[masked]@db/x'" in rows
    assert "'lr', '0.1'" in rows
    assert "'pad_token', '<pad>'" in rows
    assert "run [masked]" in rows
    assert "typed-by-hand" not in rows
    assert "typed-by-hand" in (bare.folder / "rows").read_text()


def test_artifacts(closed):
    """A text, a dictionary, a file, a folder, a pickled model; what holds no value is stored as it is."""
    text = (
        START
        + """
import os, pickle, pathlib
mlflow.log_text(f"text {value}", "a/text.txt")
mlflow.log_dict({"key": value, "n": 1}, "dict.json")
os.mkdir("scratch"); os.mkdir("scratch/in")
path = pathlib.Path("scratch/report.md"); path.write_text(f"report {value}\\n")
pathlib.Path("scratch/in/clean.bin").write_bytes(bytes(range(256)))
mlflow.log_artifact(path)
mlflow.log_artifacts("scratch", "folder")
mlflow.MlflowClient().log_artifact(mlflow.active_run().info.run_id, local_path="scratch")
import shutil; shutil.rmtree("scratch")
"""
        + END
    )
    _, guarded = closed(text, environ=ENVIRON)
    stored = {path.name: path for path in guarded.folder.rglob("artifacts/**/*") if path.is_file()}
    assert stored["text.txt"].read_text() == "text [masked]"
    assert '"n": 1' in stored["dict.json"].read_text()
    assert stored["report.md"].read_text() == "report [masked]\n"
    assert stored["clean.bin"].read_bytes() == bytes(range(256))


def test_an_artifact_that_cannot_be_masked_is_refused(program):
    """Binary, and no pickle: nothing is stored, in every mode."""
    done = program(
        START
        + """
import pathlib
import tempfile, os
folder = tempfile.mkdtemp()
path = os.path.join(folder, "weights.bin")
open(path, "wb").write(b"\\0\\1\\2" + value.encode())
mlflow.log_artifact(path)
""",
        environ=ENVIRON,
        ok=False,
    )
    assert (
        "Leaked: weights.bin holds the value of openai, and cannot be masked without breaking it" in done.err
    )
    assert done.where == set()


def test_traces(closed):
    """Inputs and outputs of a traced function, attributes, events, tags, and its exception."""
    _, guarded = closed(
        START
        + """
@mlflow.trace
def ask(key, question):
    span = mlflow.get_current_active_span()
    span.set_attributes({"header": f"Bearer {key}", "n": 3})
    mlflow.update_current_trace(tags={"key": key}, metadata={"who": key})
    return {"answer": f"you said {key}"}

@mlflow.trace
def fail(key):
    raise ValueError(f"bad {key}")

ask(value, "why?")
try:
    fail(value)
except ValueError:
    pass
mlflow.flush_trace_async_logging()
"""
        + END,
        environ=ENVIRON,
    )
    rows = (guarded.folder / "rows").read_text()
    assert "Bearer [masked]" in rows
    assert "you said [masked]" in rows
    assert "bad [masked]" in rows
    assert "why?" in rows


def test_mode_fail_stops_the_run(program):
    """The call raises, and says which parameter it was."""
    done = program(START + "mlflow.log_param('dsn', value)\n", mode="fail", environ=ENVIRON, ok=False)
    assert "Leaked: MLflow's Param 'dsn' would have been given the value of openai" in done.err
    assert done.where == set()
