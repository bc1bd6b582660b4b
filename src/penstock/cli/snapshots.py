"""Snapshots on the command line: their numbers have up to 19 digits."""

from __future__ import annotations

import re
from typing import Any

import click


class Snapshot(click.ParamType[str]):
    """The number of a snapshot."""

    name = "SNAPSHOT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the number as text, as the API has it."""
        if re.fullmatch(r"-?[0-9]{1,19}", str(value)):
            return str(value)
        return self.fail(f"{value!r} is not the number of a snapshot; see: penstock tables NAME", param, ctx)
