"""The servers of the tests are real, and what they give is empty and apart."""

import contextlib

import obstore
import sqlalchemy
from obstore.store import S3Store

from penstock.database.opening import open_database
from penstock.database.schema import audit_events, metadata, workspaces

_WORDS = ("workspace", "actor", "actor_name", "action", "subject", "outcome", "origin", "request_id")


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


def test_a_database_that_is_lent_again_is_empty_and_counts_from_one(prepared_databases):
    event = dict.fromkeys(_WORDS, "") | {"at": 0}
    url = prepared_databases.borrow()
    for _ in range(2):
        with contextlib.closing(open_database(url)) as database:
            database.write(lambda tx: tx.execute(workspaces.insert().values(id="ws_1", name="one", created_at=0)))
            made = database.write(lambda tx: tx.execute(audit_events.insert().values(event)).inserted_primary_key)
            assert made == (1,)
            prepared_databases.give_back(url)  # while somebody is connected
        assert prepared_databases.borrow() == url
    prepared_databases.give_back(url)


def test_a_database_whose_schema_was_changed_is_not_lent_again(prepared_databases):
    url = prepared_databases.borrow()
    with contextlib.closing(open_database(url)) as database:
        database.write(lambda tx: tx.exec_driver_sql("CREATE TABLE stranger (id int)"))
    prepared_databases.give_back(url)
    other = prepared_databases.borrow()
    assert other != url
    prepared_databases.give_back(other)


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
