"""Cleans orders. A script sees one record at a time, in a locked process that has neither files nor a network."""

from decimal import Decimal


def process(data):
    """Return the order, clean; None drops it. A record that raises is set aside, with the reason, and no other."""
    if data["status"] == "cancelled":
        return None
    quantity, price = int(data["quantity"]), Decimal(data["price"])
    return {
        "order_id": data["order_id"],
        "ordered_on": data["ordered_on"],
        "country": data["country"].strip().upper(),
        "quantity": quantity,
        "total": quantity * price,
    }
