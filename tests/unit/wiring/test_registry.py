"""Registered scripts for tasks of pipelines."""

import pytest

from penstock.core.errors import BlobsUnavailable, NotFound
from penstock.wiring.registry import registered_scripts
from tests.scripting import Scripting


@pytest.fixture
def scripting(fresh_database):
    return Scripting(fresh_database("sqlite"))


def test_a_range_gives_the_newest_version_that_may_run(scripting):
    ada = scripting.actor()
    scripting.published(ada, "1.2.0", "1.3.0", "2.0.0")
    find = registered_scripts(scripting.database, scripting.blobs)
    found = find("ws_1", "clean", "^1.2")
    assert (found.name, b"1.3.0" in found.source) == ("clean@1.3.0", True)
    with pytest.raises(NotFound):
        find("ws_2", "clean", "^1.2")
    with pytest.raises(NotFound):
        find("ws_1", "clean", "^3")


def test_code_that_was_changed_in_the_store_is_not_run(scripting):
    (version,) = scripting.published(scripting.actor(), "1.0.0")
    scripting.blobs.put(version.code.key, b"def process(data):\n    return None\n")
    with pytest.raises(BlobsUnavailable, match="damaged"):
        registered_scripts(scripting.database, scripting.blobs)("ws_1", "clean", "1.0.0")
