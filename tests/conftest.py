"""Fixtures that tests of every tier may ask for."""

import signal

from penstock.base.logs import configure_logs

# What a shell starts in the background ignores SIGINT, and so would everything that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

configure_logs(as_json=True)

pytest_plugins = ["tests.servers", "tests.queues", "tests.serving"]
