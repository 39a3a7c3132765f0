"""L. Files that secrets are delivered in: 125 links, second names and FIFOs; 126 a writer that dies."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from ml_secrets import Client, Conflict, Denied, MlSecretsError, Sensitive
from ml_secrets.agent import descriptors, files, generations
from ml_secrets.agent.files import File, Folder

VALUE = Sensitive("fake-new-value-of-a-test")
OLD = Sensitive("fake-old-value-of-a-test")
VICTIM = "what the victim wrote"
ROOT = os.geteuid() == 0
OTHER = 12345
for_root = pytest.mark.skipif(not ROOT, reason="only root becomes another user")


@pytest.fixture
def room():
    """A folder on tmpfs that is ours, under umask 0."""
    made = Path(tempfile.mkdtemp(prefix="ml-secrets-test-", dir="/dev/shm"))
    held = os.umask(0)
    yield made
    os.umask(held)
    shutil.rmtree(made)


@pytest.fixture
def victim(room):
    """A file that nobody may write to through us."""
    (room / "elsewhere").mkdir(mode=0o700)
    path = room / "elsewhere" / "victim"
    path.write_text(VICTIM)
    path.chmod(0o644)
    return path


def untouched(victim):
    found = victim.stat()
    return (
        victim.read_text() == VICTIM and stat.S_IMODE(found.st_mode) == 0o644 and found.st_uid == os.geteuid()
    )


def is_ours(path, content=VALUE):
    """A plain file with one name, for us alone, with that content."""
    found = path.lstat()
    assert stat.S_ISREG(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_nlink, found.st_uid) == (0o400, 1, os.geteuid())
    assert path.read_text() == content.reveal()
    return True


# ── 125: the target ─────────────────────────────────────────────────────────────────────────────────────────────────

PLANTED = {
    "symlink": lambda target, victim: target.symlink_to(victim),
    "symlink to nothing": lambda target, victim: target.symlink_to(victim.with_name("none")),
    "symlink to a folder": lambda target, victim: target.symlink_to(victim.parent),
    "symlink to itself": lambda target, victim: target.symlink_to(target),
    "second name": lambda target, victim: target.hardlink_to(victim),
    "FIFO": lambda target, victim: os.mkfifo(target, 0o666),
    "socket": lambda target, victim: os.mknod(target, stat.S_IFSOCK | 0o666),
    "open file": lambda target, victim: (target.write_text("x"), target.chmod(0o666)),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_125_what_is_planted_at_the_target_is_replaced_and_never_followed(room, victim, planted):
    """Nothing is written where it leads, nobody who waits at it hears a word, and shredding it shreds nothing else."""
    target = room / "own" / "key"
    with Folder(target.parent) as folder:
        PLANTED[planted](target, victim)
        waits = os.open(target, os.O_RDWR | os.O_NONBLOCK) if planted == "FIFO" else None
        assert folder.write(File("key", VALUE))[0].changed
        assert is_ours(target)
        assert untouched(victim)
        assert list(victim.parent.iterdir()) == [victim]
        if waits is not None:
            with pytest.raises(BlockingIOError):
                os.read(waits, 1)
            os.close(waits)
        target.unlink()
        PLANTED[planted](target, victim)
        folder.shred("key")
        assert not target.is_symlink()
        assert not target.exists()
        if planted != "second name":
            assert untouched(victim)


def test_125_shredding_in_a_shared_folder_follows_no_second_name(room, victim):
    """Where others can plant names, what has several is only removed; in a folder of our own all names of a file are worth nothing after."""
    room.chmod(0o1777)
    with Folder(room) as folder:
        (room / "key").hardlink_to(victim)
        (room / ".ml-secrets.planted.part").hardlink_to(victim)
        folder.shred("key")
        folder.sweep()
    assert untouched(victim)
    assert [path.name for path in room.iterdir()] == ["elsewhere"]
    with Folder(room / "own") as folder:
        folder.write(File("key", VALUE))
        (room / "own" / "second").hardlink_to(room / "own" / "key")
        folder.shred("key")
    assert (room / "own" / "second").read_bytes() == bytes(len(VALUE.reveal()))


@for_root
def test_125_root_shreds_nothing_that_the_owner_of_a_folder_planted(room, victim):
    """Files for another user lie in their folder, where they can give any file they like a second name."""
    with Folder(room / "app", owner=(OTHER, OTHER)) as folder:
        folder.write(File("key", VALUE, owner=(OTHER, OTHER)))
        with (room / "app" / "key").open("rb") as reader:
            folder.shred("key")
            assert reader.read() == bytes(len(VALUE.reveal()))
        (room / "app" / "key").hardlink_to(victim)
        folder.shred("key")
    assert untouched(victim)


@pytest.mark.parametrize("mask", [0o000, 0o777, 0o022])
def test_125_the_mode_does_not_depend_on_the_umask(room, mask):
    """0400 under umask 0, and under one that takes everything away."""
    with Folder(room) as folder:
        os.umask(mask)
        folder.write(File("key", VALUE))
        os.umask(0)
    assert is_ours(room / "key")


def test_125_a_file_is_never_open_to_others_while_it_is_made(room):
    """By the kernel's account: made new with 0600 and no link followed, its mode set before its content, durable before it is moved."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    program = f"""
