"""Turns an order into what each storefront's API answers: names, types and oddities as the real ones have them.

Shopify: money is text beside nested price sets, times have an offset. WooCommerce: nearly every number is text, times
have no offset; v3 says some things that v2 does not. Magento: money is a number, twice, and `increment_id` is text.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from orders import Customer, Line, Order

CUSTOMER_CHANGES: Final = date(2024, 3, 3)  # from then on, Shopify's customer has another shape
_FINANCIAL: Final = {"paid": "paid", "pending": "pending", "cancelled": "voided", "refunded": "refunded"}
_WOO_STATUS: Final = {"paid": "processing", "pending": "pending", "cancelled": "cancelled", "refunded": "refunded"}
_MAGENTO_STATE: Final = {"paid": "processing", "pending": "new", "cancelled": "canceled", "refunded": "closed"}


def shopify(order: Order) -> dict[str, Any]:
    """Return an order of Shopify's REST Admin API."""
    address = _shopify_address(order.customer)
    money = {
        "total_price": order.total,
        "subtotal_price": order.subtotal,
        "total_tax": order.tax,
        "total_line_items_price": order.subtotal,
        "total_discounts": Decimal("0.00"),
    }
    return {
        "id": 450_000_000_000 + order.number,
        "admin_graphql_api_id": f"gid://shopify/Order/{450_000_000_000 + order.number}",
        "name": f"#{order.number}",
        "order_number": order.number,
        "email": order.customer.email if order.customer else "",
        "created_at": _iso(order.created_at),
        "processed_at": _iso(order.created_at),
        "updated_at": _iso(order.updated_at),
        "cancelled_at": _iso(order.updated_at) if order.status == "cancelled" else None,
        "currency": "EUR",
        "financial_status": _FINANCIAL[order.status],
        "fulfillment_status": None,
        "taxes_included": False,
        "test": False,
        "tags": "",
        **{name: str(amount) for name, amount in money.items()},
        **{f"{name}_set": _price_set(amount) for name, amount in money.items()},
        "total_shipping_price_set": _price_set(order.shipping),
        "line_items": [_shopify_line(order, index, line) for index, line in enumerate(order.lines)],
        "customer": _shopify_customer(order),
        "billing_address": address,
        "shipping_address": address,
        "note_attributes": [],
        "refunds": [],
    }


def woocommerce(order: Order, *, version: str) -> dict[str, Any]:
    """Return an order of WooCommerce's REST API, `v2` or `v3`."""
    who = order.customer
    person = {
        "first_name": who.first_name if who else "",
        "last_name": who.last_name if who else "",
        "company": "",
        "address_1": "1 Example Street" if who else "",
        "address_2": "",
        "city": "Example" if who else "",
        "state": "",
        "postcode": "00000" if who else "",
        "country": who.country if who else "",
    }
    answer = {
        "id": order.number,
        "parent_id": 0,
        "number": str(order.number),
        "order_key": f"wc_order_{order.number:013x}",
        "created_via": "checkout",
        "version": "3.0.0" if version == "v2" else "8.5.1",
        "status": _WOO_STATUS[order.status],
        "currency": "EUR",
        "date_created": _local(order.created_at),
        "date_created_gmt": _naive(order.created_at),
        "date_modified": _local(order.updated_at),
        "date_modified_gmt": _naive(order.updated_at),
        "discount_total": "0.00",
        "discount_tax": "0.00",
        "shipping_total": str(order.shipping),
        "cart_tax": str(order.tax),
        "total": str(order.total),
        "total_tax": str(order.tax),
        "prices_include_tax": False,
        "customer_id": who.number + 1 if who else 0,
        "customer_note": "",
        "billing": {**person, "email": who.email if who else "", "phone": ""},
        "shipping": person,
        "payment_method": "bacs",
        "transaction_id": "",
        "date_paid": _local(order.created_at) if order.status == "paid" else None,
        "meta_data": [],
        "line_items": [_woo_line(order, index, line, version) for index, line in enumerate(order.lines)],
        "shipping_lines": [{"id": 1, "method_id": "flat_rate", "total": str(order.shipping), "total_tax": "0.00"}],
        "refunds": [],
    }
    if version == "v3":
        answer |= {"currency_symbol": "€", "is_editable": False, "needs_payment": order.status == "pending"}
    return answer


