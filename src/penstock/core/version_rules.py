"""What a version may consist of, what of it asks for approval, and who may decide that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from penstock.core import limits
from penstock.core.access import MemberId
from penstock.core.errors import ApprovalNeeded, Conflict, NotAllowed, RequestInvalid
from penstock.core.scripts import ScriptLimits
from penstock.core.versions import Approval, Version, schema_text

_KIB: Final = 2**10
_MIB: Final = 2**20

# Smallest and largest of what a version may ask for at all, with approval.
LIMIT_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "wall_s": (0.1, 3_600),
    "cpu_s": (1, 3_600),
    "memory_bytes": (16 * _MIB, 16_384 * _MIB),
    "output_bytes": (_MIB, 4_096 * _MIB),
    "recursion": (100, 100_000),
}


_LIMIT_NAMES: Final[Mapping[str, tuple[str, str, int]]] = {
    "wall_s": ("wall time", "s", 1),
    "cpu_s": ("CPU time", "s", 1),
    "memory_bytes": ("memory", "MiB", _MIB),
    "output_bytes": ("output", "MiB", _MIB),
    "recursion": ("recursion", "frames", 1),
}


def _shown_limit(name: str, value: float) -> str:
    _, unit, divisor = _LIMIT_NAMES[name]
    return f"{value / divisor:,.10g} {unit}"


def asks_of(version: Version) -> tuple[str, ...]:
    """Return what a version wants beyond the default, one sentence each; nothing when it needs no approval."""
    default = ScriptLimits()
    limits_ = [(item.name, getattr(version.limits, item.name), getattr(default, item.name)) for item in fields(default)]
    asks = [
        f"{_LIMIT_NAMES[name][0]} of {_shown_limit(name, value)} instead of {_shown_limit(name, usual)}"
        for name, value, usual in limits_
        if value > usual
    ]
    if version.tier == "warm":
        asks.append("tier warm: a process is used for many chunks, so that the script can keep state between them")
    if version.profile == "arrow" and version.code.size_bytes > limits.ARROW_CODE.value * _KIB:
        size_kib = version.code.size_bytes / _KIB
        asks.append(f"profile arrow with {size_kib:,.0f} KiB of code; {limits.ARROW_CODE.value} KiB need no approval")
    return tuple(asks)


def check_waiting(approval: Approval, version: Version) -> None:
    """Raise Conflict unless an approval waits for a decision about just what a version now is."""
    if approval.state != "waiting":
        raise Conflict(f"approval {approval.id} is {approval.state} already", hint="Ask for a new one.")
    if approval.version_hash != version.hash or version.state != "draft":
        raise Conflict(
            f"version {version.number} of {version.script_name} has changed since approval {approval.id} was asked for",
            hint="Ask for a new one; an approval holds for one exact content.",
        )


def check_decision(approval: Approval, version: Version, *, by: MemberId) -> None:
    """Raise Conflict or NotAllowed unless a member may decide an approval as a second person."""
    check_waiting(approval, version)
    if by in (approval.requested_by, version.updated_by):
        what = "asked for it" if by == approval.requested_by else "wrote this version"
        raise NotAllowed(
            f"whoever {what} cannot decide approval {approval.id}",
            hint="Ask another member who has scripts:approve; an admin who is alone here may override.",
        )


def changes(before: Version, after: Version) -> list[tuple[str, Any, Any]]:
    """Return what two versions differ in besides their code: name, one value, the other value."""
    pairs = [
        (name, getattr(before, name), getattr(after, name))
        for name in ("profile", "tier", "input_schema", "output_schema")
    ]
    pairs += [
        (
            f"limits.{item.name.removesuffix('_bytes').removesuffix('_s')}",
            _shown_limit(item.name, getattr(before.limits, item.name)),
            _shown_limit(item.name, getattr(after.limits, item.name)),
        )
        for item in fields(ScriptLimits)
    ]
    return [pair for pair in pairs if pair[1] != pair[2]]


def needs_approval(version: Version, approvals: Sequence[Approval]) -> None:
    """Raise ApprovalNeeded when a version asks for more than the default and no approval holds for its hash."""
    asks = asks_of(version)
    held = [approval for approval in approvals if approval.version_hash == version.hash]
    if not asks or any(approval.state in ("approved", "overridden") for approval in held):
        return
    name = f"{version.script_name}@{version.number}"
    waiting = [approval.id for approval in held if approval.state == "waiting"]
    refused = [approval for approval in held if approval.state == "refused"]
    hint = f"penstock scripts ask {name} --reason 'why it needs that'"
    if waiting:
        hint = f"Another member with scripts:approve runs: penstock scripts approve {waiting[0]}"
    elif refused:
        hint = f"It was refused: {refused[0].decision_reason or 'no reason was given'}. Change it, or ask again: {hint}"
    raise ApprovalNeeded(
        f"version {version.number} of {version.script_name} needs an approval: {'; '.join(asks)}", hint=hint
    )


def stored_bytes(version: Version) -> int:
    """Return how many bytes of schemas and examples a version keeps."""
    schemas = [schema_text(version.input_schema), schema_text(version.output_schema)]
    return sum(len(text or "") for text in schemas) + _examples_bytes(version)


def _examples_bytes(version: Version) -> int:
    return sum(len(json.dumps(asdict(example))) for example in version.examples)


def check_content(version: Version) -> None:
    """Raise RequestInvalid unless all that a version consists of is valid in itself; its code is not looked at."""
    problems: list[tuple[str, str]] = []
    if not 0 < version.code.size_bytes <= limits.SCRIPT_BYTES.value * _MIB:
        problems.append(
            ("code", f"{version.code.size_bytes:,} bytes; it has 1 byte to {limits.SCRIPT_BYTES.value} MiB")
        )
    if (version.profile == "js") != (version.language == "javascript"):
        problems.append(
            ("profile", f"{version.profile} is not for {version.language}; it has {_PROFILES[version.language]}")
        )
    for name, value in asdict(version.limits).items():
        low, high = LIMIT_RANGES[name]
        if not low <= value <= high:  # nan lies in no range
            problems.append((f"limits.{name}", f"{value:,} is not in {low:,} to {high:,}"))
    problems += [
        (name, f"is larger than {limits.SCHEMA.value} KiB")
        for name in ("input_schema", "output_schema")
        if len(schema_text(getattr(version, name)) or "") > limits.SCHEMA.value * _KIB
    ]
    problems += _example_problems(version) + _unwritable(version)
    if problems:
        raise RequestInvalid(
            f"the version is not valid: {problems[0][0]}: {problems[0][1]}",
            hint="Correct every value that is listed.",
            problems=[{"place": place, "message": message} for place, message in problems],
        )


_PROFILES: Final = {"python": "std and arrow", "javascript": "js"}


def _unwritable(version: Version) -> list[tuple[str, str]]:
    """Return what JSON cannot say everywhere alike: NaN, half a character, an integer past 64 bits, deep nesting."""
    parts: dict[str, Any] = {"input_schema": version.input_schema, "output_schema": version.output_schema}
    parts |= {f"examples.{example.name}": (example.input, example.output) for example in version.examples}
    problems = []
    for place, value in parts.items():
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
            _check_plain(value, limits.JSON_DEPTH.value)
        except (ValueError, RecursionError) as error:
            problems.append((place, f"cannot be kept as JSON: {_WHY.get(type(error), str(error))}"))
    return problems


_WHY: Final = {
    UnicodeEncodeError: "it holds half a character, a surrogate without its other half",
    RecursionError: f"it is nested deeper than {limits.JSON_DEPTH.value} levels",
}


def _check_plain(value: Any, levels_left: int) -> None:
    if levels_left < 0:
        raise RecursionError
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("it holds an integer past 64 bits")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        _check_plain(part, levels_left - 1)


def _example_problems(version: Version) -> list[tuple[str, str]]:
    problems = []
    if len(version.examples) > limits.EXAMPLES.value:
        problems.append(("examples", f"{len(version.examples):,}; at most {limits.EXAMPLES.value} may be"))
    if _examples_bytes(version) > limits.EXAMPLES_BYTES.value * _MIB:
        problems.append(("examples", f"they have more than {limits.EXAMPLES_BYTES.value} MiB together"))
    names = [example.name for example in version.examples]
    problems += [
        ("examples", f"the name {name!r} is used twice") for name in sorted({n for n in names if names.count(n) > 1})
    ]
    for example in version.examples:
        if (example.output is None) == (example.error is None):
            problems.append(
                (f"examples.{example.name}", "says neither or both of output and error; one of them is expected")
            )
        if not example.input:
            problems.append((f"examples.{example.name}.input", "holds no record"))
        if len(example.input) > limits.TRY_RECORDS.value:
            problems.append((f"examples.{example.name}.input", f"holds more than {limits.TRY_RECORDS.value:,} records"))
    return problems