import os; os.umask(0)
from pathlib import Path
from ml_secrets import Sensitive
from ml_secrets.agent.files import File, Folder
with Folder(Path({str(room)!r})) as folder: folder.write(File("key", Sensitive("fake-traced")))
"""
    calls = "openat,fchmod,write,fsync,rename,renameat,renameat2"
    trace = room / "trace"
    subprocess.run(
        ["strace", "-o", trace, "-e", f"trace={calls}", sys.executable, "-c", program], check=True, timeout=60
    )
    told = trace.read_text()
    begins = told.index(".part")
    lines = told[told.rindex("\n", 0, begins) + 1 :].splitlines()[:6]
    assert [line.partition("(")[0] for line in lines] == [
        "openat",
        "fchmod",
        "write",
        "fsync",
        "renameat",
        "fsync",
    ]
    assert "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600" in lines[0]
    assert re.search(r", 0400\)", lines[1])
    assert '"key"' in lines[4]
    assert is_ours(room / "key", Sensitive("fake-traced"))


# ── 125: the folder ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("depth", ["own", "own/in", "own/in/deep"])
def test_125_a_link_on_the_way_is_refused(room, victim, depth):
    """The folder itself, or any above it; nothing is made where it leads, and the way out is said."""
    (room / "own").symlink_to(victim.parent)
    with pytest.raises(Denied, match="own is a symbolic link"):
        Folder(room / depth)
    assert list(victim.parent.iterdir()) == [victim]


@pytest.mark.parametrize("kind", ["FIFO", "file"])
def test_125_what_is_no_folder_is_refused_without_waiting(room, kind):
    """A FIFO would hold an ordinary open for ever."""
    os.mkfifo(room / "own") if kind == "FIFO" else (room / "own").write_text("")
    with pytest.raises(NotADirectoryError):
        Folder(room / "own")


def test_125_a_folder_that_is_exchanged_meanwhile_gets_nothing(room, victim):
    """What was opened is written to; that the path leads elsewhere by now is an error."""
    with Folder(room / "own") as folder:
        (room / "own").rename(room / "moved")
        (room / "own").symlink_to(victim.parent)
        with pytest.raises(MlSecretsError, match="is a symbolic link"):
            folder.write(File("victim", VALUE))
        (room / "own").unlink()
        (room / "own").mkdir(mode=0o700)
        with pytest.raises(Conflict, match="was replaced"):
            folder.write(File("victim", OLD))
        with pytest.raises(Conflict, match="was replaced"):
            folder.destroy()
    assert untouched(victim)
    assert list((room / "own").iterdir()) == []


@for_root
def test_125_another_user_can_neither_read_nor_plant(room):
    """In a folder that all may write to (sticky), another user cannot read a file, remove or move it, or be in its place first."""
    room.chmod(0o1777)
    key, planted = room / "key", room / "planted"
    assert as_other(lambda: planted.symlink_to("/etc/passwd")) == ""
    with Folder(room) as folder:
        folder.write(File("key", VALUE), File("planted", VALUE))
    assert is_ours(key)
    assert is_ours(planted)
    for attempt in (key.read_text, key.unlink, lambda: key.rename(room / "x"), lambda: key.chmod(0o644)):
        assert as_other(attempt) == "PermissionError"
    assert is_ours(key)


@for_root
def test_125_a_name_that_another_user_holds_in_a_shared_folder_is_an_error(room):
    """Without root's rights a file of theirs cannot be replaced there: nothing is written, and nothing left over."""
    room.chmod(0o1777)
    (room / "key").write_text(VICTIM)

    def write():
        with Folder(room) as folder:
            folder.write(File("other", VALUE), File("key", VALUE))

    assert as_other(write) == "Denied"
    assert (room / "key").read_text() == VICTIM
    assert [path.name for path in room.iterdir()] == ["key"]


