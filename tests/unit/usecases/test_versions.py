"""What can be asked of scripts: on SQLite, with blobs in memory, and the real sandbox where scripts run."""

from __future__ import annotations

import contextlib
import json

import pytest

from penstock.core import limits
from penstock.core.errors import (
    ApprovalNeeded,
    BlobsUnavailable,
    Conflict,
    ExamplesFailed,
    InputUnreadable,
    NotAllowed,
    RequestInvalid,
    ScriptFailed,
    ScriptRejected,
    TooLarge,
    TooMany,
    VersionRevoked,
)
from penstock.core.jobs import Lane
from penstock.core.scripts import ScriptLimits
from penstock.core.versions import Example
from penstock.sandbox.strict import StrictSandbox
from penstock.usecases.trials import Sample, Trials
from penstock.usecases.versions import Content
from tests.scripting import DOUBLE, DOUBLES, KEEP, LONG, Scripting
from tests.twins import TwinSandbox


@pytest.fixture(scope="module")
def sandbox():
    with contextlib.closing(StrictSandbox()) as started:
        yield started


@pytest.fixture
def scripting(fresh_database):
    return Scripting(fresh_database("sqlite"))


@pytest.fixture
def running(fresh_database, sandbox):
    return Scripting(fresh_database("sqlite"), sandbox)


@pytest.fixture
def ada(scripting):
    return scripting.actor()


# ---- drafts ----


def test_versions_without_a_number_count_up(scripting, ada):
    numbers = [scripting.draft(ada).number, scripting.draft(ada, number="1.4.0").number, scripting.draft(ada).number]
    assert numbers == ["1.0.0", "1.4.0", "1.4.1"]


def test_a_draft_changes_and_keeps_its_number_its_id_and_who_made_it(scripting, ada):
    made = scripting.draft(ada)
    ben = scripting.actor("ben", role="editor")
    scripting.clock.advance(60)
    changed = scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE, tier="warm"), actor=ben)
    assert (changed.id, changed.number, changed.created_by, changed.created_at) == (
        made.id,
        made.number,
        made.created_by,
        made.created_at,
    )
    assert (changed.tier, changed.updated_by, changed.updated_at) == ("warm", ben.member, made.updated_at + 60)
    assert changed.hash != made.hash
    assert scripting.scripts.code("clean", "1.0.0", actor=ada) == DOUBLE


def test_a_published_version_never_changes(scripting, ada):
    (made,) = scripting.published(ada, "1.0.0")
    with pytest.raises(Conflict, match="never changes"):
        scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE), actor=ada)
    with pytest.raises(Conflict, match="published already"):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)
    assert scripting.scripts.read_version("clean", "1.0.0", actor=ada) == made


def test_javascript_gets_its_own_profile(scripting, ada):
    scripting.scripts.create("js", language="javascript", actor=ada)
    made = scripting.scripts.add_version("js", Content(b"function process(r) { return r }"), actor=ada)
    assert (made.language, made.profile) == ("javascript", "js")
    with pytest.raises(RequestInvalid, match="profile"):
        scripting.scripts.add_version("js", Content(KEEP, profile="arrow"), actor=ada)


def test_content_that_is_not_valid_leaves_nothing_behind(scripting, ada):
    scripting.scripts.create("clean", actor=ada)
    with pytest.raises(RequestInvalid):
        scripting.scripts.add_version("clean", Content(b""), actor=ada)
    with pytest.raises(RequestInvalid):
        scripting.scripts.add_version("clean", Content(KEEP), number="1", actor=ada)
    assert scripting.blobs.kept == {}
    assert scripting.scripts.versions("clean", actor=ada)[1] == []


def test_code_that_was_damaged_is_not_run(scripting, ada):
    made = scripting.draft(ada)
    scripting.blobs.put(made.code.key, b"def process(data): return 'other'")
    with pytest.raises(BlobsUnavailable, match="damaged"):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)


def test_a_workspace_has_a_bounded_number_of_scripts(scripting, ada, monkeypatch):
    monkeypatch.setattr(limits, "SCRIPTS", limits.Limit("scripts", 1, "scripts", "a bound for the test"))
    scripting.scripts.create("one", actor=ada)
    with pytest.raises(TooMany, match="1 scripts"):
        scripting.scripts.create("two", actor=ada)


