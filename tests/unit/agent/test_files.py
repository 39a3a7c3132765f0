"""Files for secrets: whole or not there, with the mode and owner they should have. Attacks on them: tests/security/test_l_files.py."""

import errno
import os
import resource
import signal
import stat

import pytest

from ml_secrets import Conflict, Denied, Invalid, NotFound, Sensitive
from ml_secrets.agent import descriptors
from ml_secrets.agent.files import File, Folder, fits

VALUE = Sensitive("fake-value-of-a-test")
OTHER = Sensitive("fake-other-value-of-a-test")
ROOT = os.geteuid() == 0


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_content_and_is_for_its_owner_alone(room):
    """Mode 0400 whatever the umask (0 here), content byte for byte, nothing else left in the folder."""
    content = bytes(range(256)) * 1000
    with Folder(room) as folder:
        (written,) = folder.write(File("key", Sensitive(content)))
    assert written.path == room / "key"
    assert written.changed
    assert written.path.read_bytes() == content
    found = written.path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_nlink) == (0o400, os.geteuid(), 1)
    assert names(room) == ["key"]


def test_an_empty_value_is_an_empty_file(room):
    """Nothing is nothing, and no error."""
    with Folder(room) as folder:
        folder.write(File("empty", Sensitive("")))
    assert (room / "empty").read_bytes() == b""


def test_what_is_there_already_is_left_alone(room):
    """The same again changes nothing, not even the time; other content, another mode or a second name does."""
    with Folder(room) as folder:
        folder.write(File("key", VALUE))
        before = (room / "key").stat()
        assert [one.changed for one in folder.write(File("key", VALUE), File("new", VALUE))] == [False, True]
        assert (room / "key").stat() == before
        assert folder.write(File("key", OTHER))[0].changed
        assert folder.write(File("key", OTHER, mode=0o440))[0].changed
        assert stat.S_IMODE((room / "key").stat().st_mode) == 0o440
        os.link(room / "key", room / "second")
        assert folder.write(File("key", OTHER, mode=0o440))[0].changed
        assert (room / "second").stat().st_nlink == 1
        (room / "key").chmod(0o644)
        assert folder.write(File("key", OTHER, mode=0o440))[0].changed


def test_several_files_are_written_or_none(room):
    """When one of them cannot be, the others stay as they were and nothing is left over."""
    with Folder(room) as folder:
        folder.write(File("a", VALUE))
        (room / "c").mkdir()
        with pytest.raises(Conflict, match="is a folder"):
            folder.write(File("a", OTHER), File("b", OTHER), File("c", OTHER))
    assert (room / "a").read_text() == VALUE.reveal()
    assert names(room) == ["a", "c"]


def test_a_full_file_system_leaves_the_old_file_and_no_value_in_the_error(room):
    """A write that fails half-way is taken back; the error names the file, and no frame of it holds the value."""
    held = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    big = Sensitive("fake-big-value." * 1000)
    try:
        with Folder(room) as folder:
            folder.write(File("key", VALUE))
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, held[1]))
            with pytest.raises(OSError) as failed:
                folder.write(File("key", big))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, held)
        signal.signal(signal.SIGXFSZ, ignored)
    assert failed.value.errno == errno.EFBIG
    assert failed.value.filename == str(room / "key")
    frames = [frame.frame.f_locals for frame in failed.traceback]
    assert not any("fake-big" in repr(frame) for frame in frames)
    assert (room / "key").read_text() == VALUE.reveal()
    assert names(room) == ["key"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/etc/x",
        "a\n",
        "a\0b",
        ".ml-secrets.x.part",
        "..data",
        "..0123456789abcdef",
        "x" * 201,
    ],
)
def test_a_name_is_one_file_in_the_folder(name):
    """What is a path, a folder, invisible or a name that we use ourselves is refused."""
    assert not fits(name)
    with pytest.raises(Invalid):
        File(name, VALUE)


@pytest.mark.parametrize("name", [".env", "a b", "tls.crt", "schlüssel", "..a"])
def test_names_that_files_have_are_taken(name, room):
    """Hidden ones, ones with spaces, with letters of any language."""
    with Folder(room) as folder:
        folder.write(File(name, VALUE))
    assert names(room) == [name]


