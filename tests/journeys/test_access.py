"""Who may do what, over HTTP and at the terminal."""

from __future__ import annotations

import json
import stat

import pytest
from click.testing import CliRunner

from penstock.cli.main import cli
from penstock.core.access import PERMISSIONS
from penstock.core.errors import NotAllowed, NotFound, NotLoggedIn, PenstockError, RequestInvalid
from tests.serving import Api


@pytest.fixture
def tenant(api: Api, request):
    return api.tenant(f"w{abs(hash(request.node.name))}"[:40])


@pytest.fixture
def workspace(api, tenant):
    with api.client(tenant) as client:
        yield client.workspace


@pytest.fixture
def terminal(api, tenant, monkeypatch, tmp_path):
    """Run a command as the workspace's admin, and return what it printed; other errors than expected fail the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PENSTOCK_HOME", str(api.home))
    monkeypatch.setenv("PENSTOCK_URL", api.url)
    monkeypatch.setenv("PENSTOCK_API_KEY", tenant.api_key)

    def run(*words, stdin="", code=0):
        result = CliRunner().invoke(cli, list(words), input=stdin)
        if isinstance(result.exception, PenstockError):
            raise result.exception
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    return run


# ---- over HTTP ----


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer pk_x_y", "Bearer \xff"])
def test_nothing_is_answered_without_a_key(api, header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    with api.http() as http:
        for path in ("/me", "/workspace", "/quota", "/members", "/keys", "/secrets", "/audit", "/audit/verification"):
            answer = http.get(f"/api/v1{path}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_becomes_a_key_once(api):
    _, token = api.server.workspaces.create("loggers", admin="ada")
    with api.http() as http:
        first = http.post("/api/v1/login", json={"token": token})
        again = http.post("/api/v1/login", json={"token": token})
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    assert first.json()["workspace"]["name"] == "loggers"
    assert (again.status_code, again.json()["code"]) == (401, "not_logged_in")
    assert token not in again.text
    with api.http(key=first.json()["api_key"]) as http:
        me = http.get("/api/v1/me").json()
    assert (me["name"], me["role"]) == ("ada", "admin")
    assert sorted(me["permissions"]) == sorted(PERMISSIONS["admin"])


def test_logins_of_one_address_are_slowed_down(api):
    with api.http() as http:
        answers = [http.post("/api/v1/login", json={"token": "pt_wrong"}) for _ in range(30)]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert int(next(answer for answer in answers if answer.status_code == 429).headers["retry-after"]) >= 1
    api.app.state.rates._buckets.clear()


def test_members_come_change_and_go(workspace):
    added = workspace.add_member("ben", role="editor")
    assert added["token"].startswith("pt_")
    assert workspace.change_role("ben", "operator")["role"] == "operator"
    assert [member["name"] for member in workspace.members()] == ["ada", "ben"]
    workspace.remove_member(added["id"])
    assert [member["name"] for member in workspace.members()] == ["ada"]


def test_a_key_is_shown_once_and_ends_at_once(api, workspace):
    made = workspace.create_key("ci", scopes=["quota:read"])
    assert "api_key" not in str(list(workspace.keys()))
    with api.http(key=made["api_key"]) as http:
        assert http.get("/api/v1/quota").status_code == 200
        refused = http.get("/api/v1/audit")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
        workspace.revoke_key(made["id"])
        assert http.get("/api/v1/quota").status_code == 401
    refusals = [event["details"] for event in workspace.audit(outcome="refused")]
    assert [details["code"] for details in refusals] == ["not_logged_in", "not_allowed"]
    assert refusals[1]["asked"] == "GET /api/v1/audit"
    assert {details["key"] for details in refusals} == {made["id"]}


def test_lists_are_paged(api, tenant, workspace):
    for number in range(5):
        workspace.put_secret(f"S{number}", "x")
        workspace.add_member(f"m{number}")
    with api.http(tenant) as http:
        for path, name in (("secrets", "name"), ("members", "id"), ("keys", "id"), ("audit", "id")):
            seen: list[str] = []
            cursor: dict[str, str] = {}
            while True:
                page = http.get(f"/api/v1/{path}", params={"limit": 2, **cursor}).json()
                seen += [item[name] for item in page["items"]]
                assert len(page["items"]) <= 2
                if page["next"] is None:
                    break
                cursor = {"cursor": page["next"]}
            assert len(seen) == len(set(seen))
            if path != "audit":  # which every look makes longer
                assert seen == [item[name] for item in http.get(f"/api/v1/{path}").json()["items"]]


def test_secrets_go_in_and_do_not_come_out(api, tenant, workspace):
    workspace.put_secret("HOOK", "horse battery")
    assert [secret["name"] for secret in workspace.secrets()] == ["HOOK"]
    assert workspace.rotate_secrets() == 1
    with api.http(tenant) as http:
        for path in ("/secrets", "/secrets/HOOK", "/audit", "/workspace"):
            assert "horse" not in http.get(f"/api/v1{path}").text
    workspace.remove_secret("HOOK")
    with pytest.raises(NotFound):
        workspace.remove_secret("HOOK")


def test_a_workspaces_admin_tightens_and_does_not_loosen(workspace):
    assert workspace.change(quotas={"running_jobs_max": 3})["quotas"]["running_jobs_max"] == 3
    assert workspace.quota()["quotas"]["running_jobs_max"] == 3
    with pytest.raises(NotAllowed):
        workspace.change(quotas={"running_jobs_max": 4})
    with pytest.raises(NotAllowed):
        workspace.change(egress=["169.254.169.254"])
    with pytest.raises(RequestInvalid):
        workspace.change(quotas={"no_such_quota": 4})


def test_another_workspaces_ids_are_not_found(api, tenant, workspace):
    other = api.tenant("other")
    with api.client(other) as client:
        key = client.workspace.create_key("ci")
    for reach in (
        lambda: workspace.remove_member(other.member),
        lambda: workspace.change_role(other.member, "viewer"),
        lambda: workspace.issue_token(other.member),
        lambda: workspace.revoke_key(key["id"]),
    ):
        with pytest.raises(NotFound):
            reach()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/members", {"name": "a\0b"}),
        ("POST", "/members", {"name": "x", "role": "owner"}),
        ("POST", "/members", {"name": "x", "extra": 1}),
        ("PATCH", "/members/a%00b", {"role": "viewer"}),
        ("POST", "/keys", {"name": "x", "scopes": ["everything"]}),
        ("POST", "/keys", {"name": "x", "scopes": []}),
        ("POST", "/keys", {"name": "x", "expires_at": "2001-01-01T00:00:00Z"}),
        ("POST", "/keys", {"name": "x", "expires_at": "2001-01-01T00:00:00"}),
        ("DELETE", "/keys/a%00", None),
        ("PUT", "/secrets/A-B", {"value": "x"}),
        ("PUT", "/secrets/A", {"value": ""}),
        ("GET", "/audit?action=a%00", None),
        ("GET", "/audit?cursor=99999999999999999999", None),
        ("GET", "/audit?limit=0", None),
        ("GET", "/audit/verification?start=x", None),
        ("GET", "/members?cursor=%00", None),
        ("PATCH", "/workspace", {"quotas": {"running_jobs_max": -1}}),
        ("PATCH", "/workspace", {"quotas": {"running_jobs_max": 10**30}}),
        ("POST", "/login", {"token": 5}),
    ],
)
def test_what_is_not_valid_is_told_and_harms_nothing(api, tenant, method, path, body):
    with api.http(tenant) as http:
        answer = http.request(method, f"/api/v1{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid"), answer.text


def test_half_a_surrogate_is_no_secret(api, tenant):
    with api.http(tenant) as http:
        answer = http.put("/api/v1/secrets/A", content=b'{"value": "\\ud800"}')
    assert answer.status_code == 422


# ---- at the terminal ----


def test_logging_in_keeps_a_key_that_only_the_user_reads(api, terminal, monkeypatch, tmp_path):
    _, token = api.server.workspaces.create("at-the-terminal", admin="ada")
    monkeypatch.delenv("PENSTOCK_API_KEY")
    said = terminal("login", "--token", token)
    assert "as ada, admin of at-the-terminal" in said
    path = tmp_path / "config" / "penstock" / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(terminal("quota", "--json"))["used"]["queued_jobs"] == 0
    key = json.loads(path.read_text())["api_key"]
    assert key not in said
    terminal("logout")
    assert not path.exists()
    with api.http(key=key) as http:
        assert http.get("/api/v1/me").status_code == 401
    with pytest.raises(NotLoggedIn):
        terminal("quota")


def test_a_token_is_asked_for_when_it_is_not_given(api, terminal):
    _, token = api.server.workspaces.create("asked", admin="ada")
    assert json.loads(terminal("login", "--json", stdin=f"{token}\n"))["workspace"]["name"] == "asked"


def test_members_at_the_terminal(terminal):
    assert "added ben, editor" in terminal("members", "add", "ben", "--role", "editor")
    assert terminal("members", "role", "ben", "viewer") == "ben is viewer now\n"
    assert [member["name"] for member in json.loads(terminal("members", "list", "--json"))] == ["ada", "ben"]
    assert "pt_" in terminal("members", "token", "ben")
    assert "removed ben" in terminal("members", "remove", "ben")
    assert "ben" not in terminal("members", "list")


def test_a_name_with_other_letters_is_refused_saying_which_ones_it_may_have(workspace):
    with pytest.raises(
        RequestInvalid, match=r"body\.name: must consist of ASCII letters, digits, spaces and \. _ @ \+ -"
    ):
        workspace.add_member("Zoë B")
    assert workspace.add_member("Zoe B")["name"] == "Zoe B"


def test_keys_at_the_terminal(api, terminal):
    made = json.loads(terminal("keys", "create", "ci", "--scope", "quota:read", "--expires-in", "12h", "--json"))
    assert made["scopes"] == ["quota:read"]
    listed = terminal("keys", "list")
    assert "quota:read" in listed
    assert "ada" in listed
    assert "mem_" not in listed
    assert {key["member"][:4] for key in json.loads(terminal("keys", "list", "--json"))} == {"mem_"}
    assert terminal("keys", "create", "plain").startswith("pk_")
    assert "is ended" in terminal("keys", "revoke", made["id"])


def test_secrets_at_the_terminal(terminal):
    assert terminal("secrets", "put", "HOOK", stdin="horse\n") == "stored HOOK\n"
    listed = terminal("secrets", "list")
    assert "HOOK" in listed
    assert "ada" in listed
    assert "mem_" not in listed
    assert terminal("secrets", "rotate") == "encrypted 1 anew\n"
    assert terminal("secrets", "remove", "HOOK") == "removed HOOK\n"
    assert terminal("secrets", "list") == ""


def test_quota_at_the_terminal(terminal):
    assert "0  of 10,000 jobs and chunks" in terminal("quota")


def test_a_broken_chain_is_told_with_its_place_and_exit_code_2(api, terminal, tenant):
    terminal("secrets", "put", "HOOK", stdin="x")
    assert "secret.put" in terminal("audit", "list", "--action", "secret.put")
    api.server.audit_log.seal()
    said = terminal("audit", "verify")
    assert said.startswith("whole")
    head = said.split("head   ")[1].split("\n")[0]
    terminal("audit", "verify", "--known", head)
    where = f"workspace = '{tenant.workspace}' AND action = 'secret.put'"
    number = tamper(api, f"UPDATE audit_events SET subject = 'OTHER' WHERE {where} RETURNING number")
    said = terminal("audit", "verify", code=2)
    assert f"event {number} was changed" in said
    assert json.loads(terminal("audit", "verify", "--json", code=2))["problems"][0]["number"] == number


def tamper(api, statement):
    def change(tx):
        trigger = tx.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE name = 'audit_events_append_only_update'"
        ).scalar_one()
        tx.exec_driver_sql("DROP TRIGGER audit_events_append_only_update")
        changed = tx.exec_driver_sql(statement).scalar_one()
        tx.exec_driver_sql(trigger)
        return changed

    return api.server.database.write(change)


def test_workspaces_are_made_and_bounded_on_the_servers_machine(api, terminal):
    made = json.loads(terminal("workspaces", "create", "data-team", "--admin", "ann", "--json"))
    assert api.server.workspaces.login(made["token"], origin="x").member.name == "ann"
    said = terminal("workspaces", "set", "data-team", "--quota", "running_jobs_max=3", "--egress", "10.0.0.0/8")
    assert "running_jobs_max     3" in said
    assert "10.0.0.0/8" in terminal("workspaces", "list")
    assert "public addresses only" in terminal("workspaces", "set", "data-team", "--no-egress")
    assert "pt_" in terminal("workspaces", "token", "data-team", "--member", "ann")
    with pytest.raises(NotFound, match="no member 'admin'") as nobody:
        terminal("workspaces", "token", "data-team")
    assert "--member. Admins: ann." in nobody.value.hint
    with pytest.raises(RequestInvalid, match="no quota 'nonsense'"):
        terminal("workspaces", "set", "data-team", "--quota", "nonsense=3")
    with pytest.raises(RequestInvalid):
        terminal("workspaces", "create", "Not A Name")
