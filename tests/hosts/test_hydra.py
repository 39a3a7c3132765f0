"""Hydra writes overrides into three files and names folders after them; guarded, none holds the value."""

import pytest

pytest.importorskip("hydra")

APP = """
import hydra
from omegaconf import DictConfig, OmegaConf

@hydra.main(version_base=None, config_path=None, config_name="config")
def main(config):
    assert config.db.password == value
    print(OmegaConf.to_yaml(config))

from hydra.core.config_store import ConfigStore
ConfigStore.instance().store("config", {"db": {"user": "ada", "password": "???"}, "note": "", "lr": 0.1, "pad_token": "<pad>"})
main()
"""
VALUE = "sk-example-4f9d/7+Zq.notakey"
FILES = {f"out/.hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}


def test_an_override_in_three_files(closed):
    """config.yaml, hydra.yaml, overrides.yaml and what is printed."""
    bare, guarded = closed(APP, f"db.password={VALUE}", f"note=see {VALUE} here", "hydra.run.dir=out")
    assert bare.where == FILES | {"stdout"}
    assert (guarded.folder / "out/.hydra/config.yaml").read_text() == (
        "db:\n  user: ada\n  password: '[masked]'\nnote: see [masked] here\nlr: 0.1\npad_token: <pad>\n"
    )


def test_a_value_that_was_typed_and_never_handed_out(program):
    """Nobody knows it but its name."""
    app = APP.replace("assert config.db.password == value", "assert config.db.password == 'typed-by-hand'")
    done = program(app, "db.password=typed-by-hand", "hydra.run.dir=out")
    assert done.holding("typed-by-hand") == set()
    assert "pad_token: <pad>" in done.out
    bare = program(app, "db.password=typed-by-hand", "hydra.run.dir=out", mode="")
    assert bare.holding("typed-by-hand") == FILES | {"stdout"}


def test_folders_of_a_sweep(program):
    """A sweep's folders are named after overrides, and multirun.yaml has them too."""
    app = APP.replace("assert config.db.password == value", "")
    sweep = ("-m", "lr=0.1,0.2", "hydra.sweep.dir=out", "hydra.sweep.subdir=${hydra.job.override_dirname}")
    bare = program(app, *sweep, "db.password=typed-by-hand", mode="")
    assert {"out/multirun.yaml", "out/db.password=typed-by-hand,lr=0.1"} <= bare.holding("typed-by-hand")
    done = program(app, *sweep, "db.password=typed-by-hand")
    assert done.holding("typed-by-hand") == set()
    assert (done.folder / "out/db.password=[masked],lr=0.2/.hydra/config.yaml").exists()


def test_a_reference_is_written_instead(program):
    """`${secret:…}` is resolved where it is used; files keep the reference."""
    app = APP.replace("config.db.password == value", "OmegaConf.is_interpolation(config.db, 'password')")
    done = program(app, "db.password=${secret:team-a/db,password}", "hydra.run.dir=out")
    assert "password: ${secret:team-a/db,password}" in (done.folder / "out/.hydra/config.yaml").read_text()
