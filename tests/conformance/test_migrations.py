"""The steps lead from nothing to what `schema.py` says, on both databases; the audit can only be added to."""

import contextlib
import shutil

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError, IntegrityError

from penstock.core.errors import Bug, SchemaUnknown
from penstock.database import versioning
from penstock.database.opening import open_database
from penstock.database.schema import audit_events, metadata
from penstock.database.versioning import prepare, require_schema, schema_status, upgrade
from tests.servers import KINDS
from tools.migration import OPTIONS

EVENT = {
    "workspace": "ws_1",
    "at": 1.0,
    "actor": "mem_1",
    "actor_name": "ana",
    "action": "job.submit",
    "subject": "job_1",
    "outcome": "done",
    "origin": "local",
    "request_id": "r",
    "details": '{"a": "b:c"}',
}


@pytest.fixture(params=KINDS)
def empty(request, tmp_path):
    """Open a database without any table."""
    with contextlib.ExitStack() as afterwards:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/empty.db"
        else:
            server = request.getfixturevalue("postgres")
            url = server.fresh_url()
            afterwards.callback(server.drop, url)
        yield afterwards.enter_context(contextlib.closing(open_database(url)))


def test_all_steps_lead_to_the_schema(empty):
    """A change of `database/schema` needs a step: tools/migration.py writes it."""
    upgrade(empty)
    with empty.engine.connect() as connection:
        options = {**OPTIONS, "compare_type": True, "target_metadata": metadata}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_an_empty_database_is_created_by_the_server_that_owns_it(empty):
    assert schema_status(empty).found is None
    with pytest.raises(SchemaUnknown, match="is empty") as caught:
        require_schema(empty)
    assert "penstock db upgrade" in caught.value.hint
    prepare(empty)
    require_schema(empty)
    prepare(empty)
    assert schema_status(empty).missing == ()


def test_upgrading_twice_finds_nothing_to_do(empty):
    assert upgrade(empty).missing[:2] == ("0001", "0002")
    assert upgrade(empty).missing == ()


def test_a_database_of_an_older_version_is_refused_with_the_command_to_run(database):
    newest = schema_status(database).expected
    stamp(database, "0001")
    for refused in (require_schema, prepare):
        with pytest.raises(SchemaUnknown, match=f"of revision 0001, .* works with revision {newest}") as caught:
            refused(database)
        assert "penstock db upgrade" in caught.value.hint
    assert schema_status(database).missing[0] == "0002"


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database):
    stamp(database, "9999")
    for refused in (require_schema, prepare, upgrade):
        with pytest.raises(SchemaUnknown, match="of revision 9999") as caught:
            refused(database)
        assert "newer" in caught.value.hint
    assert schema_status(database).found == "9999"


def test_a_database_of_something_else_is_refused_and_left_alone(empty):
    empty.write(lambda tx: tx.exec_driver_sql("CREATE TABLE customers (id INTEGER PRIMARY KEY)"))
    for refused in (require_schema, prepare, upgrade):
        with pytest.raises(SchemaUnknown, match="'customers'"):
            refused(empty)
    with empty.read() as tx:
        assert sqlalchemy.inspect(tx).get_table_names() == ["customers"]


def test_a_step_that_fails_leaves_the_database_as_it_was(empty):
    in_the_way = "ix_runs_finished_at"  # the name of an index
    empty.write(lambda tx: tx.exec_driver_sql(f"CREATE VIEW {in_the_way} AS SELECT 1 AS one"))
    with pytest.raises(DBAPIError, match=in_the_way):
        upgrade(empty)
    with empty.read() as tx:
        assert sqlalchemy.inspect(tx).get_table_names() == []


def test_the_steps_create_what_the_schema_would(empty, fresh_database):
    """Alembic compares tables, columns and names of indexes; here it is the databases' own catalogs, to the letter."""
    empty.write(metadata.create_all)
    wanted, found = catalog(empty), catalog(fresh_database(empty.dialect))
    assert len(wanted) > 100
    assert found - wanted == {line for line in found if "alembic_version" in line}
    assert wanted - found == set()


