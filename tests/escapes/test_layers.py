"""The layers of the lock: what each stops with all others left out, and what the self-test says without one."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from penstock.core.errors import SandboxUnsafe
from penstock.core.scripts import ChunkResult
from penstock.sandbox.strict import StrictSandbox
from penstock_guest import lock
from tests.escapes import machine
from tests.escapes.attack import Attack
from tests.escapes.conftest import Laboratories
from tests.escapes.laboratory import LAYERS, Laboratory, chunk, script

GROUPS: Final = ("language", "files", "network", "processes", "abi", "resources", "information")
ALL: Final = [attack for group in GROUPS for attack in importlib.import_module(f"tests.escapes.test_{group}").ATTACKS]
ALONE: Final = [(layer, attack) for attack in ALL for layer in attack.held_by]
# Limits are the same whatever is loaded, and take their time.
IN_STD: Final = [attack for attack in ALL if attack.profile == "std" and not attack.ends_as]
# Landlock and filters ask for it themselves.
_WITH: Final = {layer: {layer, "no_new_privileges"} for layer in ("landlock", "outer", "inner")}
_ABI_OF_SCOPES: Final = 6


@pytest.mark.parametrize(("layer", "attack"), ALONE, ids=lambda value: str(value))
def test_one_layer_alone_stops_it(layer: str, attack: Attack, laboratories: Laboratories):
    """Where two layers stop an attack, either may have a hole."""
    if layer == "landlock" and lock.landlock_abi() < _ABI_OF_SCOPES:
        pytest.skip(f"this kernel's Landlock is older than ABI {_ABI_OF_SCOPES}")
    laboratories(*set(LAYERS) - _WITH.get(layer, {layer})).expect_stop(attack)


@pytest.mark.parametrize("attack", IN_STD, ids=str)
def test_libraries_open_no_gap(attack: Attack, laboratories: Laboratories):
    """The profile `arrow` loads much more code before its lock, which could start or open something."""
    laboratories().expect_stop(replace(attack, profile="arrow"))


def test_there_are_enough_attacks():
    """At least 65, each of its own name, and most of them stopped by two layers independently."""
    assert len({attack.name for attack in ALL}) == len(ALL) >= 65
    doubly = [attack for attack in ALL if len(attack.held_by) > 1]
    assert len(doubly) > len(ALL) / 2


@pytest.mark.parametrize("left_out", [LAYERS, ("outer",), ("inner",), ("rlimits",)], ids="+".join)
def test_scripts_are_refused_where_a_layer_is_missing(left_out: tuple[str, ...], laboratories: Laboratories):
    with sandbox(laboratories(*left_out)) as strict:
        assert strict.report().level == "none"
        with pytest.raises(SandboxUnsafe, match="cannot run safely"), strict.open_script(script(HONEST), parallel=1):
            pass


def test_without_landlock_scripts_run_and_the_level_says_so(laboratories: Laboratories):
    with sandbox(laboratories("landlock")) as strict:
        assert (strict.report().level, strict.report().landlock_abi) == ("seccomp", 0)
        with strict.open_script(script(HONEST), parallel=1) as runner:
            result = runner.run(chunk({"n": 1}), seed=1, emit="ndjson", skip={})
    assert isinstance(result, ChunkResult)
    assert result.output == b'{"n":2}\n'


def test_with_all_layers_the_level_is_the_kernels(laboratories: Laboratories):
    with sandbox(laboratories()) as strict:
        assert strict.report().safe
        assert strict.report().level == ("landlock+seccomp" if lock.landlock_abi() else "seccomp")


def test_where_memory_can_execute_its_code_still_makes_no_call(laboratories: Laboratories):
    """The rules against new code are not what the filter's other rules rest on."""
    laboratory = laboratories("code_rules", "mdwe", "landlock")
    names = {"run code in fresh memory", "make memory executable", "call by the gate of 32 bits"}
    for attack in (attack for attack in ALL if attack.name in names and not attack.missing()):
        with laboratory.attempt(attack) as trial:
            assert not attack.sign(trial)
            assert trial.code == ("forbidden_call" if "gate" in attack.name else ""), "it ran, and was refused"


@pytest.mark.skipif(bool(machine.lacks_x86_64()), reason="only x86_64 has a second table of numbers")
def test_numbers_of_the_second_table_kill(locked: Laboratory):
    """x32 calls are x86_64's by another number; kernels that have them would let them past a plain list."""
    code = "return libc.syscall(ctypes.c_long(0x40000000 + NUMBERS['getpid']))"
    with locked.attempt(Attack("call by x32", code, sign=bool)) as trial:
        assert trial.code == "forbidden_call"


HONEST: Final = b'def process(data):\n    return {"n": data["n"] + 1}\n'


@contextlib.contextmanager
def sandbox(laboratory: Laboratory) -> Iterator[StrictSandbox]:
    """The product's sandbox, on a laboratory's boot."""
    before = probe_files()
    with contextlib.closing(StrictSandbox(boot=laboratory.boot)) as strict:
        yield strict
    for path in probe_files() - before:  # where no lock is, the self-test can write a file
        path.unlink(missing_ok=True)  # others run self-tests at the same time


def probe_files() -> set[Path]:
    """Return what self-tests have written."""
    return set(Path("/tmp").glob("penstock-probe-*"))  # where the probe tries to
