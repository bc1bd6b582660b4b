"""Scripts that a workspace keeps, and their versions: numbers, ranges, what may become of one, what asks for approval.

A version is a draft that can change, then published and fixed for ever, perhaps deprecated, perhaps revoked; it goes
that way only and never back. `active` is not a state but the script's pointer at one version.

What a job asks for is `active`, an exact number, or a range. A range takes the highest published version in it; a
deprecated one only when nothing else is in it. `active` and an exact number take a deprecated version too: somebody
pointed at it. Drafts and revoked versions are never taken.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, NewType, Protocol, TypeVar

from penstock.base.hashing import fingerprint
from penstock.core.access import MemberId, WorkspaceId
from penstock.core.errors import Conflict, NotFound, RequestInvalid, VersionRevoked
from penstock.core.jobs import BlobPointer, Pause, ScriptId, VersionId
from penstock.core.scripts import Language, Profile, ScriptLimits, ScriptVersion, Tier
from penstock.core.version_numbers import Number, parse_asked, parse_number

ApprovalId = NewType("ApprovalId", str)
VersionState = Literal["draft", "published", "deprecated", "revoked"]
ApprovalState = Literal["waiting", "approved", "refused", "overridden", "lapsed"]

RUNNABLE: Final[frozenset[str]] = frozenset(["published", "deprecated"])
_NEXT: Final[Mapping[str, frozenset[str]]] = {
    "draft": frozenset(["published"]),
    "published": frozenset(["deprecated", "revoked"]),
    "deprecated": frozenset(["revoked"]),
    "revoked": frozenset(),
}
_KIB: Final = 2**10
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Script:
    """A script of a workspace, under a name that never changes.

    Attributes:
        active: the version that `active` stands for, None while there is none.
    """

    id: ScriptId
    workspace: WorkspaceId
    name: str
    description: str
    language: Language
    active: VersionId | None
    created_at: float
    created_by: MemberId
    active_number: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides whether something of a script starts.

    Attributes:
        running_max: how many attempts of its jobs run at once; None while its workspace alone says so.
        pause: since when and why nothing starts; None when it is not paused.
    """

    script: Script
    running_max: int | None
    pause: Pause | None


