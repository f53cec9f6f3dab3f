"""The retail database of τ-bench: products with native variants, users and orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ecomkit.catalog.importers import parsing as p
from ecomkit.catalog.importers.common import Draft, draw_of, fill_stock, id_hashes
from ecomkit.catalog.importers.report import ImportReport
from ecomkit.catalog.importers.sources import Source, open_source
from ecomkit.core.errors import ImportProblem
from ecomkit.core.records import TEXT_ATTRIBUTES
from ecomkit.core.seeds import rng

DERIVED = ("brand", "store", "rating", "rating_count", "ship_days", "stock")
"""Fields that the database has no column for (stock is only 'available' or not)."""

_SHELVES: dict[tuple[str, str], tuple[str, ...]] = {
    ("Electronics", "computers & keyboards"): (
        *("Laptop", "Tablet", "E-Reader", "Gaming Mouse", "Mechanical Keyboard"),
    ),
    ("Electronics", "audio"): ("Bluetooth Speaker", "Wireless Earbuds", "Headphones"),
    ("Electronics", "phones & wearables"): ("Smartphone", "Smart Watch", "Portable Charger"),
    ("Electronics", "cameras"): ("Action Camera", "Digital Camera", "Indoor Security Camera"),
    ("Home & Garden", "kitchen appliances"): (
        *("Coffee Maker", "Electric Kettle", "Espresso Machine", "Tea Kettle"),
    ),
    ("Home & Garden", "home appliances"): ("Air Purifier", "Vacuum Cleaner", "Smart Thermostat"),
    ("Home & Garden", "furniture & decor"): ("Bookshelf", "Office Chair", "Wall Clock", "Pet Bed"),
    ("Home & Garden", "lighting"): ("Desk Lamp", "LED Light Bulb"),
    ("Home & Garden", "garden & patio"): ("Garden Hose", "Patio Umbrella", "Grill"),
    ("Home & Garden", "games & stationery"): ("Notebook", "Jigsaw Puzzle"),
    ("Clothing & Accessories", "clothing"): ("T-Shirt", "Fleece Jacket"),
    ("Clothing & Accessories", "shoes"): ("Running Shoes", "Hiking Boots", "Sneakers"),
    ("Clothing & Accessories", "bags & luggage"): ("Backpack", "Luggage Set"),
    ("Clothing & Accessories", "watches & sunglasses"): ("Sunglasses", "Wristwatch"),
    ("Sports & Wellness", "fitness"): ("Yoga Mat", "Dumbbell Set", "Water Bottle"),
    ("Sports & Wellness", "cycling & skating"): ("Bicycle", "Cycling Helmet", "Skateboard"),
    ("Sports & Wellness", "personal care"): ("Electric Toothbrush", "Makeup Kit", "Perfume"),
}
"""The database has no categories: department and category by product name."""

SHELF_OF: dict[str, tuple[str, str]] = {
    name.casefold(): shelf for shelf, names in _SHELVES.items() for name in names
}


NOUNS: dict[str, tuple[str, str]] = {
    "computers & keyboards": ("computer product", "computer products"),
    "audio": ("audio device", "audio devices"),
    "phones & wearables": ("mobile device", "mobile devices"),
    "furniture & decor": ("home furnishing", "home furnishings"),
    "garden & patio": ("garden item", "garden items"),
    "games & stationery": ("leisure item", "leisure items"),
    "lighting": ("light", "lights"),
    "clothing": ("piece of clothing", "pieces of clothing"),
    "bags & luggage": ("travel bag", "travel bags"),
    "watches & sunglasses": ("accessory", "accessories"),
    "fitness": ("fitness item", "fitness items"),
    "cycling & skating": ("wheel sports item", "wheel sports items"),
    "personal care": ("personal care product", "personal care products"),
}
"""What one, and several, of a category's products are called, where its name does not say."""


def _products_of(document: Any) -> Mapping[str, Any] | None:
    """The table of products, of the whole database or of its products file alone."""
    if not isinstance(document, dict):
        return None
    table = document.get("products", document)
    if not isinstance(table, dict) or not table:
        return None
    sample = [v for v in list(table.values())[:20] if isinstance(v, dict)]
    return table if any(isinstance(v.get("variants"), dict) for v in sample) else None


def matches(source: Source) -> bool:
    """True if the source is a JSON text with products that hold variants."""
    return _products_of(source.document) is not None


