"""The marks of a night: every step of a commit, transaction and operation on a file, at which something may happen.

A mark has the same name whenever the night comes to it: in which task it is, what is about to happen or has happened,
and for which time. What goes by the clock (heartbeats, ticks, what a task tells of its progress) is named once.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, Final

from penstock.database.postgresql import PostgresDatabase
from penstock.database.sqlite import SqliteDatabase
from penstock.execution.task_attempts import TaskAttempts
from penstock.storage.tables import catalog, local_io
from penstock.storage.tables import parts as parts_of_lake
from penstock.storage.tables.parts import Parts
from penstock.usecases.work import Work

Happens = Callable[[str], None]  # from a mark; returns, raises, or does not return
LEASE_S: Final = 3.0  # of tables: a killed night keeps the next one waiting for so long, and not for 15 s
_TIMES_MAX: Final = 12
_BY_THE_CLOCK: Final = ("Work.tick", "Work.heartbeat", "Work.round", "Telling.", "Leases.", "RunUpkeep", "Alerts")
_FILE_WORK: Final = ("fsync", "rename", "replace", "link", "mkdir", "unlink")


@dataclass(slots=True)
class Marks:
    """Tells of marks as the night comes to them.

    Attributes:
        folder: operations on files elsewhere are not told.
        happens: told of each.
    """

    folder: Path
    happens: Happens
    _here: threading.local = field(default_factory=threading.local)
    _times: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def come(self, point: str, *, times_max: int = _TIMES_MAX) -> None:
        """Tell of a mark, unless it is told already or what is told now has brought it about."""
        if getattr(self._here, "quiet", False):
            return
        name = f"{self._task()} {point}"
        with self._lock:
            self._times[name] += 1
            time = self._times[name]
        if time <= times_max:
            self._here.quiet = True
            try:
                self.happens(f"{name} {time}")
            finally:
                self._here.quiet = False

    def listen(self) -> None:
        """Listen, in this process, for good."""
        self._tasks()
        self._lake()
        self._rounds()
        for kind in (SqliteDatabase, PostgresDatabase):
            self._transactions(kind)
        self._files()

    def _tasks(self) -> None:
        carry_out = TaskAttempts.carry_out

        @wraps(carry_out)
        def carried_out(attempts: Any, entry: Any, **words: Any) -> Any:
            self._here.task = entry.task if entry.part == "task" else f"{entry.task}/{entry.part}"
            with self._lock:  # counted from the begin of each attempt
                for name in [name for name in self._times if name.startswith(f"{self._here.task} ")]:
                    del self._times[name]
            try:
                self.come("task.begins")
                report = carry_out(attempts, entry, **words)
                self.come("task.ends")
            finally:
                self._here.task = "-"
            return report

        _instead(TaskAttempts, carry_out=carried_out)

    def _lake(self) -> None:
        def parts(database: Any, found: Any, leases: Any, clock: Any, footers: Any, _step: Any) -> Parts:
            return Parts(database, found, replace(leases, lease_s=LEASE_S), clock, footers, self.come)

        _instead(parts_of_lake, Parts=parts)  # the lake has no other way to be told
        kind = catalog._Remembering  # likewise
        for name in ("commit_table", "create_table"):
            _instead(kind, **{name: self._around(getattr(kind, name), f"catalog.{name}")})

    def _around(self, call: Any, point: str) -> Any:
        @wraps(call)
        def called(*given: Any, **words: Any) -> Any:
            self.come(f"{point} begins")
            answer = call(*given, **words)
            self.come(f"{point} done")
            return answer

        return called

    def _rounds(self) -> None:
        """The ends of tasks and the leases of others: which come together is chance, so each has a mark of its own."""
        round_ = Work.round

        @wraps(round_)
        def rounded(work: Any, worker: str, ended: Any, **words: Any) -> Any:
            for each in ended:
                self.come(f"round records {each.lease.entry.task}/{each.lease.entry.part}")
            made = round_(work, worker, ended, **words)
            for each in ended:
                self.come(f"round recorded {each.lease.entry.task}/{each.lease.entry.part}")
            for assignment in made.assignments:
                self.come(f"round leased {assignment.lease.entry.task}/{assignment.lease.entry.part}")
            return made

        _instead(Work, round=rounded)

    def _transactions(self, kind: Any) -> None:
        for name in ("write", "ask"):
            _instead(kind, **{name: self._written(getattr(kind, name))})

    def _written(self, write: Any) -> Any:
        @wraps(write)
        def written(database: Any, work: Any, /, **words: Any) -> Any:
            what = work.__qualname__.replace(".<locals>", "").replace(".<lambda>", "")
            times_max = 1 if what.startswith(_BY_THE_CLOCK) else _TIMES_MAX
            self.come(f"transaction begins {what}", times_max=times_max)
            answer = write(database, self._within(work, what, self._task()), **words)
            self.come(f"transaction done {what}", times_max=times_max)
            return answer

        return written

    def _within(self, work: Any, what: str, task: str) -> Any:
        """Return work that comes to marks before its transaction is committed: of its task, and of all such work."""

        def works(tx: Any) -> Any:
            answer = work(tx)
            before = self._task()  # whoever writes may be the task's own thread
            try:
                self._here.task = "-"
                self.come(f"transaction within {what}", times_max=1)
                self._here.task = task
                self.come(f"transaction ends {what}", times_max=1 if what.startswith(_BY_THE_CLOCK) else _TIMES_MAX)
            finally:
                self._here.task = before
            return answer

        return works

    def _files(self) -> None:
        for name in _FILE_WORK:
            _instead(os, **{name: self._of_file(getattr(os, name), name)})
        create = local_io._Output.create  # of files, this is where those of a table are begun

        @wraps(create)
        def created(output: Any, *given: Any, **words: Any) -> Any:
            self._file("create", output.location)
            return create(output, *given, **words)

        _instead(local_io._Output, create=created)

    def _of_file(self, call: Any, name: str) -> Any:
        @wraps(call)
        def called(first: Any, *given: Any, **words: Any) -> Any:
            self._file(name, first if words.get("dir_fd") is None else None)
            return call(first, *given, **words)

        return called

    def _file(self, name: str, which: Any) -> None:
        try:
            path = os.readlink(f"/proc/self/fd/{which}") if isinstance(which, int) else os.fspath(which)
            what = kind_of(Path(path).relative_to(self.folder))
        except (OSError, TypeError, ValueError):
            return  # a file elsewhere
        once = self._task() == "-" or what == "attempts"  # folders, most of which are there already
        self.come(f"file {name} {what}", times_max=1 if once else _TIMES_MAX)

    def _task(self) -> str:
        return getattr(self._here, "task", "-")


def _instead(owner: Any, **calls: Any) -> None:
    for name, call in calls.items():
        setattr(owner, name, call)


def kind_of(place: Path) -> str:
    """Return of which kind a file of a project's folder is, without what differs from night to night."""
    folder = next((part for part in place.parts if not part.startswith(".") and part != "local"), "")
    ending = ".metadata.json" if place.name.endswith(".metadata.json") else place.suffix
    if place.name.startswith("snap-"):
        ending = " list"
    return f"{folder}{ending if re.fullmatch(r'[.a-z ]{1,16}', ending) else ''}"