@for_root
def test_125_a_folder_of_another_user_is_refused(room):
    """Its owner could exchange whatever is written there."""
    room.chmod(0o1777)
    assert as_other((room / "theirs").mkdir) == ""
    with pytest.raises(Denied, match="belongs to another user"):
        Folder(room / "theirs")


@for_root
def test_125_in_a_volume_that_all_may_write_to_a_folder_of_ones_own_is_made(room):
    """As in a pod: the volume is root's with mode 0777 and is refused itself; the folder made in it is closed to others."""
    room.chmod(0o777)

    def write(place):
        with Folder(place) as folder:
            folder.write(File("key", VALUE))

    assert as_other(lambda: write(room)) == "Denied"
    assert as_other(lambda: write(room / "train")) == ""
    assert as_other(lambda: is_ours(room / "train" / "key")) == ""
    assert stat.S_IMODE((room / "train").stat().st_mode) == 0o700


def as_other(act):
    """Do something as another user, in a child; gives the name of the error, or ""."""
    told, tells = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(OTHER, OTHER, OTHER)
            os.setresuid(OTHER, OTHER, OTHER)
            act()
        except BaseException as error:
            os.write(tells, type(error).__name__.encode())
        os._exit(0)
    os.close(tells)
    os.waitpid(child, 0)
    with os.fdopen(told) as answer:
        return answer.read()


# ── 125: races ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def meanwhile(act):
    """Have another process do something as fast as it can."""
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            while True:
                act()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_125_links_swapped_in_at_the_target_while_it_is_written(room, victim):
    """Another process plants links, second names and FIFOs at the target all the while; after 2,000 writes the victim is as it was."""
    target, turn = room / "own" / "key", iter(range(1 << 60))
    planted = [PLANTED[kind] for kind in ("symlink", "second name", "FIFO", "symlink to a folder")]

    def plant():
        spare = room / "spare"
        with contextlib.suppress(OSError):
            spare.unlink(missing_ok=True)
            planted[next(turn) % len(planted)](spare, victim)
            spare.rename(target)

    with Folder(target.parent) as folder, meanwhile(plant):
        for number in range(2000):
            folder.write(File("key", Sensitive(f"fake-{number}")))
    assert untouched(victim)
    assert sorted(path.name for path in target.parent.iterdir()) in ([], ["key"])
    assert list(victim.parent.iterdir()) == [victim]


