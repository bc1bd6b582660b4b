"""Runs, back-fills, failures and kills in any order on one lake, against a model of what a serial order publishes.

One thread plays all processes: at each step of one run's operation a reader looks, the run may be killed, and when it
holds no lease another run's whole operation may come in between. A seed decides everything, so a failure can be seen
again.
"""

import contextlib
import dataclasses
import datetime as dt
import random

import pyarrow as pa
import pytest

from penstock.core import limits
from penstock.core.errors import NeedsRerun, NotFound, SnapshotGone
from penstock.core.plan import RunId
from penstock.core.tables import TableName
from penstock.storage.tables.lake import IcebergLake
from penstock.storage.tables.types import columns_of_arrow
from tests.lakes import WORKSPACE, files, open_lake, order

ORDERS, DAILY = TableName("staging.orders"), TableName("marts.daily")  # always written and published together
RAW = TableName("raw.events")  # appended to, published with a cursor
LAST = TableName("marts.last")  # replaced whole by what depends on it, and rolled back at times
DAYS = [dt.date(2024, 1, day) for day in range(1, 6)]
FREE = {"begin.recorded", "commit.files", "commit.recorded", "publish.done"}  # no lease is held there
OPERATIONS = 70


class Killed(BaseException):
    """What `kill -9` is in one process: nobody catches it."""


