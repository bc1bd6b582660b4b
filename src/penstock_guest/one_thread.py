"""Arrow's plans on one thread: they would wait for ever for workers that the lock does not let them start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import acero

_Declaration = acero.Declaration


class Declaration:
    """What `pyarrow.acero.Declaration` is, whatever a script says about threads."""

    _plan: Any

    def __init__(self, factory_name: str, options: Any, inputs: Sequence[Declaration] | None = None) -> None:
        self._plan = _Declaration(factory_name, options, [each._plan for each in inputs or ()])  # noqa: SLF001  # its own

    @staticmethod
    def from_sequence(declarations: Sequence[Declaration]) -> Declaration:
        """Return the last of them, with each appended to the inputs of the next."""
        whole = object.__new__(Declaration)
        whole._plan = _Declaration.from_sequence([each._plan for each in declarations])  # noqa: SLF001  # its own
        return whole

    def to_table(self, *_: bool, **__: bool) -> pa.Table:
        """Run the plan and collect what it gives."""
        return self._plan.to_table(use_threads=False)

    def to_reader(self, *_: bool, **__: bool) -> pa.RecordBatchReader:
        """Run the plan while it is read."""
        return self._plan.to_reader(use_threads=False)

    def __str__(self) -> str:
        return str(self._plan)


def load() -> None:
    """Let group_by, join and filter of tables run on the calling thread."""
    acero.Declaration = Declaration
