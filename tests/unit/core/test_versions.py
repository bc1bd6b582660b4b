"""Which version a job gets, what may become of one, and what asks for approval."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from penstock.core.access import MemberId
from penstock.core.errors import ApprovalNeeded, Conflict, NotAllowed, NotFound, RequestInvalid, VersionRevoked
from penstock.core.jobs import BlobPointer, VersionId
from penstock.core.scripts import ScriptLimits
from penstock.core.version_rules import asks_of, changes, check_content, check_decision, needs_approval
from penstock.core.versions import (
    Activation,
    Approval,
    Example,
    Version,
    check_move,
    check_name,
    name_from_file,
    one_before,
    resolve,
    script_version,
    unknown_script,
    version_hash,
)

MIB = 2**20
ADA, BEN, CLEO = MemberId("mem_ada"), MemberId("mem_ben"), MemberId("mem_cleo")


def _any(facts: dict[str, Any]) -> dict[str, Any]:
    return facts


DRAFT = Version(
    **_any(
        {
            "id": "ver_1",
            "workspace": "ws_1",
            "script": "scr_1",
            "script_name": "clean",
            "number": "1.0.0",
            "state": "draft",
            "language": "python",
            "profile": "std",
            "tier": "isolated",
            "code": BlobPointer("ws_1/code/ab", 10, "ab"),
            "hash": "h1",
            "created_at": 1.0,
            "created_by": "mem_ada",
            "updated_at": 1.0,
            "updated_by": "mem_ada",
        }
    )
)
WAITING = Approval(
    **_any(
        {
            "id": "apr_1",
            "workspace": "ws_1",
            "version": "ver_1",
            "version_hash": "h1",
            "asks": ("tier warm",),
            "state": "waiting",
            "requested_by": "mem_ben",
            "requested_at": 1.0,
            "reason": "fast",
        }
    )
)


@dataclass(frozen=True)
class Light:
    """The few columns that choosing needs."""

    number: str
    state: str = "published"

    @property
    def id(self):
        return f"ver_{self.number}"


def chosen(asked, *versions, active=None):
    pointer: Any = active and f"ver_{active}"
    return resolve(asked, versions, script="clean", active=pointer).number


def test_a_range_takes_the_highest_published_version_in_it():
    assert chosen("^1.2", Light("1.2.0"), Light("1.10.0"), Light("1.9.0"), Light("2.0.0")) == "1.10.0"


@pytest.mark.parametrize("state", ["draft", "revoked"])
def test_a_range_never_takes_a_draft_or_a_revoked_version(state):
    assert chosen("^1", Light("1.0.0"), Light("1.1.0", state)) == "1.0.0"
    with pytest.raises(NotFound):
        chosen("^1", Light("1.1.0", state))


def test_a_range_takes_a_deprecated_version_only_when_nothing_else_is_in_it():
    assert chosen("^1", Light("1.0.0"), Light("1.1.0", "deprecated")) == "1.0.0"
    assert chosen("^1", Light("1.0.0", "deprecated"), Light("1.1.0", "deprecated"), Light("2.0.0")) == "1.1.0"


def test_a_deprecated_version_runs_when_it_is_named_exactly_or_active():
    versions = [Light("1.0.0", "deprecated"), Light("1.1.0")]
    assert chosen("1.0.0", *versions) == "1.0.0"
    assert chosen("active", *versions, active="1.0.0") == "1.0.0"


def test_active_is_the_script_s_pointer_and_not_the_highest():
    assert chosen("active", Light("1.0.0"), Light("2.0.0"), active="1.0.0") == "1.0.0"


def test_a_script_without_an_active_version_says_which_there_are():
    with pytest.raises(NotFound, match="clean has no active version") as refused:
        chosen("active", Light("1.0.0"), Light("1.1.0", "deprecated"), Light("1.2.0", "draft"))
    assert "1.1.0, 1.0.0" in refused.value.hint
    assert "1.2.0" not in refused.value.hint


def test_a_revoked_version_that_is_named_exactly_says_so():
    with pytest.raises(VersionRevoked, match=r"1\.0\.0 of clean is revoked"):
        chosen("1.0.0", Light("1.0.0", "revoked"), Light("1.1.0"))


def test_a_draft_that_is_named_exactly_says_how_to_go_on():
    with pytest.raises(NotFound, match="is a draft") as refused:
        chosen("1.0.0", Light("1.0.0", "draft"))
    assert "penstock scripts try clean" in refused.value.hint


def test_a_pre_release_is_had_by_its_exact_number_only():
    versions = [Light("1.0.0"), Light("1.1.0-rc.1")]
    assert chosen("^1", *versions) == "1.0.0"
    assert chosen("1.1.0-rc.1", *versions) == "1.1.0-rc.1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("draft", "published"),
        ("published", "deprecated"),
        ("published", "revoked"),
        ("deprecated", "revoked"),
    ],
)
def test_a_version_goes_on(before, after):
    check_move(replace(DRAFT, state=before), after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("draft", "deprecated"),
        ("draft", "revoked"),
        ("published", "published"),
        ("deprecated", "published"),
        ("deprecated", "deprecated"),
        ("revoked", "published"),
        ("revoked", "deprecated"),
    ],
)
def test_a_version_never_goes_back(before, after):
    with pytest.raises(Conflict, match=before):
        check_move(replace(DRAFT, state=before), after)


def history(*steps):
    kinds: dict[str, Any] = {"+": "activate", "-": "rollback"}
    return [Activation(VersionId(f"ver_{step[1:]}"), kinds[step[0]], at=1.0, by=ADA) for step in steps]


@pytest.mark.parametrize(
    ("steps", "revoked", "expected"),
    [
        ([], [], None),
        (["+1"], [], None),
        (["+1", "+2"], [], "1"),
        (["+1", "+2", "+3"], [], "2"),
        (["+1", "+2", "+3", "-2"], [], "1"),
        (["+1", "+2", "+3", "-2", "-1"], [], None),
        (["+1", "+2", "-1", "+3"], [], "1"),
        (["+1", "+2", "+1"], [], "2"),
        (["+1", "+2", "+3"], ["2"], "1"),
        (["+1", "+2"], ["2"], "1"),
        (["+1", "+2", "+3"], ["3", "2"], "1"),
        (["+1", "+2"], ["1"], None),
    ],
)
def test_a_rollback_goes_to_the_one_before_and_further_back(steps, revoked, expected):
    done = history(*steps)
    states: dict[Any, Any] = {step.version: "published" for step in done} | {
        f"ver_{number}": "revoked" for number in revoked
    }
    assert one_before(done, states) == (expected and f"ver_{expected}")


def hash_of(**changed):
    facts: dict[str, Any] = {
        "code_sha256": "ab",
        "language": "python",
        "profile": "std",
        "tier": "isolated",
        "bounds": ScriptLimits(),
        "input_schema": None,
        "output_schema": None,
    }
    return version_hash(**facts | changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"code_sha256": "cd"},
        {"language": "javascript"},
        {"profile": "arrow"},
        {"tier": "warm"},
        {"bounds": ScriptLimits(cpu_s=31)},
        {"input_schema": {}},
        {"output_schema": {}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_hash_is_over_everything_that_says_what_a_version_does(changed):
    assert hash_of(**changed) != hash_of()


def test_the_hash_does_not_depend_on_how_the_same_is_written():
    assert hash_of(bounds=ScriptLimits(wall_s=60.0)) == hash_of(bounds=ScriptLimits(wall_s=60))
    assert hash_of(input_schema={"a": 1, "b": 2}) == hash_of(input_schema={"b": 2, "a": 1})


def test_an_ordinary_version_asks_for_nothing():
    assert asks_of(replace(DRAFT, limits=ScriptLimits(wall_s=1, memory_bytes=64 * MIB))) == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"limits": ScriptLimits(wall_s=61)}, "wall time of 61 s instead of 60 s"),
        ({"limits": ScriptLimits(memory_bytes=1024 * MIB)}, "memory of 1,024 MiB instead of 512 MiB"),
        ({"tier": "warm"}, "tier warm"),
        ({"profile": "arrow", "code": BlobPointer("k", 65 * 1024, "ab")}, "65 KiB of code"),
    ],
    ids=["limit", "memory", "warm", "arrow"],
)
def test_what_is_beyond_the_default_asks_for_approval(changed, words):
    (ask,) = asks_of(replace(DRAFT, **changed))
    assert words in ask


def test_arrow_with_little_code_asks_for_nothing():
    assert asks_of(replace(DRAFT, profile="arrow", code=BlobPointer("k", 64 * 1024, "ab"))) == ()


@pytest.mark.parametrize("state", ["approved", "overridden"])
def test_an_approval_holds_for_one_exact_hash(state):
    warm = replace(DRAFT, tier="warm")
    needs_approval(warm, [replace(WAITING, state=state)])
    with pytest.raises(ApprovalNeeded, match="tier warm"):
        needs_approval(replace(warm, hash="h2"), [replace(WAITING, state=state)])


@pytest.mark.parametrize(
    ("state", "words"), [("waiting", "approve apr_1"), ("refused", "too much"), ("lapsed", "scripts ask clean@1.0.0")]
)
def test_without_an_approval_the_hint_says_what_comes_next(state, words):
    with pytest.raises(ApprovalNeeded) as refused:
        needs_approval(replace(DRAFT, tier="warm"), [replace(WAITING, state=state, decision_reason="too much")])
    assert words in refused.value.hint


@pytest.mark.parametrize("by", [ADA, BEN])
def test_neither_who_wrote_a_version_nor_who_asked_decides(by):
    with pytest.raises(NotAllowed):
        check_decision(WAITING, DRAFT, by=by)


def test_a_third_person_decides():
    check_decision(WAITING, DRAFT, by=CLEO)


@pytest.mark.parametrize(
    ("approval", "version"),
    [
        (replace(WAITING, state="approved"), DRAFT),
        (replace(WAITING, state="lapsed"), DRAFT),
        (WAITING, replace(DRAFT, hash="h2")),
        (WAITING, replace(DRAFT, state="published")),
    ],
    ids=["decided", "lapsed", "changed", "published"],
)
def test_what_is_decided_or_has_changed_is_not_decided_again(approval, version):
    with pytest.raises(Conflict):
        check_decision(approval, version, by=CLEO)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"code": BlobPointer("", 0, "")}, "code"),
        ({"code": BlobPointer("", MIB + 1, "")}, "code"),
        ({"profile": "js"}, "profile"),
        ({"language": "javascript"}, "profile"),
        ({"limits": ScriptLimits(wall_s=0)}, "limits.wall_s"),
        ({"limits": ScriptLimits(wall_s=float("nan"))}, "limits.wall_s"),
        ({"limits": ScriptLimits(memory_bytes=2**50)}, "limits.memory_bytes"),
        ({"input_schema": {"x": "y" * 70_000}}, "input_schema"),
        ({"input_schema": {"const": float("nan")}}, "input_schema"),
        ({"output_schema": {"const": "\ud800"}}, "output_schema"),
        ({"examples": (Example("a", ({"a": 2**70},), ()),)}, "examples.a"),
        ({"examples": (Example("a", ({},)),)}, "examples.a"),
        ({"examples": (Example("a", ({},), (), "script_error"),)}, "examples.a"),
        ({"examples": (Example("a", (), ()),)}, "examples.a.input"),
        ({"examples": (Example("a", ({},), ()), Example("a", ({},), ()))}, "examples"),
        ({"examples": (Example("a", ({"x": "y" * 2**20},), ()),)}, "examples"),
        ({"examples": tuple(Example(f"e{n}", ({},), ()) for n in range(101))}, "examples"),
    ],
)
def test_content_that_is_not_valid_is_refused_with_its_place(changed, place):
    with pytest.raises(RequestInvalid) as refused:
        check_content(replace(DRAFT, **changed))
    assert place in [problem["place"] for problem in refused.value.problems]


def test_deep_nesting_is_refused():
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"items": deep}
    with pytest.raises(RequestInvalid, match="deeper than 64"):
        check_content(replace(DRAFT, input_schema=deep))


def test_what_differs_is_named_in_the_units_people_write():
    after = replace(DRAFT, tier="warm", limits=ScriptLimits(memory_bytes=1024 * MIB), code=BlobPointer("k", 1, "cd"))
    assert changes(DRAFT, after) == [("tier", "isolated", "warm"), ("limits.memory", "512 MiB", "1,024 MiB")]


@pytest.mark.parametrize("name", ["clean", "clean_orders-2", "a" * 64])
def test_a_name_for_a_script(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "Clean", "2clean", "clean orders", "a" * 65, "scr_1", "café", "a/b", "a\n"])
def test_what_is_no_name_for_a_script(name):
    with pytest.raises(RequestInvalid):
        check_name(name)


def test_a_file_gives_a_name():
    assert name_from_file("Clean Orders.v2.py") == "clean_orders_v2"
    with pytest.raises(RequestInvalid):
        name_from_file("2.py")


def test_a_script_that_is_not_there_has_neighbours():
    assert unknown_script("cleam", ["clean", "report"]).hint == "Did you mean clean?"
    assert "'clean', and '1.2' as its version" in unknown_script("clean@1.2", ["clean", "report"]).hint
    assert "There are: clean, report" in unknown_script("zzz", ["report", "clean"]).hint


def test_what_runs_has_the_code_and_all_settings():
    version = replace(DRAFT, input_schema={"b": 1, "a": 2}, limits=ScriptLimits(cpu_s=5), tier="warm")
    made = script_version(version, b"x")
    assert (made.name, made.source, made.limits.cpu_s, made.tier) == ("clean@1.0.0", b"x", 5, "warm")
    assert (made.input_schema, made.output_schema) == ('{"a":2,"b":1}', None)
