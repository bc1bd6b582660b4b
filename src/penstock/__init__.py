"""Penstock: run code you do not fully trust on data you must answer for."""

__version__ = "0.1.0"
