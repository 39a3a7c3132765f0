"""Stateful models of KV version 2, tokens and wrapping, run against our server; and against OpenBao, to check the models.

A model is a few lines that say what the server must know after any calls in any order; hypothesis makes up the calls. One
server plays all histories, each on mounts and tokens of its own.
"""

import contextlib

import pytest
from tests.conformance.models.asking import Server, run
from tests.conformance.models.kv2 import Kv2
from tests.conformance.models.tokens import Tokens
from tests.conformance.models.wrapping import Wrapping

MACHINES = [Kv2, Tokens, Wrapping]
each = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__.lower())


@pytest.fixture(scope="module")
def ours(dev_server):
    """Our development server."""
    with contextlib.closing(Server(dev_server.url, dev_server.token)) as server:
        yield server


@pytest.fixture(scope="module")
def theirs(openbao):
    """OpenBao."""
    with contextlib.closing(Server(openbao.url, openbao.token, patience=5.0)) as server:
        yield server


@each
def test_our_server_does_as_the_model_says(ours, machine):
    """Everyday: a few histories."""
    run(machine, ours, examples=12, steps=20)


@pytest.mark.long
@each
def test_our_server_does_as_the_model_says_for_long(ours, machine):
    """Many and longer ones."""
    run(machine, ours, examples=200, steps=40)


@pytest.mark.long
@each
def test_openbao_does_as_the_model_says(theirs, machine):
    """The model is right: OpenBao does the same."""
    run(machine, theirs, examples=60, steps=30)
