"""The mutable state of one session: stock, cart, discount, orders and returns.

A world is made from the ``world`` column of an episode in microseconds: it keeps a reference to
that JSON and to the catalog, and stores only what changes. It never scans or copies either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import EpisodeError, UnknownName, UnknownProduct
from ecomkit.core.records import Product, Variant
from ecomkit.core.seeds import digest, rng

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

MAX_QUANTITY = 999
"""The most units of one line that the shop sells."""

_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class CartLine:
    """One line of the cart. ``unit_price_cents`` is the price of the variant."""

    line_id: str
    product_id: str
    variant_id: str
    quantity: int
    unit_price_cents: int

    @property
    def total_cents(self) -> int:
        """Units times price, in cents."""
        return self.quantity * self.unit_price_cents

    def to_dict(self) -> dict[str, Any]:
        """JSON form, in field order."""
        return {
            "line_id": self.line_id,
            "product_id": self.product_id,
            "variant_id": self.variant_id,
            "quantity": self.quantity,
            "unit_price_cents": self.unit_price_cents,
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """What a cart costs, in cents. ``problem`` says why an applied code takes nothing off:
    a pair of an error code and a sentence, or None."""

    subtotal_cents: int
    discount_cents: int
    problem: tuple[str, str] | None = None

    @property
    def total_cents(self) -> int:
        """Subtotal less discount."""
        return self.subtotal_cents - self.discount_cents


def normal_order_id(text: str) -> str:
    """An order id as stored: no blanks, no leading ``#``, upper case."""
    return text.strip().lstrip("#").strip().upper()


def normal_code(text: str) -> str:
    """A discount code as compared: no blanks around it, upper case."""
    return text.strip().upper()


def percent_of(cents: int, percent: int) -> int:
    """``percent`` per cent of ``cents``, rounded half up to a whole cent."""
    return (cents * percent + 50) // 100


def money(cents: int) -> str:
    """Cents as a shop writes them: ``$1,234.50``."""
    sign = "-" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"


