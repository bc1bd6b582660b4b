"""Fixtures of the conformance suites: a lake of each kind."""

from typing import Any

import pytest

LAKES = ("sqlite-local", "postgresql-local", "sqlite-s3", "postgresql-s3")  # records and catalog, warehouse


@pytest.fixture
def lake_opening(request, tmp_path, fresh_database):
    """Give a function that opens the same lake again and again."""
    from tests.lakes import open_lake  # it loads the libraries of the lake

    def of_kind(kind):
        catalog, _, warehouse = kind.partition("-")
        database = fresh_database(catalog)
        options: dict[str, Any] = {"catalog_url": database.url if catalog == "postgresql" else ""}
        if warehouse == "s3":
            server = request.getfixturevalue("s3")
            options["warehouse"] = f"s3://{server.fresh_bucket()}/lake"
            options["s3"] = {
                "s3.endpoint": server.endpoint,
                "s3.access-key-id": "test",
                "s3.secret-access-key": "test",
                "s3.region": "us-east-1",
            }
        return lambda **more: open_lake(database, tmp_path / "lake", **options, **more)

    return of_kind


@pytest.fixture(params=LAKES)
def lake(request, lake_opening):
    with lake_opening(request.param)() as harness:
        yield harness


@pytest.fixture
def local(lake_opening):
    """A lake of the quickest kind, for what does not depend on where things are."""
    with lake_opening("sqlite-local")() as harness:
        yield harness
