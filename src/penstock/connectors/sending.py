"""What exports of files have in common: where one goes, and as what."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock.connectors.taking import format_of


class ToFile(BaseModel):
    """Where an export goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="Of the file, from the connection's folder.")
    format: Literal["ndjson", "csv", "parquet"] | None = Field(None, description="By the ending of the path, unless.")

    @property
    def staged(self) -> str:
        """The file that is sent."""
        found = format_of(self.path, self.format)
        return "ndjson" if found == "json" else found

    @model_validator(mode="after")
    def _has_format(self) -> Self:
        if self.format is None and not self.path.endswith((".csv", ".ndjson", ".jsonl", ".json", ".parquet")):
            raise ValueError("the path does not tell the format; say format: csv, ndjson or parquet")
        return self
