"""The desks of discovery and substitution: a ranked list of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ecomkit.agents.learner.moves import Chooser, Desk, Features, Move, Option
from ecomkit.core.ranking import LONGEST_SHIPPING
from ecomkit.core.records import Constraint, ToolCall
from ecomkit.envs.base import AgentView, call, holds_on_card
from ecomkit.envs.discovery import Adviser
from ecomkit.envs.recommending import QUESTION, Scout
from ecomkit.envs.shopping import known
from ecomkit.envs.substitution import Replacer

CANDIDATES = 16
"""Products weighed at a time: those that meet most of what was said, first seen first."""

WHAT_MATTERS = "What matters most to you, and what comes next?"


class Glance(NamedTuple):
    """How things are in a step."""

    turn: int
    weighed: list[tuple[str, Features]]
    """Product ids and features of the candidates."""
    fits: list[str]
    """Those that meet all that was said and are not known to be sold out."""
    places: int
    """Products asked for."""
    complete: bool
    """Everything that passes the filters was seen."""
    search: ToolCall | None
    """The next page or wording, if any is left."""


class ShelfDesk(Desk):
    """What was seen on the shelves, and what the customer said of the product wanted."""

    scout: Scout
    """Keeps the cards, and knows how to word and page a search; its judgement is not used."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.asked: set[str] = set()
        self._glance: Glance | None = None

    def questions(self) -> dict[str, str]:
        """Key → a question to the customer."""
        return {"details": QUESTION.format(**self.scout.category)}

    def taste(self, card: Mapping[str, Any], prices: tuple[int, int]) -> Features:
        """How good a product is, for its place in the list."""
        raise NotImplementedError

    def glance(self) -> Glance:
        """How things are in this step: worked out once, since only a step changes them."""
        if self._glance is None or self._glance.turn != self.view.turn:
            scout, requirements = self.scout, self.scout.requirements()
            if requirements != scout.sought:  # the customer said something new
                scout.sought, scout.total = requirements, None
                scout.done.clear()
            weighed = self._weigh(requirements)
            self._glance = Glance(
                self.view.turn,
                weighed,
                [one for one, f in weighed if f["all"] and not f["sold_out"] and self.may_be(one)],
                scout.places(),
                scout.complete(),
                next(iter(scout.searches()), None),
            )
        return self._glance

    def may_be(self, product_id: str) -> bool:
        """Whether a product may be recommended at all."""
        return True

    def _weigh(self, requirements: Sequence[Constraint]) -> list[tuple[str, Features]]:
        scout, name = self.scout, self.scout.category["value"]
        met = []
        for card in scout.cards.values():
            held = sum(holds_on_card(one, card) for one in requirements)
            met.append((held + (card["category"] == name), card))
        met.sort(key=lambda one: -one[0])
        full = len(requirements) + 1
        prices = [card["price_cents"] for held, card in met if held == full]
        ends = (min(prices), max(prices)) if prices else (0, 0)
        out: list[tuple[str, Features]] = []
        for held, card in met[:CANDIDATES]:
            one = card["product_id"]
            features = {
                "1": 1.0,
                "meets": held / full,
                "all": float(held == full),
                "sold_out": float(not scout.stock.get(one, True)),
                "unread": float(one not in scout.stock),
                "first": float(not out),
                **self.taste(card, ends),
            }
            out.append((one, features))
        return out

    def moves(self) -> list[Move]:
        scout, now = self.scout, self.glance()
        moves = [
            Move(
                "ask",
                f"ask:{key}",
                lambda _, text=text: call("ask_user", question=text),  # type: ignore[misc]
                {"again": float(key in self.asked), key: 1.0},
            )
            for key, text in self.questions().items()
        ]
        search = now.search
        if search is not None and scout.total is None:
            moves.append(Move("search", "search", lambda _: search))
        elif search is not None:
            paged = float(len(scout.done) >= scout.pages())
            moves.append(
                Move(
                    "more",
                    "search",
                    lambda _: search,
                    {"complete": float(now.complete), "again": paged},
                )
            )
        noun = scout.category["noun"]
        moves.append(
            Move(
                "search",
                "plain",
                lambda _: call("catalog_search", query=noun),
                {"plain": 1.0, "again": float(scout.total is not None)},
            )
        )
        pending = self.to_come("catalog_get_product", "product_id")
        unread = [(one, f) for one, f in now.weighed if f["unread"] and one not in pending]
        if unread:
            fitting = sum(f["all"] for _, f in unread[: now.places])
            moves.append(
                Move(
                    "open",
                    f"open:{len(self.pending)}",
                    lambda chooser: self._open(chooser, unread),
                    {"meets": fitting / now.places, "complete": float(now.complete)},
                )
            )
        return moves

    @staticmethod
    def _open(chooser: Chooser, unread: list[tuple[str, Features]]) -> ToolCall:
        place = chooser.one([Option("product", features) for _, features in unread])
        return call("catalog_get_product", product_id=unread[place][0])

    def state(self) -> Features:
        now = self.glance()
        wanted = now.fits[: now.places]
        read = sum(one in self.scout.stock for one in wanted)
        return {
            "asked": len(self.asked) / len(self.questions()),
            "found": len(wanted) / now.places,
            "nothing": float(not now.fits),
            "complete": float(now.complete),
            "read": read / max(1, len(wanted)),
        }

    def ready(self) -> bool:
        return bool(self.scout.cards)

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        if move.name == "ask":
            self.asked.add(move.key.partition(":")[2])
        elif move.key == "plain":
            for card in result.get("results", ()):
                self.scout.cards.setdefault(card["product_id"], card)
        else:
            self.scout.note([made], [result])

    def answer(self, chooser: Chooser) -> dict[str, Any]:
        now = self.glance()
        weighed, fits, places = now.weighed, len(now.fits), now.places
        # As many as were asked for, or no more than fit?
        short = {"1": 1.0, "short": float(fits < places), "nothing": float(fits == 0)}
        lengths = [places, min(places, fits)]
        length = lengths[chooser.one([Option("fill", short), Option("stop", short)])]
        picked = chooser.several([Option("product", f) for _, f in weighed], length)
        return {"product_ids": [weighed[place][0] for place in picked]}


