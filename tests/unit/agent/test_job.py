"""What is delivered to a job, and what flags say of it."""

import grp
import os
import pwd
import signal

import pytest

from ml_secrets import Invalid
from ml_secrets.agent import job
from ml_secrets.agent.job import Change, Delivery, Job
from ml_secrets.agent.reference import Reference
from ml_secrets.agent.texts import Text

TEXT = Text.parse("secret://m/p#f")
ROOT = os.geteuid() == 0


def test_flags_declare():
    """A file by its variable, a variable, standard input."""
    (file,) = job.file_flags(["DB_PASSWORD_FILE=secret://m/p#f"])
    assert (file.way, file.variable, file.name, file.mode) == (
        "file",
        "DB_PASSWORD_FILE",
        "db_password",
        0o400,
    )
    (variable,) = job.env_flags(["KEY=x{{ secret://m/p#f }}"])
    assert (variable.way, variable.variable) == ("env", "KEY")
    (stdin,) = job.stdin_flag("secret://m/p")
    assert (stdin.way, stdin.variable) == ("stdin", "")
    assert job.stdin_flag(None) == []
    assert Job((file, variable, stdin)).references == (Reference("m/p", ("f",)), Reference("m/p"))
    assert Job((file, variable, stdin)).of("env") == (variable,)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["fake-value"], "--file is not of the form"),
        (["A=secret://m/p", "=secret://m/p"], "--file number 2 is not of the form"),
        (["9A=secret://m/p"], "--file is not of the form"),
        (["A=fake-value"], "--file, A: there is no reference"),
        (["A="], "--file, A: there is no reference"),
        (["A=secret://m"], "names a mount and no secret"),
        (["A=secret://m/p", "A=secret://m/q"], "number 2: A is there already"),
    ],
)
def test_a_flag_that_is_wrong_is_told_by_its_number(flags, told):
    """What stands there may be a value."""
    with pytest.raises(Invalid, match=told) as refused:
        job.file_flags(flags)
    assert "fake" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "name"), [("DB_PASSWORD_FILE", "db_password"), ("KEY", "key"), ("_FILE", "_file")]
)
def test_a_file_is_named_as_containers_have_it(variable, name):
    """In lower case, without _FILE."""
    assert job.file_name(variable) == name


def test_one_variable_is_delivered_once():
    """A later declaration takes the place of an earlier one; two files of one name are refused."""
    first, other = Delivery("file", "A", TEXT, name="a"), Delivery("env", "A", TEXT)
    assert Job((first,)).with_more([other]).deliveries == (other,)
    with pytest.raises(Invalid, match="two files are to be named a"):
        Job((first, Delivery("file", "B", TEXT, name="a")))


@pytest.mark.parametrize(
    ("text", "mode"), [("0400", 0o400), ("440", 0o440), ("0600", 0o600), ("0660", 0o660)]
)
def test_modes_for_owner_and_group_are_taken(text, mode):
    """In octal, with or without a leading zero."""
    assert job.mode_of(text, "x") == mode


@pytest.mark.parametrize(
    "text", ["0404", "0500", "0040", "", "400 ", "4400", "-400", "0o400", "888", "４００"]
)
def test_other_modes_are_refused(text):
    """For others, to be run, unreadable, or no mode at all."""
    with pytest.raises(Invalid, match="not one for a secret"):
        job.mode_of(text, "x")


def test_an_owner_is_a_name_or_a_number():
    """With its group, or with the one it has."""
    me = pwd.getpwuid(os.geteuid())
    assert job.owner_of(me.pw_name, "x") == job.owner_of(str(me.pw_uid), "x") == (me.pw_uid, me.pw_gid)
    assert job.owner_of(f"{me.pw_uid}:54321", "x") == (me.pw_uid, 54321)
    assert job.owner_of(f"{me.pw_name}:{grp.getgrgid(me.pw_gid).gr_name}", "x") == (me.pw_uid, me.pw_gid)


@pytest.mark.parametrize("text", ["", ":", "no-such-user", "root:no-such-group", "12345", "-1:0", "9" * 30])
def test_an_owner_that_is_not_there_is_refused(text):
    """A number without a name has no group of its own: it has to be said."""
    with pytest.raises(Invalid, match="no such user or group"):
        job.owner_of(text, "x")


@pytest.mark.skipif(ROOT, reason="root gives files away")
def test_only_root_gives_files_away():
    """Anybody else is told so before anything is fetched."""
    with pytest.raises(Invalid, match="only root"):
        job.owner_of("0:0", "x")


def test_changes_that_can_be_acted_on():
    """A signal with or without SIG, a restart, a command."""
    assert job.change_of("HUP", "x") == job.change_of("SIGHUP", "x") == Change(signal=signal.SIGHUP)
    assert job.change_of("restart", "x") == Change(restart=True)
    assert job.change_of(["nginx", "-s", "reload"], "x") == Change(command=("nginx", "-s", "reload"))


@pytest.mark.parametrize("given", ["", "HUPP", "_DFL", "_BLOCK", [], [""], ["a", 1], 1, {}, True, None])
def test_changes_that_mean_nothing_are_refused(given):
    """And the refusal says what there is."""
    with pytest.raises(Invalid, match="nothing to do on a change"):
        job.change_of(given, "x")