def drafts(source: Source, report: ImportReport) -> Iterator[Draft | None]:
    """The products, one draft each.

    Raises:
        ImportProblem: if the source holds no products with variants.
    """
    table = _products_of(source.document)
    if table is None:
        raise ImportProblem(
            f"{source.name!r} is not a τ-bench retail database: it needs an object 'products' "
            "whose entries hold 'variants'"
        )
    taken: set[str] = set()
    for key, row in table.items():
        report.rows_read += 1
        draft = Draft(f"product {key}", report)
        if isinstance(row, dict):
            yield _product(draft, str(key), row, taken)
        else:
            draft.note("dropped", "(row)", "not an object", row)
            yield None


def _product(draft: Draft, key: str, row: Mapping[str, Any], taken: set[str]) -> Draft | None:
    raw_id = row.get("product_id")
    if not draft.take_id(key if p.is_nothing(raw_id) else raw_id):
        return None
    if not draft.take_title(row.get("name")):
        return None
    values = draft.values
    variants = _variants(draft, row.get("variants"), taken)
    if not variants:
        draft.note("dropped", "variants", "no usable variant", row.get("variants"))
        return None
    values["variants"] = variants
    # The cheapest that can be bought comes first and gives the product its price: what a
    # customer gets who names no variant. Then the others in stock, then the sold-out ones.
    in_stock = [v for v in variants if v["stock"]]
    first = min(in_stock or variants, key=lambda v: v["price_cents"])
    variants.sort(key=lambda v: (v is not first, not v["stock"]))
    values["price_cents"] = first["price_cents"]
    values["stock"] = sum(v["stock"] for v in variants)
    values["filled_fields"] = ["stock"] if in_stock else []
    shelf = SHELF_OF.get(values["title"].casefold())
    values["path"] = list(shelf) if shelf else []
    if shelf:
        draft.note("adjusted", "category", "by product name (the database has no categories)")

    options: dict[str, list[str]] = {}
    for variant in variants:
        for pair in variant["attributes"]:
            seen = options.setdefault(pair["name"], [])
            if pair["value"] not in seen:
                seen.append(pair["value"])
    for name, seen in options.items():
        if name in TEXT_ATTRIBUTES and len(seen) == 1:
            stated = sum(any(q["name"] == name for q in v["attributes"]) for v in variants)
            if stated == len(variants):
                values[name] = seen[0]
    lines = [f"{name[:1].upper()}{name[1:]}: {', '.join(seen)}" for name, seen in options.items()]
    draft.take_features(lines)
    draft.take_description(f"{values['title']}. Options: {'; '.join(options)}." if options else "")
    return draft


def _variants(draft: Draft, raw: Any, taken: set[str]) -> list[dict[str, Any]]:
    """Usable native variants; the others are counted as ignored."""
    out: list[dict[str, Any]] = []
    stated: dict[tuple[tuple[str, str], ...], int] = {}
    entries = raw.items() if isinstance(raw, dict) else ()
    for key, entry in entries:
        if not isinstance(entry, dict):
            draft.note("ignored", "variants", "not an object", entry)
            continue
        variant_id = p.parse_text(entry.get("item_id", key), 64).value
        if variant_id is None:
            draft.note("ignored", "variants", "no id", entry)
            continue
        if variant_id in taken:
            draft.note("ignored", "variants", "duplicate id", variant_id)
            continue
        price = p.parse_price(entry.get("price"))
        if price.value is None:
            draft.note("ignored", "variants", f"price: {price.reason}", entry.get("price"))
            continue
        options = entry.get("options")
        pairs = [
            (p.clean_text(name), p.cut(p.clean_text(option), p.MAX_VALUE))
            for name, option in (options.items() if isinstance(options, dict) else ())
            if p.clean_text(name) and p.clean_text(option)
        ]
        if isinstance(options, dict) and len(pairs) < len(options):
            draft.note("ignored", "variants", "an option that is no text", options)
        available = entry.get("available")
        if isinstance(available, bool):
            stock = 0
            if available:
                hashes = id_hashes([variant_id], draft.report.seed)
                stock = int(fill_stock(draw_of(hashes, "stock"))[0])
                draft.note(
                    "filled", "variants.stock", "available, number not stated: 5 to 60 drawn"
                )
        else:
            reading = p.parse_stock(entry.get("stock", available))
            stock = reading.value or 0
            if reading.value is None:
                draft.note("adjusted", "variants", "availability not stated: taken as sold out")
        same = stated.get(tuple(sorted(pairs)))
        if same is not None:
            if out[same]["stock"] or not stock:
                draft.note("ignored", "variants", "states the same options as another", variant_id)
                continue
            draft.note("ignored", "variants", "states the same options as another", out[same])
            taken.discard(out[same]["variant_id"])
        variant = {
            "variant_id": variant_id,
            "attributes": [{"name": name, "value": value} for name, value in pairs],
            "price_cents": price.value,
            "stock": stock,
        }
        taken.add(variant_id)
        if same is not None:
            out[same] = variant
        else:
            stated[tuple(sorted(pairs))] = len(out)
            out.append(variant)
    return out


