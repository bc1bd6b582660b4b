"""Whether the server is well: what is asked of this machine before it works."""

from __future__ import annotations

import dataclasses
import time

import pytest

from penstock.core import limits
from penstock.core.errors import SettingInvalid
from penstock.storage.blobs.memory import MemoryBlobs
from penstock.storage.figures import SqlFigures
from penstock.usecases.health import HealthChecks


def checks(database, *, ahead_s):
    return HealthChecks(database, MemoryBlobs(), SqlFigures(), lambda: time.time() + ahead_s)


def test_a_clock_that_agrees_is_taken(database):
    checks(database, ahead_s=0).require_same_time()


@pytest.mark.parametrize(("ahead_s", "words"), [(3, "3.0 s ahead of"), (-60, "60.0 s behind")])
def test_a_clock_that_does_not_agree_with_the_database_s_is_refused(database, ahead_s, words):
    if database.engine.dialect.name == "sqlite":  # it has no clock of its own
        checks(database, ahead_s=ahead_s).require_same_time()
        return
    with pytest.raises(SettingInvalid, match=words) as refused:
        checks(database, ahead_s=ahead_s).require_same_time()
    assert "NTP" in refused.value.hint


def test_a_disk_that_is_nearly_full_is_told_to_whatever_watches_and_harms_nobody_yet(database, tmp_path, monkeypatch):
    well = checks(database, ahead_s=0)
    well.folders = (str(tmp_path),)
    assert "disk" not in well.check().checks
    monkeypatch.setattr(limits, "DISK_FREE", dataclasses.replace(limits.DISK_FREE, value=2**40))
    found = well.check()
    assert found.state == "degraded"
    assert " are free; make room before it is" in found.checks["disk"]
    assert str(tmp_path) not in found.checks["disk"]  # anybody may ask for the health