def test_125_links_swapped_in_at_what_is_shredded(room, victim):
    """Another process exchanges the file for a link to the victim while it is overwritten, 3,000 times: the victim keeps content and mode."""
    target, spare = room / "own" / "key", room / "spare"

    def plant():
        with contextlib.suppress(OSError):
            spare.unlink(missing_ok=True)
            spare.symlink_to(victim)
            spare.rename(target)
            spare.write_text("a plain file")
            spare.rename(target)

    with Folder(target.parent) as folder, meanwhile(plant):
        for _ in range(3000):
            folder.shred("key")
    assert untouched(victim)


def test_125_links_swapped_in_for_the_folder_while_it_is_opened(room, victim):
    """Another process exchanges the folder for a link to the victim's, back and forth: nothing is ever written there."""
    own, link, aside = room / "own", room / "link", room / "aside"
    own.mkdir(mode=0o700)

    def swap():
        with contextlib.suppress(OSError):
            link.symlink_to(victim.parent)
        with contextlib.suppress(OSError):
            own.rename(aside)
            link.rename(own)
        with contextlib.suppress(OSError):
            own.unlink()
        with contextlib.suppress(OSError):
            aside.rename(own)

    ends = {"written": 0, "refused": 0}
    with meanwhile(swap):
        for number in range(3000):
            try:
                with Folder(own, create=False) as folder:
                    folder.write(File("victim", Sensitive(f"fake-{number}")))
                ends["written"] += 1
            except (MlSecretsError, OSError):
                ends["refused"] += 1
    assert untouched(victim)
    assert list(victim.parent.iterdir()) == [victim]
    assert min(ends.values()) > 0, f"the race was none: {ends}"


def test_125_a_reader_sees_one_whole_value_or_another(room):
    """While a file is written 3,000 times over, a reader finds it there each time, never empty, torn or with another mode."""
    contents = [Sensitive(letter * size) for letter, size in (("a", 10), ("b", 70_000), ("c", 3))]
    seen, done, wrong = set(), threading.Event(), []
    with Folder(room) as folder:
        folder.write(File("key", contents[0]))

        def read():
            while not done.is_set():
                with (room / "key").open("rb") as file:
                    text, mode = file.read().decode(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                seen.add(text)
                if mode != 0o400:
                    wrong.append(mode)

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(3000):
            folder.write(File("key", contents[number % 3]))
        done.set()
        reader.join()
    assert not wrong
    assert seen <= {content.reveal() for content in contents}
    assert len(seen) == 3


# ── 126 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def dies_at(step, act):
    """Do something in a child that is killed (-9) before its `step`th line in the rooms that write. True: it was done before."""
    child = os.fork()
    if not child:
        left, ours = step, {files.__file__, descriptors.__file__, generations.__file__}

        def traced(frame, event, argument):
            nonlocal left
            if frame.f_code.co_filename not in ours:
                return None
            if event == "line":
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return traced

        sys.settrace(traced)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert not os.WEXITSTATUS(status)
        return True
    assert os.WTERMSIG(status) == signal.SIGKILL
    return False


def test_126_killed_between_any_two_steps_the_old_files_are_whole_and_nothing_is_left(room):
    """kill -9 ahead of every line of a write: each file is the old one or the new one, with its mode, and the next start clears up."""
    held = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, held[1]))
    before, after = [File(name, OLD) for name in "ab"], [File(name, VALUE) for name in "ab"]
    halves, ends = 0, set()

    def write():
        with Folder(room) as folder:
            folder.write(*after)

    step, done = 0, False
    while not done:
        step += 1
        with Folder(room) as folder:
            folder.write(*before)
        done = dies_at(step, write)
        halves += len(list(room.glob(".ml-secrets.*.part")))
        for part in room.glob(".ml-secrets.*.part"):
            assert stat.S_IMODE(part.stat().st_mode) in (0o600, 0o400)
        states = [(room / name).read_text() for name in "ab"]
        ends.add(tuple(states))
        assert set(states) <= {OLD.reveal(), VALUE.reveal()}
        assert all(is_ours(room / name, Sensitive(text)) for name, text in zip("ab", states, strict=True))
        Folder(room).close()
        assert sorted(path.name for path in room.iterdir()) == ["a", "b"]
    resource.setrlimit(resource.RLIMIT_CORE, held)
    assert step > 60, "the lines of a write were not seen"
    assert halves > 10, "no death fell between making a file and moving it"
    assert (OLD.reveal(), OLD.reveal()) in ends
    assert (VALUE.reveal(), VALUE.reveal()) in ends


