"""One order of WooCommerce, v2 or v3, as all shops' orders look here. Nearly every number arrives as text."""

import json
from decimal import Decimal

STATUS = {"processing": "paid", "completed": "paid"}


def process(data):
    """Return the order; its times are those that say that they are UTC."""
    lines, person = json.loads(data["line_items"]), json.loads(data["billing"])
    return {
        "shop": "outlet" if data["version"].startswith("3.") else "woocommerce",
        "order_id": str(data["id"]),
        "ordered_at": data["date_created_gmt"] + "Z",
        "changed_at": data["date_modified_gmt"] + "Z",
        "status": STATUS.get(data["status"], data["status"]),
        "currency": data["currency"],
        "email": person["email"] or None,
        "name": f"{person['first_name']} {person['last_name']}".strip() or None,
        "country": person["country"] or None,
        "pieces": sum(line["quantity"] for line in lines),
        "goods": sum(Decimal(line["total"]) for line in lines),
        "shipping": Decimal(data["shipping_total"]),
        "tax": Decimal(data["total_tax"]),
        "total": Decimal(data["total"]),
        "record": data["_hash"],
    }
