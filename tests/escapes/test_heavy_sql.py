"""Attacks on engines in SQL: what a query could do that DuckDB carries out for anybody who does not lock it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.escapes import engines
from tests.escapes.attack import MIB
from tests.escapes.conftest import Engines
from tests.escapes.engines import SMALL, EngineLaboratory, EngineTrial, Query, disk_of, memory_of
from tests.escapes.trial import cpu_over, secret_told, touched


def told_who_is_who(trial: EngineTrial) -> bool:
    """The users of this machine came out."""
    return b"root:" in trial.told


def told_much(trial: EngineTrial) -> bool:
    """More came out than an account of files may have."""
    return len(trial.told) > 17 * MIB


ROOM = {"memory_bytes": 2048 * MIB, "disk_bytes": 4096 * MIB, "cpu_s": 60, "wall_s": 60}

ATTACKS = [
    Query("read a file as text", "SELECT content FROM read_text('{canary}')", secret_told, ("canary",)),
    Query("read the records database", "SELECT content FROM read_blob('{database}')", secret_told, ("database",)),
    Query("read a file as CSV", "SELECT * FROM read_csv('{canary}', header=false)", secret_told, ("canary",)),
    Query(
        "guess a format",
        "SELECT * FROM sniff_csv('{canary}')",
        lambda trial: b"HasHeader" in trial.told or b"{'name':" in trial.told,
        ("canary",),
    ),
    Query("read another workspace's table", "SELECT * FROM '{parquet}'", secret_told, ("parquet",)),
    Query(
        "read another workspace's statistics",
        "SELECT stats_min_value FROM parquet_metadata('{parquet}')",
        secret_told,
        ("parquet",),
    ),
    Query("list files", "SELECT file FROM glob('{hidden_name}/*')", secret_told, ("hidden_name",)),
    Query(
        "list files by reading all",
        "SELECT filename FROM read_blob('{hidden_name}/*')",
        secret_told,
        ("hidden_name",),
    ),
    Query(
        "read another process's environment",
        "SELECT content FROM read_blob('/proc/{victim}/environ')",
        secret_told,
        ("victim",),
    ),
    Query(
        "read another process's arguments",
        "SELECT content FROM read_blob('/proc/{victim}/cmdline')",
        secret_told,
        ("victim",),
    ),
    Query("read who is who", "SELECT content FROM read_text('/etc/passwd')", told_who_is_who),
    Query(
        "go up from the staging folder",
        "SELECT content FROM read_text('{beside}/../../canary')",
        secret_told,
        ("beside",),
    ),
    Query(
        "follow a link in the staging folder",
        "SELECT content FROM read_text('{planted}')",
        secret_told,
        ("planted",),
        held_by=("kernel",),  # DuckDB looks at names
    ),
    Query(
        "follow a link among the inputs",
        "SELECT content FROM read_text('{linked}')",
        secret_told,
        ("linked",),
        held_by=("kernel",),
    ),
    Query("write elsewhere", "COPY (SELECT 1) TO '{drop}/new.csv'", touched, ("drop",)),
    Query("write after the query", "SELECT 1; COPY (SELECT 1) TO '{drop}/new.csv'", touched, ("drop",)),
    Query(
        "write behind a comment",
        "/* SELECT 1; */ SELECT 1 -- ;\n; /* ; */ COPY (SELECT 1) TO '{drop}/new.csv' --",
        touched,
        ("drop",),
    ),
    Query(
        "close the query that this one is put into",
        "SELECT 1 AS loot); COPY (SELECT 1) TO '{drop}/new.csv' (FORMAT csv",
        touched,
        ("drop",),
    ),
    Query(
        "close it by quotes",
        """SELECT '1'' AS "lo""ot' AS "x"); COPY (SELECT ''';') TO '{drop}/new.csv' (FORMAT csv""",
        touched,
        ("drop",),
    ),
    Query("write a whole database", "EXPORT DATABASE '{drop}/all'", touched, ("drop",)),
    Query("make a database", "ATTACH '{drop}/new.duckdb' AS n; CREATE TABLE n.t AS SELECT 1", touched, ("drop",)),
    Query("attach a database", "ATTACH '{duck}' AS other; SELECT * FROM other.secrets", secret_told, ("duck",)),
    Query(
        "write by a profile",
        "SET enable_profiling = 'json'; SET profiling_output = '{drop}/profile.json'; SELECT 42",
        touched,
        ("drop",),
    ),
    Query(
        "write by a profile, as a pragma",
        "PRAGMA enable_profiling = 'json'; PRAGMA profiling_output = '{drop}/profile.json'; SELECT 42",
        touched,
        ("drop",),
    ),
    Query(
        "spill elsewhere",
        "SET temp_directory = '{drop}/spilled'; SET memory_limit = '40MB'; "
        "SELECT count(*) FROM (SELECT range FROM range(6_000_000) ORDER BY hash(range) OFFSET 1)",
        lambda trial: (trial.scene.folder / "spilled").exists() or trial.seen.get("files", 0) > 3,
        ("drop",),
    ),
    Query(
        "unlock the configuration",
        "RESET lock_configuration; SET allowed_paths = ['{canary}']; SELECT content FROM read_text('{canary}')",
        secret_told,
        ("canary",),
    ),
    Query(
        "hide it in a function",
        "CREATE MACRO leak(name) AS TABLE SELECT content FROM read_text(name); SELECT * FROM leak('{canary}')",
        secret_told,
        ("canary",),
    ),
    Query(
        "hide it in a prepared statement",
        "PREPARE leak AS SELECT content FROM read_text('{canary}'); EXECUTE leak",
        secret_told,
        ("canary",),
    ),
    Query(
        "name the file while it runs",
        "SELECT * FROM query('SELECT content FROM read_text(''{canary}'')')",
        secret_told,
        ("canary",),
    ),
    Query(
        "write a log",
        "CALL enable_logging(storage = 'file', storage_config = {'path': '{drop}/log'}); SELECT 42; SELECT 43",
        touched,
        ("drop",),
    ),
    Query(
        "install an extension",
        "SET home_directory = '{drop}'; INSTALL httpfs FROM 'http://127.0.0.1:{tcp}'",
        touched,
        ("drop", "tcp"),
        limits=replace(SMALL, wall_s=3),  # nobody answers
    ),
    Query(
        "take memory",
        "SELECT length(string_agg(repeat('x', 1_000_000) || range)) FROM range(700)",
        memory_of(450),
        limits=replace(SMALL, memory_bytes=300 * MIB, disk_bytes=1024 * MIB),
        lifted=ROOM,
        ends_as="limit_memory",
        held_by=(),
    ),
    Query(
        "fill the disk by spilling",
        "SELECT count(*), sum(length(r)) FROM "
        "(SELECT repeat('x', 40) || hash(range) AS r FROM range(3_000_000) ORDER BY r OFFSET 1)",
        disk_of(60),
        limits=replace(SMALL, memory_bytes=200 * MIB, disk_bytes=32 * MIB),
        lifted=ROOM | {"memory_bytes": 200 * MIB},
        ends_as="limit_disk",
        held_by=(),
    ),
    Query(
        "compute for ever",
        "SELECT count(*) FROM range(26_000) a, range(26_000) b WHERE hash(a.range + b.range) = 7",
        cpu_over(1.8),
        limits=replace(SMALL, cpu_s=1),
        lifted=ROOM,
        ends_as="limit_cpu",
        held_by=(),
    ),
    Query(
        "answer without end",
        "SELECT repeat('x', 20_000_000) AS much",
        told_much,
        ends_as="limit_output",
        held_by=(),
    ),
]
ALONE = [(layer, attack) for attack in ATTACKS for layer in attack.held_by]
LEFT_OUT = {"kernel": ("duckdb",), "duckdb": (*engines.KERNEL, "watch")}


def test_it_works_with_all_locks_off(attack: Query, free: EngineLaboratory):
    free.expect_success(attack)


def test_the_locks_stop_it(attack: Query, engines: Engines):
    engines().expect_stop(attack)


@pytest.mark.parametrize(("layer", "query"), ALONE, ids=str)
def test_one_lock_alone_stops_it(layer: str, query: Query, engines: Engines):
    """The kernel's, with a DuckDB that does as it is told; and DuckDB's, in a process that may do anything."""
    engines(*LEFT_OUT[layer]).expect_stop(query)


def test_there_are_enough_attacks():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 30
