"""Scripts of a project: `scripts/NAME.py` or `.js`, and what `scripts/NAME.yml` says of how it runs. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from penstock.base.nearest import nearest
from penstock.core.limits import CPU, EXAMPLES, MEMORY, OUTPUT, RECURSION, SCRIPT_BYTES, WALL
from penstock.core.projects import Place, ProjectProblem
from penstock.core.scripts import Language, Profile, ScriptLimits, ScriptVersion
from penstock.core.versions import Example, schema_text
from penstock.project.checking import check
from penstock.project.models import Model
from penstock.project.yaml_trees import read_yaml

FOLDER: Final = "scripts"
_LANGUAGES: Final[Mapping[str, Language]] = {".py": "python", ".js": "javascript", ".mjs": "javascript"}
_MIB: Final = 2**20
_SCRIPTS_KEPT: Final = 64  # at most a MiB each


class LimitsModel(Model):
    """What one chunk of records may use."""

    wall_s: Annotated[float, Field(ge=0.1, le=3_600)] = Field(WALL.value, description="Seconds by the clock.")
    cpu_s: Annotated[int, Field(ge=1, le=3_600)] = Field(CPU.value, description="Seconds of processor time.")
    memory_mib: Annotated[int, Field(ge=16, le=16_384)] = Field(MEMORY.value, description="MiB of memory.")
    output_mib: Annotated[int, Field(ge=1, le=4_096)] = Field(OUTPUT.value, description="MiB of output.")
    recursion: Annotated[int, Field(ge=100, le=100_000)] = Field(RECURSION.value, description="Depth of calls.")


class ExampleModel(Model):
    """Records that the script is given by `penstock test`, and what must come out."""

    name: str = Field(description="What the example shows.")
    input: list[dict[str, Any]] = Field(min_length=1, max_length=1_000, description="The records.")
    output: list[dict[str, Any]] | None = Field(None, description="The output records, in order.")
    error: str | None = Field(None, description="The code that every one of the records must fail with.")


class ScriptModel(Model):
    """`scripts/NAME.yml`."""

    description: str = Field("", description="What the script does, in a sentence.")
    profile: Profile | None = Field(None, description="What it may import: std, arrow; js is for JavaScript.")
    limits: LimitsModel = Field(
        default_factory=lambda: LimitsModel.model_validate({}), description="What one chunk of records may use."
    )
    input_schema: dict[str, Any] | None = Field(None, description="JSON Schema that each record must fit.")
    output_schema: dict[str, Any] | None = Field(None, description="JSON Schema that each output record must fit.")
    examples: list[ExampleModel] = Field(
        default_factory=list, max_length=EXAMPLES.value, description="Tried by penstock test."
    )


@dataclass(frozen=True, slots=True)
class ProjectScript:
    """A script of a project.

    Attributes:
        files: the paths that it is made of.
    """

    version: ScriptVersion
    examples: tuple[Example, ...]
    files: tuple[str, ...]


def project_script(name: str, files: Mapping[str, bytes]) -> tuple[ProjectScript | None, Sequence[ProjectProblem]]:
    """Return a script by its name, or None and what is wrong with it.

    Args:
        name: such as `clean_orders`, of `scripts/clean_orders.py`.
        files: of the project.
    """
    found = [path for ending in _LANGUAGES if (path := f"{FOLDER}/{name}{ending}") in files]
    if len(found) != 1:
        return None, [_not_one(name, found, files)]
    path, sheet = found[0], f"{FOLDER}/{name}.yml"
    return _script(path, files[path], sheet, files.get(sheet))


@functools.lru_cache(_SCRIPTS_KEPT)
def _script(
    path: str, source: bytes, sheet: str, described: bytes | None
) -> tuple[ProjectScript | None, Sequence[ProjectProblem]]:
    """Return a script by its files: each of its attempts asks for it, and a sheet takes milliseconds to read."""
    model, problems = _model(sheet, described)
    if len(source) > SCRIPT_BYTES.value * _MIB:
        words = f"the script has {len(source):,} bytes; at most {SCRIPT_BYTES.value} MiB may be"
        problems = [*problems, _problem(path, words, "A script is code, not data.")]
    ending = path[path.rindex(".") :]
    language = _LANGUAGES[ending]
    if model is not None and model.profile is not None and (model.profile == "js") != (language == "javascript"):
        words = f"the profile {model.profile} is not for {language}"
        problems = [*problems, _problem(sheet, words, "JavaScript has the profile js, Python std and arrow.")]
    if problems or model is None:
        return None, tuple(problems)
    version = ScriptVersion(
        name=path,
        source=source,
        language=language,
        profile=model.profile or ("js" if language == "javascript" else "std"),
        limits=_limits(model.limits),
        input_schema=schema_text(model.input_schema),
        output_schema=schema_text(model.output_schema),
        limits_from=sheet,
    )
    examples = tuple(
        Example(one.name, tuple(one.input), None if one.output is None else tuple(one.output), one.error)
        for one in model.examples
    )
    return ProjectScript(version, examples, (path,) if described is None else (path, sheet)), ()


def _not_one(name: str, found: Sequence[str], files: Mapping[str, bytes]) -> ProjectProblem:
    if found:
        return _problem(found[0], f"there are two scripts {name!r}: {' and '.join(found)}", "Rename one of the two.")
    known = (path.removeprefix(f"{FOLDER}/") for path in files if path.startswith(f"{FOLDER}/"))
    names = {path.rpartition(".")[0] for path in known if path[path.rfind(".") :] in _LANGUAGES}
    return _problem(f"{FOLDER}/{name}.py", f"there is no script {name!r}", nearest(name, names))


def _model(sheet: str, described: bytes | None) -> tuple[ScriptModel | None, list[ProjectProblem]]:
    if described is None:
        return ScriptModel.model_validate({}), []
    tree = read_yaml(sheet, described)
    problems = list(tree.problems)
    if tree.value is None:
        return (None if problems else ScriptModel.model_validate({})), problems
    model = check(ScriptModel, tree.value, tree=tree, path=(), problems=problems)
    for index, example in enumerate(model.examples if model is not None else ()):
        if (example.output is None) == (example.error is None):
            place = tree.place(("examples", index))
            words = f"the example {example.name!r} says what comes out, or which error: one of the two"
            problems.append(ProjectProblem("project_invalid", words, place, "Write output: or error:."))
    return model, problems


def _limits(model: LimitsModel) -> ScriptLimits:
    return ScriptLimits(
        model.wall_s, model.cpu_s, model.memory_mib * _MIB, model.output_mib * _MIB, recursion=model.recursion
    )


def _problem(path: str, message: str, hint: str) -> ProjectProblem:
    return ProjectProblem("project_invalid", message, Place(path, 1, 1), hint)
