"""Closures, checkpoints and pickles: the value does not travel in them."""

import pickle

import pytest

pytest.importorskip("cloudpickle")
VALUE = "sk-example-4f9d/7+Zq.notakey"

CLOSURE = """
import cloudpickle
def call():
    return value + "!"
open("closure.pkl", "wb").write(cloudpickle.dumps(call))
"""


def test_a_cloudpickle_closure(closed):
    """A function by value takes the globals along that it uses; guarded it still loads, and has no value."""
    bare, guarded = closed(CLOSURE)
    assert pickle.loads((bare.folder / "closure.pkl").read_bytes())() == f"{VALUE}!"
    assert pickle.loads((guarded.folder / "closure.pkl").read_bytes())() == "[masked]!"
    assert (
        "Leaking: a payload of cloudpickle would have been given the value of openai; it was masked"
        in guarded.err
    )


def test_cloudpickle_imported_before_the_guard(closed):
    """The order of imports changes nothing."""
    text = "import cloudpickle\nredaction.install() if os.environ['MODE'] else None\n"
    closed(text + CLOSURE.replace("import cloudpickle", ""), environ={"LATE": "1"})


def test_a_model_that_joblib_dumps(closed):
    """Plain and compressed, arrays as they were; its worker processes get what they are given."""
    pytest.importorskip("joblib")
    _, guarded = closed(
        """
        import joblib, numpy
        model = {"weights": numpy.arange(5000.0), "dsn": f"postgresql://ada:{value}@db"}
        joblib.dump(model, "plain.joblib")
        joblib.dump(model, "small.joblib", compress=3)
        for name in ("plain", "small"):
            back = joblib.load(f"{name}.joblib")
            assert (back["weights"] == model["weights"]).all()
            open(name, "w").write(back["dsn"])
        print(joblib.Parallel(n_jobs=2)(joblib.delayed(len)(text) for text in (value, value)), len(value))
        """
    )
    assert (guarded.folder / "small").read_text() == "postgresql://ada:[masked]@db"
    assert guarded.out == "[28, 28] 28\n"


def test_mode_fail_stops_the_run(program):
    """Nothing is written."""
    done = program(CLOSURE, mode="fail", ok=False)
    assert done.returncode == 1
    assert done.where == set()
    assert "Leaked: a payload of cloudpickle would have been given the value of openai" in done.err


def test_a_torch_checkpoint(closed):
    """A checkpoint with its configuration: weights as they were, no value."""
    pytest.importorskip("torch")
    _, guarded = closed(
        """
        import torch
        torch.save({"weights": torch.arange(6.0), "config": {"dsn": f"postgresql://ada:{value}@db/x", "lr": 0.1}}, "model.pt")
        assert torch.load("model.pt")["weights"].tolist() == [0, 1, 2, 3, 4, 5]
        print(torch.load("model.pt")["config"])
        """
    )
    assert "'lr': 0.1" in guarded.out
    assert "postgresql://ada:[masked]@db/x" in guarded.out


def test_worker_processes_of_ones_own_get_what_they_are_given(program):
    """multiprocessing is no sink: a spawned worker has its argument."""
    done = program(
        """
        import multiprocessing
        def work(queue, text):
            queue.put(len(text))
        if __name__ == "__main__":
            spawn = multiprocessing.get_context("spawn")
            queue = spawn.Queue()
            process = spawn.Process(target=work, args=(queue, value))
            process.start()
            print(queue.get(timeout=60), len(value))
            process.join()
        """
    )
    assert len(set(done.out.split())) == 1