def test_a_script_has_a_bounded_number_of_versions(scripting, ada, monkeypatch):
    monkeypatch.setattr(limits, "VERSIONS", limits.Limit("versions", 1, "versions", "a bound for the test"))
    scripting.draft(ada)
    with pytest.raises(TooMany, match="1 versions"):
        scripting.draft(ada)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("viewer", ["read"]), ("editor", ["read", "write"]), ("operator", ["read", "write", "publish"])],
)
def test_roles_may_what_their_permissions_say(scripting, ada, role, allowed):
    scripting.draft(ada)
    other = scripting.actor("ben", role=role)
    scripts = scripting.scripts
    asked = {
        "read": [
            lambda: scripts.read("clean", actor=other),
            lambda: scripts.code("clean", "1.0.0", actor=other),
            lambda: scripting.approvals.list(actor=other),
        ],
        "write": [
            lambda: scripts.create("other", actor=other),
            lambda: scripts.add_version("clean", Content(KEEP), actor=other),
            lambda: scripts.change_draft("clean", "1.0.0", Content(KEEP + b"#"), actor=other),
        ],
        "publish": [
            lambda: scripts.publish("clean", "1.0.0", actor=other),
            lambda: scripts.activate("clean", "1.0.0", actor=other),
            lambda: scripts.deprecate("clean", "1.0.0", actor=other),
            lambda: scripts.revoke("clean", "1.0.0", actor=other),
            lambda: scripts.resume("clean", actor=other),
        ],
    }
    for kind, calls in asked.items():
        for call in calls:
            with contextlib.nullcontext() if kind in allowed else pytest.raises(NotAllowed):
                call()


# ---- publishing ----


def test_a_version_that_does_what_its_examples_say_is_published(running):
    ada = running.actor()
    fails = Example("words", ({"a": None}, {}), error="script_error")
    running.draft(ada, DOUBLE, examples=(DOUBLES, fails))
    running.clock.advance(5)
    made = running.scripts.publish("clean", "1.0.0", actor=ada)
    assert (made.state, made.published_by, made.published_at) == ("published", ada.member, running.clock())


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        (
            Example("e", ({"a": 1}, {"a": 2}), ({"a": 2}, {"a": 5})),
            {"place": "examples.e/1/a", "expected": "5", "got": "4"},
        ),
        (Example("e", ({"a": 1},), ()), {"place": "examples.e/0", "expected": "nothing", "got": '{"a": 2}'}),
        (
            Example("e", ({"a": 1},), ({"a": 2}, {"a": 3})),
            {"place": "examples.e/1", "expected": '{"a": 3}', "got": "nothing"},
        ),
        (
            Example("e", ({"a": 1},), ({"a": 2, "b/c": None},)),
            {"place": "examples.e/0/b~1c", "expected": "null", "got": "nothing"},
        ),
        (Example("e", ({"a": 1},), ({"a": "2"},)), {"place": "examples.e/0/a", "expected": '"2"', "got": "2"}),
        (Example("e", ({"a": True},), ({"a": True},)), {"place": "examples.e/0/a", "expected": "true", "got": "2"}),
        (
            Example("e", ({"a": None},), ({"a": 2},)),
            {
                "place": "examples.e",
                "expected": "no error",
                "got": "script_error: TypeError: unsupported operand type(s) for *: 'NoneType' and 'int' (line 2)",
            },
        ),
        (
            Example("e", ({"a": 1}, {}), error="script_error"),
            {"place": "examples.e", "expected": "script_error", "got": "script_error"},
        ),
        (
            Example("e", ({"a": 1},), error="limit_cpu"),
            {"place": "examples.e", "expected": "limit_cpu", "got": "no error"},
        ),
    ],
    ids=["value", "more", "fewer", "member", "type", "boolean", "error", "some", "none"],
)
def test_a_version_that_does_not_is_refused_and_the_difference_is_shown(running, example, problem):
    ada = running.actor()
    running.draft(ada, DOUBLE, examples=(example,))
    with pytest.raises(ExamplesFailed, match=r"clean@1\.0\.0 does not do what its examples say: e") as refused:
        running.scripts.publish("clean", "1.0.0", actor=ada)
    shown = refused.value.problems[0]
    assert {name: shown.get(name) for name in problem} == problem
    assert running.scripts.read_version("clean", "1.0.0", actor=ada).state == "draft"


def test_the_values_of_examples_are_in_no_audit_event(running):
    ada = running.actor()
    running.draft(ada, DOUBLE, examples=(Example("e", ({"a": 123454321},), ({"a": 1},)),))
    with pytest.raises(ExamplesFailed):
        running.scripts.publish("clean", "1.0.0", actor=ada)
    running.scripts.try_("clean", "1.0.0", Sample(b'{"a": 123454321}\n'), actor=ada)
    assert "12345432" not in str(running.audited())
    assert "246908642" not in str(running.audited())


