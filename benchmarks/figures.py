"""What a benchmark found out: figures, each with its unit, its peer and its aim."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes:
        name: what was measured.
        value: in `unit`; `x` is a ratio.
        peer: beside what, with the figures that a ratio was made of; or how it was taken.
        at_least: the aim, where more is better.
        at_most: the aim, where less is better.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def aim(self) -> str:
        """The aim in words; empty when this is only reported."""
        if self.at_least is not None:
            return f">= {number(self.at_least)}"
        return f"<= {number(self.at_most)}" if self.at_most is not None else ""

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.value <= self.at_most if self.at_most is not None else None


@dataclass(frozen=True, slots=True)
class Noise:
    """How quiet the machine was; on a noisy one figures mean little.

    Attributes:
        load_before: load average of the minute before.
        load_after: of the last minute of the measurement, its own load included.
        stolen: share of the time in which the host gave the virtual machine's cores to others.
    """

    load_before: float
    load_after: float
    stolen: float


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark's figures.

    Attributes:
        name: of its file.
        title: of the promise.
        method: how it was measured.
        noise: what else the machine did.
        elapsed_s: how long it took.
    """

    name: str
    title: str
    method: str
    figures: tuple[Figure, ...]
    noise: Noise
    elapsed_s: float


def number(value: float) -> str:
    """Return a number with about three digits that mean something."""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
