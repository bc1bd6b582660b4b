"""Makes retail orders, as many as you like, with the dirt that real ones have.

    python generate.py --orders 1000 --seed 7 -o orders.csv     (or orders.csv.gz, by-day.tar.gz; else standard output)

Columns and kinds of dirt are those of the UCI Online Retail data set: cancelled invoices (the number begins with C,
quantities are negative), prices of nothing or less, rows without a customer or a description, customers written as
17850.0, write-offs of negative quantity, exact duplicates, quotes, commas and idle spaces in descriptions. The same
seed gives the same rows.

Standard error gets a summary in JSON: what was put in, and what a right cleaning must leave (see clean.py).
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import BinaryIO

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
FIRST_DAY = date(2010, 12, 1)
DAYS_MAX = 305
ORDERS_A_DAY = 80  # until there are as many days; then the days get fuller
SATURDAY = 5
PRODUCTS = 4_000
CUSTOMERS = 4_372

COLOURS = "WHITE RED PINK BLUE GREEN IVORY BLACK CREAM SILVER ROSE MINT CLEAR ASSORTED ANTIQUE".split()
STYLES = "HANGING RETROSPOT VINTAGE POLKADOT PAISLEY WOODEN METAL GLASS ENAMEL PAPER SKULL FLORAL ZINC KNITTED".split()
THINGS = (
    "HEART T-LIGHT HOLDER,LANTERN,CUPID COAT HANGER,HOT WATER BOTTLE,BIRD ORNAMENT,LUNCH BAG,CAKE STAND,JAM JAR,"
    "PARTY BUNTING,TEA TOWEL,JIGSAW PUZZLE,ALARM CLOCK,PICTURE FRAME,PHOTO ALBUM,CANDLE PLATE,DRAWER KNOB,DOORMAT"
).split(",")
SHAPES = ("{} ", " {}", "{}, SET OF 3", '{} 7"', 'SIGN, "{}"', "CAFÉ {}")  # of the few descriptions that are odd
WRITTEN_OFF = ("", "", "", "damaged", "?", "lost", "check", "thrown away")
COUNTRIES = (
    "Germany,France,EIRE,Spain,Netherlands,Belgium,Switzerland,Portugal,Australia,Norway,Italy,Channel Islands,Finland,"
    "Cyprus,Sweden,Austria,Denmark,Japan,Poland,USA,Israel,Unspecified,Singapore,Iceland,Canada,Greece,Malta,RSA,Brazil"
).split(",")
MALFORMED = (
    b"999001,22423,REGENCY CAKESTAND,1,2011-01-04 10:00:00,12.75,17850.0,United Kingdom,one field too many\n",
    b"999002,22423,REGENCY CAKESTAND,1\n",
    b'999003,22423,"A QUOTE THAT NEVER CLOSES,1,2011-01-04 10:00:00,12.75,17850.0,United Kingdom\n',
    b'999004,22423,"A QUOTE" TOO EARLY,1,2011-01-04 10:00:00,12.75,17850.0,United Kingdom\n',
    b"999005,22423,CAF\xc9 IN LATIN 1,1,2011-01-04 10:00:00,12.75,17850.0,United Kingdom\n",
    b"999006,22423,A PRICE IN WORDS,1,2011-01-04 10:00:00,a fiver,17850.0,United Kingdom\n",
)


@dataclass
class Summary:
    """What was put in. A row is unpriced where its price is nothing or less; none is both that and cancelled."""

    orders: int = 0
    rows: int = 0
    cancelled: int = 0
    unpriced: int = 0
    duplicates: int = 0
    without_customer: int = 0
    without_description: int = 0
    malformed: int = 0  # more rows, not counted above: they must come out as dead letters
    kept_mills: int = 0  # quantity times price of what is kept, in thousandths: the sum stays exact

    def as_json(self) -> str:
        """Return it, with what a right cleaning must leave."""
        facts = asdict(self)
        total = Decimal(facts.pop("kept_mills")) / 1000
        kept = {"rows": self.rows - self.cancelled - self.unpriced, "total": f"{total:.3f}"}
        return json.dumps(facts | {"expected": kept})


@dataclass(frozen=True)
class Product:
    """An item of the catalogue, as a row has it."""

    text: str  # stock code and description
    price: str
    price_mills: int


class Shop:
    """Takes orders; its catalogue and customers depend on the seed alone."""

    def __init__(self, seed: int) -> None:
        # random() alone: of all the methods, only its sequence is promised to be the same in every version of Python.
        self._random = random.Random(seed).random
        self._catalogue = [self._product() for _ in range(PRODUCTS)]
        self._homes = ["United Kingdom" if self._random() < 0.9 else self._one_of(COUNTRIES) for _ in range(CUSTOMERS)]
        self.summary = Summary()

    def order(self, day: date) -> Iterator[str]:
        """Yield the rows of the next order."""
        number = 536_365 + self.summary.orders
        self.summary.orders += 1
        chance = self._random()
        if chance < 0.13:
            return self._goods(f"C{number}", day, rows=1 + int(4 * self._random()), sign=-1)
        if chance < 0.16:
            return self._write_offs(str(number), day, rows=1 + int(5 * self._random()))
        return self._goods(str(number), day, rows=1 + int(70 * self._random() ** 2), sign=1)

    def _goods(self, invoice: str, day: date, *, rows: int, sign: int) -> Iterator[str]:
        """Yield what a customer bought, or gave back."""
        where = f"{self._when(day)},{{}},{self._buyer(rows)}\n"
        last = None
        for _ in range(rows):
            dice = self._random()
            if last and dice < 0.01:
                self.summary.duplicates += 1
            else:
                last = self._item(invoice, where, dice, sign)
            row, kept_mills = last
            self.summary.rows += 1
            self.summary.kept_mills += kept_mills
            self.summary.cancelled += sign < 0
            yield row

    def _item(self, invoice: str, where: str, dice: float, sign: int) -> tuple[str, int]:
        """Return a row, and its total in thousandths if a right cleaning keeps it."""
        product = self._catalogue[int(PRODUCTS * self._random() ** 2)]
        quantity = sign * (1 + int(23 * dice**3) + (480 if dice > 0.999 else 0))
        row = f"{invoice},{product.text},{quantity},{where.format(product.price)}"
        return row, 0 if sign < 0 else quantity * product.price_mills

    def _write_offs(self, invoice: str, day: date, *, rows: int) -> Iterator[str]:
        """Yield what was lost, or a debt: nobody's, without a price, often without a description."""
        when = self._when(day)
        self.summary.rows += rows
        self.summary.unpriced += rows
        self.summary.without_customer += rows
        for _ in range(rows):
            if self._random() < 0.01:
                yield f"A{invoice},B,Adjust bad debt,1,{when},-11062.06,,United Kingdom\n"
                continue
            description = self._one_of(WRITTEN_OFF)
            self.summary.without_description += not description
            quantity = -1 - int(600 * self._random() ** 4)
            yield f"{invoice},{self._code()},{description},{quantity},{when},0.0,,United Kingdom\n"

    def _buyer(self, rows: int) -> str:
        """Return customer and country."""
        number = int(CUSTOMERS * self._random())
        if self._random() < 0.25:
            self.summary.without_customer += rows
            return f",{self._homes[number]}"
        return f"{12_346 + number}.0,{self._homes[number]}"

    def _when(self, day: date) -> str:
        minute = 480 + int(600 * self._random())
        return f"{day} {minute // 60:02}:{minute % 60:02}:00"

    def _product(self) -> Product:
        words = f"{self._one_of(COLOURS)} {self._one_of(STYLES)} {self._one_of(THINGS)}"
        description = self._one_of(SHAPES).format(words) if self._random() < 0.04 else words
        if '"' in description or "," in description:
            description = '"' + description.replace('"', '""') + '"'
        mills = 10 * (4 + int(1_200 * self._random() ** 4)) + (5 if self._random() < 0.02 else 0)
        return Product(f"{self._code()},{description}", f"{mills / 1000}", mills)

    def _code(self) -> str:
        letter = self._one_of("ABCDEFGHIJ") if self._random() < 0.3 else ""
        return f"{20_000 + int(70_000 * self._random())}{letter}"

    def _one_of(self, things: Sequence[str]) -> str:
        return things[int(len(things) * self._random())]