CATALOGS = {
    "sqlite": [
        """
        SELECT 'column', m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
        FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'
        """,
        "SELECT 'index', tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    ],
    "postgresql": [
        """
        SELECT 'column', table_name, column_name, data_type, is_nullable, column_default, collation_name
        FROM information_schema.columns WHERE table_schema = 'public'
        """,
        "SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT 'storage', relname, array_to_string(reloptions, ',') FROM pg_class WHERE reloptions IS NOT NULL",
    ],
}


def catalog(database):
    with database.read() as tx:
        return {str(tuple(row)) for query in CATALOGS[database.dialect] for row in tx.execute(sqlalchemy.text(query))}


CHANGED = '''"""A step that changes a column that others refer to."""
import sqlalchemy as sa
from alembic import op
revision = "9998"
down_revision = "{before}"

def upgrade():
    with op.batch_alter_table("workspaces") as table:
        table.add_column(sa.Column("more", sa.Text(), nullable=False, server_default="x"))
        table.alter_column("name", type_=sa.String(100))
    {then}
'''


def with_a_step_more(monkeypatch, tmp_path, database, then="pass"):
    shutil.copytree(versioning._MIGRATIONS, tmp_path / "migrations")
    before = schema_status(database).expected
    (tmp_path / "migrations/versions/9998_changed.py").write_text(CHANGED.format(before=before, then=then))
    monkeypatch.setattr(versioning, "_MIGRATIONS", tmp_path / "migrations")


def test_a_table_that_others_refer_to_can_be_changed_and_keeps_its_rows(database, monkeypatch, tmp_path):
    fill(database)
    with_a_step_more(monkeypatch, tmp_path, database)
    assert upgrade(database).missing == ("9998",)
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT id, name, more FROM workspaces").all() == [("ws_1", "one", "x")]
        assert tx.exec_driver_sql("SELECT workspace FROM members").scalars().all() == ["ws_1"]
    orphan = "INSERT INTO members (id, workspace, name, role, created_at) VALUES ('mem_2', 'ws_9', 'b', 'admin', 0)"
    with pytest.raises(IntegrityError):
        run(database, orphan)


def test_a_step_that_loses_what_others_refer_to_is_taken_back(database, monkeypatch, tmp_path):
    fill(database)
    with_a_step_more(monkeypatch, tmp_path, database, then='op.execute("DELETE FROM workspaces")')
    with pytest.raises((Bug, IntegrityError)):
        upgrade(database)
    assert schema_status(database).found != "9998"
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT id, name FROM workspaces").all() == [("ws_1", "one")]
    run(database, "DELETE FROM members")


def fill(database):
    run(database, "INSERT INTO workspaces (id, name, created_at) VALUES ('ws_1', 'one', 0)")
    run(database, "INSERT INTO members (id, workspace, name, role, created_at) VALUES ('m', 'ws_1', 'a', 'admin', 0)")


# ---- audit events can only be added ----


def test_an_event_is_sealed_once(database):
    add(database)
    run(database, "UPDATE audit_events SET number = 1, hash = 'h' WHERE number IS NULL")
    for change in ("number = 2", "hash = 'x'", "number = NULL", "hash = NULL", "details = '{}'"):
        with pytest.raises(IntegrityError, match="never changed"):
            run(database, f"UPDATE audit_events SET {change}")
    assert rows(database) == [(1, "h", EVENT["details"])]


@pytest.mark.parametrize("column", [*EVENT, "id"])
def test_no_column_of_an_event_can_be_changed_before_it_is_sealed(database, column):
    add(database)
    value = "7" if column in ("id", "at") else "'other'"
    with pytest.raises(IntegrityError, match="never changed"):
        run(database, f"UPDATE audit_events SET {column} = {value}, number = 1, hash = 'h'")
    assert rows(database) == [(None, None, EVENT["details"])]


def test_an_event_is_never_deleted(database):
    add(database)
    statements = ["DELETE FROM audit_events"]
    if database.dialect == "postgresql":
        statements.append("TRUNCATE audit_events")
    for statement in statements:
        with pytest.raises(IntegrityError, match="never deleted"):
            run(database, statement)
    assert len(rows(database)) == 1


def add(database):
    database.write(lambda tx: tx.execute(audit_events.insert().values(EVENT)))


def run(database, statement):
    database.write(lambda tx: tx.exec_driver_sql(statement))


def rows(database):
    with database.read() as tx:
        return tx.exec_driver_sql("SELECT number, hash, details FROM audit_events").all()


def stamp(database, revision):
    run(database, f"UPDATE alembic_version SET version_num = '{revision}'")
