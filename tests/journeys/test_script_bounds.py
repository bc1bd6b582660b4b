"""A script that has a bound of its own: so many of its attempts run at once, and everything else goes on beside it."""

from __future__ import annotations

import base64

import pytest

from tests.processes import wait_for
from tests.servers import KINDS
from tests.workers import open_site

BOUND = 2
BUSY = b"""
def process(data):
    total = 0
    for number in range(20_000_000):
        total += number
    return data
"""


@pytest.fixture(params=KINDS)
def site(request, tmp_path, fresh_database_url):
    """A server on an empty database of each kind, with room for more than the bound."""
    key = base64.b64encode(bytes(32)).decode()
    url = fresh_database_url(request.param)
    with open_site(tmp_path, PENSTOCK_DATABASE_URL=url, PENSTOCK_MASTER_KEY=key) as opened:
        opened.start_worker(runners=4)
        yield opened


def test_no_more_of_a_script_run_at_once_than_it_may_and_others_go_on(site):
    ada, scripts = site.actor(), site.server.scripts
    site.publish(ada, BUSY, name="busy")
    site.publish(ada)
    scripts.bound("busy", running_max=BOUND, actor=ada)
    busy = [site.submit(ada, script="busy").id for _ in range(6)]
    others = [site.submit(ada).id for _ in range(6)]

    def bounded():
        why = site.server.jobs.waiting(busy[-1], actor=ada)
        return why if why is not None and why.code == "script_limit" else None

    assert wait_for(bounded).sentence.startswith(f"The script has {BOUND} of {BOUND} running;")
    assert {job.state for job in site.wait(ada, others)} == {"succeeded"}
    assert site.states(busy)[busy[-1]] == "queued", "they have not waited for those before them"
    assert {job.state for job in site.wait(ada, busy)} == {"succeeded"}
    assert most_at_once(site, ada, busy) == BOUND


def most_at_once(site, actor, jobs):
    """Return how many attempts of jobs were leased at the same time, at most."""
    spans = [attempt for job in jobs for attempt in site.server.jobs.attempts(job, actor=actor)]
    return max(sum(one.started_at <= other.started_at < one.finished_at for one in spans) for other in spans)
