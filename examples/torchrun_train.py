"""Train on every process of a machine, with secrets that all of them ask for together.

Nothing here says so: torchrun does, and `get_secret` goes by it. Each rank and each worker of its DataLoader asks as if it
were alone; the server sees one login and one read of each secret for all of them.

    torchrun --standalone --nproc-per-node 32 torchrun_train.py --epochs 2

Who the job is comes from ROLE_ID_FILE and SECRET_ID_FILE, the files of an AppRole.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from ml_secrets import Client
from ml_secrets.client import approle

client = Client(
    login=approle(
        Path(os.environ["ROLE_ID_FILE"]).read_text().strip(),
        Path(os.environ["SECRET_ID_FILE"]).read_text().strip(),
    )
)


class Shards(Dataset):
    """Samples that each lie in a store of their own: workers need its key when they open it."""

    def __init__(self, shards: int) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return 4 * self.shards

    def __getitem__(self, index: int) -> torch.Tensor:
        key = client.get_secret(f"shards/{index % self.shards}").reveal()
        assert key, "a shard without a key cannot be opened"
        return torch.full((4,), float(len(key)))


def main() -> None:
    """One model, trained by all ranks; rank 0 says how it went."""
    options = argparse.ArgumentParser()
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--shards", type=int, default=20)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    model = DistributedDataParallel(torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    loader = DataLoader(Shards(chosen.shards), batch_size=8, num_workers=chosen.workers)
    for _ in range(chosen.epochs):
        for batch in loader:
            optimizer.zero_grad()
            loss = (model(batch) - 1).square().mean()
            loss.backward()
            optimizer.step()
    if dist.get_rank() == 0:
        print(f"trained by {dist.get_world_size()} ranks, loss {loss.item():.4f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
