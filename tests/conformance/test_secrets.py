"""Secrets in envelopes, on both databases."""

from __future__ import annotations

import base64
import secrets

import pytest

from penstock.core.errors import NotAllowed, NotFound, RequestInvalid, SecretUnreadable, SettingInvalid, TooLarge
from tests.people import MASTER, People, on_sqlite
from tests.servers import KINDS

VALUE = b"whsec_correct horse battery staple"


@pytest.fixture(params=KINDS)
def people(request, fresh_database):
    return People(fresh_database(request.param))


@pytest.fixture
def admin(people):
    return people.admin()


def resolve(people, actor, name="HOOK"):
    with people.database.read() as tx:
        return people.access.secret_records.resolve(tx, actor.workspace, name)


def new_master():
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_a_secret_is_read_by_the_platform_only(people, admin):
    people.access.secrets.put("HOOK", VALUE, actor=admin)
    assert resolve(people, admin) == VALUE
    listed = people.access.secrets.list(actor=admin)
    assert [(secret.name, secret.updated_by) for secret in listed] == [("HOOK", admin.member)]
    assert VALUE.decode() not in str(listed)


@on_sqlite
def test_the_database_holds_no_value(people, admin):
    people.access.secrets.put("HOOK", VALUE, actor=admin)
    rows = people.rows("SELECT * FROM secrets") + people.rows("SELECT * FROM data_keys")
    assert VALUE not in b"".join(bytes(item) for row in rows for item in row if isinstance(item, bytes | memoryview))
    assert "horse" not in str(people.rows("SELECT * FROM audit_events"))


@on_sqlite
def test_the_same_value_is_never_the_same_bytes(people, admin):
    people.access.secrets.put("ONE", VALUE, actor=admin)
    people.access.secrets.put("TWO", VALUE, actor=admin)
    one, two = people.rows("SELECT ciphertext FROM secrets")
    assert bytes(one[0])[12:] != bytes(two[0])[12:]


def test_a_secret_is_replaced_and_removed(people, admin):
    people.access.secrets.put("HOOK", VALUE, actor=admin)
    people.access.secrets.put("HOOK", b"new", actor=admin)
    assert resolve(people, admin) == b"new"
    people.access.secrets.remove("HOOK", actor=admin)
    with pytest.raises(NotFound):
        resolve(people, admin)
    with pytest.raises(NotFound):
        people.access.secrets.remove("HOOK", actor=admin)


@on_sqlite
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secrets SET name = 'MOVED'",
        "UPDATE secrets SET workspace = (SELECT id FROM workspaces WHERE name = 'other')",
        "UPDATE secrets SET ciphertext = (SELECT wrapped FROM data_keys LIMIT 1)",
        "UPDATE data_keys SET workspace = (SELECT id FROM workspaces WHERE name = 'other')",
    ],
)
def test_what_is_moved_in_the_database_does_not_open(people, admin, change):
    other = people.admin("other")
    people.access.secrets.put("HOOK", VALUE, actor=admin)
    people.execute(change)
    for actor in (admin, other):
        for name in ("HOOK", "MOVED"):
            with pytest.raises((SecretUnreadable, NotFound)):
                resolve(people, actor, name)


@on_sqlite
def test_a_workspace_does_not_see_the_secrets_of_another(people, admin):
    other = people.admin("other")
    people.access.secrets.put("HOOK", VALUE, actor=other)
    assert people.access.secrets.list(actor=admin) == []
    with pytest.raises(NotFound):
        resolve(people, admin)


def test_rotation_encrypts_everything_anew_and_drops_the_old_data_key(people, admin):
    people.access.secrets.put("HOOK", VALUE, actor=admin)
    people.access.secrets.put("OTHER", b"x", actor=admin)
    before = people.rows("SELECT id FROM data_keys")
    assert people.access.secrets.rotate(actor=admin) == 2
    after = people.rows("SELECT id FROM data_keys")
    assert len(after) == 1
    assert after != before
    assert (resolve(people, admin), resolve(people, admin, "OTHER")) == (VALUE, b"x")


def test_a_new_master_key_takes_over_at_the_next_start(people, admin):
    people.access.secrets.put("HOOK", VALUE, actor=admin)
    newer = new_master()
    rolled = People(people.database, master=f"{newer},{MASTER}")
    assert resolve(rolled, admin) == VALUE
    assert resolve(People(people.database, master=newer), admin) == VALUE  # the old one is not needed any more


@on_sqlite
def test_a_server_without_the_master_key_does_not_start(people, admin):
    people.access.secrets.put("HOOK", VALUE, actor=admin)
    with pytest.raises(SettingInvalid, match="wrapped by the master key with the fingerprint"):
        People(people.database, master=new_master())


@on_sqlite
def test_only_who_may_stores_secrets(people, admin):
    ben = people.member(admin, "ben", role="operator")
    with pytest.raises(NotAllowed, match="secrets:write"):
        people.access.secrets.put("HOOK", VALUE, actor=ben)
    assert people.access.secrets.list(actor=ben) == []


@on_sqlite
@pytest.mark.parametrize("name", ["", "1X", "A-B", "A B", "A\0", "A\n", "x" * 65])
def test_what_is_no_name_of_a_secret_is_refused(people, admin, name):
    with pytest.raises(RequestInvalid):
        people.access.secrets.put(name, VALUE, actor=admin)


@on_sqlite
def test_a_secret_has_a_size(people, admin):
    people.access.secrets.put("BIG", b"x" * 32 * 1024, actor=admin)
    with pytest.raises(TooLarge, match="secret_bytes"):
        people.access.secrets.put("BIG", b"x" * (32 * 1024 + 1), actor=admin)
    with pytest.raises(RequestInvalid, match="empty"):
        people.access.secrets.put("BIG", b"", actor=admin)