@pytest.mark.parametrize("mode", [0o404, 0o444, 0o500, 0o040, 0o000, 0o4400, 0o600 | 0o001])
def test_a_mode_for_others_is_refused(mode):
    """Nothing for others, nothing to run, and the owner reads."""
    with pytest.raises(Invalid, match="is not for a secret"):
        File("a", VALUE, mode=mode)


def test_two_files_of_one_name_are_refused(room):
    """Which of them it should be, nobody said."""
    with Folder(room) as folder, pytest.raises(Invalid, match="same name"):
        folder.write(File("a", VALUE), File("a", OTHER))


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_folder_is_made_for_its_owner_alone(room):
    """Mode 0700 whatever the umask, and those above it too."""
    Folder(room / "a" / "b").close()
    assert [stat.S_IMODE((room / path).stat().st_mode) for path in ("a", "a/b")] == [0o700, 0o700]
    with pytest.raises(NotFound, match="there is no folder"):
        Folder(room / "c", create=False)


@pytest.mark.parametrize(
    ("mode", "taken"), [(0o777, False), (0o770, False), (0o702, False), (0o1777, True), (0o755, True)]
)
def test_a_folder_that_others_can_change_is_refused(room, mode, taken):
    """Writable by group or others is taken only with the sticky bit."""
    (room / "open").mkdir()
    (room / "open").chmod(mode)
    if taken:
        Folder(room / "open").close()
    else:
        with pytest.raises(Denied, match="others can write"):
            Folder(room / "open")


def test_a_folder_on_a_disk_is_taken_only_when_told(tmp_path):
    """The file system's type is asked, not its path."""
    with pytest.raises(Denied, match="not in memory"):
        Folder(tmp_path / "a")
    with Folder(tmp_path / "a", on_disk=True) as folder:
        folder.write(File("key", VALUE))


@pytest.mark.skipif(not ROOT, reason="only root has folders of others")
def test_a_folder_of_another_user_is_refused(room):
    """Its owner could replace everything in it; unless the files are for them."""
    (room / "theirs").mkdir(mode=0o755)
    os.chown(room / "theirs", 12345, 12345)
    with pytest.raises(Denied, match="belongs to another user"):
        Folder(room / "theirs")
    with Folder(room / "theirs", owner=(12345, 12345)) as folder:
        folder.write(File("key", VALUE, owner=(12345, 12345)))
    assert ((room / "theirs" / "key").stat().st_uid, (room / "theirs" / "key").stat().st_gid) == (
        12345,
        12345,
    )


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_root_makes_a_folder_and_files_for_another(room):
    """The folder that is made is theirs as well: they must get in."""
    with Folder(room / "made", owner=(12345, 54321)) as folder:
        file = File("key", VALUE, owner=(12345, 54321))
        assert folder.write(file)[0].changed
        assert not folder.write(file)[0].changed
        os.chown(room / "made" / "key", 0, 0)
        assert folder.write(file)[0].changed
    assert (room / "made").stat().st_uid == 12345


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_folder_that_the_owner_of_the_files_does_not_get_into_is_refused(room):
    """They would be there for nobody. All folders that are made are the owner's; one that lets the group or all in will do."""
    for mode, group, taken in (
        (0o700, 0, False),
        (0o750, 54321, True),
        (0o755, 0, True),
        (0o705, 54321, False),
    ):
        (room / "theirs").mkdir()
        (room / "theirs").chmod(mode)
        os.chown(room / "theirs", 0, group)
        if taken:
            Folder(room / "theirs", owner=(12345, 54321)).close()
        else:
            with pytest.raises(Denied, match="does not get into"):
                Folder(room / "theirs", owner=(12345, 54321))
        (room / "theirs").rmdir()
    Folder(room / "a" / "b" / "c", owner=(12345, 54321)).close()
    assert {(room / path).stat().st_uid for path in ("a", "a/b", "a/b/c")} == {12345}
    Folder(room / "mine", owner=(0, 0)).close()


