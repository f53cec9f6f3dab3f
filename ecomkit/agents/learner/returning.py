"""The desk of returns: which line goes back, for what, and whether the shop allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ecomkit.agents.learner.moves import Chooser, Features, Move, Option
from ecomkit.agents.learner.questions import TrackingDesk
from ecomkit.core.records import Constraint, ToolCall
from ecomkit.envs.base import AgentView, call, holds_on_card
from ecomkit.envs.history import line_fits, matching
from ecomkit.envs.returns import QUESTION
from ecomkit.envs.shopping import filters_for, query_words

Place = tuple[str, str]
"""Order id and line id."""

NOT_SENT = ("insufficient_stock", "unknown_product", "unknown_variant")
"""Refusals of a replacement; all others are of the line."""


class Known(NamedTuple):
    """What was told and shown comes to this at the beginning of a step."""

    order: bool
    """Something of the order was told."""
    told: bool
    """Something was told of the order, of the line, and of refund or exchange."""
    kind: str
    """``return`` or ``exchange`` as told; empty if neither was."""
    noun: str
    category: str
    clues: list[Constraint]
    """What the replacement should be."""
    lines: dict[Place, Mapping[str, Any]]
    """Lines of the orders read."""
    fits: list[Place]
    """Those of them that may be meant."""
    sure: bool
    """One fits, and no order that may be meant is unread."""
    quantity: int
    """Of the line meant."""


class ReturnsDesk(TrackingDesk):
    """Order and line as in tracking, a replacement from the shelves, and one write."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.cards: dict[str, Mapping[str, Any]] = {}
        self.meets: dict[str, float] = {}
        self.clues: list[Constraint] = []
        self.searches, self.last_page = 0, 1
        self.stocks: dict[str, dict[str, int]] = {}
        self.refused: set[str] = set()
        self.allowed: dict[tuple[Place, str], bool] = {}
        self.outcome: dict[str, Any] | None = None
        self.ahead: dict[str, Any] | None = None
        """The answer that a write chosen for the step at hand would lead to."""
        self._known: Known | None = None

    # --- what is known -------------------------------------------------------------------------

    def known(self) -> Known:
        """Worked out once in a step, within which nothing changes."""
        if self._known is None:
            self._known = self._know()
        return self._known

    def _know(self) -> Known:
        told = {slot.key: slot.value for slot in self.view.disclosed}
        clues = told.get("order", {}).get("clues", {})
        item = told.get("order_line", {}).get("item")
        swap = told.get("replacement", {})
        if "order_id" in clues:
            orders = [clues["order_id"]]
        else:
            orders = matching(self.listed, clues, self.opened) if clues else self.ids()
        lines = {
            (order_id, line["line_id"]): line
            for order_id, page in self.opened.items()
            for line in page["lines"]
        }
        fits = [
            place
            for place, line in lines.items()
            if (clues or item) and place[0] in orders and (item is None or line_fits(line, item))
        ]
        known = Known(
            order=bool(clues),
            told=bool(clues and item and swap),
            kind="exchange" if swap.get("exchange") else "return" if swap else "",
            noun=swap.get("noun", ""),
            category=swap.get("category", ""),
            clues=[
                Constraint.from_dict(value)
                for key, value in told.items()
                if key.startswith("replacement.")
            ],
            lines=lines,
            fits=fits,
            sure=len(fits) == 1 and all(order_id in self.opened for order_id in orders),
            quantity=lines[fits[0]]["quantity"] if len(fits) == 1 else 1,
        )
        self._weigh(known)
        return known

    def _weigh(self, known: Known) -> None:
        """The share of what was told of the replacement that each product seen meets."""
        if known.clues != self.clues:
            self.clues = known.clues
            self.meets.clear()
            self.searches, self.last_page = 0, 1
        for product_id, card in self.cards.items():
            if product_id not in self.meets:
                held = sum(holds_on_card(clue, card) for clue in known.clues)
                held += card["category"] == known.category
                self.meets[product_id] = held / (1 + len(known.clues))

    def in_stock(self, product_id: str) -> bool | None:
        """Whether enough was there at the last look; None if there was none since a refusal."""
        stock = self.stocks.get(product_id)
        return None if stock is None else max(stock.values(), default=0) >= self.known().quantity

    def barred(self, place: Place) -> bool:
        """Whether the shop is known not to allow what is wanted of a line."""
        return self.allowed.get((place, self.known().kind or "return")) is False

    # --- what there is to pick from ------------------------------------------------------------

    def line(self, chooser: Chooser) -> Place:
        """One of the lines read."""
        known = self.known()
        options = [
            Option(
                "line",
                {
                    "meets": float(place in known.fits),
                    "alone": float(known.fits == [place]),
                    "first": float(line["line_id"] == "L1"),
                    "refused": float(self.barred(place)),
                },
            )
            for place, line in known.lines.items()
        ]
        return list(known.lines)[chooser.one(options)]

    def product(self, chooser: Chooser, ids: Sequence[str]) -> str:
        """One of the products seen, as a replacement."""
        options = [
            Option(
                "product",
                {
                    "meets": self.meets[one],
                    "all": float(self.meets[one] == 1),
                    "first": float(number == 0),
                    "unread": float(one not in self.stocks),
                    "sold_out": float(self.in_stock(one) is False),
                    "refused": float(one in self.refused),
                },
            )
            for number, one in enumerate(ids)
        ]
        return ids[chooser.one(options)]

    def variant(self, chooser: Chooser, product_id: str) -> str | None:
        """One of the variants of a product; None, the shop's choice, where none was seen."""
        stock = self.stocks.get(product_id)
        if not stock:
            return None
        most, needed = max(stock.values()), self.known().quantity
        options = [
            Option("variant", {"sold_out": float(left < needed), "most": float(left == most)})
            for left in stock.values()
        ]
        return list(stock)[chooser.one(options)]

    # --- moves ---------------------------------------------------------------------------------

    def moves(self) -> list[Move]:
        known = self.known()
        told, sure = float(known.order), float(known.sure)
        asked, swap = float(self.asked > 0), float(known.kind == "exchange")
        features: dict[str, float] = {"told": float(known.told), "again": asked}
        moves = [Move("ask", "ask", lambda _: call("ask_user", question=QUESTION), features)]
        if not self.listed:
            features = {"told": told, "found": float(bool(self.ids()))}
            moves.append(Move("list", "list", lambda _: call("order_list"), features))
        seen = self.opened.keys() | self.to_come("order_get_status", "order_id")
        orders = [one for one in self.ids() if one not in seen]
        if orders:
            meets = max(option.features["meets"] for option in self.options(orders))
            features = {"order": 1.0, "told": told, "meets": meets, "sure": sure}
            moves.append(
                Move(
                    "open", f"open {len(self.pending)}", lambda x: self._order(x, orders), features
                )
            )
        fitting = [one for one in self.cards if self.meets[one] == 1]
        found = float(any(self.in_stock(one) is not False for one in fitting))
        read = float(any(self.in_stock(one) for one in fitting))
        if known.noun and self.searches < self.last_page * len(self.wordings()):
            name = "more" if self.searches else "search"
            features = {"told": float(bool(known.clues)), "asked": asked, "found": found}
            moves.append(Move(name, f"search {self.searches}", self._search, features))
        seen = self.stocks.keys() | self.to_come("catalog_get_variants", "product_id")
        unread = [one for one in self.cards if one not in seen]
        if unread:
            meets = max(self.meets[one] for one in unread)
            features = {"product": 1.0, "meets": meets, "all": float(meets == 1)}
            features["found"] = max(read, 1 - swap)
            moves.append(
                Move("open", f"look {len(self.pending)}", lambda x: self._look(x, unread), features)
            )
        if known.lines:
            checked = float(any((place, "return") in self.allowed for place in known.fits))
            features = {"sure": sure, "again": checked, "unread": swap * (1 - read)}
            moves.append(Move("check", "check", self._check, features))
            features = {
                "told": float(bool(known.kind)),
                "sure": sure,
                "found": found if swap else float(bool(known.kind)),
                "unread": swap * (1 - read),
                "sold_out": float(bool(self.refused)),
                "refused": float(any(self.barred(place) for place in known.fits)),
                "again": float(self.outcome is not None),
            }
            moves.append(Move("take", "take", self._take, features))
        return moves

    def _order(self, chooser: Chooser, orders: list[str]) -> ToolCall:
        return call("order_get_status", order_id=orders[chooser.one(self.options(orders))])

    def _look(self, chooser: Chooser, products: list[str]) -> ToolCall:
        return call("catalog_get_variants", product_id=self.product(chooser, products))

    def wordings(self) -> list[str]:
        """Queries for the replacement; what takes the place of a result differs by wording."""
        known = self.known()
        noun, words = known.noun, query_words(known.clues)
        whole = [" ".join([noun, *words]), noun, " ".join([*words, noun])]
        return [*whole, known.category, f"{noun} {known.category}", *(f"{noun} {x}" for x in words)]

    def _search(self, _: Chooser) -> ToolCall:
        """One wording after the other, then their second pages, and so on."""
        known, wordings = self.known(), self.wordings()
        page, number = divmod(self.searches, len(wordings))
        self.searches += 1
        return call(
            "catalog_search",
            query=wordings[number],
            filters=filters_for(known.category, known.clues),
            page=page + 1 if page else None,
        )

    def _check(self, chooser: Chooser) -> ToolCall:
        order_id, line_id = self.line(chooser)
        return call("return_check_eligibility", order_id=order_id, line_id=line_id)

    def _take(self, chooser: Chooser) -> ToolCall:
        """The return, or the exchange for a product seen."""
        order_id, line_id = self.line(chooser)
        where = {"order_id": order_id, "line_id": line_id}
        self.ahead = {**where, "eligible": True}
        told = self.known().kind
        kinds = ("return", "exchange") if self.cards else ("return",)
        options = [Option("kind", {kind: 1.0, "told": float(kind == told)}) for kind in kinds]
        if kinds[chooser.one(options)] == "return":
            return call("return_initiate", **where)
        product_id = self.product(chooser, list(self.cards))
        self.ahead["replacement_product_id"] = product_id
        variant_id = self.variant(chooser, product_id)
        return call("return_exchange", **where, product_id=product_id, variant_id=variant_id)

    def _now(self, chosen: int) -> Features:
        late = float(self.view.turn >= self.view.max_turns - 2)
        return {**super()._now(chosen), "late": late}

    # --- what comes of it ----------------------------------------------------------------------

    def state(self) -> Features:
        known = self.known()
        return {
            "complete": float(self.outcome is not None),
            "ahead": float(self.ahead is not None),
            "refused": float(known.sure and self.barred(known.fits[0])),
            "sure": float(known.sure),
            "nothing": float(not self.opened),
        }

    def ready(self) -> bool:
        return bool(self.opened)

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        self._known = None
        if made.name == "catalog_search":
            for card in result.get("results", ()):
                self.cards.setdefault(card["product_id"], card)
            self.last_page = max(self.last_page, result.get("pages", 1))
        elif made.name == "catalog_get_variants":
            stock = {one["variant_id"]: one["stock"] for one in result.get("variants", ())}
            self.stocks[made.arguments["product_id"]] = stock
            self.refused.discard(made.arguments["product_id"])
        elif made.name == "return_check_eligibility":
            place = (made.arguments["order_id"], made.arguments["line_id"])
            for kind in ("return", "exchange"):
                self.allowed[place, kind] = bool(result.get(f"{kind}_eligible"))
        elif move.name == "take":
            self._note_write(made, result.get("error"))
        else:
            super().note(move, made, result)

    def _note_write(self, made: ToolCall, error: str | None) -> None:
        if error is None:
            self.outcome = self.ahead
        elif error in NOT_SENT:
            self.refused.add(made.arguments["product_id"])
            self.stocks.pop(made.arguments["product_id"], None)
        else:
            place = (made.arguments["order_id"], made.arguments["line_id"])
            self.allowed[place, "return" if made.name == "return_initiate" else "exchange"] = False
        self.ahead = None

    def answer(self, chooser: Chooser) -> dict[str, Any]:
        """What the world shows; a write of the step at hand is taken to go through."""
        outcome = self.ahead or self.outcome
        if outcome is not None:
            return outcome
        if not self.known().lines:
            return {"order_id": "", "line_id": "", "eligible": False}
        place = self.line(chooser)
        checked = float((place, self.known().kind or "return") in self.allowed)
        yes = {"yes": 1.0, "refused": float(self.barred(place)), "checked": checked}
        eligible = chooser.one([Option("eligible", {}), Option("eligible", yes)]) == 1
        return {"order_id": place[0], "line_id": place[1], "eligible": eligible}