def magento(order: Order) -> dict[str, Any]:
    """Return an order of Magento's REST API."""
    factor = 100 if order.damage == "cents" else 1
    who = order.customer
    amounts = {
        "grand_total": order.total,
        "subtotal": order.subtotal,
        "shipping_amount": order.shipping,
        "tax_amount": order.tax,
        "discount_amount": Decimal(0),
    }
    money = {name: float(amount * factor) for name, amount in amounts.items()}
    return {
        "entity_id": order.number,
        "increment_id": f"{order.number:09}",
        "created_at": _spaced(order.created_at),
        "updated_at": _spaced(order.updated_at),
        "state": _MAGENTO_STATE[order.status],
        "status": _MAGENTO_STATE[order.status],
        "store_id": 1,
        "store_name": "Main Website\nMain Website Store\nDefault Store View",
        "order_currency_code": "EUR",
        "base_currency_code": "EUR",
        "customer_id": who.number if who else None,
        "customer_email": who.email if who else "guest@example.com",
        "customer_firstname": who.first_name if who else None,
        "customer_lastname": who.last_name if who else None,
        "customer_is_guest": 0 if who else 1,
        "total_qty_ordered": sum(line.quantity for line in order.lines),
        **money,
        **{f"base_{name}": amount for name, amount in money.items()},
        "items": [_magento_item(order, index, line, factor) for index, line in enumerate(order.lines)],
        "billing_address": {
            "country_id": who.country if who else "BR",
            "city": "Example",
            "street": ["1 Example Street"],
        },
        "payment": {"method": "checkmo", "amount_ordered": money["grand_total"]},
        "extension_attributes": {"shipping_assignments": [], "payment_additional_info": []},
    }


def _shopify_customer(order: Order) -> dict[str, Any] | None:
    who = order.customer
    if who is None:
        return None
    if order.updated_at.date() < CUSTOMER_CHANGES:
        return {
            "id": 207_000_000 + who.number,
            "email": who.email,
            "first_name": who.first_name,
            "last_name": who.last_name,
            "tags": "",
            "default_address": {"country_code": who.country, "default": True},
        }
    return {
        "id": f"gid://shopify/Customer/{207_000_000 + who.number}",
        "displayName": f"{who.first_name} {who.last_name}",
        "emailAddress": {"emailAddress": who.email, "marketingState": "NOT_SUBSCRIBED"},
        "addresses": [{"country_code": who.country, "default": True}],
    }


def _shopify_address(who: Customer | None) -> dict[str, Any] | None:
    if who is None:
        return None
    return {"first_name": who.first_name, "last_name": who.last_name, "city": "Example", "country_code": who.country}


def _shopify_line(order: Order, index: int, line: Line) -> dict[str, Any]:
    return {
        "id": order.number * 100 + index,
        "sku": line.sku,
        "name": line.name,
        "title": line.name,
        "quantity": line.quantity,
        "price": str(line.price),
        "price_set": _price_set(line.price),
        "total_discount": "0.00",
        "tax_lines": [],
        "properties": [],
    }


def _price_set(amount: Decimal) -> dict[str, Any]:
    money = {"amount": str(amount), "currency_code": "EUR"}
    return {"shop_money": money, "presentment_money": money}


def _woo_line(order: Order, index: int, line: Line, version: str) -> dict[str, Any]:
    answer = {
        "id": order.number * 10 + index,
        "name": line.name,
        "product_id": int(line.sku[-3:]) + 90,
        "variation_id": 0,
        "quantity": line.quantity,
        "tax_class": "",
        "subtotal": str(line.total),
        "total": str(line.total),
        "taxes": [],
        "meta_data": [],
        "sku": line.sku,
        "price": float(line.price),
    }
    return answer if version == "v2" else {**answer, "image": {"id": "", "src": ""}, "parent_name": None}


def _magento_item(order: Order, index: int, line: Line, factor: int) -> dict[str, Any]:
    return {
        "item_id": order.number * 10 + index,
        "order_id": order.number,
        "sku": line.sku,
        "name": line.name,
        "product_type": "simple",
        "qty_ordered": line.quantity,
        "price": float(line.price * factor),
        "base_price": float(line.price * factor),
        "row_total": float(line.total * factor),
    }


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _local(at: datetime) -> str:
    """Return a time on the shop's own clock, which is three hours behind, without saying so."""
    return _naive(at - timedelta(hours=3))


def _naive(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _spaced(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")
