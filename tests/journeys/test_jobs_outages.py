"""Jobs while something is down, full or ending: work waits, says why, and nothing is lost."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import os
import signal
import threading
import time

import orjson
import pytest

from penstock.core import limits
from penstock.core.access import Policy
from penstock.core.jobs import Webhook
from tests.processes import descendants_of, still_there, wait_for
from tests.servers import start_s3
from tests.workers import open_site

KEY = base64.b64encode(bytes(32)).decode()
SLOW = b"""
def process(data):
    total = 0
    for number in range(data["loops"]):
        total += number
    return {"total": total}
"""
MOMENT = b'{"loops": 8000000}\n'
LONG = b'{"loops": 2000000000}\n'
LARGE = b'{"a":1}\n' * 8_000  # too large to be a row of the database
assert len(LARGE) > limits.SMALL_BLOB.value * 1024


@pytest.fixture
def site(tmp_path):
    """A server without workers."""
    with open_site(tmp_path) as opened:
        yield opened


def test_a_worker_that_is_asked_to_end_finishes_what_runs_and_leaves_the_rest_to_others(site):
    ada = site.actor()
    site.publish(ada, SLOW)
    worker = site.start_worker()
    jobs = [site.submit(ada, MOMENT).id for _ in range(6)]
    wait_for(lambda: "running" in site.states(jobs).values())
    processes = descendants_of(worker.pid)
    assert worker.stop() == 0
    assert still_there(processes) == []
    states = list(site.states(jobs).values())
    assert "succeeded" in states, "what ran has finished"
    assert states.count("succeeded") < len(jobs), "what had not begun went back"
    site.start_worker()
    assert {job.state for job in site.wait(ada, jobs, timeout_s=60)} == {"succeeded"}
    for job in jobs:
        (attempt,) = site.server.jobs.attempts(job, actor=ada)
        assert attempt.attempt == 1, "what was given back has cost no attempt"


def test_long_jobs_of_one_workspace_do_not_keep_out_another(site):
    ada, bob = site.actor(), site.actor("ws_2")
    site.publish(ada, SLOW)
    site.publish(bob, SLOW)
    worker = site.start_worker()
    long = [site.submit(ada, LONG).id for _ in range(4)]
    wait_for(lambda: list(site.states(long).values()).count("running") >= 2)
    started_s = time.monotonic()
    for _ in range(3):
        (job,) = site.wait(bob, [site.submit(bob).id], timeout_s=30)
        assert job.state == "failed", "its record has no loops"
    assert time.monotonic() - started_s < 20
    waiting = wait_for(lambda: site.server.jobs.waiting(long[-1], actor=ada))
    assert "2 of 2 places of 1 worker are taken" in waiting.sentence
    worker.kill()


def test_a_second_signal_ends_a_worker_at_once_and_gives_its_work_back(site):
    ada = site.actor()
    site.publish(ada, SLOW)
    worker = site.start_worker()
    job = site.submit(ada, LONG)
    wait_for(lambda: site.job(ada, job.id).state == "running")
    worker.process.terminate()
    time.sleep(0.3)
    assert worker.process.poll() is None, "it waits for what runs"
    assert worker.stop() == 0
    waiting = site.server.jobs.waiting(job.id, actor=ada)
    assert waiting is not None
    assert waiting.code in ("worker_drained", "no_worker")


def test_killing_a_worker_leaves_no_process_behind(site):
    worker = site.start_worker()
    processes = descendants_of(worker.pid)
    assert len(processes) >= 2
    worker.kill()
    assert still_there(processes) == []


def test_a_worker_whose_runners_are_stuck_leaves_no_process_behind_either(site):
    ada = site.actor()
    site.publish(ada, SLOW)
    worker = site.start_worker(runners=2)
    job = site.submit(ada, LONG).id
    wait_for(lambda: site.states([job])[job] == "running")
    below = descendants_of(worker.pid)
    for runner in worker.runners():
        os.kill(runner, signal.SIGSTOP)  # it hears nothing, and so not that its supervisor is gone
    worker.kill()
    assert still_there(below) == []


def test_a_sandbox_that_has_died_comes_back_and_costs_no_attempt(site):
    ada = site.actor()
    site.publish(ada)
    worker = site.start_worker()
    site.wait(ada, [site.submit(ada).id])
    (runner,) = worker.runners()
    for pid in descendants_of(runner):  # zygotes and parked children, as when memory is short
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    jobs = [site.submit(ada).id for _ in range(8)]
    assert {job.state for job in site.wait(ada, jobs, timeout_s=60)} == {"succeeded"}
    for job in jobs:
        assert {attempt.attempt for attempt in site.server.jobs.attempts(job, actor=ada)} == {1}


def test_a_restart_of_the_database_loses_nothing(tmp_path, postgres, fresh_database_url):
    environment = {"PENSTOCK_DATABASE_URL": fresh_database_url("postgresql"), "PENSTOCK_MASTER_KEY": KEY}
    with open_site(tmp_path, **environment) as site:
        ada = site.actor()
        site.publish(ada, SLOW)
        worker = site.start_worker(runners=2)
        jobs = [site.submit(ada, b'{"loops": 3000000}\n').id for _ in range(20)]
        wait_for(lambda: "succeeded" in site.states(jobs).values())
        postgres.stop()
        time.sleep(3.0)  # longer than any lease
        postgres.start()
        assert {job.state for job in site.wait(ada, jobs, timeout_s=60)} == {"succeeded"}
        assert worker.process.poll() is None
        for job in jobs:
            attempts = site.server.jobs.attempts(job, actor=ada)
            assert [(each.outcome, each.attempt) for each in attempts] == [("succeeded", 1)], site.logs()


def test_an_outage_of_the_blob_store_costs_no_attempt_and_is_the_reason_that_is_given(tmp_path, monkeypatch):
    with start_s3() as first:
        environment = {**first.environment, "PENSTOCK_BLOBS": f"s3://{first.fresh_bucket()}/p"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with open_site(tmp_path, **environment) as site:
            ada = site.actor()
            site.publish(ada)
            site.start_worker()
            (warm,) = site.wait(ada, [site.submit(ada, LARGE).id])
            assert warm.state == "succeeded"
            job = site.submit(ada, LARGE, not_before=time.time() + 1)
            first.process.terminate()
            first.process.wait()

            def reason():
                waiting = site.server.jobs.waiting(job.id, actor=ada)
                return waiting.code if waiting else None

            wait_for(lambda: reason() == "blobs_unavailable", timeout_s=60)
            site.server.jobs.cancel(job.id, actor=ada)
            site.wait(ada, [job.id])


def test_a_full_disk_costs_no_attempt_and_is_the_reason_that_is_given(site, tmp_path):
    """The folder of blobs cannot be written to, as when the disk is full."""
    ada = site.actor()
    site.publish(ada)
    job = site.submit(ada, LARGE)
    blobs = tmp_path / "home" / "blobs"
    aside = tmp_path / "aside"
    folder = blobs / ada.workspace / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    folder.write_bytes(b"")  # no folder can be made here now
    site.start_worker()

    def reason():
        waiting = site.server.jobs.waiting(job.id, actor=ada)
        return waiting.code if waiting else None

    wait_for(lambda: reason() == "blobs_unavailable", timeout_s=20)
    folder.unlink()
    aside.rename(folder)
    (done,) = site.wait(ada, [job.id], timeout_s=30)
    assert done.state == "succeeded"
    assert {attempt.attempt for attempt in site.server.jobs.attempts(job.id, actor=ada)} == {1}


class Receiver:
    """Takes webhooks; answers as it is told, then with success."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.end_headers()

            def log_message(self, *_):
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver(503)
    yield receiver
    receiver.close()


