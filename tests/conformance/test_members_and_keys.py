"""Workspaces, members and keys, on both databases."""

from __future__ import annotations

import pytest

from penstock.core.access import PERMISSIONS, Policy, Quotas
from penstock.core.errors import Conflict, KeyEnded, NotAllowed, NotFound, NotLoggedIn, RequestInvalid
from tests.people import People, on_sqlite
from tests.servers import KINDS

DAY_S = 86_400


@pytest.fixture(params=KINDS)
def people(request, fresh_database):
    return People(fresh_database(request.param))


@pytest.fixture
def admin(people):
    return people.admin()


def test_the_first_start_gives_a_token_until_somebody_has_logged_in(people):
    first = people.access.workspaces.ensure_first()
    second = people.access.workspaces.ensure_first()
    assert first.startswith("pt_")
    with pytest.raises(NotLoggedIn):
        people.log_in(first)  # a newer one takes its place
    actor = people.log_in(second)
    assert (actor.name, actor.role) == ("admin", "admin")
    assert people.access.workspaces.ensure_first() is None
    assert [workspace.name for workspace in people.access.workspaces.list()] == ["default"]


def test_a_login_token_works_once(people):
    token = people.access.workspaces.ensure_first()
    people.log_in(token)
    with pytest.raises(NotLoggedIn, match="works once"):
        people.log_in(token)


@on_sqlite
def test_a_login_token_works_for_a_day(people):
    token = people.access.workspaces.ensure_first()
    people.clock.advance(DAY_S)
    with pytest.raises(NotLoggedIn, match="within a day"):
        people.log_in(token)


@on_sqlite
def test_neither_tokens_nor_keys_are_stored(people, admin):
    _, token = people.access.members.add("ben", role="viewer", actor=admin)
    _, text = people.access.keys.create("ci", actor=admin)
    stored = str(people.rows("SELECT * FROM login_tokens")) + str(people.rows("SELECT * FROM api_keys"))
    assert token.removeprefix("pt_") not in stored
    assert text.split("_", 2)[2] not in stored  # a secret may have a _ in it


@on_sqlite
def test_a_key_says_who_shows_it_and_from_where(people, admin):
    key, text = people.access.keys.create("ci", actor=admin)
    actor = people.show(text)
    assert (actor.workspace, actor.member, actor.key) == (admin.workspace, admin.member, key.id)
    assert (actor.origin, actor.request_id) == ("203.0.113.7", "req_1")
    assert actor.permissions == PERMISSIONS["admin"]


@on_sqlite
@pytest.mark.parametrize(
    "text", ["", "pk_", "pk__", "pk_x_y", "pt_abc", "hello", "pk_01_\N{SNOWMAN}", "pk_" + "a" * 9999]
)
def test_what_is_no_key_opens_nothing(people, text):
    with pytest.raises(NotLoggedIn):
        people.show(text)


@on_sqlite
def test_the_secret_of_another_key_opens_nothing(people, admin):
    _, one = people.access.keys.create("one", actor=admin)
    _, two = people.access.keys.create("two", actor=admin)
    mixed = one[: one.index("_", 3)] + two[two.index("_", 3) :]
    with pytest.raises(NotLoggedIn, match="not one of this server's"):
        people.show(mixed)


def test_a_revoked_key_ends_at_once_and_who_still_shows_it_is_noted(people, admin):
    key, text = people.access.keys.create("ci", actor=admin)
    people.access.keys.revoke(key.id, actor=admin)
    with pytest.raises(KeyEnded, match="revoked"):
        people.show(text)
    last = people.rows("SELECT action, outcome, actor, origin FROM audit_events ORDER BY id DESC LIMIT 1")[0]
    assert tuple(last) == ("request.refuse", "refused", admin.member, "203.0.113.7")


@on_sqlite
def test_an_expiring_key_ends_by_itself(people, admin):
    _, text = people.access.keys.create("ci", actor=admin, expires_at=people.clock() + 60)
    people.show(text)
    people.clock.advance(60)
    with pytest.raises(KeyEnded, match="expired"):
        people.show(text)


@on_sqlite
def test_scopes_narrow_what_the_role_allows(people, admin):
    _, text = people.access.keys.create("ci", actor=admin, scopes=frozenset(["jobs:write", "data:read"]))
    assert people.show(text).permissions == {"jobs:write", "data:read"}


