"""Ray: variables of a runtime environment, and what tasks close over."""

import pytest

pytest.importorskip("ray")


def test_variables_of_a_runtime_environment(closed):
    """What would be sent to the cluster, of a job and of a task."""
    _, guarded = closed(
        """
        import ray
        from ray.job_config import JobConfig
        from ray.runtime_env import RuntimeEnv
        environment = {"env_vars": {"OPENAI_API_KEY": value, "EPOCHS": "3"}}
        open("job", "wb").write(JobConfig(runtime_env=environment)._serialize())
        open("task", "w").write(RuntimeEnv(**environment).serialize())

        @ray.remote(runtime_env=environment)
        def work(): pass
        open("options", "w").write(str(work._default_options["runtime_env"]))
        """
    )
    assert '"EPOCHS": "3"' in (guarded.folder / "task").read_text()
    assert "OPENAI_API_KEY" in (guarded.folder / "task").read_text()
    assert (
        "Leaking: Ray's runtime_env would have been given the value of openai; it was masked" in guarded.err
    )


def test_what_a_task_closes_over(closed):
    """A function is pickled with the globals that it uses."""
    closed(
        """
        from ray import cloudpickle
        def work():
            return value
        open("task", "wb").write(cloudpickle.dumps(work))
        """
    )