def test_writers_wait_for_each_other(room, monkeypatch):
    """Who finds the folder locked for too long says so, and how to see by whom."""
    monkeypatch.setattr(descriptors, "_PATIENCE", 0.0)
    waits = pytest.raises(Conflict, match="another process has been writing")
    with Folder(room) as first, Folder(room) as second, first._locked(), waits:
        second.write(File("key", VALUE))


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shredded_file_is_zeros_for_who_still_has_it_open(room):
    """Overwritten, then removed; one that is not there is no error."""
    with Folder(room) as folder:
        folder.write(File("key", VALUE))
        with (room / "key").open("rb") as reader:
            folder.shred("key", "never-there")
            assert reader.read() == bytes(len(VALUE.reveal()))
    assert names(room) == []


def test_a_destroyed_folder_is_gone_with_everything_in_it(room):
    """Files of ours, links and FIFOs; a folder within stays, and says so."""
    with Folder(room / "job") as folder:
        folder.write(File("a", VALUE), File("b", VALUE))
        (room / "job" / "link").symlink_to(room / "elsewhere")
        os.mkfifo(room / "job" / "fifo")
        folder.destroy()
    assert names(room) == []
    with Folder(room / "job") as folder:
        folder.write(File("a", VALUE))
        (room / "job" / "within").mkdir()
        with pytest.raises(OSError, match="not empty"):
            folder.destroy()
    assert names(room / "job") == ["within"]


# ── files that are exchanged together ───────────────────────────────────────────────────────────────────────────────


def seen(room):
    """What a reader finds, by name, through the link that is exchanged."""
    return {path.name: path.read_text() for path in (room / "..data").iterdir()}


def test_files_are_exchanged_by_one_rename(room):
    """What readers open are links to what is in place; the same again changes nothing; nothing else is left in the folder."""
    room /= "job"
    with Folder(room) as folder:
        first = folder.exchange(File("a", Sensitive("1")), File("b", Sensitive("1"), 0o440))
        assert [one.changed for one in first] == [True, True]
        assert seen(room) == {"a": "1", "b": "1"}
        assert [path.read_text() for path in (room / "a", room / "b")] == ["1", "1"]
        assert stat.S_IMODE((room / "b").stat().st_mode) == 0o440
        generation = (room / "..data").readlink()
        assert stat.S_IMODE((room / generation).stat().st_mode) == 0o700
        again = folder.exchange(File("a", Sensitive("1")), File("b", Sensitive("1"), 0o440))
        assert [one.changed for one in again] == [False, False]
        assert (room / "..data").readlink() == generation
        folder.exchange(File("a", Sensitive("2")), File("c", Sensitive("2")))
        assert seen(room) == {"a": "2", "c": "2"}
        assert sorted(path.name for path in room.iterdir() if path.is_symlink()) == ["..data", "a", "c"]
        assert len(list(room.iterdir())) == 4
        folder.destroy()
    assert not room.exists()


def test_who_reads_one_that_was_exchanged_reads_it_whole(room):
    """It is not overwritten: whoever has it open has what it held."""
    with Folder(room) as folder:
        folder.exchange(File("a", Sensitive("1")))
        with (room / "a").open() as reading:
            folder.exchange(File("a", Sensitive("2")))
            assert reading.read() == "1"


def test_what_is_in_the_way_of_an_exchange(room):
    """A file or a link of somebody's is replaced; a folder is an error, and nothing is exchanged; nor is it where others can write."""
    (room / "a").write_text("x")
    (room / "b").symlink_to("/etc/passwd")
    with Folder(room) as folder:
        folder.exchange(File("a", Sensitive("1")), File("b", Sensitive("1")))
        assert seen(room) == {"a": "1", "b": "1"}
        (room / "c").mkdir()
        with pytest.raises(Conflict):
            folder.exchange(File("a", Sensitive("2")), File("c", Sensitive("2")))
        assert seen(room) == {"a": "1", "b": "1"}
        folder.write(File("token", Sensitive("t")))
        assert len(list(room.iterdir())) == 6
    room.chmod(0o1777)
    with Folder(room) as folder, pytest.raises(Denied, match="others can write"):
        folder.exchange(File("a", Sensitive("3")))
    room.chmod(0o700)