@pytest.mark.parametrize(
    ("code", "schema", "words"),
    [
        (b"def process(data:\n", None, r"clean@1\.0\.0:1: '\(' was never closed"),
        (b"import os\ndef process(data): return data", None, "cannot import 'os'"),
        (b"x = 1", None, "defines none of"),
        (KEEP, {"type": "objekt"}, 'the input schema at /type, "objekt"'),
        (KEEP, {"$ref": "https://example.com/schema"}, "cannot fetch"),
    ],
    ids=["syntax", "import", "function", "schema", "fetched"],
)
def test_what_does_not_compile_is_not_published(running, code, schema, words):
    ada = running.actor()
    running.draft(ada, code, input_schema=schema)
    with pytest.raises(ScriptRejected, match=words):
        running.scripts.publish("clean", "1.0.0", actor=ada)


def test_examples_meet_the_schemas_too(running):
    ada = running.actor()
    schema = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    examples = (DOUBLES, Example("no number", ({"a": "x"}, {}), error="input_schema"))
    running.draft(ada, DOUBLE, input_schema=schema, examples=examples)
    assert running.scripts.publish("clean", "1.0.0", actor=ada).state == "published"


def test_a_draft_that_changes_while_its_examples_run_is_not_published(scripting, ada):
    scripting.draft(ada)

    class Meddling(TwinSandbox):
        def check(self, script):
            scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE), actor=ada)
            return []

    meddled = Scripting(scripting.database, Meddling(), blobs=scripting.blobs)
    with pytest.raises(Conflict, match="was changed while its examples ran"):
        meddled.scripts.publish("clean", "1.0.0", actor=ada)
    assert scripting.scripts.read_version("clean", "1.0.0", actor=ada).state == "draft"


# ---- approvals ----


def test_beyond_the_default_nothing_is_published_before_a_second_person_agrees(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    with pytest.raises(ApprovalNeeded, match="wall time of 120 s instead of 60 s"):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="year's end", actor=ada)
    assert asked == scripting.approvals.ask("clean", "1.0.0", reason="again", actor=ada), "one that waits is enough"
    with pytest.raises(NotAllowed, match="whoever asked"):
        scripting.approvals.approve(asked.id, actor=ada)
    scripting.clock.advance(60)
    scripting.approvals.approve(asked.id, reason="fine", actor=ben)
    assert scripting.scripts.publish("clean", "1.0.0", actor=ada).state == "published"
    kept = scripting.decided(asked)
    assert (kept.requested_by, kept.reason, kept.decided_by, kept.decision_reason, kept.decided_at) == (
        ada.member,
        "year's end",
        ben.member,
        "fine",
        scripting.clock(),
    )


def test_who_wrote_the_version_does_not_approve_it_for_somebody_else(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ben)
    with pytest.raises(NotAllowed, match="wrote this version"):
        scripting.approvals.approve(asked.id, actor=ada)


def test_an_approval_ends_when_the_draft_changes(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ada)
    scripting.approvals.approve(asked.id, actor=ben)
    scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE, limits=LONG), actor=ada)
    with pytest.raises(ApprovalNeeded):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)


def test_a_refusal_is_told_and_can_be_asked_again(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ada)
    scripting.approvals.refuse(asked.id, reason="stream it", actor=ben)
    with pytest.raises(ApprovalNeeded) as refused:
        scripting.scripts.publish("clean", "1.0.0", actor=ada)
    assert "stream it" in refused.value.hint
    with pytest.raises(Conflict, match="refused already"):
        scripting.approvals.approve(asked.id, actor=ben)
    again = scripting.approvals.ask("clean", "1.0.0", reason="it cannot be streamed", actor=ada)
    assert [one.id for one in scripting.approvals.list(state="waiting", actor=ada)] == [again.id]


def test_an_admin_who_is_alone_may_override_and_the_record_says_so(scripting, ada):
    scripting.draft(ada, tier="warm")
    asked = scripting.approvals.ask("clean", "1.0.0", reason="fast", actor=ada)
    scripting.approvals.override(asked.id, reason="nobody else is here", actor=ada)
    assert scripting.scripts.publish("clean", "1.0.0", actor=ada).state == "published"
    assert scripting.decided(asked).state == "overridden"
    assert "approval.override" in [action for action, _ in scripting.audited()]


def test_nobody_overrides_who_is_no_admin_or_not_alone(scripting, ada):
    scripting.draft(ada, tier="warm")
    asked = scripting.approvals.ask("clean", "1.0.0", reason="fast", actor=ada)
    with pytest.raises(NotAllowed, match="only an admin"):
        scripting.approvals.override(asked.id, actor=scripting.actor("ben", role="operator"))
    with pytest.raises(NotAllowed, match="more than one member"):
        scripting.approvals.override(asked.id, actor=ada)