@on_sqlite
def test_scopes_give_nothing_that_the_role_has_lost(people, admin):
    ben = people.member(admin, "ben", role="editor")
    _, text = people.access.keys.create("ci", actor=ben, scopes=frozenset(["jobs:write", "jobs:read"]))
    people.access.members.change_role("ben", role="viewer", actor=admin)
    assert people.show(text).permissions == {"jobs:read"}


@on_sqlite
def test_nobody_gives_a_key_more_than_they_may(people, admin):
    ben = people.member(admin, "ben", role="editor")
    with pytest.raises(RequestInvalid, match="audit:read"):
        people.access.keys.create("ci", actor=ben, scopes=frozenset(["audit:read"]))


@on_sqlite
def test_a_narrowed_key_makes_no_keys(people, admin):
    _, text = people.access.keys.create("ci", actor=admin, scopes=frozenset(["jobs:write"]))
    with pytest.raises(NotAllowed, match="keys:write"):
        people.access.keys.create("lasting", actor=people.show(text))


@on_sqlite
def test_a_narrowed_key_that_may_make_keys_makes_none_wider_than_itself(people, admin):
    _, text = people.access.keys.create("maker", actor=admin, scopes=frozenset(["keys:write"]))
    maker = people.show(text)
    _, made = people.access.keys.create("made", actor=maker)
    assert people.show(made).permissions == {"keys:write"}
    with pytest.raises(RequestInvalid, match="members:write"):
        people.access.keys.create("made", actor=maker, scopes=frozenset(["members:write"]))


@on_sqlite
def test_only_who_may_makes_keys_for_others(people, admin):
    ben = people.member(admin, "ben", role="operator")
    with pytest.raises(NotAllowed):
        people.access.keys.create("ci", actor=ben, member="ada")
    _, text = people.access.keys.create("ci", actor=admin, member="ben")
    assert people.show(text).member == ben.member


@on_sqlite
def test_members_see_and_end_their_own_keys_only(people, admin):
    ben = people.member(admin, "ben")
    assert {key.member for key in people.access.keys.list(actor=ben)} == {ben.member}
    assert {key.member for key in people.access.keys.list(actor=admin)} == {ben.member, admin.member}
    with pytest.raises(NotFound):
        people.access.keys.revoke(admin.key, actor=ben)
    people.access.keys.revoke(ben.key, actor=admin)


def test_the_time_of_use_is_written_now_and_then(people, admin):
    _, text = people.access.keys.create("ci", actor=admin)

    def last_used_at():
        return next(key for key in people.access.keys.list(actor=admin) if key.name == "ci").last_used_at

    people.show(text)
    first = last_used_at()
    people.clock.advance(60)
    people.show(text)
    assert last_used_at() == first == people.clock() - 60
    people.clock.advance(600)
    people.show(text)
    assert last_used_at() == people.clock()


@on_sqlite
def test_a_role_change_takes_effect_with_the_next_request(people, admin):
    ben = people.member(admin, "ben")
    _, text = people.access.keys.create("ci", actor=ben)
    people.access.members.change_role(ben.member, role="operator", actor=admin)
    assert people.show(text).role == "operator"


def test_removing_a_member_ends_their_keys_and_tokens(people, admin):
    ben = people.member(admin, "ben")
    _, text = people.access.keys.create("ci", actor=ben)
    token = people.access.members.issue_token("ben", actor=admin)
    people.access.members.remove("ben", actor=admin)
    with pytest.raises(KeyEnded):
        people.show(text)
    with pytest.raises(NotLoggedIn):
        people.log_in(token)
    assert [member.name for member in people.access.members.list(actor=admin)] == ["ada"]


def test_who_was_removed_comes_back_as_the_same_member_without_the_old_keys(people, admin):
    ben = people.member(admin, "ben")
    _, text = people.access.keys.create("ci", actor=ben)
    people.access.members.remove("ben", actor=admin)
    again = people.member(admin, "ben", role="editor")
    assert (again.member, again.role) == (ben.member, "editor")
    with pytest.raises(KeyEnded):
        people.show(text)


def test_names_are_found_by_id_of_everybody_who_ever_was_a_member_of_the_workspace(people, admin):
    ben, stranger = people.member(admin, "ben"), people.admin("others")
    people.access.members.remove("ben", actor=admin)
    wanted = [ben.member, admin.member, stranger.member, "nobody", None, ben.member]
    assert people.access.members.names(wanted, actor=admin) == {admin.member: "ada", ben.member: "ben"}
    assert people.access.members.names([], actor=admin) == {}


