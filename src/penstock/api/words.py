"""What is wrong with a value, in words for the person who sent it: what would be valid, and no regular expression."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

_TIME: Final = "must be a time with its zone, such as 2026-01-31T08:00:00Z"
_NUMBER: Final = "must be a whole number"
_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be a text",
    "string_unicode": "must be text in UTF-8",
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_parsing_size": _NUMBER,
    "int_from_float": _NUMBER,
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "timezone_aware": _TIME,
    "json_invalid": "is not valid JSON",
}
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {  # a sentence, and what of the error it needs
    "greater_than_equal": ("must be {:,} or more", "ge"),
    "less_than_equal": ("must be {:,} or less", "le"),
    "greater_than": ("must be more than {:,}", "gt"),
    "less_than": ("must be less than {:,}", "lt"),
    "literal_error": ("must be {}", "expected"),
    "enum": ("must be {}", "expected"),
    "string_too_short": ("must have {:,} characters at least", "min_length"),
    "string_too_long": ("may have {:,} characters at most", "max_length"),
    "too_short": ("must have {:,} items at least", "min_length"),
    "too_long": ("may have {:,} items at most", "max_length"),
}
_WORD: Final = "must consist of ASCII letters, digits and . _ -, at most 100 of them"
_PATTERNS: Final[Mapping[str, str]] = {
    r"^[^\x00-\x1f\x7f]+$": "must be one line without control characters",
    r"^[^\x00]*$": "must not have a NUL character",
    r"^[^/\x00-\x1f\x7f]+$": "must be one line without `/` and control characters",
    r"^[a-z_]+$": "must be a code of lower-case letters and _, such as output_invalid",
    r"^[A-Za-z0-9_]*$": "must be what `next` of the page before said",
    r"^[A-Za-z0-9._@+ -]+$": "must consist of ASCII letters, digits, spaces and . _ @ + -",
    r"^[\x21-\x7e]+$": "must consist of printable ASCII characters, without spaces",
    r"^[A-Za-z_][A-Za-z0-9_]{0,63}$": "must be up to 64 ASCII letters, digits and _, beginning with no digit",
    r"^[A-Za-z0-9_]{1,64}$": "must be an id, such as job_01J8Z0W6V5T4S3R2Q1P0N9M8K7",
    r"^job_[0-9A-Z]{26}$": "must be what `next` of the page before said",
    r"^[A-Za-z0-9._-]{1,100}$": _WORD,
    r"^[0-9]{1,15}:[0-9a-f]{64}$": "must be a number and a hash, NUMBER:HASH, as verifying printed them",
    r"^[A-Za-z0-9_-]{1,64}$": "must consist of ASCII letters, digits, _ and -, at most 64 of them",
    r"^inc_[0-9A-Z]{26}$": "must be what `next` of the page before said",
    r"^run_[0-9A-Z]{26}$": "must be what `next` of the page before said",
    r"^[a-z][a-z0-9_-]{0,62}$": "must be up to 63 lower-case letters, digits, _ and -, a letter first",
    r"^[a-z][a-z0-9_]{0,62}$": "must be up to 63 lower-case letters, digits and _, a letter first",
    r"^[a-z][a-z0-9_]{0,99}\.[a-z][a-z0-9_]{0,99}$": "must be a table as layer.name, such as marts.daily_sales",
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|today|yesterday)$": "must be a date, such as 2026-01-31, or today or yesterday",
    r"^[0-9a-f]{64}$": "must be what `next` of the page before said",
    r"^[a-z][a-z0-9_-]{0,62}/[a-z][a-z0-9_-]{0,62}$": "must be what `next` of the page before said",
    r"^bf_[0-9A-Z]{26}$": "must be what `next` of the page before said",
    r"^[0-9a-f]{8,64}$": "must be the hash of a revision, or its first 8 digits or more",
    r"^-?[0-9]{1,19}$": "must be the number of a snapshot",
    r"^[0-9]{1,15}$": "must be what `next` of the page before said",
}


def sentence_of(item: Mapping[str, Any], *, known: Collection[str] = ()) -> str:
    """Return what is wrong with a value; never the value itself, for it may be data.

    Args:
        item: an error as pydantic describes it.
        known: names that would be valid where one is not known.
    """
    kind, context = str(item.get("type", "")), item.get("ctx") or {}
    if kind == "extra_forbidden" and known:
        return f"is not known here; valid are {', '.join(known)}"
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(context.get("pattern")), "has characters that are not possible here")
    if kind in _BOUNDS:
        sentence, name = _BOUNDS[kind]
        if name == "min_length" and context[name] == 1:
            return "must not be empty"
        return sentence.format(context[name])
    return str(item.get("msg", "is not valid")).removeprefix("Value error, ")
