"""What a task remembers from run to run: read at once, written in the transaction that publishes its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from penstock.core.errors import NeedsRerun
from penstock.core.plan import RunId
from penstock.core.ports import Clock, Database
from penstock.core.ports.runs import AttemptRecords, TaskOwner

_ASIDE: Final = "aside/"  # before the names of what is put aside; a task's own names have no such beginning


class TaskCursors:
    """The Cursors of one attempt.

    Args:
        database: the records database.
        records: where they are kept.
        owner: the task.
        run: that sets them.
        clock: gives seconds since 1970.
    """

    def __init__(
        self, database: Database, records: AttemptRecords, *, owner: TaskOwner, run: RunId, clock: Clock
    ) -> None:
        self._database, self._records = database, records
        self._owner, self._run, self._clock = owner, run, clock
        self._values: dict[str, Any] = {}
        self._taken: dict[str, str] = {}
        self._kept: set[str] = set()
        self._found: dict[str, Any] = {}  # what was remembered when it was asked for
        self._new: dict[str, str] = {}  # files that were asked for and not taken then

    def get(self, name: str) -> Any:
        """Return what was remembered, None at first; what this attempt has set is not published yet."""
        with self._database.read() as tx:
            self._found[name] = self._records.cursor(tx, self._owner, name)
        return self._found[name]

    def set(self, name: str, value: Any) -> None:
        """Remember a JSON value, once the rows are published."""
        self._values[name] = value

    def seen(self, paths: Iterable[tuple[str, str]]) -> frozenset[str]:
        """Return those of some files, each with its mark, that were taken already."""
        asked = dict(paths)
        with self._database.read() as tx:
            taken = self._records.taken(tx, self._owner, list(asked.items()))
        self._new.update((path, mark) for path, mark in asked.items() if path not in taken)
        return taken

    def take(self, paths: Iterable[tuple[str, str]]) -> None:
        """Remember files as taken, once their rows are published."""
        self._taken.update(paths)

    def forget(self) -> None:
        """Let what was set and taken go; the rows are not published."""
        self._values.clear()
        self._taken.clear()

    def keep(self, part: str) -> None:
        """Put aside what was set, for rows that are about to be written: a kill may come before they are published."""
        name = self._name(part)
        new = {path: mark for path, mark in self._taken.items() if self._new.get(path) == mark}
        found = {key: self._found[key] for key in self._values if key in self._found}
        aside = {"values": self._values, "taken": self._taken, "found": found, "new": new}
        self._kept.add(name)
        now = self._clock()
        self._database.write(
            lambda tx: self._records.set_cursors(tx, self._owner, {name: aside}, run=self._run, now=now)
        )

    def restore(self, part: str) -> None:
        """Set what was put aside with rows that were written already, and forget what was set for others since.

        Where nothing is put aside any more, it was recorded with the rows: then there is nothing to record.
        """
        name = self._name(part)
        aside = self.get(name) or {"values": {}, "taken": {}, "found": {}, "new": {}}
        self._kept.add(name)
        self._values, self._taken = dict(aside["values"]), dict(aside["taken"])
        self._found, self._new = dict(aside["found"]), dict(aside["new"])

    def commit(self, tx: Any) -> None:
        """Record what was set, in the transaction that publishes the rows.

        Raises:
            NeedsRerun: when another run has read on since; the rows would be there twice.
        """
        moved = [name for name in self._values if name in self._found and self._moved(tx, name)]
        new = [(path, mark) for path, mark in self._taken.items() if self._new.get(path) == mark]
        if moved or self._records.taken(tx, self._owner, new):
            raise NeedsRerun(
                "another run of this task has read the same from its source meanwhile",
                hint="Nothing of it is there twice. Run it again: it goes on from there.",
            )
        now = self._clock()
        values = {**self._values, **dict.fromkeys(self._kept)}
        self._records.set_cursors(tx, self._owner, values, run=self._run, now=now)
        self._records.take(tx, self._owner, list(self._taken.items()), run=self._run, now=now)

    def _moved(self, tx: Any, name: str) -> bool:
        return bool(self._records.cursor(tx, self._owner, name) != self._found[name])

    def _name(self, part: str) -> str:
        return f"{_ASIDE}{self._run}/{part}"