# --- orders and users ------------------------------------------------------------------------

STATUS: dict[str, str] = {
    "pending": "processing",
    "processed": "shipped",
    "delivered": "delivered",
    "cancelled": "cancelled",
}
"""τ-bench's order status → the world's. Later ones ('return requested') count as delivered."""

CARRIERS: tuple[str, ...] = ("UPS", "FedEx", "USPS", "DHL")
PAYMENTS: dict[str, str] = {"gift_card": "gift card", "paypal": "PayPal", "credit_card": "card"}
TIERS: dict[str, int] = {"Standard": 6, "Silver": 3, "Gold": 2, "Platinum": 1}
"""Membership tiers, as the shop's policies name them, and how often each is drawn."""
REGION = "Contiguous US"
_FAR = {"AK": "Alaska or Hawaii", "HI": "Alaska or Hawaii"} | dict.fromkeys(
    ("PR", "GU", "VI", "AS", "MP"), "US territory"
)
DEFAULT_NOW = "2026-03-14T10:05:00"


@dataclass(frozen=True)
class TauOrders:
    """Orders in the world's shape, users by id, and what could not be used, by reason."""

    orders: list[dict[str, Any]]
    users: dict[str, dict[str, Any]]
    problems: dict[str, int] = field(default_factory=dict)

    def orders_of(self, user_id: str) -> list[dict[str, Any]]:
        """One user's orders, in the order of the account."""
        return [order for order in self.orders if order["user_id"] == user_id]


def read_tau_orders(path: str | Path, now: str = DEFAULT_NOW, seed: int = 0) -> TauOrders:
    """The orders and users of a τ-bench retail database.

    An order is ``{"order_id", "user_id", "placed_at", "status", "shipped_at"?,
    "expected_delivery" or "delivered_at" or "cancelled_at", "carrier"?, "tracking_number"?,
    "payment"?, "lines": [{"line_id", "product_id", "variant_id", "quantity",
    "unit_price_cents"}], "subtotal_cents", "total_cents", "filled_fields"}``; a user is
    ``{"user_id", "name", "tier", "region", "orders", "filled_fields"}``. Order ids lose their
    '#'; an item listed several times becomes one line with that quantity.

    The database has neither dates, carriers nor tiers: they are drawn from ``seed`` and the id,
    before ``now``, and named in ``filled_fields``.

    Args:
        path: the database, or a folder with ``products.json``, ``orders.json``, ``users.json``.

    Raises:
        ImportProblem: if there are no orders in it.
    """
    place = Path(path)
    if place.is_dir() and (place / "orders.json").exists():
        orders_in = open_source(place / "orders.json").document
        users_file = place / "users.json"
        users_in = open_source(users_file).document if users_file.exists() else {}
    else:
        document = open_source(place).document
        document = document if isinstance(document, dict) else {}
        orders_in, users_in = document.get("orders"), document.get("users", {})
    if not isinstance(orders_in, dict) or not orders_in:
        raise ImportProblem(f"{place.name!r} holds no table 'orders' of a τ-bench retail database")
    clock = datetime.fromisoformat(now)
    problems: dict[str, int] = {}

    def problem(reason: str) -> None:
        problems[reason] = problems.get(reason, 0) + 1

    orders: list[dict[str, Any]] = []
    for key, row in orders_in.items():
        order = _order(str(key), row, clock, seed, problem)
        if order is not None:
            orders.append(order)
    known = {order["order_id"] for order in orders}
    users: dict[str, dict[str, Any]] = {}
    for key, row in users_in.items() if isinstance(users_in, dict) else ():
        if not isinstance(row, dict):
            problem("user that is not an object")
            continue
        name = row.get("name")
        parts = (
            [name.get("first_name"), name.get("last_name")] if isinstance(name, dict) else [name]
        )
        listed = row.get("orders")
        ids = [str(o).lstrip("#") for o in listed] if isinstance(listed, list) else []
        if any(i not in known for i in ids):
            problem("user's order that does not exist")
        users[str(key)] = {
            "user_id": str(key),
            "name": p.clean_text(" ".join(str(part) for part in parts if part)) or str(key),
            "tier": rng("tau-user", seed, str(key)).weighted(
                ("standard", "plus", "vip"), (6, 3, 1)
            ),
            "region": _region(row),
            "orders": [i for i in ids if i in known],
            "filled_fields": ["tier"],
        }
    return TauOrders(orders, users, problems)


