"""One order of Shopify as all shops' orders look here. Nested parts arrive as JSON text."""

import json
from decimal import Decimal

STATUS = {"voided": "cancelled"}


def process(data):
    """Return the order; without a customer where nobody had an account."""
    lines = json.loads(data["line_items"])
    email, name, country = customer(json.loads(data["customer"] or "null"))
    shipping = json.loads(data["total_shipping_price_set"])["shop_money"]["amount"]
    return {
        "shop": "shopify",
        "order_id": str(data["id"]),
        "ordered_at": data["created_at"],
        "changed_at": data["updated_at"],
        "status": STATUS.get(data["financial_status"], data["financial_status"]),
        "currency": data["currency"],
        "email": email,
        "name": name,
        "country": country,
        "pieces": sum(line["quantity"] for line in lines),
        "goods": sum(line["quantity"] * Decimal(line["price"]) for line in lines),
        "shipping": Decimal(shipping),
        "tax": Decimal(data["total_tax"]),
        "total": Decimal(data["total_price"]),
        "record": data["_hash"],
    }


def customer(who):
    """Return e-mail, name and country; in March 2024 Shopify's customer has become another object."""
    if who is None:
        return None, None, None
    if "emailAddress" in who:
        return who["emailAddress"]["emailAddress"], who["displayName"], who["addresses"][0]["country_code"]
    return who["email"], f"{who['first_name']} {who['last_name']}", who["default_address"]["country_code"]
