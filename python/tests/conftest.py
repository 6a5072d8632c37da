"""Fixtures: a place to work in, a store with rows of every type, and a server over it."""

import pytest
import stock
from program import Lineate, serving
from wire import Messages, Wire


@pytest.fixture
def place(tmp_path) -> Lineate:
    """The program in an empty directory; its store is `store`."""
    return Lineate(tmp_path)


@pytest.fixture(scope="session")
def messages(tmp_path_factory) -> Messages:
    """`lineate.v1` as grpcio-tools compiles it."""
    return Messages(tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server over a store that holds the stock, shared by the tests of a module."""
    directory = tmp_path_factory.mktemp("served")
    stock.prepare(Lineate(directory))
    with serving(directory) as server:
        yield server


@pytest.fixture
def wire(messages, served):
    """A channel to the shared server."""
    channel = Wire(messages, served.address)
    yield channel
    channel.close()


@pytest.fixture
def unharmed(served):
    """The shared server. Whatever a test does to it, not a row more or less may be there afterwards."""
    before = stock.seen(served.client)
    yield served.client
    assert stock.seen(served.client) == before
    served.client.verified()