def _region(row: Mapping[str, Any]) -> str:
    address = row.get("address")
    if not isinstance(address, dict):
        return REGION
    if str(address.get("country", "USA")).casefold() in ("canada", "ca", "can"):
        return "Canada"
    return _FAR.get(str(address.get("state", "")).upper(), REGION)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _order(key: str, row: Any, now: datetime, seed: int, problem: Any) -> dict[str, Any] | None:
    if not isinstance(row, dict) or not isinstance(row.get("items"), list):
        problem("order without items")
        return None
    lines: list[dict[str, Any]] = []
    for item in row["items"]:
        cents = p.parse_price(item.get("price")).value if isinstance(item, dict) else None
        if cents is None or not item.get("product_id") or not item.get("item_id"):
            problem("order line without product, variant or price")
            continue
        match = [
            line
            for line in lines
            if line["variant_id"] == str(item["item_id"]) and line["unit_price_cents"] == cents
        ]
        if match:
            match[0]["quantity"] += 1
            continue
        lines.append(
            {
                "line_id": f"L{len(lines) + 1}",
                "product_id": str(item["product_id"]),
                "variant_id": str(item["item_id"]),
                "quantity": 1,
                "unit_price_cents": cents,
            }
        )
    if not lines:
        problem("order without a usable line")
        return None
    word = str(row.get("status", ""))
    status = STATUS.get(word)
    if status is None:
        status = "delivered" if word.startswith(("return", "exchange")) else "processing"
        problem(f"status {word[:40]!r} read as {status}")
    order_id = str(row.get("order_id", key)).lstrip("#")
    draw = rng("tau-order", seed, order_id)
    ages = {"processing": (0, 1), "shipped": (1, 3), "delivered": (10, 60), "cancelled": (5, 60)}
    placed = now - timedelta(days=draw.between(*ages[status]), minutes=draw.between(15, 1200))
    shipped = placed + timedelta(hours=draw.between(21, 28))
    due = (placed + timedelta(days=draw.between(5, 9))).replace(second=0)
    total = sum(line["quantity"] * line["unit_price_cents"] for line in lines)
    order: dict[str, Any] = {
        "order_id": order_id,
        "user_id": str(row.get("user_id", "")),
        "placed_at": _stamp(placed),
        "status": status,
    }
    if status in ("shipped", "delivered"):
        order["shipped_at"] = _stamp(min(shipped, now))
    if status == "delivered":
        order["delivered_at"] = _stamp(due)
    elif status == "cancelled":
        order["cancelled_at"] = _stamp(placed + timedelta(hours=draw.between(1, 20)))
    else:
        order["expected_delivery"] = due.date().isoformat()
    if status in ("shipped", "delivered"):
        order["carrier"] = draw.choice(CARRIERS)
    drawn = [name for name in order if name.endswith(("_at", "_delivery")) or name == "carrier"]
    numbers = [
        str(number)
        for parcel in _listed(row.get("fulfillments"))
        if isinstance(parcel, dict)
        for number in _listed(parcel.get("tracking_id"))
    ]
    if numbers:
        order["tracking_number"] = numbers[0]
    paid = [part for part in _listed(row.get("payment_history")) if isinstance(part, dict)]
    if paid:
        word = str(paid[0].get("payment_method_id", ""))
        order["payment"] = next((v for k, v in PAYMENTS.items() if word.startswith(k)), "card")
    order["lines"] = lines
    order["subtotal_cents"] = order["total_cents"] = total
    order["filled_fields"] = drawn
    return order


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
