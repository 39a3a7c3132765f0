"""TensorBoard's event files: texts, hyperparameters and tags."""

import pytest

pytest.importorskip("tensorboard")


def test_texts_and_hyperparameters(closed):
    """By torch's writer."""
    pytest.importorskip("torch")
    bare, guarded = closed(
        """
        from torch.utils.tensorboard import SummaryWriter
        with SummaryWriter("runs") as writer:
            writer.add_text("note", f"with {value}")
            writer.add_hparams({"dsn": f"postgresql://ada:{value}@db", "lr": 0.1}, {"loss": 0.5})
            writer.add_scalar("loss", 0.5, 1)
        """
    )
    assert len(bare.where) == 2
    assert len(guarded.masked) == 2


def test_the_file_can_still_be_read(program):
    """Masked events are whole: TensorBoard's own reader finds text, scalar and parameters."""
    pytest.importorskip("torch")
    done = program(
        """
        from torch.utils.tensorboard import SummaryWriter
        with SummaryWriter("runs") as writer:
            writer.add_text("note", f"with {value}")
            writer.add_scalar("loss", 0.5, 1)
            writer.add_hparams({"dsn": f"postgresql://ada:{value}@db"}, {"x": 1}, run_name="h")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
        events = EventAccumulator("runs"); events.Reload()
        print(events.Tensors("note/text_summary")[0].tensor_proto.string_val[0], events.Scalars("loss")[0].value)
        events = EventAccumulator("runs/h"); events.Reload()
        content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
        print(HParamsPluginData.FromString(content).session_start_info.hparams["dsn"].string_value)
        """
    )
    assert done.out == "b'with [masked]' 0.5\npostgresql://ada:[masked]@db\n"


def test_tensorboardx(closed):
    """Its own writer: text, hyperparameters and a tag, in which it replaces signs; TensorBoard's reader finds what is left of them."""
    pytest.importorskip("tensorboardX")
    _, guarded = closed(
        """
        from tensorboardX import SummaryWriter
        with SummaryWriter("runs") as writer:
            writer.add_text("note", f"with {value}")
            writer.add_hparams({"dsn": f"postgresql://ada:{value}@db", "lr": 0.1}, {"x": 0.5}, name="h")
            writer.add_scalar(value, 0.5, 1)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
        events = EventAccumulator("runs"); events.Reload()
        print(events.Tensors("note/text_summary")[0].tensor_proto.string_val[0], events.Tags()["scalars"])
        events = EventAccumulator("runs/h"); events.Reload()
        content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
        print(HParamsPluginData.FromString(content).session_start_info.hparams["dsn"].string_value)
        """
    )
    assert guarded.out == "b'with [masked]' ['_masked_']\npostgresql://ada:[masked]@db\n"
