"""The composition root: the only room that knows every adapter, and the only one that reads settings."""

from penstock.wiring.laptop import Laptop, laptop

__all__ = ["Laptop", "laptop"]
