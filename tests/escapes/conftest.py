"""Laboratories for the suite: without the lock, with all of it, and at the level of kernels without Landlock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from penstock_guest.lock import NOBODY
from tests.escapes import engines as heavy
from tests.escapes.engines import EngineLaboratory
from tests.escapes.laboratory import LAYERS, Laboratory

Laboratories = Callable[..., Laboratory]
Engines = Callable[..., EngineLaboratory]
LEVELS: Final = {"full": (), "seccomp": ("landlock",)}


@pytest.fixture(scope="session")
def laboratories() -> Iterator[Laboratories]:
    """Laboratories by the layers left out, each started once."""
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    started: dict[frozenset[str], Laboratory] = {}

    def laboratory(*left_out: str) -> Laboratory:
        wanted = frozenset(left_out)
        if wanted not in started:
            started[wanted] = Laboratory(wanted, uid=uid)
        return started[wanted]

    yield laboratory
    for each in started.values():
        each.close()


@pytest.fixture
def unlocked(request: pytest.FixtureRequest, laboratories: Laboratories) -> Laboratory:
    """Nothing is locked; children still are no root's, but where an attack asks for that."""
    attack = request.node.callspec.params.get("attack") if hasattr(request.node, "callspec") else None
    if attack is not None and (missing := attack.missing()):
        pytest.skip(missing)
    if attack is None or not attack.as_root:
        return laboratories(*LAYERS)
    if os.geteuid() != 0:
        pytest.skip(f"only root can: {attack.as_root}")
    return laboratories(*LAYERS, "privileges")


@pytest.fixture(params=LEVELS)
def locked(request: pytest.FixtureRequest, laboratories: Laboratories) -> Laboratory:
    """As tenants' scripts run, at both levels."""
    return laboratories(*LEVELS[request.param])


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """Laboratories of the heavy class by the layers left out, each made once."""
    made: dict[frozenset[str], EngineLaboratory] = {}

    def laboratory(*left_out: str) -> EngineLaboratory:
        wanted = frozenset(left_out)
        if wanted not in made:
            made[wanted] = EngineLaboratory(wanted, uid=os.geteuid())
        return made[wanted]

    yield laboratory
    for each in made.values():
        each.close()


@pytest.fixture
def free(request: pytest.FixtureRequest, engines: Engines) -> EngineLaboratory:
    """An engine without any lock; where the attack cannot work on this machine at all, there is nothing to show."""
    attack = request.node.callspec.params["attack"]
    if (missing := getattr(attack, "missing", str)()) or (getattr(attack, "as_root", "") and os.geteuid() != 0):
        pytest.skip(missing or f"only root can: {attack.as_root}")
    return engines(*heavy.LAYERS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each attack of a file to those of its tests that take one."""
    if "attack" in metafunc.fixturenames and hasattr(metafunc.module, "ATTACKS"):
        metafunc.parametrize("attack", metafunc.module.ATTACKS, ids=str)
