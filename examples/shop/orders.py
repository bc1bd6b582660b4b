"""Makes the orders of three storefronts, day by day, with the dirt that real ones have.

The same seed and day give the same orders, whenever and in whichever order the days are asked for. An order is made
once, neutrally; `shapes.py` turns it into what each storefront would answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

SHOPS: Final = ("shopify", "outlet", "woocommerce", "magento")  # the outlet has WooCommerce's older API, v2
FIRST_NUMBER: Final = {"shopify": 1_001, "outlet": 501, "woocommerce": 7_001, "magento": 1}
OPENED: Final = date(2024, 1, 1)
LATE_DAYS_MAX: Final = 2
CENT: Final = Decimal("0.01")
TAX: Final = Decimal("0.19")

PRODUCTS: Final = tuple(
    (f"{code}-{number:03}", f"{colour} {thing}", Decimal(base) + number)
    for code, thing, base in (("TEA", "teapot", 19), ("CUP", "cup", 6), ("LMP", "lamp", 49), ("RUG", "rug", 120))
    for number, colour in enumerate(("White", "Red", "Green", "Blue", "Ivory", "Black"))
)
NAMES: Final = "Ada,Bruno,Chen,Dalia,Emeka,Freya,Goran,Hana,Ines,Jonas,Kofi,Lena,Mateus,Nadia,Otto,Priya".split(",")
FAMILIES: Final = "Almeida,Berg,Costa,Diallo,Evans,Fischer,Garcia,Haddad,Ito,Jansen,Kaya,Lund".split(",")
COUNTRIES: Final = ("BR", "BR", "BR", "DE", "DE", "US", "FR", "JP")


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who buys; `number` is the shop's own, `email` is the same in all shops."""

    number: int
    first_name: str
    last_name: str
    email: str
    country: str


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one product."""

    sku: str
    name: str
    quantity: int
    price: Decimal

    @property
    def total(self) -> Decimal:
        """Quantity times price."""
        return self.quantity * self.price


@dataclass(frozen=True, slots=True)
class Order:
    """One order as its shop knows it after its last change.

    Attributes:
        customer: None for somebody who bought without an account.
        status: `paid`, `pending`, `cancelled` or `refunded`.
        damage: what is wrong with it on purpose; empty mostly.
    """

    shop: str
    number: int
    created_at: datetime
    updated_at: datetime
    customer: Customer | None
    lines: tuple[Line, ...]
    shipping: Decimal
    status: str = "paid"
    damage: str = ""

    @property
    def subtotal(self) -> Decimal:
        """What the goods cost."""
        return sum((line.total for line in self.lines), Decimal(0))

    @property
    def tax(self) -> Decimal:
        """What is added to goods and shipping."""
        return ((self.subtotal + self.shipping) * TAX).quantize(CENT)

    @property
    def total(self) -> Decimal:
        """What is paid."""
        return self.subtotal + self.shipping + self.tax


@dataclass(frozen=True, slots=True)
class Calendar:
    """All days of all shops.

    Attributes:
        seed: other seeds, other orders.
        a_day: how many orders each shop takes on an ordinary day.
        bad_day: on that day a change at Magento went wrong: it says prices in cents.
    """

    seed: int = 7
    a_day: int = 40
    bad_day: date | None = None

    def changed_on(self, shop: str, day: date) -> list[Order]:
        """Return the orders that are new or changed on a day, in the order in which the shop would give them.

        Among them: orders of the two days before that were not there yet, orders that somebody has sent back since, and
        a few that stand there twice.
        """
        dice = self._dice("changed", shop, day)
        orders = [order for order in self.taken_on(shop, day) if not self._is_late(order)]
        for back in range(1, LATE_DAYS_MAX + 1):
            for order in self.taken_on(shop, day - timedelta(days=back)):
                if self._is_late(order) == back:
                    orders.append(replace(order, updated_at=_at(day, int(86_399 * dice()))))
                elif back == 1 and order.status == "paid" and dice() < 0.08:
                    orders.append(replace(order, status="refunded", updated_at=_at(day, int(86_399 * dice()))))
        orders += [order for order in orders if dice() < 0.05]  # the same again
        if shop == "magento" and day == self.bad_day:
            orders = [replace(order, damage="cents") for order in orders]
        return _shuffled(orders, dice)

    def known_by(self, first: date, last: date) -> dict[tuple[str, int], Order]:
        """Return each order as it was after its last change, of all that changed on some days: what must come out."""
        known: dict[tuple[str, int], Order] = {}
        for shop in SHOPS:
            for back in range((last - first).days + 1):
                for order in self.changed_on(shop, first + timedelta(days=back)):
                    before = known.get((shop, order.number))
                    if before is None or order.updated_at >= before.updated_at:
                        known[shop, order.number] = order
        return known

    def taken_on(self, shop: str, day: date) -> Iterator[Order]:
        """Yield the orders that customers placed on a day, whenever the shop came to know of them."""
        if day < OPENED:
            return
        dice = self._dice("taken", shop, day)
        weekend = 1.4 if day.weekday() >= 5 else 1.0
        first = FIRST_NUMBER[shop] + (day - OPENED).days * self.a_day * 2
        for number in range(int(self.a_day * weekend * (0.8 + 0.4 * dice()))):
            yield self._order(shop, first + number, day, dice)

    def customer(self, number: int) -> Customer:
        """Return one of the customers; they buy in all shops."""
        dice = self._dice("customer", str(number), OPENED)
        first, last = _one_of(NAMES, dice), _one_of(FAMILIES, dice)
        email = f"{first}.{last}{number}@example.com".lower()
        return Customer(number, first, last, email, _one_of(COUNTRIES, dice))

    def returns_on(self, day: date) -> list[tuple[Order, Line, str]]:
        """Return what came back on a day, from orders of the day before, each with a reason."""
        dice = self._dice("returns", "all", day)
        reasons = ("broken", "too late", "wrong colour", "changed my mind")
        return [
            (order, order.lines[0], _one_of(reasons, dice))
            for shop in SHOPS
            for order in self.taken_on(shop, day - timedelta(days=1))
            if dice() < 0.06
        ]

    def _order(self, shop: str, number: int, day: date, dice: Dice) -> Order:
        created = _at(day, int(86_399 * dice()))
        who = int(300 * dice() ** 2)
        customer = None if dice() < 0.12 else self.customer(who)
        chance = dice()
        status = "cancelled" if chance < 0.05 else "pending" if chance < 0.1 else "paid"
        lines = tuple(_line(dice) for _ in range(1 + int(4 * dice() ** 2)))
        shipping = Decimal("0.00") if dice() < 0.3 else Decimal("4.90")
        return Order(shop, number, created, created, customer, lines, shipping, status)

    def _is_late(self, order: Order) -> int:
        """Return after how many days the shop comes to know of an order; most are known at once."""
        dice = self._dice("late", order.shop, order.created_at.date(), str(order.number))
        return 1 + int(LATE_DAYS_MAX * dice()) if dice() < 0.04 else 0

    def _dice(self, what: str, shop: str, day: date, more: str = "") -> Dice:
        return Dice(f"{self.seed} {what} {shop} {day} {more}")


class Dice:
    """Numbers from 0 up to 1, the same for the same name in every version of Python."""

    def __init__(self, name: str) -> None:
        self._random = random.Random(name).random  # of all its methods, only this one's sequence is promised

    def __call__(self) -> float:
        """Return the next number."""
        return self._random()


def _line(dice: Dice) -> Line:
    sku, name, price = PRODUCTS[int(len(PRODUCTS) * dice() ** 2)]
    return Line(sku, name, 1 + int(5 * dice() ** 3), price.quantize(CENT))


def _one_of(things: Sequence[str], dice: Dice) -> str:
    return things[int(len(things) * dice())]


def _shuffled(orders: list[Order], dice: Dice) -> list[Order]:
    """Return orders nearly as they changed, but some out of their order."""
    return [
        order
        for _, order in sorted(
            ((order.updated_at.timestamp() + 7_200 * dice(), order) for order in orders), key=lambda pair: pair[0]
        )
    ]


def _at(day: date, second: int) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
