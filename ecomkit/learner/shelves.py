"""The desks of discovery and substitution: a ranked list of products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecomkit.envs.base import AgentView, call, holds_on_card
from ecomkit.envs.discovery import Adviser
from ecomkit.envs.recommending import QUESTION, Scout
from ecomkit.envs.shopping import known
from ecomkit.envs.substitution import Replacer
from ecomkit.learner.moves import Chooser, Desk, Features, Move, Option
from ecomkit.ranking import LONGEST_SHIPPING
from ecomkit.records import ToolCall

CANDIDATES = 16
"""Products weighed at a time: those that meet most of what was said, first seen first."""

WHAT_MATTERS = "What matters most to you, and what comes next?"


class ShelfDesk(Desk):
    """What was seen on the shelves, and what the customer said of the product wanted."""

    scout: Scout
    """Keeps the cards, and knows how to word and page a search; its judgement is not used."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.asked: set[str] = set()
        self._weighed: tuple[Any, list[tuple[str, Features]]] = (None, [])

    def questions(self) -> dict[str, str]:
        """Key → a question to the customer."""
        return {"details": QUESTION.format(**self.scout.category)}

    def taste(self, card: Mapping[str, Any], prices: tuple[int, int]) -> Features:
        """How good a product is, for its place in the list."""
        raise NotImplementedError

    def _settle(self) -> None:
        """Starts the search anew where the customer has said something new."""
        scout = self.scout
        if scout.requirements() != scout.sought:
            scout.sought, scout.total = scout.requirements(), None
            scout.done.clear()

    def weighed(self) -> list[tuple[str, Features]]:
        """Product ids and features of the candidates."""
        scout = self.scout
        requirements = scout.requirements()
        version = (requirements, len(scout.cards), len(scout.stock), self.known_of())
        if self._weighed[0] == version:
            return self._weighed[1]
        name = scout.category["value"]
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
        self._weighed = (version, out)
        return out

    def known_of(self) -> Any:
        """What else the features turn on."""
        return None

    def fits(self) -> list[str]:
        """Candidates that meet all that was said and are not known to be sold out."""
        return [one for one, f in self.weighed() if f["all"] and not f["sold_out"]]

    def moves(self) -> list[Move]:
        self._settle()
        scout = self.scout
        moves = [
            Move(
                "ask",
                f"ask:{key}",
                lambda _, text=text: call("ask_user", question=text),  # type: ignore[misc]
                {"again": float(key in self.asked), key: 1.0},
            )
            for key, text in self.questions().items()
        ]
        again = float(scout.total is not None)
        searches = scout.searches()
        if scout.total is None:
            moves.append(Move("search", "search", lambda _: searches[0]))
        elif searches:
            paged = float(len(scout.done) >= scout.pages())
            moves.append(
                Move(
                    "more",
                    "search",
                    lambda _: searches[0],
                    {"complete": float(scout.complete()), "again": paged},
                )
            )
        noun = scout.category["noun"]
        moves.append(
            Move(
                "search",
                "plain",
                lambda _: call("catalog_search", query=noun),
                {"plain": 1.0, "again": again},
            )
        )
        pending = {made.arguments.get("product_id") for made in self.pending}
        unread = [(one, f) for one, f in self.weighed() if f["unread"] and one not in pending]
        if unread:
            fitting = sum(f["all"] for _, f in unread[: scout.places()])
            moves.append(
                Move(
                    "open",
                    f"open:{len(self.pending)}",
                    lambda chooser: self._open(chooser, unread),
                    {"meets": fitting / scout.places(), "complete": float(scout.complete())},
                )
            )
        return moves

    @staticmethod
    def _open(chooser: Chooser, unread: list[tuple[str, Features]]) -> ToolCall:
        place = chooser.one([Option("product", features) for _, features in unread])
        return call("catalog_get_product", product_id=unread[place][0])

    def state(self) -> Features:
        scout, fits = self.scout, self.fits()
        wanted = fits[: scout.places()]
        read = sum(one in scout.stock for one in wanted)
        return {
            "asked": len(self.asked) / len(self.questions()),
            "found": len(wanted) / scout.places(),
            "nothing": float(not fits),
            "complete": float(scout.complete()),
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
        weighed, fits, places = self.weighed(), len(self.fits()), self.scout.places()
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

    def known_of(self) -> Any:
        said = known(self.view, "").get("priority")
        return said and (tuple(said["order"]), said["brand"])

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

    def known_of(self) -> Any:
        return self.replacer.original, len(self.replacer.similarity)

    def taste(self, card: Mapping[str, Any], prices: tuple[int, int]) -> Features:
        likeness = self.replacer.similarity
        one = card["product_id"]
        below = sum(other < likeness[one] for other in likeness.values()) if one in likeness else 0
        return {
            "original": float(one == self.replacer.original),
            "like": (below + 1) / len(likeness) if one in likeness else 0.0,
        }

    def fits(self) -> list[str]:
        return [one for one in super().fits() if one != self.replacer.original]

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
        unranked = [one for one in self.fits() if one not in replacer.similarity]
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
                        "complete": float(self.scout.complete()),
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
        ranked = sum(one in self.replacer.similarity for one in self.fits())
        return {**super().state(), "sure": ranked / max(1, len(self.fits()))}
