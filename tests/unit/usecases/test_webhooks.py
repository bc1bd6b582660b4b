"""Webhooks are looked at when a job is submitted: what could not be sent is refused."""

import threading
import time

import pytest

from penstock.access.egress import HttpEgress
from penstock.access.master import MasterKeys
from penstock.access.secrets import SqlSecrets
from penstock.access.workspaces import SqlWorkspaces
from penstock.core.access import Policy
from penstock.core.jobs import Webhook
from penstock.usecases.webhooks import WebhookChecks
from tests.service import Service

ADDRESSES = {"hooks.example.com": ["93.184.215.14"], "inside.example.com": ["10.0.0.7"]}


@pytest.fixture
def service(fresh_database):
    return Service(fresh_database("sqlite"))


@pytest.fixture
def actor(service):
    return service.actor()


@pytest.fixture
def asked():
    return []


@pytest.fixture
def checks(service, actor, asked):
    def resolve(host, port):
        asked.append(host)
        if host not in ADDRESSES:
            raise OSError("there is no such name")
        return ADDRESSES[host]

    secrets = SqlSecrets(service.clock, MasterKeys((b"k" * 32,)))
    service.database.write(
        lambda tx: secrets.put(tx, workspace=actor.workspace, name="HOOK_KEY", value=b"key", by=actor.member)
    )
    return WebhookChecks(service.database, SqlWorkspaces(service.clock), secrets, HttpEgress(resolve))


def problems(checks, actor, url, secret="HOOK_KEY"):
    return {problem["place"]: problem["message"] for problem in checks.problems(Webhook(url, secret), actor.workspace)}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1/hook", "127.0.0.1"),
        ("https://169.254.169.254/latest", "169.254.169.254"),
        ("https://inside.example.com/hook", "10.0.0.7"),
        ("http://hooks.example.com/hook", "without TLS"),
    ],
)
def test_where_nothing_may_be_sent_is_refused_with_the_policy(checks, actor, url, words):
    (message,) = problems(checks, actor, url).values()
    assert words in message
    assert message.endswith("the workspace's egress policy lists nothing")


def test_what_the_policy_lists_may_be_asked_for_as_soon_as_it_does(service, checks, actor):
    url = "https://inside.example.com/hook"
    assert list(problems(checks, actor, url)) == ["options.webhook.url"]
    policy = Policy(("inside.example.com",))
    service.database.write(lambda tx: SqlWorkspaces(service.clock).set_policy(tx, actor.workspace, policy))
    assert problems(checks, actor, url) == {}


def test_a_name_is_resolved_once_for_many_jobs(checks, actor, asked):
    for _ in range(3):
        assert problems(checks, actor, "https://hooks.example.com/hook") == {}
    assert asked == ["hooks.example.com"]


def test_an_unknown_secret_is_refused_and_the_known_ones_are_named(checks, actor):
    found = problems(checks, actor, "https://hooks.example.com/hook", "HOOK")
    assert found == {"options.webhook.secret": "the workspace has no secret 'HOOK'; it has HOOK_KEY"}


def test_a_name_that_cannot_be_resolved_now_keeps_no_job_back(checks, actor):
    assert problems(checks, actor, "https://later.example.com/hook") == {}


def test_a_resolver_that_says_nothing_is_not_waited_for(service, checks, actor, monkeypatch):
    silent = threading.Event()
    monkeypatch.setattr(checks.egress, "_resolve", lambda host, port: silent.wait(60) and ["10.0.0.7"])
    began_s = time.monotonic()
    assert problems(checks, actor, "https://slow.example.com/hook") == {}
    assert time.monotonic() - began_s < 30
    silent.set()
