"""Files on their way to a store go as they are, or as a copy without the value; what cannot be masked does not go."""

import pickle

import pytest

from ml_secrets import redaction
from ml_secrets.errors import Leaked
from ml_secrets.redaction.files import clean_file, clean_folder
from ml_secrets.redaction.leaks import Clean


def test_a_file_without_a_value_goes_as_it_is(value, tmp_path):
    """Not even a copy is made."""
    file = tmp_path / "a.txt"
    file.write_text("fine")
    with clean_file(file, Clean(), "here") as path:
        assert path == file


def test_a_text_goes_as_a_copy(value, tmp_path):
    """Of the same name, for as long as it is needed; the file stays as it is. Also at the edge of the pieces that are read."""
    file = tmp_path / "a.txt"
    content = "x" * ((1 << 20) - 5) + value + " end"
    file.write_text(content)
    with clean_file(str(file), Clean(), "here") as path:
        assert path.name == "a.txt"
        assert path.read_text() == content.replace(value, "[masked]")
    assert not path.exists()
    assert file.read_text() == content


def test_a_pickle_is_rewritten(value, tmp_path):
    """It still loads."""
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps({"key": value, "n": list(range(1000))}))
    with pytest.warns(redaction.Leaking), clean_file(file, Clean(), "here") as path:
        assert pickle.loads(path.read_bytes()) == {"key": "[masked]", "n": list(range(1000))}


def test_other_binary_files_are_refused(value, tmp_path):
    """In every mode."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"\0\1" + value.encode())
    with (
        pytest.raises(Leaked, match="holds the value of openai, and cannot be masked"),
        clean_file(file, Clean(), "here"),
    ):
        pass


def test_a_folder_goes_with_copies_of_those_that_hold_one(value, tmp_path):
    """The others are there too, each in its place."""
    top = tmp_path / "run"
    (top / "in").mkdir(parents=True)
    (top / "in" / "a.txt").write_text(f"see {value}")
    (top / "b.bin").write_bytes(bytes(range(256)))
    with clean_folder(top, Clean(), "here") as path:
        assert path != top
        assert path.name == "run"
        assert (path / "in" / "a.txt").read_text() == "see [masked]"
        assert (path / "b.bin").read_bytes() == bytes(range(256))
    (top / "in" / "a.txt").write_text("fine")
    with clean_folder(top, Clean(), "here") as path:
        assert path == top


def test_mode_fail_names_the_file(value, tmp_path):
    """Before anything is copied."""
    file = tmp_path / "a.txt"
    file.write_text(value)
    with (
        pytest.raises(Leaked, match=r"here \(a.txt\) would have been given the value of openai"),
        clean_file(file, Clean("fail"), "here"),
    ):
        pass
