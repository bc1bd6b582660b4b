"""`penstock scripts`: from a file to the active version and back, as somebody at a terminal does it."""

from __future__ import annotations

import itertools
import json

import pytest

CODE = "def process(data):\n    return {'total': data['price'] * data['quantity']}\n"
NUMBERS = itertools.count()
EXAMPLE = {"name": "total", "input": [{"price": 2, "quantity": 3}], "output": [{"total": 7}]}


@pytest.fixture
def shop(folder, api, monkeypatch):
    """A folder with a script, and a workspace of its own on a server."""
    monkeypatch.setenv("PENSTOCK_URL", api.url)
    monkeypatch.setenv("PENSTOCK_API_KEY", api.tenant(f"t{next(NUMBERS)}").api_key)
    folder.write(
        orders_py=CODE, sample_ndjson='{"price":2,"quantity":3}\n{"price":1}\n', examples_json=json.dumps([EXAMPLE])
    )
    return folder


def said(done):
    """Return what was printed on both streams."""
    return done.stdout.decode() + done.stderr.decode()


def test_a_script_goes_from_a_file_to_active_and_back(shop):
    pushed = said(shop.penstock("scripts", "push", "orders.py", "--examples", "examples.json"))
    assert "orders 1.0.0 is a new draft" in pushed
    assert "penstock scripts publish orders@1.0.0" in pushed
    tried = shop.penstock("scripts", "try", "orders", "sample.ndjson", exit_code=2)
    assert tried.stdout == b'{"total":6}\n'
    assert "2 records in = 1 gave output + 0 dropped + 1 failed" in tried.stderr.decode()
    refused = said(shop.penstock("scripts", "publish", "orders", exit_code=2))
    for words in ("[examples_failed]", "examples.total/0/total: the output differs", "expected  7", "got       6"):
        assert words in refused
    shop.write(examples_json=json.dumps([EXAMPLE | {"output": [{"total": 6}]}]))
    assert "was changed" in said(shop.penstock("scripts", "push", "orders.py", "--examples", "examples.json"))
    published = said(shop.penstock("scripts", "publish", "orders", "--activate"))
    assert "orders 1.0.0 is published for ever" in published
    assert "orders: active is 1.0.0" in published
    shop.write(orders_py=CODE.replace("total", "sum"))
    shop.penstock("scripts", "push", "orders.py", "--version", "1.1.0")
    shop.penstock("scripts", "publish", "orders@1.1.0", "--activate")
    compared = said(shop.penstock("scripts", "diff", "orders", "1.0.0", "active"))
    assert "-    return {'total': data['price'] * data['quantity']}" in compared
    assert "+    return {'sum': data['price'] * data['quantity']}" in compared
    assert "orders: active is 1.0.0" in said(shop.penstock("scripts", "rollback", "orders"))
    shop.penstock("scripts", "push", "orders.py", "--version", "1.2.0")  # a draft, which is not meant
    assert "orders: active is 1.1.0" in said(shop.penstock("scripts", "activate", "orders"))
    shop.penstock("scripts", "activate", "orders@1.0.0")
    shown = json.loads(shop.penstock("scripts", "show", "orders", "--json").stdout)
    assert shown["active_version"] == "1.0.0"
    assert [version["version"] for version in shown["versions"]] == ["1.2.0", "1.1.0", "1.0.0"]
    assert shop.penstock("scripts", "show", "orders@active", "--code").stdout.decode() == CODE
    assert "orders runs at most 2 attempts at once" in said(shop.penstock("scripts", "bound", "orders", "2"))
    assert "at once: 2 of its attempts" in said(shop.penstock("scripts", "show", "orders"))
    assert "as many as its workspace may" in said(shop.penstock("scripts", "bound", "orders", "none"))
    assert "is no number" in said(shop.penstock("scripts", "bound", "orders", "0", exit_code=2))


def test_what_goes_beyond_the_default_says_how_to_go_on(shop):
    pushed = said(shop.penstock("scripts", "push", "orders.py", "--wall", "120"))
    assert "needs an approval: wall time of 120 s instead of 60 s" in pushed
    assert "penstock scripts ask orders@1.0.0" in said(shop.penstock("scripts", "publish", "orders", exit_code=2))
    asked = json.loads(shop.penstock("scripts", "ask", "orders", "--reason", "year's end", "--json").stdout)
    assert "[not_allowed]" in said(shop.penstock("scripts", "approve", asked["id"], exit_code=2))
    assert "is overridden" in said(shop.penstock("scripts", "override", asked["id"], "--reason", "nobody else"))
    assert "is published" in said(shop.penstock("scripts", "publish", "orders"))


def test_mistakes_are_told_with_what_would_be_right(shop):
    assert "Did you mean clean?" in said(shop.penstock("scripts", "show", "cleam", exit_code=2))
    assert "orders@1.2.0" in said(shop.penstock("scripts", "deprecate", "orders", "--reason", "old", exit_code=2))
    shop.penstock("scripts", "push", "orders.py")
    assert "has no published version" in said(shop.penstock("scripts", "activate", "orders", exit_code=2))
    shop.write(examples_json="[")
    assert "examples.json is not JSON" in said(
        shop.penstock("scripts", "push", "orders.py", "--examples", "examples.json", exit_code=2)
    )
    assert "Usage: penstock scripts" in said(shop.penstock("scripts", exit_code=2))
