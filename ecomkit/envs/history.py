"""Order histories that environments share: drawing them, and telling one order from the others.

An order is described by *clues*, each a dict with one key that a customer could know it by:

* ``{"order_id": "W1234567"}``
* ``{"item": {"words": ["desk lamp", "Norvik"], "attributes": {"color": "Black"}}}``: what was in it
* ``{"placed": "2026-03-10"}``: the day it was placed
* ``{"status_in": ["shipped", "out_for_delivery"]}``: still on its way, and the like
* ``{"total_cents": 4590}``, ``{"line_count": 3}``
* ``{"place": "newest"}`` or ``"oldest"``

:func:`matching` reads the same pages that ``order_list`` and ``order_get_status`` return, so that
what singles an order out for the generator singles it out for an agent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecomkit.core.records import contains_words
from ecomkit.core.seeds import Rng
from ecomkit.envs.base import in_split, shift_clock
from ecomkit.shop.world import money
from ecomkit.user import phrase_fragment

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

STATUSES: tuple[str, ...] = (
    "processing",
    "shipped",
    "out_for_delivery",
    "delivered",
    "delayed",
    "cancelled",
)

CARRIERS = ("UPS", "FedEx", "USPS", "DHL")
_WEIGHTS = (2, 3, 2, 5, 2, 1)
_LINES = ((1, 2, 3, 4), (3, 4, 2, 1))
_TWIN_CHANCE = 0.5

Order = dict[str, Any]
Page = Mapping[str, Any]


# --- drawing -------------------------------------------------------------------------------


def draw_order_id(rng: Rng, split: str, taken: set[str]) -> str:
    """An order id of the split that is not taken; it tells nothing of the order's age."""
    while True:
        order_id = f"W{rng.between(1_000_000, 9_999_999)}"
        if order_id not in taken and in_split(order_id, split):
            taken.add(order_id)
            return order_id


