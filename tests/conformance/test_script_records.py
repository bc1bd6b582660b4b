"""Scripts, versions, activations and approvals, on both databases."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest

from penstock.core.errors import Conflict, NotFound, VersionRevoked
from penstock.core.scripts import ScriptLimits
from penstock.core.versions import Activation, Example
from penstock.database.schema import activations
from penstock.storage.script_records import SqlScriptRecords
from penstock.usecases.versions import Content
from tests.scripting import KEEP, LONG, Scripting
from tests.servers import KINDS


@pytest.fixture(params=KINDS)
def scripting(request, fresh_database):
    return Scripting(fresh_database(request.param))


@pytest.fixture
def ada(scripting):
    return scripting.actor()


def test_a_version_comes_back_as_it_was_given(scripting, ada):
    example = Example("one", ({"a": "é", "n": 1.5},), ({"a": None},))
    content = {
        "limits": ScriptLimits(wall_s=0.5, recursion=500),
        "input_schema": {"type": "object", "b": 1, "a": [True, None]},
        "output_schema": {},
        "examples": (example, Example("two", ({},), error="script_error")),
    }
    made = scripting.draft(ada, **content)
    assert scripting.scripts.read_version("clean", "1.0.0", actor=ada) == made
    assert scripting.scripts.read_version("clean", made.id, actor=ada) == made
    assert (made.limits, made.input_schema, made.examples) == (
        content["limits"],
        content["input_schema"],
        content["examples"],
    )


def test_a_job_gets_the_version_that_it_asks_for(scripting, ada):
    scripting.published(ada, "1.0.0", "1.1.0", "1.2.0", "2.0.0")
    scripting.scripts.activate("clean", "1.0.0", actor=ada)
    scripting.scripts.deprecate("clean", "1.2.0", actor=ada)
    asked = ["active", "1.2.0", "^1", "~1.2", ">=1.1 <2", "2.x", "*"]
    assert [scripting.resolve(words).number for words in asked] == [
        "1.0.0",
        "1.2.0",
        "1.1.0",
        "1.2.0",
        "1.1.0",
        "2.0.0",
        "2.0.0",
    ]
    script = scripting.scripts.read("clean", actor=ada)
    assert scripting.resolve("active", script=script.id).number == "1.0.0"


def test_what_a_job_gets_is_whole_though_it_comes_from_memory(scripting, ada):
    (made,) = scripting.published(ada, "1.0.0")
    first, second = scripting.resolve("1.0.0"), scripting.resolve("^1")
    assert first == second == made
    assert first is second
    scripting.scripts.deprecate("clean", "1.0.0", reason="old", actor=ada)
    third = scripting.resolve("1.0.0")
    assert (third.state, third.state_reason, third.code) == ("deprecated", "old", made.code)


def test_a_version_of_another_process_is_seen_at_once(scripting, ada):
    scripting.published(ada, "1.0.0")
    scripting.resolve("1.0.0")
    other = Scripting(scripting.database, records=SqlScriptRecords())
    other.scripts.revoke("clean", "1.0.0", actor=ada)
    with pytest.raises(VersionRevoked):
        scripting.resolve("1.0.0")


def test_what_is_not_there_has_neighbours(scripting, ada):
    scripting.published(ada, "1.0.0", "1.1.0")
    scripting.draft(ada, number="2.0.0")
    with pytest.raises(NotFound) as refused:
        scripting.resolve(script="cleam")
    assert "clean" in refused.value.hint
    with pytest.raises(NotFound) as refused:
        scripting.resolve("3.x")
    assert "1.1.0, 1.0.0" in refused.value.hint
    with pytest.raises(NotFound) as refused:
        scripting.scripts.read_version("clean", "3.0.0", actor=ada)
    assert "2.0.0, 1.1.0, 1.0.0" in refused.value.hint


def test_another_workspace_s_scripts_are_not_there(scripting, ada):
    (made,) = scripting.published(ada, "1.0.0")
    approval = scripting.approvals.ask("clean", scripting.draft(ada, limits=LONG).number, reason="why", actor=ada)
    eve = scripting.actor("eve", workspace="ws_2")
    scripting.draft(eve, name="mine")
    attempts = [
        lambda: scripting.scripts.read("clean", actor=eve),
        lambda: scripting.scripts.read(made.script, actor=eve),
        lambda: scripting.scripts.read_version(made.script, made.id, actor=eve),
        lambda: scripting.scripts.read_version("mine", made.id, actor=eve),
        lambda: scripting.resolve("1.0.0", workspace="ws_2"),
        lambda: scripting.resolve("1.0.0", script=made.script, workspace="ws_2"),
        lambda: scripting.approvals.refuse(approval.id, actor=eve),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    with scripting.database.read() as tx, pytest.raises(NotFound):
        scripting.records.load_version(tx, eve.workspace, made.id)
    assert [script.name for script in scripting.scripts.list(actor=eve)] == ["mine"]
    assert scripting.approvals.list(actor=eve) == []


def test_two_workspaces_may_use_one_name(scripting, ada):
    eve = scripting.actor("eve", workspace="ws_2")
    ours, theirs = scripting.scripts.create("clean", actor=ada), scripting.scripts.create("clean", actor=eve)
    assert scripting.scripts.read("clean", actor=eve) == theirs != ours


def test_a_name_and_a_number_are_taken_once(scripting, ada):
    scripting.draft(ada, number="1.0.0")
    with pytest.raises(Conflict, match="a script clean already"):
        scripting.scripts.create("clean", actor=ada)
    with pytest.raises(Conflict, match=r"a version 1\.0\.0 already"):
        scripting.draft(ada, number="1.0.0")


def test_scripts_come_by_name_and_versions_newest_first_in_pages(scripting, ada):
    for name in ("b", "a", "c"):
        scripting.scripts.create(name, actor=ada)
    assert [script.name for script in scripting.scripts.list(limit=2, actor=ada)] == ["a", "b"]
    assert [script.name for script in scripting.scripts.list(after="b", actor=ada)] == ["c"]
    made = [scripting.draft(ada, name="a", input_schema={}, examples=(Example("e", ({},), ()),)) for _ in range(3)]
    newest_first = sorted((version.id for version in made), reverse=True)
    _, page = scripting.scripts.versions("a", limit=2, actor=ada)
    assert [version.id for version in page] == newest_first[:2]
    assert {(version.input_schema, version.examples) for version in page} == {(None, ())}
    _, page = scripting.scripts.versions("a", before=newest_first[1], actor=ada)
    assert [version.id for version in page] == newest_first[2:]


def test_a_script_shows_what_is_active(scripting, ada):
    scripting.published(ada, "1.0.0", "1.1.0")
    assert scripting.scripts.read("clean", actor=ada).active_number is None
    assert scripting.scripts.activate("clean", "1.1.0", actor=ada).active_number == "1.1.0"
    assert scripting.scripts.read("clean", actor=ada).active_number == "1.1.0"
    assert scripting.scripts.list(actor=ada)[0].active_number == "1.1.0"
    assert scripting.scripts.read_version("clean", "active", actor=ada).number == "1.1.0"


def test_activations_are_kept_in_order(scripting, ada):
    made = scripting.published(ada, "1.0.0", "1.1.0")
    for number in ("1.0.0", "1.1.0", "1.1.0"):  # the third changes nothing
        scripting.scripts.activate("clean", number, actor=ada)
    scripting.clock.advance(1)
    scripting.scripts.rollback("clean", actor=ada)
    with scripting.database.read() as tx:
        script = scripting.records.find_script(tx, ada.workspace, "clean")
        history = scripting.records.activations(tx, script)
        assert tx.execute(activations.select()).first().workspace == ada.workspace
    assert [(step.version, step.kind) for step in history] == [
        (made[0].id, "activate"),
        (made[1].id, "activate"),
        (made[0].id, "rollback"),
    ]
    assert history[2] == Activation(made[0].id, "rollback", at=scripting.clock(), by=ada.member)


def test_an_approval_lapses_when_the_draft_changes_and_not_when_only_its_examples_do(scripting, ada):
    scripting.draft(ada, limits=LONG)
    first = scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ada)
    examples = (Example("e", ({},), ({},)),)
    scripting.scripts.change_draft("clean", "1.0.0", Content(KEEP, limits=LONG, examples=examples), actor=ada)
    assert scripting.decided(first).state == "waiting"
    scripting.scripts.change_draft("clean", "1.0.0", Content(KEEP + b"#", limits=LONG), actor=ada)
    lapsed = scripting.decided(first)
    assert (lapsed.state, lapsed.decided_by, lapsed.decision_reason) == ("lapsed", None, "the draft was changed")


def test_two_at_once_cannot_publish_a_draft_and_change_it(scripting, ada):
    """Whoever comes second finds what the first has made of it."""
    for round_ in range(5):
        ends: list[str] = []
        number = f"1.0.{round_}"
        scripting.draft(ada, number=number)
        together = threading.Barrier(2)

        def publish(number=number, together=together, ends=ends):
            together.wait()
            try:
                scripting.scripts.publish("clean", number, actor=ada)
                ends.append("published")
            except Conflict:
                ends.append("not published")

        def change(number=number, together=together, ends=ends):
            together.wait()
            try:
                scripting.scripts.change_draft("clean", number, Content(KEEP + b"# other"), actor=ada)
                ends.append("changed")
            except Conflict:
                ends.append("not changed")

        threads = [threading.Thread(target=publish), threading.Thread(target=change)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        found = scripting.scripts.read_version("clean", number, actor=ada)
        is_other = scripting.scripts.code("clean", number, actor=ada) != KEEP
        assert found.state == ("published" if "published" in ends else "draft")
        assert is_other == ("changed" in ends)
        assert ends in (
            ["published", "not changed"],
            ["not changed", "published"],
            ["changed", "published"],
            ["changed", "not published"],
            ["not published", "changed"],
        )


def test_two_at_once_get_two_numbers(scripting, ada):
    scripting.draft(ada)
    together = threading.Barrier(4)
    numbers = []

    def add():
        together.wait()
        numbers.append(scripting.draft(ada).number)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(numbers) == ["1.0.1", "1.0.2", "1.0.3", "1.0.4"]


def test_the_code_of_two_versions_is_kept_and_counted_once(scripting, ada):
    stored = [_stored(scripting)]
    for code in (KEEP, KEEP, KEEP + b"#"):
        scripting.draft(ada, code)
        stored.append(_stored(scripting))
    assert len(scripting.blobs.kept) == 2
    assert [after - before for before, after in itertools.pairwise(stored)] == [len(KEEP), 0, len(KEEP) + 1]


def test_a_row_holds_every_field_of_a_version(scripting, ada):
    """A field that is added to the noun and not to the table would be lost without a word."""
    made = scripting.draft(ada)
    full = replace(
        made, state="deprecated", published_at=2.5, published_by=ada.member, state_reason="why", number="9.9.9"
    )
    scripting.database.write(lambda tx: scripting.records.save_version(tx, full))
    with scripting.database.read() as tx:
        script = scripting.records.find_script(tx, ada.workspace, "clean")
        assert scripting.records.find_version(tx, script, made.id) == full


def _stored(scripting):
    with scripting.database.read() as tx:
        return tx.exec_driver_sql("SELECT stored_bytes FROM workspaces WHERE id = 'ws_1'").scalar_one()
