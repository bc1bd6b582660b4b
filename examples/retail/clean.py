"""Cleans retail orders: drops what was cancelled or has no price, gives every field its type, adds a line total.

A script like this sees one record at a time. It returns the record to keep, None to drop it, and may raise: then that
record, and no other, goes to the dead letters.
"""

from datetime import datetime
from decimal import Decimal


def process(data):
    """Return the order line, clean; None where it was cancelled or has no price."""
    if data["InvoiceNo"].startswith("C"):
        return None
    price = Decimal(data["UnitPrice"])
    if price <= 0:
        return None
    quantity = int(data["Quantity"])
    description, customer = data["Description"], data["CustomerID"]
    return {
        "InvoiceNo": data["InvoiceNo"],
        "StockCode": data["StockCode"],
        "Description": description and description.strip(),
        "Quantity": quantity,
        "InvoiceDate": datetime.fromisoformat(data["InvoiceDate"]).isoformat(),
        "UnitPrice": price,
        "CustomerID": customer and int(customer.removesuffix(".0")),
        "Country": data["Country"],
        "LineTotal": quantity * price,  # exact: both are, and Decimal keeps it so
    }
