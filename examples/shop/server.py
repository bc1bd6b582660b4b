"""Three storefronts on one small server, which misbehave on purpose.

    python server.py --port 8801            (then set SHOP_URL=http://127.0.0.1:8801)

| storefront | orders | pages | who may |
|---|---|---|---|
| Shopify | `/shopify/admin/api/2024-01/orders.json` | header `Link`, `page_info` | header `X-Shopify-Access-Token` |
| WooCommerce | `/woocommerce/wp-json/wc/v3/orders`, and its outlet at `wc/v2` | `page`, `per_page` | basic |
| Magento | `/magento/rest/V1/orders` | `searchCriteria[currentPage]` | bearer |

Every third page answers 429 with Retry-After, 500, or nothing for some seconds, when it is asked for the first time.
Orders come twice, late, out of order, and without a customer; from 2024-03-03 on Shopify's customer has another shape.
"""

from __future__ import annotations

import argparse
import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import shapes
from orders import Calendar, Order

TOKENS: Final = {"shopify": "shpat_example", "woocommerce": "ck_example:cs_example", "magento": "magento_example"}
PAGE_MAX: Final = 100
SPAN_DAYS_MAX: Final = 60
HANGS_S: Final = 4.0
FAULTS: Final = ("429", "500", "hangs")
FAULT_EVERY: Final = 3  # pages of one path
FOREVER: Final = "9999-12-31"


