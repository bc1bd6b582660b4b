"""Fixtures that tests of every tier may ask for."""

pytest_plugins = ["tests.servers", "tests.queues", "tests.serving"]