@dataclass(frozen=True, slots=True)
class Example:
    """Records that a version is given before it is published, and what must come out.

    Attributes:
        output: the output records, in order; None when an error is expected.
        error: the code that every one of the records must fail with; None when output is expected.
    """

    name: str
    input: tuple[Any, ...]
    output: tuple[Any, ...] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One exact text of a script, with all that says what it does.

    Attributes:
        number: its semantic version, such as `1.2.0`.
        hash: of all that says what it does; once published, its identity.
        updated_by: who wrote its content last.
        input_schema: JSON Schema that each record must fit, or None.
        output_schema: JSON Schema that each output record must fit, or None.
        state_reason: why it was deprecated or revoked.
    """

    id: VersionId
    workspace: WorkspaceId
    script: ScriptId
    script_name: str
    number: str
    state: VersionState
    language: Language
    profile: Profile
    tier: Tier
    code: BlobPointer
    hash: str
    created_at: float
    created_by: MemberId
    updated_at: float
    updated_by: MemberId
    limits: ScriptLimits = field(default_factory=ScriptLimits)
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    examples: tuple[Example, ...] = ()
    published_at: float | None = None
    published_by: MemberId | None = None
    state_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Activation:
    """That a version became the active one: by `activate`, or by `rollback` from a later one."""

    version: VersionId
    kind: Literal["activate", "rollback"]
    at: float
    by: MemberId


@dataclass(frozen=True, slots=True)
class Approval:
    """Who asked that a version may go beyond the default, who decided, when and why. It holds for one exact hash."""

    id: ApprovalId
    workspace: WorkspaceId
    version: VersionId
    version_hash: str
    asks: tuple[str, ...]
    state: ApprovalState
    requested_by: MemberId
    requested_at: float
    reason: str
    decided_by: MemberId | None = None
    decided_at: float | None = None
    decision_reason: str | None = None


class Candidate(Protocol):
    """What can be chosen from: a version, or the few columns of it that choosing needs."""

    @property
    def id(self) -> VersionId:
        """Its id."""

    @property
    def number(self) -> str:
        """Its semantic version."""

    @property
    def state(self) -> VersionState:
        """Its state."""


V = TypeVar("V", bound=Candidate)


def resolve(asked: str, versions: Sequence[V], *, script: str, active: VersionId | None) -> V:
    """Return the version that a job gets; the rule stands at the top of this file.

    Args:
        asked: `active`, an exact number, or a range.
        versions: all versions of the script, in any order.
        script: its name, for messages.
        active: the version that the script points at.

    Raises:
        RequestInvalid: when what is asked for is no version.
        NotFound: when there is none; the hint names those there are.
        VersionRevoked: when it is named exactly, and revoked.
    """
    wanted = parse_asked(asked)
    if wanted is None:
        named = [version for version in versions if version.id == active]
    elif isinstance(wanted, Number):
        named = [version for version in versions if version.number == str(wanted)]
    else:
        fitting = [version for version in versions if wanted.has(parse_number(version.number))]
        named = [version for version in fitting if version.state == "published"]
        named = named or [version for version in fitting if version.state == "deprecated"]
    runnable = [version for version in named if version.state in RUNNABLE]
    if runnable:
        return max(runnable, key=lambda version: parse_number(version.number).order())
    if named and named[0].state == "revoked":
        raise VersionRevoked(
            f"version {named[0].number} of {script} is revoked: it may not run any more", hint=_others(versions)
        )
    if named:
        raise NotFound(
            f"version {asked} of {script} is a draft, and jobs never run drafts",
            hint=f"Publish it, or try it out: penstock scripts try {script}@{asked} FILE",
        )
    what = f"{script} has no active version" if wanted is None else f"{script} has no published version {asked!r}"
    raise NotFound(what, hint=_others(versions))


def _others(versions: Sequence[Candidate]) -> str:
    numbers = sorted(
        (version.number for version in versions if version.state in RUNNABLE),
        key=lambda number: parse_number(number).order(),
        reverse=True,
    )
    if not numbers:
        return "Publish a version first; none of this script can run."
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return f"There are: {', '.join(numbers[:10])}{more}. Activate one, or name one."


# ---- names ----

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def check_name(name: str) -> str:
    """Return a script's name.

    Raises:
        RequestInvalid: when it is not one.
    """
    if _NAME.fullmatch(name) and not name.startswith("scr_"):
        return name
    raise RequestInvalid(
        f"{name[:80]!r} is no name for a script",
        hint="Use up to 64 lower-case letters, digits, _ and -, a letter first, and not scr_, which begins an id.",
    )


def name_from_file(file_name: str) -> str:
    """Return a name for the script in a file: its own, with what a name cannot hold as underscores."""
    stem = re.sub(r"[^a-z0-9_-]", "_", file_name.rpartition(".")[0].lower())
    return check_name(stem[:64])


def unknown_script(asked: str, names: Sequence[str]) -> NotFound:
    """Return the error of a script that is not there, with the nearest names."""
    name, _, version = asked.partition("@")
    if version and name in names:
        hint = f"Name the version beside the script: {name!r}, and {version[:80]!r} as its version."
        return NotFound(f"there is no script {asked[:80]!r} here", hint=hint)
    near = difflib.get_close_matches(asked, names, n=3, cutoff=0.5)
    if near:
        return NotFound(f"there is no script {asked[:80]!r} here", hint=f"Did you mean {' or '.join(near)}?")
    known = f"There are: {', '.join(sorted(names)[:10])}." if names else "There is none yet: penstock scripts push FILE"
    return NotFound(f"there is no script {asked[:80]!r} here", hint=known)


# ---- what a version is ----


def version_hash(
    *,
    code_sha256: str,
    language: Language,
    profile: Profile,
    tier: Tier,
    bounds: ScriptLimits,
    input_schema: Mapping[str, Any] | None,
    output_schema: Mapping[str, Any] | None,
) -> str:
    """Return the hexadecimal SHA-256 over everything that says what a version does.

    Its number, its examples and who wrote it are not part of that.
    """
    plain_limits = {
        item.name: float(getattr(bounds, item.name)) for item in fields(bounds)
    }  # 60 and 60.0 are one limit
    return fingerprint(
        "version 1",
        code_sha256,
        language,
        profile,
        tier,
        plain_limits,
        schema_text(input_schema),
        schema_text(output_schema),
    )


def schema_text(schema: Mapping[str, Any] | None) -> str | None:
    """Return a schema as JSON in one fixed form."""
    return None if schema is None else json.dumps(schema, sort_keys=True, separators=(",", ":"))


def script_version(version: Version, code: bytes) -> ScriptVersion:
    """Return a version as what the sandbox runs.

    Args:
        version: what says how it runs.
        code: the bytes under `version.code`.
    """
    return ScriptVersion(
        name=f"{version.script_name}@{version.number}",
        source=code,
        language=version.language,
        profile=version.profile,
        tier=version.tier,
        limits=version.limits,
        input_schema=schema_text(version.input_schema),
        output_schema=schema_text(version.output_schema),
        limits_from="version",
    )


# ---- what may become of it ----


def check_move(version: Version, to: VersionState) -> None:
    """Raise Conflict unless a version in its present state may go to another."""
    if to in _NEXT[version.state]:
        return
    what = f"version {version.number} of {version.script_name} is {version.state}"
    if version.state == to:
        raise Conflict(f"{what} already", hint="There is nothing to do.")
    hints = {
        "draft": "A draft is changed, or published.",
        "published": "What is published never changes; push a new version.",
        "deprecated": "It can be revoked; or push a new version.",
        "revoked": "That is for good; push a new version.",
    }
    raise Conflict(f"{what} and cannot become {to}", hint=hints[version.state])


def check_draft(version: Version) -> None:
    """Raise Conflict unless a version can still change."""
    if version.state != "draft":
        raise Conflict(
            f"version {version.number} of {version.script_name} is {version.state}, and never changes any more",
            hint="Push a new version.",
        )


def check_runnable(version: Version) -> None:
    """Raise Conflict or VersionRevoked unless jobs may run on a version."""
    if version.state == "revoked":
        why = version.state_reason or "no reason was given"
        raise VersionRevoked(
            f"version {version.number} of {version.script_name} is revoked: {why}", hint="Name another version."
        )
    if version.state == "draft":
        raise Conflict(f"version {version.number} of {version.script_name} is a draft", hint="Publish it first.")


def one_before(history: Sequence[Activation], states: Mapping[VersionId, VersionState]) -> VersionId | None:
    """Return the version that a rollback activates, None when there is none before the present one.

    A rollback undoes the last activation that stands, so the next one goes further back. Revoked versions are passed
    over.

    Args:
        history: all activations of the script, oldest first.
        states: of every version in it.
    """
    standing = _standing(history)
    if standing and states[standing[-1]] != "revoked":
        standing.pop()
    while standing and states[standing[-1]] == "revoked":
        standing.pop()
    return standing[-1] if standing else None


def _standing(history: Sequence[Activation]) -> list[VersionId]:
    standing: list[VersionId] = []
    for activation in history:
        if activation.kind == "rollback":
            while standing and standing[-1] != activation.version:
                standing.pop()
        elif not standing or standing[-1] != activation.version:
            standing.append(activation.version)
    return standing
