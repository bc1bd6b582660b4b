"""`make demo`: three nights of a shop's pipeline, by the commands that anybody would type.

make demo                      three storefronts that misbehave, landed, checked and published
make demo                      again: nothing has changed, so nothing is done
make demo ARGS=--break-it      a bad day arrives: readers keep yesterday's tables, and the culprit is found
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from orders import Calendar
from server import TOKENS, Storefronts, serve

ROOT: Final = Path(__file__).parents[2]
WORK: Final = Path(".demo/shop")  # below the root, so that the commands that are shown can be typed
PENSTOCK: Final = Path(sys.executable).with_name("penstock")
FIRST: Final = date(2024, 3, 1)
NIGHTS: Final = tuple(FIRST + timedelta(days=night) for night in range(3))
BAD_DAY: Final = NIGHTS[-1] + timedelta(days=1)
POISONED: Final = NIGHTS[1]
A_DAY: Final = 40
CALENDAR: Final = Calendar(a_day=A_DAY)
BAR: Final = 44
RED, GREEN, BOLD, DIM, PLAIN = (
    ("\033[31m", "\033[32m", "\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
)


def main() -> None:
    """Run the demo; the exit code is 0 only when everything came out as it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--break-it", action="store_true", help="let a bad day arrive after the good ones")
    given = parser.parse_args()
    started_s = time.monotonic()
    shops = Storefronts(Calendar(a_day=A_DAY, bad_day=BAD_DAY if given.break_it else None), hangs_s=2.5)
    server = serve(shops)
    try:
        demo = Demo(f"http://127.0.0.1:{server.server_address[1]}", shops)
        demo.prepare()
        if given.break_it:
            demo.good_nights(quiet=True)
            demo.bad_night()
        else:
            demo.good_nights(quiet=False)
            demo.show()
    finally:
        server.shutdown()
        server.server_close()
    heading(f"Done in {time.monotonic() - started_s:.0f} s. The project is in {WORK}: change it, and run it again.")


