"""The servers of the tests are real, and what they give is empty and apart."""

import obstore
import sqlalchemy
from obstore.store import S3Store

from penstock.database.schema import metadata, workspaces


def test_a_fresh_database_is_migrated_and_empty(database):
    with database.read() as tx:
        assert set(sqlalchemy.inspect(tx).get_table_names()) == {*metadata.tables, "alembic_version"}
        assert tx.execute(sqlalchemy.select(workspaces)).all() == []


def test_two_fresh_databases_know_nothing_of_each_other(fresh_database):
    for kind in ("sqlite", "postgresql"):
        one, other = fresh_database(kind), fresh_database(kind)
        one.write(lambda tx: tx.execute(workspaces.insert().values(id="ws_1", name="one", created_at=0)))
        with other.read() as tx:
            assert tx.execute(sqlalchemy.select(workspaces)).all() == []


def test_the_s3_server_keeps_what_it_is_given(s3):
    store = S3Store(
        s3.fresh_bucket(),
        access_key_id="test",
        secret_access_key="test",
        endpoint=s3.endpoint,
        client_options={"allow_http": True},
    )
    obstore.put(store, "key", b"bytes")
    assert obstore.get(store, "key").bytes() == b"bytes"
