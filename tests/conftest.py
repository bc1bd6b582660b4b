"""Fixtures that tests of every tier may ask for."""

import signal

# What a shell starts in the background ignores SIGINT, and so would everything that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.servers", "tests.queues", "tests.serving"]
