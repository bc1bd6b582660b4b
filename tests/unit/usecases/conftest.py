"""Scripts on SQLite, with blobs in memory; and the real sandbox for those that run."""

from __future__ import annotations

import contextlib

import pytest

from penstock.sandbox.strict import StrictSandbox
from tests.scripting import Scripting


@pytest.fixture(scope="session")
def sandbox():
    with contextlib.closing(StrictSandbox()) as started:
        yield started


@pytest.fixture
def scripting(fresh_database):
    return Scripting(fresh_database("sqlite"))


@pytest.fixture
def running(fresh_database, sandbox):
    return Scripting(fresh_database("sqlite"), sandbox)


@pytest.fixture
def ada(scripting):
    return scripting.actor()