def test_the_last_admin_stays(people, admin):
    with pytest.raises(Conflict, match="last admin"):
        people.access.members.remove("ada", actor=admin)
    with pytest.raises(Conflict, match="last admin"):
        people.access.members.change_role("ada", role="viewer", actor=admin)
    people.member(admin, "ben", role="admin")
    people.access.members.remove("ada", actor=admin)


@on_sqlite
def test_two_members_have_two_names(people, admin):
    people.member(admin, "ben")
    with pytest.raises(Conflict, match="'ben'"):
        people.access.members.add("ben", role="viewer", actor=admin)


@on_sqlite
@pytest.mark.parametrize("name", ["", " ben", "ben\n", "b\0n", "x" * 65, "\N{SNOWMAN}"])
def test_what_is_no_name_is_refused(people, admin, name):
    with pytest.raises(RequestInvalid):
        people.access.members.add(name, role="viewer", actor=admin)


@on_sqlite
def test_only_admins_change_members(people, admin):
    ben = people.member(admin, "ben", role="operator")
    for change in (
        lambda: people.access.members.add("eve", role="admin", actor=ben),
        lambda: people.access.members.change_role("ben", role="admin", actor=ben),
        lambda: people.access.members.remove("ada", actor=ben),
        lambda: people.access.members.issue_token("ada", actor=ben),
    ):
        with pytest.raises(NotAllowed, match="'operator' does not have it"):
            change()


def test_one_workspace_does_not_see_the_members_and_keys_of_another(people, admin):
    other = people.admin("other")
    for reach in (
        lambda: people.access.members.remove(other.member, actor=admin),
        lambda: people.access.members.change_role(other.member, role="viewer", actor=admin),
        lambda: people.access.members.issue_token(other.member, actor=admin),
        lambda: people.access.keys.revoke(other.key, actor=admin),
        lambda: people.access.keys.create("ci", member=other.member, actor=admin),
    ):
        with pytest.raises(NotFound):
            reach()
    assert [key.member for key in people.access.keys.list(actor=admin)] == [admin.member]


def test_an_admin_may_lower_quotas_and_not_raise_them(people, admin):
    lowered = people.access.workspaces.change(actor=admin, quotas=Quotas(running_jobs_max=2))
    assert lowered.quotas.running_jobs_max == 2
    assert people.access.quotas.of(admin.workspace).running_jobs_max == 2
    assert people.rows("SELECT running_max FROM queue_workspaces")[0][0] == 2
    with pytest.raises(NotAllowed, match="running_jobs_max is 2"):
        people.access.workspaces.change(actor=admin, quotas=Quotas(running_jobs_max=3))
    raised = people.access.workspaces.change_locally("acme", quotas={"running_jobs_max": 100})
    assert raised.quotas.running_jobs_max == 100


@on_sqlite
def test_an_admin_may_take_egress_entries_out_and_not_put_them_in(people, admin):
    with pytest.raises(NotAllowed, match=r"169\.254\.169\.254"):
        people.access.workspaces.change(actor=admin, policy=Policy(("169.254.169.254",)))
    people.access.workspaces.change_locally("acme", quotas={}, egress=["hooks.internal", "10.0.0.0/8"])
    people.access.workspaces.change(actor=admin, policy=Policy(("hooks.internal",)))
    assert people.access.workspaces.read(actor=admin).policy == Policy(("hooks.internal",))


@on_sqlite
@pytest.mark.parametrize("entry", ["", "10.0.0.1/8", "http://x", "a b", "host:0", "host:99999", "0x7f.1", "x/y"])
def test_what_is_no_egress_entry_is_refused(people, admin, entry):
    with pytest.raises(RequestInvalid, match="egress"):
        people.access.workspaces.change_locally("acme", quotas={}, egress=[entry])


def test_everything_is_audited_in_its_transaction(people, admin):
    people.member(admin, "ben")
    people.access.members.change_role("ben", role="editor", actor=admin)
    people.access.members.remove("ben", actor=admin)
    assert people.actions() == [
        "workspace.create",
        "member.login",
        "member.add",
        "member.login",
        "member.change",
        "member.remove",
    ]
    with pytest.raises(Conflict):
        people.access.members.remove("ada", actor=admin)
    assert people.actions()[-1] == "member.remove"
    assert len(people.actions()) == 6
