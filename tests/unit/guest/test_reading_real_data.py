"""Reading real data, where it is at hand."""

import gzip
from collections import Counter
from decimal import Decimal

from tests.unit.guest.inputs import blocks_of, failures_of, places_of, real_data, records_of


def test_a_year_of_retail_orders_in_305_files():
    content = real_data("uci-online-retail/by-day.tar.gz")
    blocks = blocks_of(content, "by-day.tar.gz")
    assert [block.records for block in blocks] == [10_000] * 54 + [1_909]
    assert len({segment.member for block in blocks for segment in block.segments}) == 305
    records = records_of(blocks)
    assert sum(int(record["Quantity"]) * Decimal(record["UnitPrice"]) for record in records) == Decimal("9747747.934")
    assert sum(record["Description"] is None for record in records) == 1_454


def test_every_retail_order_is_found_again_in_its_file():
    block = blocks_of(real_data("uci-online-retail/by-day.tar.gz"), "by-day.tar.gz")[30]
    places = places_of([block])
    assert len(places) == 10_000
    assert all(line == record + 1 for _, record, line in places)


def test_hours_of_events_in_ndjson_called_json():
    records = records_of(blocks_of(real_data("gharchive/2021-07-21-few-hours.json.gz"), "events.json.gz"))
    assert len(records) == 800
    assert Counter(record["type"] for record in records)["PushEvent"] == 425


def test_webhooks_in_an_array():
    blocks = blocks_of(real_data("github-webhooks/index.ghes-35.json.gz"), "in.json.gz", window_bytes=1000)
    assert len({record["name"] for record in records_of(blocks)}) == 52


def test_taxi_trips_in_csv_with_quotes():
    blocks = blocks_of(gzip.decompress(real_data("nyc-taxi/yellow-tripdata-sample.csv.gz")), "in.csv")
    assert failures_of(blocks) == []
    records = records_of(blocks)
    assert len(records) == 10_000
    assert sum(Decimal(record["total_amount"]) for record in records) == Decimal("269155.30")
