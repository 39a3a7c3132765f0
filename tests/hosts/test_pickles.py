"""Closures, checkpoints and pickles: the value does not travel in them."""

import pickle

import pytest

from ml_secrets import redaction
from ml_secrets.errors import Leaked
from ml_secrets.redaction.known import KNOWN

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


@pytest.mark.parametrize("protocol", range(6))
def test_each_protocol_of_pickle(protocol, tmp_path):
    """Texts of each kind and size, bytes, byte arrays, a pickle inside a pickle; what comes back is whole but for the value."""
    things = {
        "short": VALUE,
        "text": f"grün {VALUE} " * 30,
        "bytes": VALUE.encode() * 20,
        "array": bytearray(f"{VALUE}".encode()),
        "inside": pickle.dumps({"key": VALUE, "n": 1}, protocol=max(protocol, 2)),
        "others": [1, 2.5, None, (True, "x" * 100), {"y"}],
        "again": VALUE,
    }
    KNOWN.forget()
    redaction.know(openai=VALUE)
    redaction.install(only=["pickle"])
    try:
        with pytest.warns(redaction.Leaking):
            data = pickle.dumps(things, protocol=protocol)
        with pytest.warns(redaction.Leaking), (tmp_path / "file").open("wb") as file:
            pickle.dump(things, file, protocol=protocol)
        with pytest.warns(redaction.Leaking), (tmp_path / "other").open("wb") as file:
            pickle.Pickler(file, protocol).dump(things)
    finally:
        redaction.uninstall()
    for each in (data, (tmp_path / "file").read_bytes(), (tmp_path / "other").read_bytes()):
        assert VALUE.encode() not in each
        back = pickle.loads(each)
        assert back["others"] == things["others"]
        assert back["short"] == back["again"] == "[masked]"
        assert back["text"] == "grün [masked] " * 30
        assert back["array"] == bytearray(b"[masked]")
        assert pickle.loads(back["inside"]) == {"key": "[masked]", "n": 1}


def test_a_large_text_with_a_value(tmp_path):
    """Picklers write large texts apart from their length, which cannot be corrected any more: refused."""
    redaction.know(openai=VALUE)
    redaction.install(only=["pickle"])
    try:
        with (
            pytest.raises(Leaked, match="a form that cannot be masked"),
            pytest.warns(redaction.Leaking),
            (tmp_path / "file").open("wb") as file,
        ):
            pickle.dump("x" * 100_000 + VALUE, file)
    finally:
        redaction.uninstall()
    assert VALUE.encode() not in (tmp_path / "file").read_bytes()


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
