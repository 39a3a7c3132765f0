"""A house to open: a barrier over a storage, units, a token registry, and the opening over them."""

import base64
import os

import pytest

from ml_secrets.barrier.barrier import Barrier
from ml_secrets.barrier.seals.keyfile import KeyFile
from ml_secrets.domain.token import TokenEntry
from ml_secrets.pipeline.opening import Opening
from ml_secrets.pipeline.units import Units
from ml_secrets.registry.tokens import Keys, Tokens
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.storage.sqlite import SqliteStorage

NOW = 1_700_000_000.0
FIVE = {"secret_shares": 5, "secret_threshold": 3}


class House:
    """A barrier, units, a token registry, and the opening over them: what a server puts together."""

    def __init__(self, storage, auto=None, **more):
        self.now = NOW
        self.log = []
        self.storage = storage
        self.barrier = Barrier(storage, os.urandom)
        self.units = Units(self.barrier, lambda: self.now)
        self.tokens = Tokens(
            Keys(self.barrier.subkey, self.barrier.seal_blob, self.barrier.open_blob), os.urandom
        )
        self.fail = None
        self.opening = Opening(
            self.barrier,
            self.units,
            storage=storage,
            auto=auto,
            random=os.urandom,
            clock=lambda: self.now,
            first_run=self.new_root,
            new_root=self.new_root,
            opened=self.opened,
            closed=self.closed,
            **more,
        )

    def again(self, auto=None, **more):
        """The same store under a server that was started again."""
        return House(self.storage, auto, **more)

    def new_root(self, unit):
        entry = TokenEntry(
            accessor=self.tokens.new_accessor(),
            policies=("root",),
            path="auth/token/root",
            created=unit.now,
            expires=None,
        )
        return self.tokens.issue(unit, entry)

    def opened(self):
        self.log.append("opened")
        if self.fail:
            raise self.fail

    def closed(self):
        self.log.append("closed")
        self.tokens.forget_all()

    @staticmethod
    def decoded(encoded, password):
        """A token that was hidden by a one-time password."""
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        return bytes(a ^ b for a, b in zip(raw, password.encode(), strict=True)).decode()

    def knows(self, token):
        return self.units.read(lambda unit: self.tokens.find(unit, token)) is not None

    def put(self, key, value):
        with self.units.write() as unit:
            unit.tx.put(key, value)

    def get(self, key):
        return self.units.read(lambda unit: unit.tx.get(key))

    def write(self, work):
        """Run an operation as the pipeline does: inside a write unit."""
        with self.units.write() as unit:
            return work(unit)

    def unseal(self, keys):
        for key in keys:
            status = self.opening.unseal(key, reset=False)
        return status

    def rekey(self, keys, *, shares=1, threshold=1, verify=False, recovery=False):
        attempt = self.opening.rekey_target(recovery=recovery)
        nonce = attempt.start(shares, threshold, verify=verify)["nonce"]
        for key in keys:
            answer = self.write(lambda unit, key=key: attempt.update(unit, key, nonce))
        return answer


@pytest.fixture(params=["memory", "sqlite"])
def storage(request, tmp_path):
    made = MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def house(storage):
    return House(storage)


@pytest.fixture
def opened(house):
    house.made = house.opening.initialize(FIVE)
    house.unseal(house.made["keys"][:3])
    return house


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / "keys" / "store.key"


@pytest.fixture
def auto(key_file, tmp_path):
    return KeyFile(key_file, tmp_path / "store")


@pytest.fixture
def automatic(storage, auto):
    house = House(storage, auto)
    house.made = house.opening.open_automatically(initialize={})
    return house


@pytest.fixture
def make_house():
    return House