def days(shop: Shop, orders: int, malformed: int) -> Iterator[tuple[date, Iterator[bytes]]]:
    """Yield each day with its rows, some at a time; use up one day before going on to the next."""
    count = min(DAYS_MAX, -(-orders // ORDERS_A_DAY))
    day = FIRST_DAY
    for number in range(count):
        first, last = orders * number // count, orders * (number + 1) // count
        yield day, _rows(shop, day, range(first, last), orders, malformed)
        day += timedelta(days=2 if day.weekday() == SATURDAY - 1 else 1)  # closed on Saturdays


def _rows(shop: Shop, day: date, numbers: range, orders: int, malformed: int) -> Iterator[bytes]:
    for number in numbers:
        yield "".join(shop.order(day)).encode()
        for place in range(malformed * number // orders, malformed * (number + 1) // orders):
            shop.summary.malformed += 1
            yield MALFORMED[place % len(MALFORMED)]


def write(file: BinaryIO, name: str, shop: Shop, orders: int, malformed: int) -> None:
    """Write the orders in the form that a file's name asks for."""
    if name.endswith((".tar.gz", ".tgz")):
        _write_archive(file, shop, orders, malformed)
    elif name.endswith(".gz"):
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            _write_csv(packed, shop, orders, malformed)
    else:
        _write_csv(file, shop, orders, malformed)


def _write_csv(file: BinaryIO | gzip.GzipFile, shop: Shop, orders: int, malformed: int) -> None:
    file.write(HEADER.encode())
    for _, rows in days(shop, orders, malformed):
        file.writelines(rows)


def _write_archive(file: BinaryIO, shop: Shop, orders: int, malformed: int) -> None:
    """Write a file for each day; an archive wants to know its size beforehand, so a day at a time is in memory."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed,
        tarfile.open(mode="w|", fileobj=packed) as archive,
    ):
        for day, rows in days(shop, orders, malformed):
            content = HEADER.encode() + b"".join(rows)
            member = tarfile.TarInfo(f"{day}.csv")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def main() -> None:
    """Read the arguments, write the orders, tell what they are."""
    parser = argparse.ArgumentParser(description="Makes retail orders with the dirt that real ones have.")
    parser.add_argument("--orders", type=int, required=True, metavar="N", help="how many; each has 21 rows or so")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same seed gives the same rows")
    parser.add_argument(
        "--malformed", type=int, default=0, metavar="N", help="this many more rows, all of which must fail"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help=".csv, .csv.gz, or .tar.gz with a file for each day")
    options = parser.parse_args()
    shop = Shop(options.seed)
    if options.output is None:
        write(sys.stdout.buffer, ".csv", shop, options.orders, options.malformed)
    else:
        with open(options.output, "wb") as file:
            write(file, options.output, shop, options.orders, options.malformed)
    print(shop.summary.as_json(), file=sys.stderr)


if __name__ == "__main__":
    main()