def test_126_killed_between_any_two_steps_of_an_exchange_there_is_no_mix(room):
    """kill -9 ahead of every line: who opens what is in place reads all old files or all new ones; the next start leaves one generation."""
    held = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, held[1]))
    before, after = [File(name, OLD) for name in "ab"], [File(name, VALUE) for name in "ab"]

    def exchange():
        with Folder(room) as folder:
            folder.exchange(*after)

    step, done, ends, left = 0, False, set(), 0
    while not done:
        step += 1
        with Folder(room) as folder:
            folder.exchange(*before)
        done = dies_at(step, exchange)
        states = [(room / "..data" / name).read_text() for name in "ab"]
        assert states == [(room / name).read_text() for name in "ab"]
        ends.add(tuple(states))
        left += len(list(room.iterdir())) != 4
        Folder(room).close()
        assert len(list(room.iterdir())) == 4
    resource.setrlimit(resource.RLIMIT_CORE, held)
    assert step > 100, "the lines of an exchange were not seen"
    assert left > 10, "no death fell between making a generation and dropping the other"
    assert ends == {(OLD.reveal(),) * 2, (VALUE.reveal(),) * 2}


def test_126_killed_while_shredding_nothing_comes_back(room):
    """The value or zeros are there until the name is gone; shredding again ends it."""
    step, done, ends = 0, False, set()
    zeros = bytes(len(OLD.reveal()))

    def shred():
        with Folder(room) as folder:
            folder.shred("a")

    while not done:
        step += 1
        with Folder(room) as folder:
            folder.write(File("a", OLD))
        done = dies_at(step, shred)
        ends.add((room / "a").read_bytes() if (room / "a").exists() else None)
        with Folder(room) as folder:
            folder.shred("a")
        assert list(room.iterdir()) == []
    assert ends == {OLD.reveal_bytes(), zeros, None}