class World:
    """One session's shop: the account, the cart and the shelves.

    Args:
        initial: the ``world`` JSON of an episode (see CONTRACT of the generator): ``now``,
            ``profile``, ``orders``, ``visit_history``, ``codes``, ``stock``, ``policy``,
            ``events`` and ``key``, each of which may be missing. It is never changed.
        catalog: the catalog that the episode was made on.

    Raises:
        EpisodeError: if ``initial`` is not a JSON object.
    """

    __slots__ = (
        "_events",
        "_fired",
        "_initial_stock",
        "_next_line",
        "_order_index",
        "_returned",
        "_stock",
        "_touched",
        "_uses",
        "cart",
        "catalog",
        "discount",
        "initial",
        "memo",
        "now",
        "orders",
        "placed",
        "policy",
        "profile",
        "returns",
    )

    def __init__(self, initial: Mapping[str, Any], catalog: Catalog) -> None:
        if not isinstance(initial, Mapping):
            raise EpisodeError(
                f"a world is a JSON object, got {type(initial).__name__}; "
                "load the episode with Episode.from_row"
            )
        self.initial = initial
        self.catalog = catalog
        self.now: str = initial.get("now") or "2026-01-01T09:00:00"
        self.profile: Mapping[str, Any] = initial.get("profile") or _NOTHING
        self.policy: Mapping[str, Any] | None = initial.get("policy")
        self.cart: list[CartLine] = []
        self.discount: str | None = None
        """The discount code on the cart, as the shop spells it."""
        self.orders: list[Mapping[str, Any]] = list(initial.get("orders") or ())
        self.placed: list[str] = []
        """Ids of the orders placed in this session, oldest first."""
        self.returns: list[dict[str, Any]] = []
        """Return and exchange records of this session, oldest first."""
        self.memo: dict[str, Any] = {}
        """Room for what other modules derive from this world and may forget."""
        self._initial_stock: Mapping[str, int] = initial.get("stock") or _NOTHING
        self._stock: dict[str, int] = {}
        self._touched: set[str] | None = None
        self._uses: dict[str, int] = {}
        self._events: Sequence[Mapping[str, Any]] = initial.get("events") or ()
        self._fired: list[int] = []
        self._next_line = 1
        self._order_index: dict[str, Mapping[str, Any]] | None = None
        self._returned: set[tuple[str, str]] = set()

    def copy(self) -> World:
        """An independent world in the same state; what never changes is shared."""
        new = World.__new__(World)
        new.initial, new.catalog, new.now = self.initial, self.catalog, self.now
        new.profile, new.policy = self.profile, self.policy
        new.cart = [
            CartLine(
                line.line_id,
                line.product_id,
                line.variant_id,
                line.quantity,
                line.unit_price_cents,
            )
            for line in self.cart
        ]
        new.discount = self.discount
        new.orders = list(self.orders)
        new.placed = list(self.placed)
        new.returns = [dict(record) for record in self.returns]
        new.memo = {}
        new._initial_stock = self._initial_stock
        new._stock = dict(self._stock)
        new._touched = None
        new._uses = dict(self._uses)
        new._events = self._events
        new._fired = list(self._fired)
        new._next_line = self._next_line
        new._order_index = None
        new._returned = set(self._returned)
        return new

    __copy__ = copy

    # Stock

    def variant(self, variant_id: str, product_id: str | None = None) -> Variant:
        """The variant with this id, of this product if one is given (faster, and needed for an
        imported variant that is neither in the cart nor in an order).

        Raises:
            UnknownName: if the catalog has no such variant (of that product).
            UnknownProduct: if the product does not exist.
        """
        if product_id is None:
            product_id = self._owner(variant_id)
        for variant in self.catalog.variants(product_id):
            if variant.variant_id == variant_id:
                return variant
        raise UnknownName("variant", variant_id)

    def _owner(self, variant_id: str) -> str:
        """The product of a variant id: read off it (``<product_id>-v1``), else looked up in the
        cart and the orders, since ids that came with an import do not name their product."""
        product_id, _, _ = variant_id.rpartition("-v")
        try:
            self.catalog.row(product_id)
            return product_id
        except (UnknownProduct, UnicodeError):
            pass
        for line in self.cart:
            if line.variant_id == variant_id:
                return line.product_id
        for order in self.orders:
            for entry in order["lines"]:
                if entry["variant_id"] == variant_id:
                    return str(entry["product_id"])
        raise UnknownName("variant", variant_id)

    def stock(self, variant_id: str, product_id: str | None = None) -> int:
        """Units of a variant on the shelf now. Give ``product_id`` where it is known: faster.

        Raises:
            UnknownName: if there is no such variant.
        """
        changed = self._stock.get(variant_id)
        if changed is not None:
            return changed
        stated = self._initial_stock.get(variant_id)
        if stated is not None:
            return stated
        return self.variant(variant_id, product_id).stock

    def live(self, variant: Variant) -> int:
        """Units of ``variant`` on the shelf now; the quickest form of :meth:`stock`."""
        changed = self._stock.get(variant.variant_id)
        if changed is not None:
            return changed
        return self._initial_stock.get(variant.variant_id, variant.stock)

    def product_stock(self, product_id: str) -> int:
        """Units of a product on the shelf now, all its variants together."""
        changed, stated = self._stock, self._initial_stock
        total = 0
        for variant in self.catalog.variants(product_id):
            name = variant.variant_id
            total += changed[name] if name in changed else stated.get(name, variant.stock)
        return total

    def sold_out(self, product_id: str) -> bool:
        """True if no variant of a product is on the shelf now. Most often known without making
        the variants: those made by rule all have units at first.

        Raises:
            UnknownProduct: if the catalog does not hold it.
        """
        if self.catalog.stocked_at_first:
            if self._touched is None:
                changed = (*self._initial_stock, *self._stock)
                self._touched = {variant_id.rpartition("-v")[0] for variant_id in changed}
            if product_id not in self._touched:
                self.catalog.row(product_id)
                return False
        return self.product_stock(product_id) <= 0

    def take(self, variant: Variant, quantity: int) -> None:
        """Take ``quantity`` units off the shelf."""
        self._stock[variant.variant_id] = self.live(variant) - quantity
        self._touched = None

    # Events

    def tick(self, step: int, intent: int | None = None) -> list[Mapping[str, Any]]:
        """Apply the events that are due after ``step``; returns those that fired, in order.

        In a journey an event belongs to an ``intent``, whose own steps are counted.

        Each event fires once. ``sell_out`` sets the stock of its ``variant_ids`` to 0;
        ``code_exhausted`` sets the uses left of its ``code`` to 0.

        Raises:
            EpisodeError: for an event of another kind.
        """
        fired: list[Mapping[str, Any]] = []
        for number, event in enumerate(self._events):
            if event["after_step"] != step or number in self._fired:
                continue
            if event.get("intent") != intent:
                continue
            kind = event["kind"]
            if kind == "sell_out":
                for variant_id in event["variant_ids"]:
                    self._stock[variant_id] = 0
                self._touched = None
            elif kind == "code_exhausted":
                self._uses[normal_code(event["code"])] = 0
            else:
                raise EpisodeError(
                    f"unknown world event {kind!r}; choose from code_exhausted, sell_out"
                )
            self._fired.append(number)
            fired.append(event)
        return fired

    # Cart

    def line(self, line_id: str) -> CartLine | None:
        """The cart line with this id (any case), or None."""
        wanted = line_id.strip().upper()
        for line in self.cart:
            if line.line_id == wanted:
                return line
        return None

    def _line_of(self, variant: Variant) -> CartLine | None:
        for line in self.cart:
            if line.variant_id == variant.variant_id and line.product_id == variant.product_id:
                return line
        return None

    def held(self, variant: Variant) -> int:
        """Units of a variant that are in the cart."""
        line = self._line_of(variant)
        return line.quantity if line is not None else 0

    def add_to_cart(self, variant: Variant, quantity: int) -> CartLine:
        """Put units of a variant in the cart, on the line of that variant if there is one."""
        line = self._line_of(variant)
        if line is not None:
            line.quantity += quantity
            return line
        line = CartLine(
            f"C{self._next_line}",
            variant.product_id,
            variant.variant_id,
            quantity,
            variant.price_cents,
        )
        self._next_line += 1
        self.cart.append(line)
        return line

    def remove_line(self, line: CartLine) -> None:
        """Take a line out of the cart; an empty cart keeps no discount code."""
        self.cart.remove(line)
        if not self.cart:
            self.discount = None

    # Discount codes

    def code(self, text: str) -> Mapping[str, Any] | None:
        """The discount code spelled ``text`` (any case), or None."""
        wanted = normal_code(text)
        for code in self.initial.get("codes") or ():
            if normal_code(code["code"]) == wanted:
                return code
        return None

    def uses_left(self, code: Mapping[str, Any]) -> int | None:
        """How often a code can still be used; None if there is no limit."""
        left = self._uses.get(normal_code(code["code"]))
        return left if left is not None else code.get("uses_left")

    def _eligible_cents(self, code: Mapping[str, Any]) -> int:
        """What the lines come to that a code applies to."""
        department = code.get("department")
        if not department:
            return sum(line.total_cents for line in self.cart)
        wanted = department.casefold()
        return sum(
            line.total_cents
            for line in self.cart
            if self.catalog.product(line.product_id).department.casefold() == wanted
        )

    def code_problem(self, code: Mapping[str, Any]) -> tuple[str, str] | None:
        """Why a code takes nothing off the cart as it stands: an error code and a sentence.

        The minimum spend is counted on the whole cart, before any discount; a code that ends
        on a date is good through the end of that day.
        """
        spelled = code["code"]
        expires = code.get("expires_at")
        if expires and self.now[: len(expires)] > expires:
            return "code_expired", f"The code {spelled} expired on {expires[:10]}."
        left = self.uses_left(code)
        if left is not None and left < 1:
            return "code_exhausted", f"The code {spelled} has been used up."
        if not self.cart:
            return "cart_empty", "The cart is empty, so no code can be applied."
        subtotal = sum(line.total_cents for line in self.cart)
        minimum = code.get("min_spend_cents") or 0
        if subtotal < minimum:
            return (
                "minimum_not_met",
                f"The code {spelled} needs a cart of at least {money(minimum)}; "
                f"this one comes to {money(subtotal)}.",
            )
        if not self._eligible_cents(code):
            return (
                "code_not_applicable",
                f"The code {spelled} applies to {code.get('department')} only, "
                "and the cart holds nothing from there.",
            )
        return None

    def totals(self) -> Totals:
        """What the cart costs now, with the applied code as far as it is still good."""
        subtotal = 0
        for line in self.cart:
            subtotal += line.quantity * line.unit_price_cents
        if self.discount is None:
            return Totals(subtotal, 0)
        code = self.code(self.discount)
        if code is None:
            return Totals(subtotal, 0)
        problem = self.code_problem(code)
        if problem is not None:
            return Totals(subtotal, 0, problem)
        eligible = self._eligible_cents(code)
        if code["kind"] == "percent":
            off = percent_of(eligible, code["value"])
        else:
            off = code["value"]
        return Totals(subtotal, max(0, min(off, eligible)))

    def cart_subtotal_cents(self) -> int:
        """What the lines of the cart come to, before any discount."""
        return self.totals().subtotal_cents

    def cart_discount_cents(self) -> int:
        """What the applied code takes off now."""
        return self.totals().discount_cents

    def cart_total_cents(self) -> int:
        """What the cart costs now, in cents."""
        return self.totals().total_cents

    # Orders

    def order(self, order_id: str) -> Mapping[str, Any] | None:
        """The order with this id, with or without ``#`` and in any case; None if not found."""
        index = self._order_index
        if index is None:
            index = {normal_order_id(order["order_id"]): order for order in self.orders}
            self._order_index = index
        return index.get(normal_order_id(order_id))

    def placed_order(self, order_id: str) -> Mapping[str, Any]:
        """An order that is known to be there, such as one of ``placed``.

        Raises:
            UnknownName: if it is not.
        """
        order = self.order(order_id)
        if order is None:
            raise UnknownName("order", order_id)
        return order

    def place_order(self) -> dict[str, Any]:
        """Turn the cart into an order at current prices, take the units off the shelf and
        empty the cart. The caller has checked that the cart is not empty and in stock.

        A discount code that is no longer good takes nothing off and is not noted on the order.
        """
        totals = self.totals()
        code = None
        if self.discount is not None and totals.problem is None:
            code = self.code(self.discount)
        lines = []
        slowest = 0
        for number, line in enumerate(self.cart, 1):
            slowest = max(slowest, self.catalog.product(line.product_id).ship_days)
            self.take(self.variant(line.variant_id, line.product_id), line.quantity)
            lines.append(
                {
                    "line_id": f"L{number}",
                    "product_id": line.product_id,
                    "variant_id": line.variant_id,
                    "quantity": line.quantity,
                    "unit_price_cents": line.unit_price_cents,
                }
            )
        due = date.fromisoformat(self.now[:10]) + timedelta(days=slowest)
        order: dict[str, Any] = {
            "order_id": self._new_order_id(),
            "placed_at": self.now,
            "status": "processing",
            "expected_delivery": due.isoformat(),
            "lines": lines,
            "subtotal_cents": totals.subtotal_cents,
            "discount_code": code["code"] if code is not None else None,
            "discount_cents": totals.discount_cents,
            "total_cents": totals.total_cents,
        }
        if code is not None:
            left = self.uses_left(code)
            if left is not None:
                self._uses[normal_code(code["code"])] = left - 1
        self.orders.append(order)
        self.placed.append(order["order_id"])
        self._order_index = None
        self.cart = []
        self.discount = None
        return order

    def _new_order_id(self) -> str:
        """An order id that depends on the episode and on how many orders were placed."""
        draw = rng("order", self.initial.get("key", self.now), len(self.placed))
        while True:
            order_id = f"W{draw.between(1_000_000, 9_999_999)}"
            if self.order(order_id) is None:
                return order_id

    # Returns

    def order_line(self, order: Mapping[str, Any], line_id: str) -> Mapping[str, Any] | None:
        """The line of an order with this id (any case), or None."""
        wanted = line_id.strip().upper()
        for line in order["lines"]:
            if line["line_id"].upper() == wanted:
                return line
        return None

    def is_returned(self, order_id: str, line_id: str) -> bool:
        """True if a return or exchange of this line was opened, now or before the session."""
        if (order_id, line_id) in self._returned:
            return True
        order = self.order(order_id)
        line = self.order_line(order, line_id) if order is not None else None
        return bool(line is not None and line.get("returned"))

    def record_return(self, record: dict[str, Any]) -> dict[str, Any]:
        """Store a return or exchange; its ``return_id`` is added in front and it is handed back."""
        record = {"return_id": f"R{len(self.returns) + 1}-{record['order_id']}", **record}
        self.returns.append(record)
        self._returned.add((record["order_id"], record["line_id"]))
        return record

    # Convenience

    def product(self, product_id: str) -> Product:
        """The product of the catalog.

        Raises:
            UnknownProduct: if there is none with this id.
        """
        return self.catalog.product(product_id)

    def snapshot(self) -> dict[str, Any]:
        """Everything that differs from the episode's world, as a fresh JSON object with a
        fixed order: equal states give equal snapshots."""
        placed = set(self.placed)
        return {
            "cart": [line.to_dict() for line in self.cart],
            "discount": self.discount,
            "placed": [dict(order) for order in self.orders if order["order_id"] in placed],
            "returns": [dict(record) for record in self.returns],
            "stock": {key: self._stock[key] for key in sorted(self._stock)},
            "uses": {key: self._uses[key] for key in sorted(self._uses)},
            "events": sorted(self._fired),
            "next_line": self._next_line,
        }

    def digest(self) -> str:
        """Hex SHA-256 of :meth:`snapshot`."""
        return digest(self.snapshot())


def discount_cents(code: Mapping[str, Any], lines: Sequence[tuple[str, int]], now: str) -> int:
    """What a code takes off lines of (department, cents), leaving its uses aside.

    The verifier's own arithmetic, by the rules that :meth:`World.code_problem` tells.
    """
    subtotal = sum(cents for _, cents in lines)
    expires = code.get("expires_at")
    if expires and now[: len(expires)] > expires:
        return 0
    if subtotal < (code.get("min_spend_cents") or 0):
        return 0
    department = code.get("department")
    if department:
        wanted = department.casefold()
        subtotal = sum(cents for name, cents in lines if name.casefold() == wanted)
    off = percent_of(subtotal, code["value"]) if code["kind"] == "percent" else code["value"]
    return max(0, min(int(off), subtotal))
