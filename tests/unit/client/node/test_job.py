"""Which processes belong together, by what their launcher says of them."""

import pytest

from ml_secrets import Invalid
from ml_secrets.client.node.job import job_of

TORCHRUN = {"TORCHELASTIC_RUN_ID": "abc", "LOCAL_WORLD_SIZE": "8", "LOCAL_RANK": "3"}
SLURM = {"SLURM_JOB_ID": "42", "SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "4(x2),3"}


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        (TORCHRUN, "torchrun-abc"),
        (SLURM, "slurm-42"),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "1(x2),2"}, "slurm-42"),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "PMIX_NAMESPACE": "prterun-1"}, "mpi-prterun-1"),
        ({"MPI_LOCALNRANKS": "2"}, "mpi-"),
    ],
)
def test_a_launcher_is_recognised(environ, job):
    """torchrun, Slurm and MPI say of each process which job it is of, and that it is not alone on its machine."""
    assert job_of(environ, "") == job


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {**TORCHRUN, "LOCAL_WORLD_SIZE": "1"},
        {"LOCAL_WORLD_SIZE": "8"},
        {**SLURM, "SLURM_STEP_TASKS_PER_NODE": "1(x8)"},
        {"SLURM_JOB_ID": "42", "SLURM_TASKS_PER_NODE": "8"},
        {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"},
        {"OMPI_COMM_WORLD_LOCAL_SIZE": "many"},
    ],
)
def test_a_process_that_is_alone_on_its_machine_asks_for_itself(environ):
    """One rank on a machine, a batch script, and what only looks like a launcher are alone."""
    assert job_of(environ, "") == ""


def test_the_setting_decides():
    """Off, for a launcher's ranks, too; on without a launcher; a name for those who want to belong together."""
    assert job_of(TORCHRUN, "off") == ""
    assert job_of({}, "on") == "user"
    assert job_of(TORCHRUN, "on") == "torchrun-abc"
    assert job_of(TORCHRUN, "sweep-7") == "named-sweep-7"
    with pytest.raises(Invalid, match="no name"):
        job_of({}, "../x")
