"""Scripts, versions and approvals as the API takes and shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from penstock.base.times import iso
from penstock.core.limits import CPU, EXAMPLES, LANE_RUNNING, MEMORY, OUTPUT, RECURSION, SCRIPT_BYTES, TRY_RECORDS, WALL
from penstock.core.scripts import Language, Profile, ScriptLimits, Tier
from penstock.core.version_rules import asks_of
from penstock.core.versions import Approval, Example, Script, Standing, Version
from penstock.usecases.trials import Trial
from penstock.usecases.versions import Content, Difference

_MIB = 2**20
_NO_NUL = r"^[^\x00]*$"  # which PostgreSQL cannot keep in a text
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2_000, pattern=_NO_NUL)]
Record = dict[str, Any]


class LimitsAsk(BaseModel):
    """What one chunk of records may use; what is beyond a default needs an approval."""

    model_config = ConfigDict(extra="forbid")
    wall_s: Annotated[
        float, Field(ge=0.1, le=3_600, allow_inf_nan=False, description="Seconds by the clock, waiting included.")
    ] = WALL.value
    cpu_s: Annotated[int, Field(ge=1, le=3_600, description="Seconds of processor time.")] = CPU.value
    memory_mib: Annotated[int, Field(ge=16, le=16_384, description="MiB of memory.")] = MEMORY.value
    output_mib: Annotated[int, Field(ge=1, le=4_096, description="MiB of output.")] = OUTPUT.value
    recursion: Annotated[int, Field(ge=100, le=100_000, description="Depth of calls.")] = RECURSION.value

    def bounds(self) -> ScriptLimits:
        """Return them as the sandbox has them."""
        return ScriptLimits(
            self.wall_s, self.cpu_s, self.memory_mib * _MIB, self.output_mib * _MIB, recursion=self.recursion
        )


class ExampleAsk(BaseModel):
    """Records that the version is given before it is published, and what must come out."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[^/\x00-\x1f\x7f]+$", description="Unique in the version."
    )
    input: list[Record] = Field(min_length=1, max_length=TRY_RECORDS.value, description="Input records.")
    output: list[Record] | None = Field(None, description="The output records that must come out, in order.")
    error: str | None = Field(
        None, max_length=64, pattern=r"^[a-z_]+$", description="Instead: the code that every record must fail with."
    )


class VersionAsk(BaseModel):
    """What a version consists of."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "code": "def process(data):\n    return data | {'total': data['price'] * data['quantity']}\n",
                    "examples": [
                        {
                            "name": "total",
                            "input": [{"price": 2, "quantity": 3}],
                            "output": [{"price": 2, "quantity": 3, "total": 6}],
                        }
                    ],
                }
            ]
        },
    )
    code: str = Field(min_length=1, max_length=SCRIPT_BYTES.value * _MIB, description="The script's text.")
    profile: Profile | None = Field(None, description="What it may import; null for `std`, or `js` for JavaScript.")
    tier: Tier = Field("isolated", description="`warm` uses a process for many chunks; it needs an approval.")
    limits: LimitsAsk = LimitsAsk()
    input_schema: dict[str, Any] | None = Field(None, description="JSON Schema that each record must fit.")
    output_schema: dict[str, Any] | None = Field(None, description="JSON Schema that each output record must fit.")
    examples: list[ExampleAsk] = Field(
        default_factory=list, max_length=EXAMPLES.value, description="Publishing runs them."
    )

    def content(self) -> Content:
        """Return it as use cases have it."""
        return Content(
            code=self.code.encode("utf-8", "surrogatepass"),
            profile=self.profile,
            tier=self.tier,
            limits=self.limits.bounds(),
            input_schema=self.input_schema,
            output_schema=self.output_schema,
            examples=tuple(
                Example(one.name, tuple(one.input), None if one.output is None else tuple(one.output), one.error)
                for one in self.examples
            ),
        )


class NewVersionAsk(VersionAsk):
    """A new draft."""

    version: str | None = Field(
        None, max_length=100, description="Semantic version, such as `1.2.0`; null for the next patch."
    )


class ScriptAsk(BaseModel):
    """A new script, with its first draft or still without versions."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "clean_orders", "language": "python"}]}
    )
    name: str = Field(
        max_length=64, description="Up to 64 lower-case letters, digits, `_` and `-`, a letter first; it never changes."
    )
    language: Language = Field("python", description="Of every version of it.")
    description: str = Field("", max_length=2_000, pattern=_NO_NUL, description="What it is for.")
    first_version: NewVersionAsk | None = Field(None, description="Its first draft; then both are made, or neither.")


