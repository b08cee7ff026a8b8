"""What the tests of the conformance server share: one server of two small models, and a client of each."""

import conformance_server
import pytest
import small_models
from serving_client import Client


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A conformance server of the two small models."""
    base = tmp_path_factory.mktemp("models")
    for name in ("good", "bad"):
        (base / name).mkdir()
    small_models.publish_good(base / "good", small_models.GOOD)
    small_models.publish_bad(base / "bad", 7)
    (base / "good" / "notes").mkdir()
    with conformance_server.Server({name: base / name for name in ("good", "bad")}, poll_seconds=60) as server:
        server.base = base
        yield server


@pytest.fixture(scope="session")
def good(server):
    with Client(server, "good") as client:
        yield client


@pytest.fixture(scope="session")
def bad(server):
    with Client(server, "bad") as client:
        yield client
