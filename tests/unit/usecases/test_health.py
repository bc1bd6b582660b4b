"""Whether the server is well: what is asked of this machine before it works."""

from __future__ import annotations

import dataclasses
import time

import pytest
from structlog.testing import CapturingLogger

from penstock.core import limits
from penstock.core.errors import SettingInvalid
from penstock.storage.blobs.memory import MemoryBlobs
from penstock.storage.figures import SqlFigures
from penstock.storage.work_records import SqlWorkRecords
from penstock.usecases.health import HealthChecks
from penstock.worker.serving import compare_clocks
from penstock.worker.supervisor import Supervisor
from tests.unit.worker.twins import STATE, TwinWork


def checks(database, *, ahead_s):
    return HealthChecks(database, MemoryBlobs(), SqlFigures(), lambda: time.time() + ahead_s)


def test_a_clock_that_agrees_is_taken(database):
    checks(database, ahead_s=0).require_same_time()


@pytest.mark.parametrize(("ahead_s", "words"), [(30, r"\d\d\.\d s ahead of"), (-60, r"\d\d\.\d s behind")])
def test_a_clock_that_does_not_agree_with_the_database_s_is_refused(database, ahead_s, words):
    if database.engine.dialect.name == "sqlite":  # it has no clock of its own
        checks(database, ahead_s=ahead_s).require_same_time()
        return
    with pytest.raises(SettingInvalid, match=words) as refused:
        checks(database, ahead_s=ahead_s).require_same_time()
    assert "NTP" in refused.value.hint


@pytest.mark.parametrize(("ahead_s", "words"), [(0.2, None), (3.0, "3.0 s ahead of"), (-90.0, "90.0 s behind")])
def test_a_worker_s_clock_that_goes_wrong_is_told_to_whatever_watches(database, ahead_s, words):
    well, log = checks(database, ahead_s=0), CapturingLogger()
    state = dataclasses.replace(STATE, sandbox_level="landlock+seccomp")
    supervisor = Supervisor(state, TwinWork(), (), lambda _s: None, log)
    compare_clocks(well.clock_ahead_s, supervisor)
    assert supervisor.clock_ahead_s == 0, "it is this machine's"
    compare_clocks(lambda: ahead_s, supervisor)
    beaten = dataclasses.replace(state, clock_ahead_s=supervisor.clock_ahead_s)
    database.write(lambda tx: SqlWorkRecords().put_worker(tx, beaten, now=time.time()))
    found = well.check()
    assert (found.state == "degraded", "clock" in found.checks) == (words is not None, words is not None)
    assert words is None or words in found.checks["clock"]
    compare_clocks(lambda: 0.0, supervisor)
    told = [call.args[0] for call in log.calls]
    assert told == ([] if words is None else ["clock.apart", "clock.agreed"])


def test_a_disk_that_is_nearly_full_is_told_to_whatever_watches_and_harms_nobody_yet(database, tmp_path, monkeypatch):
    well = checks(database, ahead_s=0)
    well.folders = (str(tmp_path),)
    assert "disk" not in well.check().checks
    monkeypatch.setattr(limits, "DISK_FREE", dataclasses.replace(limits.DISK_FREE, value=2**40))
    found = well.check()
    assert found.state == "degraded"
    assert " are free; make room before it is" in found.checks["disk"]
    assert str(tmp_path) not in found.checks["disk"]  # anybody may ask for the health