def draw_line(
    catalog: Catalog,
    rng: Rng,
    department: str | None = None,
    category: str | None = None,
    most_cents: int | None = None,
) -> dict[str, Any] | None:
    """A line without its id: a random variant of a random product, or None.

    Args:
        catalog: where the product is from.
        rng: for the choice.
        department: of the product, if it matters.
        category: of the product, if it matters.
        most_cents: what one unit may cost.
    """
    for _ in range(20):
        if category is None:
            shelf = catalog.categories_of(department) if department else catalog.categories
            rows = catalog.rows(category=rng.choice(shelf))
        else:
            rows = catalog.rows(category=category)
        if not len(rows):
            continue
        row = int(rows[rng.below(len(rows))])
        variant = rng.choice(catalog.variants_at(row))
        if most_cents is not None and variant.price_cents > most_cents:
            continue
        quantity = rng.weighted((1, 2, 3), (6, 2, 1))
        if most_cents is not None:
            quantity = max(1, min(quantity, most_cents // variant.price_cents))
        return {
            "product_id": variant.product_id,
            "variant_id": variant.variant_id,
            "quantity": quantity,
            "unit_price_cents": variant.price_cents,
        }
    return None


def twin_line(catalog: Catalog, line: Mapping[str, Any], rng: Rng) -> dict[str, Any] | None:
    """A look-alike of a line: another product of its category, or another variant of it."""
    product = catalog.product(line["product_id"])
    if rng.chance(0.5):
        others = [
            v
            for v in catalog.variants(product.product_id)
            if v.variant_id != line["variant_id"] and v.attributes
        ]
        if others:
            variant = rng.choice(others)
            return {
                "product_id": variant.product_id,
                "variant_id": variant.variant_id,
                "quantity": 1,
                "unit_price_cents": variant.price_cents,
            }
    return draw_line(catalog, rng, category=product.category)


def make_order(
    order_id: str, lines: Sequence[Mapping[str, Any]], dates: Mapping[str, Any], rng: Rng
) -> Order:
    """An order of these lines, in random order, with totals and a carrier."""
    subtotal = sum(line["quantity"] * line["unit_price_cents"] for line in lines)
    order: Order = {"order_id": order_id, **dates}
    if order["status"] not in ("processing", "cancelled"):
        order["carrier"] = rng.choice(CARRIERS)
        order["tracking_number"] = f"{rng.between(10**11, 10**12 - 1)}"
    order["lines"] = [
        {"line_id": f"L{number}", **line} for number, line in enumerate(rng.shuffled(lines), 1)
    ]
    order["subtotal_cents"] = subtotal
    order["total_cents"] = subtotal
    return order


def draw_dates(rng: Rng, clock: str, status: str) -> dict[str, Any]:
    """The status with dates that go with it, all as the shop's local time or day."""
    today = date.fromisoformat(clock[:10])

    def moment(days_ago: int) -> str:
        at = datetime.fromisoformat(clock) - timedelta(days=days_ago)
        start = at.replace(hour=7, minute=0)
        open_minutes = 900 if days_ago else max(1, int((at - start).total_seconds()) // 60)
        return (start + timedelta(minutes=rng.below(open_minutes))).isoformat()

    def day(days: int) -> str:
        return (today + timedelta(days=days)).isoformat()

    if status == "processing":
        age = rng.below(3)
        return {
            "placed_at": moment(age),
            "status": status,
            "expected_delivery": day(rng.between(3, 9)),
        }
    if status == "cancelled":
        age = rng.between(1, 60)
        placed = moment(age)
        return {
            "placed_at": placed,
            "status": status,
            "cancelled_at": shift_clock(placed, minutes=rng.between(15, 1200)),
        }
    if status == "delivered":
        since = rng.between(1, 75)
        age = since + rng.between(2, 9)
        due = since + rng.between(-1, 2)
        return {
            "placed_at": moment(age),
            "status": status,
            "shipped_at": moment(age - 1),
            "expected_delivery": day(-due),
            "delivered_at": moment(since),
        }
    age = {
        "shipped": rng.between(2, 8),
        "out_for_delivery": rng.between(3, 10),
        "delayed": rng.between(6, 16),
    }[status]
    dates: dict[str, Any] = {
        "placed_at": moment(age),
        "status": status,
        "shipped_at": moment(age - 1),
    }
    if status == "shipped":
        dates["expected_delivery"] = day(rng.between(1, 6))
    elif status == "out_for_delivery":
        dates["expected_delivery"] = day(0)
    else:
        dates["original_delivery"] = day(-rng.between(0, 4))
        dates["expected_delivery"] = day(rng.between(1, 9))
    return dates


def draw_history(
    catalog: Catalog, rng: Rng, clock: str, count: int, split: str, department: str
) -> list[Order]:
    """``count`` orders with 1-4 lines each and mixed statuses, oldest first.

    Every order holds something of ``department``, so that it could be the one that the episode
    is about; look-alikes of its lines stand in others. Which one is meant must be drawn uniformly.
    """
    taken: set[str] = set()
    heads: list[dict[str, Any]] = []
    orders: list[Order] = []
    for number in range(count):
        draw = rng.child("order", number)
        head = None
        if heads and draw.chance(_TWIN_CHANCE):
            head = twin_line(catalog, draw.choice(heads), draw)
        if head is None:
            head = draw_line(catalog, draw, department=department)
        if head is None:
            continue
        heads.append(head)
        lines = [head]
        for _ in range(draw.weighted(*_LINES) - 1):
            line = draw_line(catalog, draw)
            if line is not None and line["variant_id"] not in {x["variant_id"] for x in lines}:
                lines.append(line)
        dates = draw_dates(draw, clock, draw.weighted(STATUSES, _WEIGHTS))
        orders.append(make_order(draw_order_id(draw, split, taken), lines, dates, draw))
    return sorted(orders, key=lambda order: (order["placed_at"], order["order_id"]))


def pages(catalog: Catalog, orders: Sequence[Order]) -> list[Page]:
    """The orders with the titles and attributes that an order page shows of each line."""
    return [
        {**order, "lines": [{**line, **_shown(catalog, line)} for line in order["lines"]]}
        for order in orders
    ]


def _shown(catalog: Catalog, line: Mapping[str, Any]) -> dict[str, Any]:
    variants = catalog.variants(line["product_id"])
    return {
        "title": catalog.title(catalog.row(line["product_id"])),
        "attributes": next(
            (dict(v.attributes) for v in variants if v.variant_id == line["variant_id"]), {}
        ),
    }


# --- telling one from the others -----------------------------------------------------------


def line_fits(line: Page, item: Mapping[str, Any]) -> bool:
    """Whether an order page's line is what ``item`` (words of the title, attributes) says."""
    return all(contains_words(line["title"], text) for text in item["words"]) and all(
        line["attributes"].get(name) == value for name, value in item["attributes"].items()
    )


_TESTS: dict[str, Callable[[Page, Any], bool]] = {
    "order_id": lambda page, value: page["order_id"] == value,
    "placed": lambda page, value: page["placed_at"][:10] == value,
    "status_in": lambda page, value: page["status"] in value,
    "total_cents": lambda page, value: page["total_cents"] == value,
    "line_count": lambda page, value: page.get("line_count", len(page.get("lines", ()))) == value,
    "item": lambda page, value: any(line_fits(line, value) for line in page["lines"]),
}


def matching(
    listed: Sequence[Page], clues: Mapping[str, Any], details: Mapping[str, Page]
) -> list[str]:
    """Ids of the orders that meet all the clues, as far as can be told.

    Args:
        listed: what ``order_list`` returned.
        clues: clue key → value, as a slot of kind ``order`` holds them.
        details: order id → page of ``order_get_status``; an order without one may still fit.
    """
    newest = max((page["placed_at"] for page in listed), default="")
    oldest = min((page["placed_at"] for page in listed), default="")
    found = []
    for page in listed:
        order_id = page["order_id"]
        fits = True
        for key, value in clues.items():
            if key == "place":
                fits = fits and page["placed_at"] == (newest if value == "newest" else oldest)
            elif key == "item":
                known = details.get(order_id)
                fits = fits and (known is None or _TESTS["item"](known, value))
            else:
                fits = fits and _TESTS[key](page, value)
        if fits:
            found.append(order_id)
    return found


def item_clues(
    catalog: Catalog, line: Mapping[str, Any], rng: Rng
) -> list[tuple[dict[str, Any], str]]:
    """What a customer may call a line, shortest first: (item clue, words with ``the``)."""
    row = catalog.row(line["product_id"])
    product = catalog.product_at(row)
    title = product.title
    nouns = [n for n in catalog.nouns(product.category) if contains_words(title, n)]
    phrase = catalog.title_phrase(row)
    attributes = _shown(catalog, line)["attributes"]
    noun = nouns[0] if nouns else catalog.noun(product.category)
    out: list[tuple[dict[str, Any], str]] = []
    if nouns:
        out.append(({"words": [noun], "attributes": {}}, f"the {noun}"))
        if product.brand and contains_words(title, product.brand):
            out.append(
                (
                    {"words": [noun, product.brand], "attributes": {}},
                    f"the {product.brand} {noun}",
                )
            )
        if attributes:
            said = str(phrase_fragment("variant", {"attributes": attributes}, noun, rng))
            out.append(({"words": [noun], "attributes": attributes}, f"the {noun} {said}"))
            if product.brand and contains_words(title, product.brand):
                out.append(
                    (
                        {"words": [noun, product.brand], "attributes": attributes},
                        f"the {product.brand} {noun} {said}",
                    )
                )
    if phrase:
        # A customer says what it is, whatever the title calls it.
        said_already = contains_words(phrase, noun) or phrase.islower()
        name = phrase if said_already else f"{phrase} {noun}"
        out.append(({"words": [phrase], "attributes": {}}, f"the {name}"))
        if attributes:
            said = str(phrase_fragment("variant", {"attributes": attributes}, noun, rng))
            out.append(({"words": [phrase], "attributes": attributes}, f"the {name} {said}"))
    return out


# --- saying it -----------------------------------------------------------------------------

_GROUPS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("shipped", "out_for_delivery", "delayed"),
        (
            "the one that's still on its way",
            "the parcel that's on its way to me",
            "the one that has shipped but isn't here yet",
        ),
    ),
    (
        ("processing", "shipped", "out_for_delivery", "delayed"),
        (
            "the one I'm still waiting for",
            "the only one that hasn't arrived yet",
            "the order that isn't here yet",
        ),
    ),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January February March April May June July August September October November December".split()
)


def say_day(day: str, now: str, rng: Rng, weekday: bool = True) -> str:
    """A past day as a customer says it: ``yesterday``, ``last Tuesday``, ``on March 3``.

    ``weekday`` allows the names of weekdays, which only tell days of the last week apart.
    """
    then, today = date.fromisoformat(day[:10]), date.fromisoformat(now[:10])
    ago = (today - then).days
    if ago == 0:
        return rng.choice(("today", "earlier today"))
    if ago == 1:
        return "yesterday"
    if ago == 2 and rng.chance(0.5):
        return "the day before yesterday"
    if weekday and ago < 7:
        return f"{rng.choice(('last', 'on'))} {_WEEKDAYS[then.weekday()]}"
    name = _MONTHS[then.month - 1]
    suffix = "th" if 10 < then.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(then.day % 10, "th")
    return rng.choice((f"on {name} {then.day}", f"on {name} {then.day}{suffix}"))


def refer_by_id(order_id: str, rng: Rng) -> dict[str, Any]:
    """The value of a slot of kind ``order`` that names the order by its number."""
    forms = (f"order {order_id}", f"order number {order_id}", f"my order {order_id}")
    return {"text": rng.choice(forms), "clues": {"order_id": order_id}}


def refer_indirectly(
    catalog: Catalog, orders: Sequence[Order], target: Order, now: str, rng: Rng, looks: bool
) -> dict[str, Any] | None:
    """The value of a slot of kind ``order``: words and clues that only ``target`` meets.

    Args:
        catalog: for titles.
        orders: the account's orders, the target among them.
        target: the order meant.
        now: the episode's clock.
        rng: for the choice.
        looks: whether an agent has the turns to open every order; if not, only clues that the
            list of orders shows are used.

    Returns:
        ``{"text", "clues"}``, or None if nothing tells the order apart.
    """
    shown = pages(catalog, orders)
    details = {page["order_id"]: page for page in shown}
    only = [target["order_id"]]

    def single(clues: Mapping[str, Any]) -> bool:
        return matching(shown, clues, details) == only

    day = target["placed_at"][:10]
    near = [
        o
        for o in orders
        if o is not target
        and date.fromisoformat(o["placed_at"][:10]).weekday() == date.fromisoformat(day).weekday()
    ]
    placed = {"placed": day}
    when = say_day(day, now, rng, weekday=not near)
    total = {"total_cents": target["total_cents"]}
    options: list[tuple[dict[str, Any], str]] = []
    verb = rng.choice(("placed", "ordered"))
    dated = f"the {rng.choice(('one', 'order'))} I placed {when}"
    options.append((placed, dated))
    options.append((total, f"the one that came to {money(target['total_cents'])}"))
    for group, words in _GROUPS:
        if target["status"] in group:
            options.append(({"status_in": list(group)}, rng.choice(words)))
    if len(orders) > 1:
        for place, words in (
            ("newest", ("my latest order", "my most recent order", "the last thing I ordered")),
            ("oldest", ("the first order I placed here", "my oldest order")),
        ):
            options.append(({"place": place}, rng.choice(words)))
    if looks:
        items: list[tuple[dict[str, Any], str]] = []
        for line in rng.shuffled(target["lines"]):
            for clue, name in item_clues(catalog, line, rng):
                frame = rng.choice(("the one with {x} in it", "the order with {x}"))
                items.append(({"item": clue}, frame.replace("{x}", name)))
                if single({"item": clue}):
                    break
        found = [entry for entry in items if single(entry[0])]
        if found and rng.chance(0.6):
            return _reference(*found[0])
        both = [
            ({**clue, **placed}, f"{text} that I {verb} {when}")
            for clue, text in items
            if single({**clue, **placed}) and not single(clue)
        ]
        if both and rng.chance(0.6):
            return _reference(*both[0])
        options += found
    for clues, text in rng.shuffled(options):
        if single(clues):
            return _reference(clues, text)
    clues = {**placed, **total}
    if single(clues):
        return _reference(clues, f"{dated}, for {money(target['total_cents'])}")
    return None


def _reference(clues: dict[str, Any], text: str) -> dict[str, Any]:
    return {"text": text, "clues": clues}