class DiscoveryDesk(ShelfDesk):
    """Products ranked by what matters to the customer."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.scout = Adviser(view)

    def questions(self) -> dict[str, str]:
        return {**super().questions(), "priority": WHAT_MATTERS}

    def taste(self, card: Mapping[str, Any], prices: tuple[int, int]) -> Features:
        low, high = prices
        said = known(self.view, "").get("priority", {"order": (), "brand": None})
        liked = {
            "price": 1.0 - min(max((card["price_cents"] - low) / max(high - low, 1), 0.0), 1.0),
            "rating": (card["rating"] - 1.0) / 4.0,
            "shipping": 1.0 - min(card["ship_days"], LONGEST_SHIPPING) / LONGEST_SHIPPING,
            "brand": float(str(card["brand"]).casefold() == str(said["brand"]).casefold()),
        }
        if not said["order"]:
            return {f"{name}_guessed": liked[name] for name in ("price", "rating", "shipping")}
        return {f"wish{place}": liked[name] for place, name in enumerate(said["order"], 1)}


class SubstitutionDesk(ShelfDesk):
    """Products ranked by their likeness to the one that is sold out."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.replacer = self.scout = Replacer(view)

    def taste(self, card: Mapping[str, Any], prices: tuple[int, int]) -> Features:
        likeness = self.replacer.similarity
        one = card["product_id"]
        below = sum(other < likeness[one] for other in likeness.values()) if one in likeness else 0
        return {
            "original": float(one == self.replacer.original),
            "like": (below + 1) / len(likeness) if one in likeness else 0.0,
        }

    def may_be(self, product_id: str) -> bool:
        return product_id != self.replacer.original

    def moves(self) -> list[Move]:
        moves, replacer = super().moves(), self.replacer
        known_as = float(replacer.original is not None)
        if "viewed" in replacer.named():
            moves.append(
                Move(
                    "list",
                    "original",
                    lambda _: call("user_get_visit_history"),
                    {"found": known_as},
                )
            )
        else:
            moves.append(
                Move("search", "original", lambda _: self._look(), {"name": 1.0, "found": known_as})
            )
        unranked = [one for one in self.glance().fits if one not in replacer.similarity]
        if replacer.original is not None and unranked:
            whole = [card["product_id"] for card in replacer.fits()][:50]
            moves.append(
                Move(
                    "compare",
                    "compare",
                    lambda _: call(
                        "catalog_rerank",
                        product_ids=whole,
                        reference_product_id=replacer.original,
                    ),
                    {
                        "again": float(bool(replacer.similarity)),
                        "alone": float(len(whole) == 1),
                        "complete": float(self.glance().complete),
                    },
                )
            )
        return moves

    def _look(self) -> ToolCall:
        named, category = self.replacer.named(), self.scout.category
        return call(
            "catalog_search",
            query=f"{named['title']} {category['noun']}",
            filters={"category": category["value"], "brand": named["brand"]},
        )

    def state(self) -> Features:
        fits = self.glance().fits
        ranked = sum(one in self.replacer.similarity for one in fits)
        return {**super().state(), "sure": ranked / max(1, len(fits))}