class Demo:
    """The nights of a shop, told on a terminal."""

    def __init__(self, url: str, shops: Storefronts) -> None:
        key, secret = TOKENS["woocommerce"].split(":")
        secrets = {
            "SHOP_URL": url,
            "SHOPIFY_TOKEN": TOKENS["shopify"],
            "WOOCOMMERCE_KEY": key,
            "WOOCOMMERCE_SECRET": secret,
            "MAGENTO_TOKEN": TOKENS["magento"],
        }
        self.environment = {**os.environ, **secrets}
        self.shops = shops
        self.took_s: dict[date, float] = {}

    def prepare(self) -> None:
        """Put a copy of the project where it can be changed; what it has published before stays."""
        os.chdir(ROOT)
        again = WORK.exists()
        shutil.copytree(Path(__file__).with_name("project"), WORK, dirs_exist_ok=True)
        heading("A project is a folder: connections, a pipeline, scripts, SQL, checks")
        self.penstock("validate")
        if again:
            print(f"{DIM}(It has run before; what was published then is still there.){PLAIN}")

    def good_nights(self, *, quiet: bool) -> None:
        """Run the pipeline for some nights, one after the other, as its schedule would."""
        heading(f"{len(NIGHTS)} nights: land what changed, make one shape of four, check, publish")
        for night in NIGHTS:
            self.night(night, quiet=quiet)

    def night(self, night: date, *, quiet: bool = False, exit_code: int = 0) -> None:
        """Let a day pass in the storefronts, and run the pipeline for it."""
        self.shops.today = night
        drop_returns(WORK / "returns", night, CALENDAR)
        started_s = time.monotonic()
        self.penstock("run", "sales", "--date", str(night), exit_code=exit_code, quiet=quiet)
        self.took_s[night] = time.monotonic() - started_s
        if quiet:
            print(f"  {night}: {self.took_s[night]:.1f} s")

    def show(self) -> None:
        """Show what was published, what was checked, and what was refused and why."""
        heading("What readers see now")
        self.penstock("tables")
        self.penstock(
            "query",
            "SELECT place, customer, country, orders, shops, revenue FROM marts.customers ORDER BY place LIMIT 5",
        )
        self.chart()
        self.compare(NIGHTS[-1])
        heading("What was checked")
        self.penstock("checks", "--run", "last")
        heading("What went wrong, and what became of it")
        self.refused()
        self.penstock("query", "SELECT line, error, record FROM raw.returns__rejected ORDER BY line")
        nights = ", ".join(f"{night:%d %b} {took_s:.1f} s" for night, took_s in self.took_s.items())
        print(f"\n  {nights}: each with the start of a process, {CALENDAR.a_day * 4} orders or so, and 19 tasks")

    def bad_night(self) -> None:
        """Let the day come on which Magento says its prices in cents."""
        before = self.revenue()
        heading(f"{BAD_DAY}: a change at Magento went wrong, and its prices arrive in cents")
        self.night(BAD_DAY, exit_code=2)
        heading("Readers still see yesterday: nothing of that night was published")
        self.chart()
        if self.revenue() != before:
            sys.exit("what readers see has changed; that must not happen")
        print(f"  {GREEN}revenue is {before:,.2f}, as it was before the bad night{PLAIN}")
        heading("Which check, which records, whose: the check names the column; raw tables know every record's source")
        self.penstock("checks", "--run", "last")
        self.penstock(
            "query",
            "SELECT _date, count(*) AS orders, median(grand_total) AS usual, max(grand_total) AS highest"
            " FROM raw.magento_orders GROUP BY ALL ORDER BY _date",
        )
        self.penstock(
            "query",
            f"SELECT increment_id, grand_total, _source, _landed_at FROM raw.magento_orders WHERE _date = '{BAD_DAY}'"
            " ORDER BY grand_total DESC LIMIT 3",
        )
        print(
            "\n  What was landed that night is kept: raw tables are appended to, whatever a check says. Mend"
            f"\n  {WORK}/scripts/magento.py, and `penstock resume last` does what has failed, and only that."
        )

    def chart(self) -> None:
        """Draw what each day has brought."""
        days = self.rows(
            "SELECT day, sum(revenue) FROM marts.daily_totals WHERE day >= '2024-03-01' GROUP BY ALL ORDER BY day"
        )
        highest = max(Decimal(str(revenue)) for _, revenue in days)
        print("\n  revenue a day, all shops together")
        for day, revenue in days:
            bar = "█" * max(1, round(BAR * float(Decimal(str(revenue)) / highest)))
            print(f"  {day} {GREEN}{bar:<{BAR}}{PLAIN} {Decimal(str(revenue)):>10,.2f}")

    def compare(self, last: date) -> None:
        """Hold what came out to what the storefronts know."""
        known = CALENDAR.known_by(FIRST, last).values()
        expected = len(known), sum(order.total for order in known if order.status == "paid")
        ((orders, revenue),) = self.rows("SELECT count(*), sum(total) FILTER (status = 'paid') FROM marts.orders")
        found = orders, Decimal(str(revenue))
        print(f"\n  the storefronts took {expected[0]} orders for {expected[1]:,.2f}", end="; ")
        print(f"published are {found[0]} for {found[1]:,.2f}")
        if found != expected:
            sys.exit("what was published is not what it should be")

    def refused(self) -> None:
        """Say what the storefronts did wrong on purpose."""
        words = {"429": "`429, come back in a second`", "500": "`500`", "hangs": "silence"}
        told = ", ".join(f"{count} x {words[kind]}" for kind, count in sorted(self.shops.faults.items()))
        print(f"  Of {sum(self.shops.answers.values())} answers, faults: {told or 'none'}. Each was asked again.")

    def revenue(self) -> Decimal:
        """Return the sum that readers see."""
        ((revenue,),) = self.rows("SELECT sum(revenue) FROM marts.daily_totals")
        return Decimal(str(revenue))

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a query."""
        command = [str(PENSTOCK), "query", sql, "--json"]
        done = subprocess.run(command, cwd=WORK, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        rows: Sequence[Sequence[Any]] = json.loads(done.stdout)["rows"]
        return rows

    def penstock(self, *arguments: str, exit_code: int = 0, quiet: bool = False) -> None:
        """Show a command as one would type it, and run it in the project's folder."""
        if not quiet:
            print(f"\n{BOLD}$ penstock {shlex.join(arguments)}{PLAIN}", flush=True)
        output = subprocess.PIPE if quiet else None
        done = subprocess.run(
            [str(PENSTOCK), *arguments],
            cwd=WORK,
            env=self.environment,
            check=False,
            stdout=output,
            stderr=output,
            text=True,
        )
        if done.returncode != exit_code:
            sys.exit(f"{done.stdout or ''}{done.stderr or ''}\nthat ended with {done.returncode}, not {exit_code}")


def drop_returns(folder: Path, day: date, calendar: Calendar) -> None:
    """Put the file of what came back on a day into the folder; one day's is poisoned."""
    path = folder / f"returns-{day}.csv"
    if path.exists():
        return
    lines = [b"shop,order_id,sku,quantity,reason,returned_on\n", *_returns(day, calendar)]
    if day == POISONED:
        lines.insert(3, b"shopify,450000005321,CUP-003,1,broken,2024-03-02,and one field too many\n")
        lines.insert(5, b"magento,000004812,LMP-001,1,caf\xe9 au lait on it,2024-03-02\n")
        lines.append(b'outlet,5307,"RUG-001,1,a quote that never ends,2024-03-02\n')
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(lines))


def _returns(day: date, calendar: Calendar) -> Iterator[bytes]:
    for order, line, reason in calendar.returns_on(day):
        number = {"shopify": str(450_000_000_000 + order.number), "magento": f"{order.number:09}"}.get(
            order.shop, str(order.number)
        )
        yield f"{order.shop},{number},{line.sku},{line.quantity},{reason},{day}\n".encode()


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


if __name__ == "__main__":
    main()
