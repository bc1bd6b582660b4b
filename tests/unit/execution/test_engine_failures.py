"""How an engine that gave no answer is told to the owner of the query."""

import pytest

from penstock.core.engines import EngineFailure
from penstock.core.errors import SpoolFull
from penstock.execution.engine_failures import failed


def test_a_full_disk_is_nobodys_query_to_blame_and_is_tried_again():
    failure = EngineFailure(
        "disk_full", "No space left on device in /data, where 0 B of 1.0 MiB are free", killed=False
    )
    with pytest.raises(SpoolFull, match="the query cannot put aside what it needs: No space left on device in /data"):
        failed(failure, "the query")
    assert failed(EngineFailure("limit_disk", "a file grew", killed=False), "the query").code == "task_failed"
