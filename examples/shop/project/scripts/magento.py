"""One order of Magento as all shops' orders look here. Its money arrives as floating-point numbers."""

import json
from decimal import Decimal

STATUS = {"processing": "paid", "complete": "paid", "new": "pending", "canceled": "cancelled", "closed": "refunded"}
CENT = Decimal("0.01")


def process(data):
    """Return the order; guests have an address that nobody reads."""
    items = json.loads(data["items"])
    guest = data["customer_is_guest"]
    return {
        "shop": "magento",
        "order_id": data["increment_id"],
        "ordered_at": data["created_at"].replace(" ", "T") + "Z",
        "changed_at": data["updated_at"].replace(" ", "T") + "Z",
        "status": STATUS[data["state"]],
        "currency": data["order_currency_code"],
        "email": None if guest else data["customer_email"],
        "name": None if guest else f"{data['customer_firstname']} {data['customer_lastname']}",
        "country": json.loads(data["billing_address"])["country_id"],
        "pieces": sum(item["qty_ordered"] for item in items),
        "goods": sum(money(item["row_total"]) for item in items),
        "shipping": money(data["shipping_amount"]),
        "tax": money(data["tax_amount"]),
        "total": money(data["grand_total"]),
        "record": data["_hash"],
    }


def money(amount):
    """Return an exact amount."""
    return Decimal(str(amount)).quantize(CENT)
