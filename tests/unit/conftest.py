"""What several unit tests need: a real sandbox for each file that asks for one."""

import contextlib

import pytest

from penstock.sandbox.strict import StrictSandbox


@pytest.fixture(scope="module")
def sandbox():
    """Start with the first test of a file, and end with its last."""
    with contextlib.closing(StrictSandbox()) as started:
        yield started