def allow(site, workspace, *egress):
    """Let a workspace's webhooks reach what is not public."""
    from penstock.access.workspaces import SqlWorkspaces

    policy = Policy(egress)
    site.server.database.write(lambda tx: SqlWorkspaces(time.time).set_policy(tx, workspace, policy))


def test_a_webhook_tells_that_a_job_has_ended_signed_and_again_until_it_is_taken(site, receiver):
    ada = site.actor()
    site.publish(ada)
    site.server.secrets.put("signing", b"whsec_" + base64.b64encode(b"key"), actor=ada)
    allow(site, ada.workspace, "127.0.0.1")
    site.start_worker()
    job = site.submit(ada, labels={"day": "1"}, webhook=Webhook(receiver.url, "signing"))
    wait_for(lambda: len(receiver.got) == 2, timeout_s=30)
    (first, body), (second, same_body) = receiver.got
    headers = {name.lower(): value for name, value in second.items()}
    assert body == same_body
    assert headers["webhook-id"] == {name.lower(): value for name, value in first.items()}["webhook-id"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"key", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = orjson.loads(body)
    assert (told["type"], told["data"]["id"], told["data"]["labels"]) == ("job.succeeded", job.id, {"day": "1"})
    assert told["data"]["counts"]["records"] == 1


def test_a_webhook_to_an_address_that_is_not_public_is_not_sent(site, receiver):
    ada = site.actor()
    site.publish(ada)
    site.server.secrets.put("signing", b"key", actor=ada)
    allow(site, ada.workspace, "127.0.0.1")
    job = site.submit(ada, webhook=Webhook(receiver.url, "signing"))
    allow(site, ada.workspace)  # what may be reached is looked at again
    site.start_worker()
    site.wait(ada, [job.id])

    def refused():
        attempts = site.server.jobs.attempts(job.id, actor=ada)
        return [attempt.error["code"] for attempt in attempts if attempt.part == "webhook" and attempt.error]

    assert wait_for(refused, timeout_s=20)[0] == "egress_refused"
    assert receiver.got == []
