"""Weights & Biases in offline mode: what it writes for a later upload has no value."""

import pytest

pytest.importorskip("wandb")
ENVIRON = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_DIR": ".",
    "WANDB_CACHE_DIR": "cache",
    "WANDB_DATA_DIR": "data",
}
RUN = """
import wandb
run = wandb.init(project="p", config={"dsn": f"postgresql://ada:{value}@db/x", "lr": 0.1, "nested": {"api_key": "typed-by-hand"}, "pad_token": "<pad>"}, notes=f"note {value}")
run.config.update({"later": value})
print("console says", value)
run.log({"loss": 0.5, "text": f"logged {value}"})
run.summary["best"] = value
table = wandb.Table(columns=["a"], data=[[f"cell {value}"]])
run.log({"table": table})
artifact = wandb.Artifact("a", "dataset")
open("file.txt", "w").write(f"in a file {value}")
artifact.add_file("file.txt")
run.log_artifact(artifact)
run.finish()
import os
os.remove("file.txt")
"""


def test_configuration_arguments_console_and_history(closed):
    """What stands in the run's files and in its transaction log."""
    bare, guarded = closed(
        RUN,
        "--key",
        "x",
        "--dsn=postgresql://u:sk-example-4f9d/7+Zq.notakey@h",
        "--api-key",
        "typed-by-hand",
        environ=ENVIRON,
    )
    assert any(name.endswith(".wandb") for name in bare.where)
    assert any(name.endswith(".wandb") for name in guarded.masked)
    assert bare.holding("typed-by-hand")
    assert {
        name for name in guarded.holding("typed-by-hand") if not name.endswith("debug.log")
    } == set()  # its own log prints all
    assert guarded.holding("<pad>")


def test_mode_fail_stops_the_run(program):
    """The call that would have sent it raises."""
    done = program(
        "import wandb\nrun = wandb.init(project='p', config={'key': value})\n",
        mode="fail",
        environ=ENVIRON,
        ok=False,
    )
    assert "would have been given the value of openai" in done.err
    assert done.returncode != 0
    assert done.where == set()
