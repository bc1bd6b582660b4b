"""`python -m tests.shop_victim`: nights of the example's shop, and processes that are killed in the middle of them.

It has loaded everything, and forks a child for each line of JSON that it is sent: in which folder, for which date, what
is to happen to it, and at which marks not. It answers with how the child ended and the marks that it has come to.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import signal
import sqlite3
import sys
import tempfile
import traceback
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy.exc import DBAPIError, OperationalError

from penstock.core.jobs import ENDED
from penstock.core.runs import RunFilter
from penstock.core.settings import DATABASE_URL, MASTER_KEY
from penstock.planning.pipelines import Occasion
from penstock.wiring import local
from penstock.wiring.folder import read_files
from penstock.wiring.settings import read_settings
from penstock.worker.local import working
from tests.shop_marks import Marks

# What can happen, and the marks at which it does.
FAULTS: Final = {
    "kill": r"^\S+ (?!transaction (ends|done)|catalog \S+ done)",  # before what comes next there is nothing new
    "disk": r" file (?!unlink)",
    "database": r" (transaction ends|catalog \S+ begins)",
    "postgresql": r" transaction (begins|ends|done)",
}


def night(folder: Path, date: str) -> None:
    """Carry out the night's run, or go on with it where somebody has begun it."""
    with local.open_local(folder) as opened, working(opened) as work:
        project = opened.use(read_files(folder))
        known = opened.runs.list(RunFilter(pipeline="sales"), actor=opened.actor)
        begun = next((run for run in known if run.date == date), None)
        if begun is None:
            run = opened.runs.start(project.name, "sales", Occasion(date), actor=opened.actor)
        elif begun.state == "succeeded":
            return
        else:
            run = work.resume(begun.id) if begun.state in ENDED else begun
        ended = work.carry_on(run.id, watch=lambda _run, _progress: None)
        if ended.state != "succeeded":
            raise SystemExit(
                f"the run is {ended.state}: {[(task.name, task.error) for task in ended.tasks if task.error]}"
            )


@dataclass(slots=True)
class Fault:
    """What happens at marks that it has not happened at before.

    Attributes:
        kind: of `FAULTS`; or none.
        done: marks that are passed by.
        most: times in this process.
        at: marks at which alone something happens, and what; where none are named, it is `kind` at all that are its.
        share: (one of, so many): of the marks, by chance that is always the same.
    """

    kind: str
    done: set[str]
    most: int
    share: tuple[int, int]
    at: Mapping[str, str]
    answer: int
    database_url: str = ""

    def happens(self, mark: str) -> None:
        """Tell of a mark, and let it happen there when it is its time.

        Raises:
            OSError: for `disk`: full, or not to be written to.
            DBAPIError: for `database`: full, locked, or not to be written to.
        """
        kind = self.at.get(mark, "") if self.at else self.kind if self._is_mine(mark) else ""
        strikes = kind and len(self.done) < self.most and mark not in self.done
        os.write(self.answer, f"{'!' if strikes else ' '}{mark}\n".encode())
        if not strikes:
            return
        self.done.add(mark)
        if kind == "kill":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        elif kind == "disk":
            code = (errno.ENOSPC, errno.EIO)[_number(mark) % 2]
            raise OSError(code, os.strerror(code))
        elif kind == "database":
            raise _refused(mark)
        else:
            cut(self.database_url)

    def _is_mine(self, mark: str) -> bool:
        share, shares = self.share
        return bool(self.kind) and _number(mark) % shares == share and bool(re.search(FAULTS[self.kind], mark))


def _number(mark: str) -> int:
    return zlib.crc32(mark.encode())


def _refused(mark: str) -> DBAPIError:
    code, words = (
        (sqlite3.SQLITE_FULL, "database or disk is full"),
        (sqlite3.SQLITE_BUSY, "database is locked"),
        (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
    )[_number(mark) % 3]
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return OperationalError("COMMIT", None, error)


def cut(url: str) -> None:
    """Cut every connection to a database of PostgreSQL, as its restart does."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _child(asked: dict[str, Any], answer: int) -> None:
    os.setpgid(0, 0)  # what it has started goes with it, as with a machine
    folder, done = Path(asked["folder"]), set(asked["done"])
    url = asked["database_url"]
    fault = Fault(asked["fault"], done, len(done) + asked["most"], tuple(asked["share"]), asked["at"], answer, url)
    Marks(folder, fault.happens).listen()
    if url:
        more = {DATABASE_URL.name: url, MASTER_KEY.name: base64.b64encode(bytes(32)).decode()}
        setattr(local, "read_settings", lambda known: read_settings({**known, **more}))  # noqa: B010  # not a folder's own
    night(folder, asked["date"])


def main() -> None:
    """Fork a child for each line of the standard input."""
    for line in sys.stdin:
        reading, writing = os.pipe()
        with tempfile.TemporaryFile() as said:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    os.close(reading)
                    os.dup2(said.fileno(), 1)
                    os.dup2(said.fileno(), 2)
                    _child(json.loads(line), writing)
                    status = 0
                except BaseException:
                    traceback.print_exc()
                    raise
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(status)
            os.close(writing)
            with os.fdopen(reading) as told:
                marks = told.read().splitlines()
            _, status = os.waitpid(child, 0)
            said.seek(0)
            answer = {"status": os.waitstatus_to_exitcode(status), "marks": marks, "said": said.read().decode()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
