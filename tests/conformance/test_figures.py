"""Health and figures, on both databases."""

from penstock.api.metrics import ServerMetrics
from penstock.core.errors import BlobsUnavailable, DatabaseUnavailable
from penstock.storage.figures import SqlFigures
from penstock.usecases.health import HealthChecks
from tests.service import Service


def checks_of(service: Service) -> HealthChecks:
    return HealthChecks(service.database, service.store, SqlFigures(), service.clock)


def test_a_server_is_well_when_a_worker_is_alive(database):
    service = Service(database)
    health = checks_of(service)
    assert health.check().state == "degraded"
    assert "no worker" in health.check().checks["workers"]
    service.work.heartbeat(service.state(), ())
    found = health.check()
    assert (found.state, found.workers, found.sandbox_level) == ("ok", 1, "landlock+seccomp")
    service.clock.advance(10)
    assert health.check().state == "degraded"


def test_the_lag_is_that_of_the_foremost_entry(database):
    service = Service(database)
    service.submit(service.actor())
    service.clock.advance(7)
    service.submit(service.actor("ws_2"))
    service.submit(service.actor("ws_2"))
    found = {queue.workspace: (queue.ready, queue.running) for queue in checks_of(service).scrape().queues}
    assert found == {"ws_1": (1, 0), "ws_2": (2, 0)}  # though nobody has leased anything yet
    assert checks_of(service).check().queue_lag_s == 7.0
    service.round(count=2)
    found = {queue.workspace: (queue.ready, queue.running) for queue in checks_of(service).scrape().queues}
    assert sum(ready for ready, _ in found.values()) == 1
    assert sum(running for _, running in found.values()) == 2


def test_blobs_that_cannot_be_written_make_it_unavailable(database, monkeypatch):
    service = Service(database)

    def away(_self):
        raise BlobsUnavailable("/srv/blobs is full", hint="h")

    monkeypatch.setattr(type(service.store), "check", away)
    found = checks_of(service).check()
    assert found.state == "unavailable"
    assert found.checks["blobs"] == "the blob store cannot be written to now"  # no folder: anybody may ask


def test_what_ended_is_counted_once(database):
    service = Service(database)
    health = checks_of(service)
    assert health.scrape().attempts == {}
    service.submit(service.actor())
    service.submit(service.actor())
    first, second = service.round().assignments
    causes = [{"code": "limit_cpu", "records": 2}, {"code": "script_error", "records": 3}]
    account = {"records": 9, "produced": 4, "dropped": 0, "failed": 5, "rows": 4, "causes": causes}
    service.round(service.ended(first, report=account), count=0)
    failed = {"code": "limit_memory", "message": "m", "hint": "h"}
    service.round(service.ended(second, outcome="failed", report={}, error=failed), count=0)
    assert health.scrape().attempts == {}  # not settled yet
    service.clock.advance(6)
    for _ in range(2):
        found = health.scrape()
        assert found.attempts == {"succeeded": 1, "failed": 1}
        assert found.errors == {"limit_cpu": 2, "script_error": 3, "limit_memory": 1}


def test_figures_are_told_while_the_database_is_away():
    def away():
        raise DatabaseUnavailable("gone", hint="h")

    samples = {metric.name: metric.samples for metric in ServerMetrics(away, clock=lambda: 0.0).collect()}
    assert [sample.value for sample in samples["penstock_database_up"]] == [0]
    assert len(samples) == 1