class ReasonAsk(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "it drops refunds"}]})
    reason: Reason = Field("", description="Kept, and shown to whoever asks.")


class ScriptShown(BaseModel):
    """A script."""

    id: str
    name: str
    description: str
    language: Language
    active_version: str | None = Field(description="The version that `active` stands for; null while there is none.")
    active_version_id: str | None
    created_at: str
    created_by: str
    created_by_name: str


class PauseShown(BaseModel):
    """Since when nothing of a script starts, and why."""

    since: str
    reason: str


class ScriptChange(BaseModel):
    """What can be changed of a script."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"running_max": 4}]})
    running_max: int | None = Field(
        strict=True,
        ge=1,
        lt=LANE_RUNNING.value,
        description="How many attempts of its jobs run at once; null for as many as its workspace may.",
    )


class ScriptState(ScriptShown):
    """A script, how many of it may run at once, and whether it is paused."""

    running_max: int | None = Field(
        description="How many attempts of its jobs run at once; null for as many as its workspace may."
    )
    paused: PauseShown | None = Field(description="Null when it runs; `resume` lets a paused one run again.")


class ScriptPage(BaseModel):
    """Scripts by name."""

    items: list[ScriptShown]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class CodeShown(BaseModel):
    """The code's size and hash; its text is at `/code`."""

    size_bytes: int
    sha256: str


class VersionLine(BaseModel):
    """A version in a list: without schemas and examples."""

    id: str
    version: str = Field(description="Its semantic version.")
    script: str = Field(description="The script's name.")
    script_id: str
    state: Literal["draft", "published", "deprecated", "revoked"]
    language: Language
    profile: Profile
    tier: Tier
    limits: LimitsAsk
    code: CodeShown
    hash: str = Field(description="SHA-256 of all that says what it does; its identity once it is published.")
    created_at: str
    created_by: str
    created_by_name: str
    updated_at: str
    updated_by: str
    updated_by_name: str
    published_at: str | None
    published_by: str | None
    published_by_name: str | None
    state_reason: str | None = Field(description="Why it was deprecated or revoked.")


class VersionShown(VersionLine):
    """A version."""

    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    examples: list[ExampleAsk]
    asks: list[str] = Field(description="What it wants beyond the default, and so needs an approval for.")


class VersionPage(BaseModel):
    """Versions, the newest first."""

    items: list[VersionLine]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class ChangeShown(BaseModel):
    """One setting in which two versions differ."""

    name: str
    before: Any
    after: Any


class DiffShown(BaseModel):
    """How two versions differ."""

    before: str
    after: str
    code: str = Field(description="A unified diff; empty when the code is the same.")
    changes: list[ChangeShown]


class CauseShown(BaseModel):
    """Why records failed."""

    code: str
    type: str | None
    script_line: int | None
    records: int


class TrialShown(BaseModel):
    """What came of a sample: records = produced + dropped + failed."""

    records: int
    produced: int
    dropped: int
    failed: int
    rows: int = Field(description="Output records.")
    output: str = Field(description="The output records, NDJSON.")
    dead_letters: str = Field(description="The records that failed with their errors, NDJSON.")
    causes: list[CauseShown]
    printed: str = Field(description="What the script printed, the first of it.")
    elapsed_s: float = Field(description="By the clock, reading the sample included.")


class ResumeShown(BaseModel):
    """Whether a script was paused."""

    resumed: bool = Field(description="False when it was not paused.")