def test_126_what_a_living_writer_has_half_done_is_left_alone(room):
    """Another process that opens the folder waits for it: nothing is swept away under it."""
    part = room / ".ml-secrets.0123456789abcdef.part"
    begins, goes_on = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with Folder(room) as folder, folder._locked():
            part.write_text("half")
            os.write(begins[1], b"x")
            os.read(goes_on[0], 1)
            still = part.exists()
            part.unlink()
        os._exit(0 if still else 1)
    os.read(begins[0], 1)
    opener = threading.Thread(target=lambda: Folder(room).close())
    opener.start()
    opener.join(0.3)
    assert opener.is_alive()
    os.write(goes_on[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    opener.join()
    for end in (*begins, *goes_on):
        os.close(end)


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def fetch(server, *arguments, **settings):
    """`ml-secrets fetch` in a process of its own, under umask 0."""
    environment = {
        "PATH": os.environ["PATH"],
        "ML_SECRETS_ADDR": server.url,
        "ML_SECRETS_TOKEN": server.token,
    }
    command = [sys.executable, "-m", "ml_secrets.cli", "fetch", "--format", "json", *map(str, arguments)]
    return subprocess.run(
        command, env=environment, umask=0, capture_output=True, text=True, check=False, timeout=60, **settings
    )


@pytest.fixture(scope="module")
def held(dev_server):
    """A server with a secret."""
    with Client(dev_server.url, dev_server.token) as client:
        client.write("secret/data/files", {"data": {"key": VALUE.reveal(), "user": "ada"}})
    return dev_server


def test_125_fetch_leaves_files_for_one_user_and_tells_no_value(held, room, victim):
    """By the command line, over planted links: mode 0400 under umask 0, the same again changes nothing, and no value is printed."""
    (room / "own").mkdir(mode=0o700)
    (room / "own" / "key").symlink_to(victim)
    ask = ("--to", room / "own", "--file", "KEY_FILE=secret://secret/files#key")
    first, again = fetch(held, *ask, cwd=room), fetch(held, *ask, cwd=room)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert [json.loads(one.stdout)["files"][0]["changed"] for one in (first, again)] == [True, False]
    assert is_ours(room / "own" / "key")
    assert untouched(victim)
    assert VALUE.reveal() not in first.stdout + first.stderr


def test_125_fetch_asks_for_nothing_where_it_could_not_write(held, room, victim):
    """A folder that is refused is refused before any secret has left the server."""
    (room / "own").symlink_to(victim.parent)
    nowhere = type(held)("http://127.0.0.1:9", held.token, held.process, held.log)
    done = fetch(nowhere, "--to", room / "own", "--file", "KEY_FILE=secret://secret/files#key", cwd=room)
    assert done.returncode == 1
    assert "symbolic link" in done.stderr


def test_126_fetch_writes_all_or_nothing(held, room):
    """One secret that cannot be had: exit code 2, each failure named, and what was there before is as it was."""
    file = "KEY_FILE=secret://secret/files#key"
    assert fetch(held, "--to", room / "own", "--file", file, cwd=room).returncode == 0
    before = (room / "own" / "key").stat()
    bad = (
        "--file",
        "NEW=secret://secret/files#user",
        "--file",
        "X=secret://secret/none#x",
        "--file",
        "Y=secret://secret/files#z",
    )
    done = fetch(held, "--to", room / "own", "--file", file, *bad, cwd=room)
    assert done.returncode == 2
    assert "2 of 4 secrets cannot be had" in done.stderr
    assert "secret://secret/none#x" in done.stderr
    assert "secret://secret/files#z" in done.stderr
    assert VALUE.reveal() not in done.stdout + done.stderr
    assert [path.name for path in (room / "own").iterdir()] == ["key"]
    assert (room / "own" / "key").stat() == before


def test_126_fetch_exchanges_files_by_one_rename(held, room):
    """`together = true`, over what somebody planted: links of ours to what is in place, and for root's user all of it theirs."""
    (room / "own").mkdir(mode=0o700)
    (room / "own" / "key").symlink_to("/etc/passwd")
    declared = room / "ml-secrets.toml"
    declared.write_text('together = true\nfiles.KEY_FILE = "secret://secret/files#key"\n')
    declared.chmod(0o600)
    for turn in range(2):
        done = fetch(held, "--to", room / "own", "--config", declared, cwd=room)
        assert done.returncode == 0, done.stderr
        assert ('"changed": false' in done.stdout) == bool(turn)
    assert (room / "own" / "key").readlink() == Path("..data/key")
    assert (room / "own" / "key").read_bytes() == VALUE.reveal_bytes()
    assert len(list((room / "own").iterdir())) == 3
    assert Path("/etc/passwd").stat().st_size > len(VALUE.reveal())


@for_root
def test_125_root_fetches_for_another_user(held, room):
    """The user gets in and reads; nobody else does."""
    room.chmod(0o755)
    ask = (
        "--to",
        room / "app",
        "--owner",
        f"{OTHER}:{OTHER}",
        "--file",
        "KEY_FILE=secret://secret/files#key",
    )
    assert fetch(held, *ask, cwd=room).returncode == 0
    assert json.loads(fetch(held, *ask, cwd=room).stdout)["files"][0]["changed"] is False
    assert as_other(lambda: is_ours(room / "app" / "key")) == ""
    found = (room / "app" / "key").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o400, OTHER, OTHER)
