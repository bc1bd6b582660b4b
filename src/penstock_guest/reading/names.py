"""What a file's name and its first bytes say it is."""

from __future__ import annotations

import re
from typing import Final, Literal

Format = Literal["ndjson", "json", "csv", "parquet", "dead-letters"]
Layer = Literal["ndjson", "json", "csv", "parquet", "dead-letters", "gzip", "zstd", "tar"]

FORMATS: Final[tuple[Format, ...]] = ("ndjson", "json", "csv", "parquet")  # that somebody may name
VALID: Final = (
    ".ndjson .jsonl .json .csv .tsv .parquet, each also with .gz or .zst, and .tar .tar.gz .tgz .tar.zst of them"
)
FIRST_BYTES: Final = 512  # what kind_of wants to see

_BY_SUFFIX: Final[dict[str, Layer]] = {
    "ndjson": "ndjson",
    "jsonl": "ndjson",
    "json": "json",
    "csv": "csv",
    "tsv": "csv",
    "parquet": "parquet",
    "gz": "gzip",
    "zst": "zstd",
    "tar": "tar",
}
_WITH_TAR: Final = {"tgz": "tar.gz", "tzst": "tar.zst"}
# Long enough that no text begins like them.
_KINDS: Final = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "tar": re.compile(rb"[^\0]+\0.{0,255}ustar[\0 ]", re.DOTALL),
    "parquet": re.compile(rb"PAR1\x15|PARE"),
    "a ZIP archive or an Excel workbook": re.compile(rb"PK\x03\x04"),
    "an old Excel workbook": re.compile(rb"\xd0\xcf\x11\xe0"),
    "bzip2": re.compile(rb"BZh\d1AY&SY"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "an Arrow file": re.compile(rb"ARROW1\0"),
    "Avro": re.compile(rb"Obj\x01"),
    "SQLite": re.compile(rb"SQLite format 3\0"),
    "PDF": re.compile(rb"%PDF-\d"),
}


def layer_of(name: str) -> tuple[Layer | None, str]:
    """Return the outermost layer that a name tells, None where it tells none, and the name of what is inside."""
    stem, dot, suffix = name.rpartition(".")
    suffix = suffix.lower() if dot else ""
    if suffix in _WITH_TAR:
        return layer_of(f"{stem}.{_WITH_TAR[suffix]}")
    return _BY_SUFFIX.get(suffix), stem


def kind_of(first: bytes) -> str | None:
    """Return what first bytes give away, None where they could be text."""
    return next((kind for kind, pattern in _KINDS.items() if pattern.match(first)), None)