def test_only_what_needs_an_approval_gets_one(scripting, ada):
    scripting.draft(ada)
    with pytest.raises(Conflict, match="nothing beyond the default"):
        scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ada)
    with pytest.raises(RequestInvalid, match="no reason"):
        scripting.approvals.ask("clean", "1.0.0", reason=" ", actor=ada)


# ---- active and back ----


def test_rolling_back_twice_goes_further_back(scripting, ada):
    scripting.published(ada, "1.0.0", "1.1.0", "1.2.0")
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        scripting.scripts.activate("clean", number, actor=ada)
    assert [scripting.scripts.rollback("clean", actor=ada).active_number for _ in range(2)] == ["1.1.0", "1.0.0"]
    with pytest.raises(Conflict, match=r"before 1\.0\.0"):
        scripting.scripts.rollback("clean", actor=ada)
    assert scripting.resolve().number == "1.0.0"


def test_a_draft_cannot_be_active(scripting, ada):
    scripting.draft(ada)
    with pytest.raises(Conflict, match="is a draft"):
        scripting.scripts.activate("clean", "1.0.0", actor=ada)


def test_revoking_the_active_version_leaves_none_until_somebody_rolls_back(scripting, ada):
    scripting.published(ada, "1.0.0", "1.1.0")
    for number in ("1.0.0", "1.1.0"):
        scripting.scripts.activate("clean", number, actor=ada)
    revoked = scripting.scripts.revoke("clean", "1.1.0", reason="it leaks", actor=ada)
    assert (revoked.state, revoked.state_reason) == ("revoked", "it leaks")
    assert scripting.scripts.read("clean", actor=ada).active is None
    with pytest.raises(VersionRevoked, match="it leaks"):
        scripting.scripts.activate("clean", "1.1.0", actor=ada)
    assert scripting.scripts.rollback("clean", actor=ada).active_number == "1.0.0"


def test_a_paused_script_is_resumed(scripting, ada):
    scripting.published(ada, "1.0.0")
    script = scripting.scripts.read("clean", actor=ada)
    assert not scripting.scripts.resume("clean", actor=ada)
    for _ in range(100):
        pause = lambda tx: scripting.queue.count_kill(tx, ada.workspace, Lane(script.id), killed=True)  # noqa: E731
        if scripting.database.write(pause):
            break
    assert scripting.scripts.resume("clean", actor=ada)
    assert not scripting.scripts.resume("clean", actor=ada)


# ---- diff and try ----


def test_two_versions_are_compared(running):
    ada = running.actor()
    running.draft(ada, b"def process(data):\n    return data\n")
    running.draft(ada, b"def process(data):\n    return None", tier="warm", limits=ScriptLimits(cpu_s=5))
    found = running.scripts.diff("clean", before="1.0.0", after="1.0.1", actor=ada)
    assert found.code == (
        "--- clean@1.0.0\n+++ clean@1.0.1\n@@ -1,2 +1,2 @@\n def process(data):\n"
        "-    return data\n+    return None\n\\ No newline at end of file\n"
    )
    assert found.settings == [("tier", "isolated", "warm"), ("limits.cpu", "30 s", "5 s")]
    assert running.scripts.diff("clean", before="1.0.0", after="1.0.0", actor=ada).code == ""


def test_a_draft_is_tried_at_once(running):
    ada = running.actor()
    running.draft(ada, b"def process(data):\n    print('saw', data['a'])\n    return {'b': 1 / data['a']}\n")
    trial = running.scripts.try_("clean", "1.0.0", Sample(b'{"a": 2}\n{"a": 0}\nnothing\n'), actor=ada)
    assert trial.output == b'{"b":0.5}\n'
    assert [json.loads(line)["error"]["code"] for line in trial.dead_letters.splitlines()] == [
        "script_error",
        "ndjson_record_invalid",
    ]
    assert (trial.counts.records, trial.counts.produced, trial.counts.failed) == (3, 1, 2)
    assert trial.printed == "saw 2\nsaw 0\n"
    assert trial.elapsed_s > 0


@pytest.mark.parametrize(
    ("data", "data_format"),
    [(b'[{"a": 1}, {"a": 2}]', "json"), (b"a\n1\n2\n", "csv"), (b'{"a":1}\n{"a":2}\n', "ndjson")],
)
def test_a_sample_has_one_of_three_formats(running, data, data_format):
    ada = running.actor()
    running.draft(ada, b"def process(data):\n    return {'a': int(data['a'])}\n")
    trial = running.scripts.try_("clean", "1.0.0", Sample(data, data_format), actor=ada)
    assert trial.output == b'{"a":1}\n{"a":2}\n'