@dataclass(slots=True)
class Storefronts:
    """What the server answers from.

    Attributes:
        today: nothing later is known yet.
        faulty: whether it misbehaves.
        asked: how often each page was asked for; `pages`, how many different ones of each path.
        faults: how often each kind of fault was made; `answers`, how often each status was given.
    """

    calendar: Calendar = field(default_factory=Calendar)
    today: date = date(2024, 3, 1)
    faulty: bool = True
    hangs_s: float = HANGS_S
    asked: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: Counter[int] = field(default_factory=Counter)

    def changed(self, shop: str, since: str, until: str) -> list[Order]:
        """Return the orders that changed between two moments, both included, as far as they are known today."""
        first, last = _moment(since), min(_moment(until), datetime.combine(self.today, datetime.max.time(), UTC))
        days = min((last.date() - first.date()).days + 1, SPAN_DAYS_MAX)
        changed = (self.calendar.changed_on(shop, first.date() + timedelta(days=n)) for n in range(days))
        return [order for orders in changed for order in orders if first <= order.updated_at <= last]

    def fault(self, path: str, target: str) -> str:
        """Return what goes wrong with a page: `429`, `500`, `hangs`, or nothing; never twice with the same page."""
        with self.lock:
            self.asked[target] += 1
            if self.asked[target] > 1:
                return ""
            self.pages[path] += 1
            turn = self.pages[path] + 2 * list(ROUTES).index(path)  # not all shops at once
            if not self.faulty or turn % FAULT_EVERY:
                return ""
            kind = FAULTS[turn // FAULT_EVERY % len(FAULTS)]
            self.faults[kind] += 1
            return kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def serve(storefronts: Storefronts, *, port: int = 0) -> ThreadingHTTPServer:
    """Return a server on loopback that a thread of this process serves; `shutdown()` and `server_close()` end it."""

    class Handler(_Handler):
        shops = storefronts

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shops: Storefronts

    def do_GET(self) -> None:
        """Answer, unless it is time for a fault."""
        answer = self._answer()
        self.shops.answers[answer.status] += 1
        body = json.dumps(answer.body).encode()
        try:
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # whoever asked has gone: that is what a time-out looks like from here

    def log_message(self, *_: object) -> None:
        """Say nothing: the demo's own words matter."""

    def _answer(self) -> Answer:
        url = urlsplit(self.path)
        route = ROUTES.get(url.path)
        if route is None:
            return Answer({"errors": "Not Found"}, 404)
        if not self._may(route.owner):
            return Answer({"errors": "[API] Invalid API key or access token"}, 401)
        fault = self.shops.fault(url.path, self.path)
        if fault == "429":
            return Answer({"errors": "Exceeded 2 calls per second"}, 429, {"Retry-After": "1"})
        if fault == "500":
            return Answer({"errors": "Internal Server Error"}, 500)
        if fault == "hangs":
            time.sleep(self.shops.hangs_s)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        query["url"] = f"http://{self.headers.get('Host', '127.0.0.1')}{url.path}"
        try:
            return route.answer(self.shops, query)
        except ValueError as error:
            return Answer({"errors": str(error)}, 400)

    def _may(self, owner: str) -> bool:
        given = self.headers.get("Authorization", "")
        if owner == "shopify":
            return self.headers.get("X-Shopify-Access-Token") == TOKENS[owner]
        if owner == "woocommerce":
            return given == "Basic " + base64.b64encode(TOKENS[owner].encode()).decode()
        return given == f"Bearer {TOKENS[owner]}"


def _shopify(shops: Storefronts, query: Mapping[str, str]) -> Answer:
    limit = min(int(query.get("limit", "50")), PAGE_MAX)
    if "page_info" in query:  # as with the real one, all that was asked for is in there
        since, until, start = base64.urlsafe_b64decode(query["page_info"]).decode().split("|")
    else:
        since, until, start = (
            query.get("updated_at_min", str(shops.today)),
            query.get("updated_at_max", FOREVER),
            "0",
        )
    orders = shops.changed("shopify", since, until)
    first = int(start)
    headers = {"X-Shopify-Shop-Api-Call-Limit": "1/40"}
    if first + limit < len(orders):
        page_info = base64.urlsafe_b64encode(f"{since}|{until}|{first + limit}".encode()).decode()
        headers["Link"] = f'<{query["url"]}?limit={limit}&page_info={quote(page_info)}>; rel="next"'
    return Answer({"orders": [shapes.shopify(order) for order in orders[first : first + limit]]}, headers=headers)


def _woocommerce(version: str, shop: str) -> Callable[[Storefronts, Mapping[str, str]], Answer]:
    def answer(shops: Storefronts, query: Mapping[str, str]) -> Answer:
        each, page = min(int(query.get("per_page", "10")), PAGE_MAX), int(query.get("page", "1"))
        since = query.get("modified_after", str(shops.today))
        orders = shops.changed(shop, since, query.get("modified_before", FOREVER))
        pages = max(1, -(-len(orders) // each))
        headers = {"X-WP-Total": str(len(orders)), "X-WP-TotalPages": str(pages)}
        shown = orders[(page - 1) * each : page * each]
        return Answer([shapes.woocommerce(order, version=version) for order in shown], headers=headers)

    return answer


def _magento(shops: Storefronts, query: Mapping[str, str]) -> Answer:
    filters = "searchCriteria[filterGroups][{}][filters][0][value]"
    since, until = query.get(filters.format(0), str(shops.today)), query.get(filters.format(1), FOREVER)
    orders = shops.changed("magento", since, until)
    each = min(int(query.get("searchCriteria[pageSize]", "20")), PAGE_MAX)
    page = int(query.get("searchCriteria[currentPage]", "1"))
    page = min(page, max(1, -(-len(orders) // each)))  # beyond the last page the real one gives the last again
    return Answer(
        {
            "items": [shapes.magento(order) for order in orders[(page - 1) * each : page * each]],
            "search_criteria": {"page_size": each, "current_page": page},
            "total_count": len(orders),
        }
    )


@dataclass(frozen=True, slots=True)
class _Route:
    owner: str
    answer: Callable[[Storefronts, Mapping[str, str]], Answer]


ROUTES: Final = {
    "/shopify/admin/api/2024-01/orders.json": _Route("shopify", _shopify),
    "/woocommerce/wp-json/wc/v3/orders": _Route("woocommerce", _woocommerce("v3", "woocommerce")),
    "/woocommerce/wp-json/wc/v2/orders": _Route("woocommerce", _woocommerce("v2", "outlet")),
    "/magento/rest/V1/orders": _Route("magento", _magento),
}


def _moment(text: str) -> datetime:
    """Return the time that a text says, in UTC; a day is its beginning."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "T", 1))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def main() -> None:
    """Serve until somebody presses Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--a-day", type=int, default=40, help="orders a day in each shop")
    parser.add_argument("--today", type=date.fromisoformat, default=date(2024, 3, 4), help="nothing later is known yet")
    parser.add_argument("--bad-day", type=date.fromisoformat, help="on that day Magento says prices in cents")
    parser.add_argument("--well-behaved", action="store_true", help="without 429, 500 and silence")
    given = parser.parse_args()
    shops = Storefronts(Calendar(given.seed, given.a_day, given.bad_day), given.today, not given.well_behaved)
    server = serve(shops, port=given.port)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.shutdown()


if __name__ == "__main__":
    main()
