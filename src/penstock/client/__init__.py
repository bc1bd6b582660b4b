"""The typed HTTP client: what the command line and other programs talk to a server with."""

from penstock.client.client import Client

__all__ = ["Client"]