def test_tables_are_tried_too(running):
    ada = running.actor()
    code = b"import pyarrow as pa\ndef process_table(table):\n    return pa.table({'n': [table.num_rows]})\n"
    running.draft(ada, code, profile="arrow")
    assert running.scripts.try_("clean", "1.0.0", Sample(b'{"a": 2}\n{"a": 0}\n'), actor=ada).output == b'{"n":2}\n'


def test_an_empty_sample_gives_nothing(running):
    ada = running.actor()
    running.draft(ada)
    trial = running.scripts.try_("clean", "1.0.0", Sample(b""), actor=ada)
    assert (trial.output, trial.counts.records) == (b"", 0)


@pytest.mark.parametrize("data", [b"x" * (2**20 + 1), b"{}\n" * 1001], ids=["bytes", "records"])
def test_a_sample_is_small(running, data):
    ada = running.actor()
    running.draft(ada)
    with pytest.raises(TooLarge, match="the sample has"):
        running.scripts.try_("clean", "1.0.0", Sample(data), actor=ada)


def test_a_sample_that_cannot_be_read_says_so(running):
    ada = running.actor()
    running.draft(ada)
    with pytest.raises(InputUnreadable):
        running.scripts.try_("clean", "1.0.0", Sample(b"[{", "json"), actor=ada)


def test_a_top_level_that_fails_says_so(running):
    ada = running.actor()
    running.draft(ada, b"1 / 0\ndef process(data): return data\n")
    with pytest.raises(ScriptFailed, match="ZeroDivisionError"):
        running.scripts.try_("clean", "1.0.0", Sample(b"{}\n"), actor=ada)


def test_a_revoked_version_is_not_tried_any_more(scripting, ada):
    scripting.published(ada, "1.0.0")
    scripting.scripts.revoke("clean", "1.0.0", actor=ada)
    with pytest.raises(VersionRevoked):
        scripting.scripts.try_("clean", "1.0.0", Sample(b"{}\n"), actor=ada)


def test_a_try_has_tighter_limits_than_a_job(running, monkeypatch):
    monkeypatch.setattr(limits, "TRY_WALL", limits.Limit("try_wall", 1, "s", "a bound for the test"))
    ada = running.actor()
    running.draft(ada, b"import time\ndef process(data):\n    time.sleep(30)\n")
    trial = running.scripts.try_("clean", "1.0.0", Sample(b"{}\n"), actor=ada)
    assert [cause.code for cause in trial.causes] == ["limit_wall"]


def test_only_so_many_are_tried_at_once(running, monkeypatch):
    monkeypatch.setattr("penstock.usecases.trials._PATIENCE_S", 0.01)
    trials = Trials(running.sandbox)
    with contextlib.ExitStack() as stack:
        for _ in range(limits.TRIES.value):
            stack.enter_context(trials._seat())
        with pytest.raises(TooMany) as refused:
            trials.compare(b"a", b"b", names=("a", "b"))
        assert refused.value.retry_after_s


# ---- audit ----


def test_everything_that_changes_is_audited_in_its_transaction(scripting, ada):
    scripting.draft(ada, tier="warm")
    asked = scripting.approvals.ask("clean", "1.0.0", reason="fast", actor=ada)
    scripting.approvals.override(asked.id, actor=ada)
    scripting.scripts.change_draft("clean", "1.0.0", Content(KEEP), actor=ada)
    scripting.scripts.publish("clean", "1.0.0", actor=ada)
    scripting.scripts.activate("clean", "1.0.0", actor=ada)
    scripting.published(ada, "1.1.0")
    scripting.scripts.activate("clean", "1.1.0", actor=ada)
    scripting.scripts.rollback("clean", actor=ada)
    scripting.scripts.deprecate("clean", "1.1.0", actor=ada)
    scripting.scripts.revoke("clean", "1.1.0", reason="why not", actor=ada)
    scripting.scripts.resume("clean", actor=ada)
    actions = [action for action, _ in scripting.audited()]
    assert actions == [
        "script.create",
        "version.create",
        "approval.ask",
        "approval.override",
        "version.change",
        "version.publish",
        "version.activate",
        "version.create",
        "version.publish",
        "version.activate",
        "version.rollback",
        "version.deprecate",
        "version.revoke",
        "script.resume",
    ]


def test_what_is_refused_leaves_no_event(scripting, ada):
    scripting.draft(ada)
    before = scripting.audited()
    with pytest.raises(Conflict):
        scripting.scripts.activate("clean", "1.0.0", actor=ada)
    assert scripting.audited() == before