class ApprovalShown(BaseModel):
    """Who asked that a version may go beyond the default, who decided, when and why."""

    id: str
    version_id: str
    version_hash: str = Field(description="It holds for exactly this content.")
    asks: list[str]
    state: Literal["waiting", "approved", "refused", "overridden", "lapsed"]
    requested_by: str
    requested_by_name: str = Field(description="The member's name, also of one who was removed.")
    requested_at: str
    reason: str
    decided_by: str | None
    decided_by_name: str | None
    decided_at: str | None
    decision_reason: str | None


class ApprovalPage(BaseModel):
    """Approvals, the newest first."""

    items: list[ApprovalShown]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


def show_script(script: Script, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a script as JSON."""
    return {
        "id": script.id,
        "name": script.name,
        "description": script.description,
        "language": script.language,
        "active_version": script.active_number,
        "active_version_id": script.active,
        "created_at": iso(script.created_at),
        "created_by": script.created_by,
        "created_by_name": names.get(script.created_by, script.created_by),
    }


def show_state(standing: Standing, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a script as JSON, with how many of it may run at once and whether it is paused."""
    pause = standing.pause
    return show_script(standing.script, names=names) | {
        "running_max": standing.running_max,
        "paused": pause and {"since": iso(pause.at), "reason": pause.reason},
    }


def show_line(version: Version, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a version as a line of a list; the key of its blob stays inside."""
    bounds, published_by = version.limits, version.published_by
    text = {"size_bytes": version.code.size_bytes, "sha256": version.code.sha256}
    return {
        "id": version.id,
        "version": version.number,
        "script": version.script_name,
        "script_id": version.script,
        "state": version.state,
        "language": version.language,
        "profile": version.profile,
        "tier": version.tier,
        "limits": {
            "wall_s": bounds.wall_s,
            "cpu_s": bounds.cpu_s,
            "memory_mib": bounds.memory_bytes // _MIB,
            "output_mib": bounds.output_bytes // _MIB,
            "recursion": bounds.recursion,
        },
        "code": text,
        "hash": version.hash,
        "created_at": iso(version.created_at),
        "created_by": version.created_by,
        "created_by_name": names.get(version.created_by, version.created_by),
        "updated_at": iso(version.updated_at),
        "updated_by": version.updated_by,
        "updated_by_name": names.get(version.updated_by, version.updated_by),
        "published_at": iso(version.published_at),
        "published_by": published_by,
        "published_by_name": published_by and names.get(published_by, published_by),
        "state_reason": version.state_reason,
    }


def show_version(version: Version, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a version as JSON."""
    return show_line(version, names=names) | {
        "input_schema": version.input_schema,
        "output_schema": version.output_schema,
        "examples": [asdict(example) for example in version.examples],
        "asks": list(asks_of(version)),
    }


def show_diff(difference: Difference) -> dict[str, Any]:
    """Return how two versions differ as JSON."""
    changes = [{"name": name, "before": before, "after": after} for name, before, after in difference.settings]
    return {
        "before": difference.before.number,
        "after": difference.after.number,
        "code": difference.code,
        "changes": changes,
    }


def show_trial(trial: Trial) -> dict[str, Any]:
    """Return what came of a sample; its bytes are text here, and parsed by whoever wants to."""
    return asdict(trial.counts) | {
        "output": trial.output.decode("utf-8", "replace"),
        "dead_letters": trial.dead_letters.decode("utf-8", "replace"),
        "causes": [asdict(cause) for cause in trial.causes],
        "printed": trial.printed,
        "elapsed_s": round(trial.elapsed_s, 6),
    }


def show_approval(approval: Approval, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return an approval as JSON; `names` are those of members, by id."""
    decided_by = approval.decided_by
    return {
        "id": approval.id,
        "version_id": approval.version,
        "version_hash": approval.version_hash,
        "asks": list(approval.asks),
        "state": approval.state,
        "requested_by": approval.requested_by,
        "requested_by_name": names.get(approval.requested_by, approval.requested_by),
        "requested_at": iso(approval.requested_at),
        "reason": approval.reason,
        "decided_by": decided_by,
        "decided_by_name": decided_by and names.get(decided_by, decided_by),
        "decided_at": iso(approval.decided_at),
        "decision_reason": approval.decision_reason,
    }
