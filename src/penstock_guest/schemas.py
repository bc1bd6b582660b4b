"""JSON Schemas of a version's records: compiled in its zygote, checked in its children, record by record.

Only what a zygote with schemas has loaded: the library costs each fork some 0.14 ms, which versions without schemas
need not pay. Nothing is fetched: a `$ref` leads into the schema itself or into a published draft of JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jsonschema_rs
import orjson

from penstock_guest import chunk, exact_json
from penstock_guest.failures import OutputUnfit, failure
from penstock_guest.reading import Records, Undecodable

_WORDS_MAX: Final = 200
Lines = chunk.Encoder


class Schemas:
    """What the records of one script version must fit.

    Args:
        texts: `input` and `output`, each JSON or None.

    Attributes:
        problems: why a schema cannot be used; empty when all is well.
    """

    def __init__(self, texts: Mapping[str, str | None]) -> None:
        self.problems: list[dict[str, Any]] = []
        self._input = self._compile("input", texts.get("input"))
        self._output = self._compile("output", texts.get("output"))

    def check_records(self, records: Records) -> Records:
        """Return records of which those that do not fit are Undecodable."""
        return records if self._input is None else CheckedRecords(records, self._input)

    def check_rows(self, records: Records) -> Records | None:
        """Return the same for rows of a table, which are checked in the form that JSON gives them; None for nothing."""
        return None if self._input is None else CheckedRecords(records, self._input, as_json=True)

    def check_lines(self, lines_of: Lines, *, shown: Lines | None = None) -> Lines:
        """Return what makes output and raises OutputUnfit for a record of it that does not fit.

        Args:
            lines_of: makes the output.
            shown: makes lines of JSON of the same, where the output is something else.
        """
        rule = self._output
        if rule is None:
            return lines_of

        def checked(result: Any) -> tuple[bytes | chunk.WrittenLater, int]:
            made = lines_of(result)
            data = (made if shown is None else shown(result))[0]
            assert isinstance(data, bytes), "lines of JSON"
            loads = exact_json.loads_for(data)
            for line in data.splitlines():
                if words := rule.broken(loads(line)):
                    raise OutputUnfit(f"an output record does not fit the schema {words}")
            return made

        return checked

    def _compile(self, name: str, text: str | None) -> Rule | None:
        if text is None:
            return None
        try:
            return Rule(text)
        except jsonschema_rs.ValidationError as error:  # every reason why it cannot be compiled
            self.problems.append(_problem(name, orjson.loads(text), error))
        return None


class Rule:
    """One schema, compiled."""

    def __init__(self, text: str) -> None:
        self._schema = orjson.loads(text)
        self._validator = jsonschema_rs.validator_for(self._schema, offline=True, mask="it")

    def broken(self, record: Any) -> str | None:
        """Return where a record breaks which rule, None when it fits; no value of it, only names of its members."""
        try:
            self._validator.validate(record)
        except jsonschema_rs.ValidationError as error:
            return self._words(error)
        return None

    def _words(self, error: Any) -> str:
        place = _pointer(error.instance_path) or "the record itself"
        rule = _at(self._schema, error.schema_path)  # nothing where it leads through a $ref
        wanted = "" if rule is None or isinstance(rule, dict) else f" {_short(rule)}"
        return f"at {place[:_WORDS_MAX]}: rule {error.kind.name}{wanted} ({_pointer(error.schema_path)[:_WORDS_MAX]})"


class CheckedRecords:
    """Records, with an Undecodable in the place of each that does not fit a schema."""

    def __init__(self, records: Records, rule: Rule, *, as_json: bool = False) -> None:
        self._records = records
        self._rule = rule
        self._as_json = as_json

    def __iter__(self) -> Iterator[dict[str, Any] | Undecodable]:
        """Yield each record, or an Undecodable in its place."""
        broken = self._rule.broken
        for record in self._records:
            if type(record) is Undecodable:
                yield record
                continue
            words = broken(_as_json(record) if self._as_json else record)
            yield Undecodable("input_schema", f"the record does not fit the schema {words}") if words else record

    def original(self) -> dict[str, Any] | bytes:
        """Return the record last yielded as it came."""
        return self._records.original()

    def line(self) -> int:
        """Return the line of the record last yielded."""
        return self._records.line()


def fitting(records: Records, account: chunk.Account) -> list[bool]:
    """Return for each row whether it fits; those that do not are dead letters then."""
    fits = []
    for index, record in enumerate(records):
        account.records += 1
        fits.append(type(record) is not Undecodable)
        if isinstance(record, Undecodable):
            account.fail(index, records, failure(record.code, record.message))
    return fits


def _as_json(record: Any) -> Any:
    line = chunk.dumps_line(record)
    return exact_json.loads_for(line)(line)


def _pointer(path: Sequence[str | int]) -> str:
    """Return a JSON pointer. Source: RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _WORDS_MAX else f"{text[:_WORDS_MAX]} ..."


def _at(value: Any, path: Sequence[str | int]) -> Any:
    """Return what stands at a place of a JSON value, None where nothing does."""
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return None
    return value


def _problem(name: str, schema: Any, error: Any) -> dict[str, Any]:
    found = _at(schema, error.instance_path) if error.instance_path else None
    place = f" at {_pointer(error.instance_path)}, {_short(found)}" if error.instance_path else ""
    hint = "Correct the schema; json-schema.org describes the rules."
    if "etriev" in error.message:  # every wording of the library for what it would have to fetch
        hint = "Put what $ref names into $defs of the schema itself; nothing is fetched."
    message = f"the {name} schema{place}: {error.message}"
    return failure("schema_invalid", message) | {"column": None, "hint": hint}