class World:
    """A lake, the runs at work on it, and the model."""

    def __init__(self, harness, seed):
        self.random = random.Random(seed)
        self.harness = harness
        self.days = {}  # the model: day -> run, of ORDERS and of DAILY
        self.raw = set()
        self.last_of = {}  # snapshot -> what LAST is at it
        self.pins = {}
        self.published = set()
        self.known = {}  # snapshot -> its files
        self.coming = None  # what a publication that is being carried out will make of the model
        self.depth = 0
        self.disturbed = True
        self.numbers = iter(range(10_000))
        self.waiting = []  # runs that have something left to do
        self.log = []
        self.start()

    def start(self):
        """A new process."""
        old = self.harness.lake._parts
        self.lake = IcebergLake(old.database, old.catalog, self.harness.clock, step=self.step)

    def step(self, name):
        self.log.append(name)
        self.look()
        if not self.disturbed:
            return
        chance = self.random.random()
        if chance < 0.02:
            raise Killed(name)
        if name in FREE and chance > 0.9 and self.depth < 2:
            coming, self.coming = self.coming, None
            if coming is None:  # not in a publication, of which the model would not know which is first
                self.one_operation()
            self.coming = coming

    def look(self):
        """A reader: what it sees is what was before a publication, or what is after it, never half of it."""
        now = (self.read_days(ORDERS), self.read_days(DAILY), self.read_raw())
        states = [(self.days, self.days, self.raw)]
        if self.coming is not None:
            _, days, raw = self.coming
            states.append((days, days, raw))
        assert now in states, self.log[-20:]
        for snapshot, run in self.last_of.items():
            assert snapshot not in self.known or {run_of(file) for file in self.known[snapshot]} == {run}
        self.files(LAST)
        with self.harness.lake._parts.database.read() as tx:
            cursors = {row[0] for row in tx.exec_driver_sql("SELECT run FROM moved")}
        assert cursors == now[2]

    def files(self, name):
        """What a reader sees of a table; of one snapshot that never changes."""
        try:
            snapshot = self.harness.lake.heads(WORKSPACE, [name])[name]
        except NotFound:
            return ()
        if snapshot not in self.known:
            self.known[snapshot] = self.harness.lake.read(WORKSPACE, name, at=snapshot).files
        return self.known[snapshot]

    def read_days(self, name):
        files = self.files(name)
        found = {file.partition[0]: run_of(file) for file in files}
        assert len(found) == len(files), "a day has the rows of two runs"
        return found

    def read_raw(self):
        files = self.files(RAW)
        found = {run_of(file) for file in files}
        assert len(found) == len(files), "a run has appended twice"
        return found

    def one_operation(self):
        """Do something: begin a run, go on with one, fail one, look after a table, roll back."""
        self.depth += 1
        work = self.random.choices(
            [self.back_fill, self.append, self.depend, self.go_on, self.roll_back, self.maintain, self.pin],
            weights=[5, 3, 2, 6, 1, 1, 1],
        )[0]
        try:
            try:
                work()
            except Stopped as stopped:
                run, carry_out = stopped.args
                if self.random.random() < 0.4:
                    self.waiting.remove(carry_out)
                    self.lake.discard(WORKSPACE, RunId(run))
        except Killed:
            self.harness.clock.now += limits.LAKE_LEASE.value + 1
            self.start()
            self.resolve()
        finally:
            self.depth -= 1

    def resolve(self):
        """After a kill: readers see what was before, or what is after."""
        if self.coming is not None:
            if (self.read_days(ORDERS), self.read_raw()) == self.coming[1:]:
                self.apply(self.coming)
            self.coming = None

    def apply(self, coming):
        run, self.days, self.raw = coming
        self.published.add(run)
        self.coming = None

    def run_it(self, run):
        """Carry out a run, from its start: what it has done already is found. It goes on later when it is killed."""
        try:
            run()
        except (Killed, Stopped):
            self.waiting.append(run)
            raise

    def go_on(self):
        if self.waiting:
            self.run_it(self.waiting.pop(self.random.randrange(len(self.waiting))))

    def back_fill(self):
        run, fingerprint = f"run_{next(self.numbers)}", "f1"
        first = self.random.randrange(len(DAYS))
        days = DAYS[first : first + self.random.randint(1, 3)]
        empty = set(self.random.sample(days, self.random.randint(0, len(days) - 1)))
        stops = self.random.random() < 0.3  # fails between its two tables, and is carried on later, or dropped

        def carry_out():
            nonlocal stops, fingerprint
            self.commit(run, ORDERS, days, empty, fingerprint)
            if stops:
                stops = False
                fingerprint = self.random.choice(["f1", "f2"])  # somebody has mended its code
                raise Stopped(run, carry_out)
            self.commit(run, DAILY, days, empty, fingerprint)
            kept = {day: by for day, by in self.days.items() if day not in days}
            self.publish(run, kept | {day: run for day in days if day not in empty}, self.raw)

        self.run_it(carry_out)

    def append(self):
        run = f"run_{next(self.numbers)}"

        def carry_out():
            self.commit(run, RAW, None, set(), "f1")
            self.publish(run, self.days, self.raw | {run}, then=lambda tx: record(tx, run))

        self.run_it(carry_out)

    def depend(self):
        """A run whose result is made of what LAST was when it began."""
        run = f"run_{next(self.numbers)}"

        def carry_out():
            self.commit(run, LAST, None, set(), "f1", mode="replace_table", depends_on_table=True)
            try:
                (published,) = self.lake.publish(WORKSPACE, RunId(run))
            except NeedsRerun:
                self.lake.discard(WORKSPACE, RunId(run))
                raise Stopped(run, carry_out) from None
            assert self.lake.lineage(WORKSPACE, LAST, published.snapshot).parent == published.before
            self.last_of[published.snapshot] = run

        self.run_it(carry_out)

    def commit(self, run, name, days, empty, fingerprint, **options):
        rows = [{"run": run, "day": day} for day in days or [DAYS[0]] if day not in empty]
        data = pa.Table.from_pylist(rows, schema=pa.schema([("run", pa.string()), ("day", pa.date32())]))
        if days is not None:
            options |= {"mode": "replace_partitions", "partitions": tuple((day,) for day in days), "by": ("day",)}
        columns = columns_of_arrow(data.schema)
        writing = self.lake.begin(order(run, columns, table=name, fingerprint=fingerprint, **options))
        if writing.done is None:
            by = ("day",) if days is not None else ()
            self.lake.commit(writing, files(self.harness.folder, data, writing.columns, by))

    def publish(self, run, days, raw, **options):
        if run in self.published:  # before it was killed; it is not published a second time
            self.lake.publish(WORKSPACE, RunId(run), **options)
            self.look()
            return
        self.coming = (run, days, raw)
        self.lake.publish(WORKSPACE, RunId(run), **options)
        self.apply(self.coming)
        self.look()

    def roll_back(self):
        readable = [snapshot for snapshot in self.last_of if not self.expired(snapshot)]
        if readable:
            to = self.random.choice(readable)
            assert self.lake.rollback(WORKSPACE, LAST, to).snapshot == to

    def expired(self, snapshot):
        return self.lake.lineage(WORKSPACE, LAST, snapshot).expired

    def maintain(self):
        tables = [table.name for table in self.lake.tables(WORKSPACE) if table.snapshot is not None]
        if tables:
            self.lake.maintain(WORKSPACE, self.random.choice(tables))

    def pin(self):
        try:
            heads = self.lake.heads(WORKSPACE, [ORDERS])
            self.lake.pin(WORKSPACE, RunId(f"reader_{len(self.pins)}"), heads)
        except (NotFound, SnapshotGone):
            return
        self.pins[heads[ORDERS]] = {file.path for file in self.lake.read(WORKSPACE, ORDERS, at=heads[ORDERS]).files}

    def end(self):
        """Carry out what is left, undisturbed; then look at everything."""
        self.disturbed = False
        self.start()
        self.lake.recover()
        tries = 3 * len(self.waiting)
        while self.waiting and tries:
            tries -= 1
            with contextlib.suppress(Stopped):
                self.run_it(self.waiting.pop(0))
        assert self.waiting == []
        self.look()
        for snapshot, paths in self.pins.items():
            assert {file.path for file in self.lake.read(WORKSPACE, ORDERS, at=snapshot).files} == paths
        for table in self.lake.tables(WORKSPACE):
            loaded = self.harness.lake._parts.catalog.load(WORKSPACE, table.name)
            main = loaded.metadata.refs.get("main")
            assert (main.snapshot_id if main else None) == table.snapshot


class Stopped(Exception):
    """A run that is to be carried on later."""


def run_of(file):
    """The run that has written a file; compaction does not come here: the days have too few files."""
    return file.path.rpartition("/")[2].partition("-")[0]


def record(tx, run):
    tx.exec_driver_sql("INSERT INTO moved VALUES (?) ON CONFLICT DO NOTHING", (run,))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(6))
def test_any_interleaving_publishes_what_the_serial_order_would(seed, tmp_path, fresh_database, monkeypatch):
    for name, value in {"LAKE_SNAPSHOTS": 8, "LAKE_KEPT": 3, "LAKE_MANIFESTS": 4, "COMPACT_FROM": 10_000}.items():
        monkeypatch.setattr(limits, name, dataclasses.replace(getattr(limits, name), value=value))
    database = fresh_database("sqlite")
    database.write(lambda tx: tx.exec_driver_sql("CREATE TABLE moved (run TEXT PRIMARY KEY)"))
    with open_lake(database, tmp_path / "lake") as harness:
        world = World(harness, seed)
        for _ in range(OPERATIONS):
            harness.clock.now += 1
            world.one_operation()
        world.end()
