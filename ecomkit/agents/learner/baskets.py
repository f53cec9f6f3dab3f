"""The desks of cart and bundle: several things are wanted, and each is searched for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ecomkit.agents.learner.moves import Chooser, Desk, Features, Move, Option
from ecomkit.core.records import Constraint, ToolCall
from ecomkit.envs.base import AgentView, call, holds_on_card
from ecomkit.envs.bundle import QUESTION as WHOLE_LIST
from ecomkit.envs.cart import QUESTION as ABOUT_ITEM
from ecomkit.envs.shopping import clues_of, filters_for, known, query_words, subjects_of

ABOUT_ORDER = "Do you have a discount code, and shall I place the order?"
CANDIDATES = 6
"""Products weighed for one thing: those that meet most of what was said."""

WORDINGS = 5
"""Ways to word a search for a thing; then come the further pages."""

Card = Mapping[str, Any]


@dataclass(slots=True)
class Thing:
    """One thing that is wanted, and what was seen for it."""

    key: str
    subject: str
    category: str
    noun: str
    clues: list[Constraint]
    shelf: str
    """Where what was found for it is kept; two things of one product share a shelf."""
    cards: list[Card]
    meets: list[float]
    """The share of what was said of it that holds on each card."""
    fits: list[Card]
    """The cards on which all of it holds."""
    attributes: Mapping[str, str] | None = None
    quantity: int = 1
    viewed: bool = False
    instead: bool = False
    """Whether it is only wanted if another thing is sold out."""
    lost: bool = False
    """Whether all that fits is known to be sold out."""
    cheapest: Card | None = None
    """The cheapest that fits and is not known to be sold out."""

    def query(self, tries: int) -> tuple[str, int | None]:
        """The words and the page of the next search, after ``tries`` others."""
        names = query_words(self.clues)
        words = (
            [self.noun, *names],
            [*names, self.noun],
            [self.noun],
            [self.noun, self.category],
            [*names, self.category],
        )
        page = 1 + tries // WORDINGS
        return " ".join(words[tries % WORDINGS]), page if page > 1 else None


def plain(name: str, key: str, features: Features, tool: str, **arguments: Any) -> Move:
    """A move whose call leaves nothing to choose."""
    return Move(name, key, lambda _: call(tool, **arguments), features)


class BasketDesk(Desk):
    """What both desks know: the things told of, the searches made for them and their results."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.asked: set[str] = set()
        self.shelves: dict[str, dict[str, Card]] = {}
        self.tries: dict[str, int] = {}
        self._things: list[Thing] | None = None
        self._met: dict[str, tuple[Any, dict[str, float]]] = {}
        self._offers: dict[str, list[Move]] = {}  # thing → moves, the same until the next result

    def told_of(self) -> list[Thing]:
        """The things that the customer has told of, with nothing seen for them yet."""
        raise NotImplementedError

    def seen(self, thing: Thing) -> Iterable[Card]:
        """The cards among which a thing may be."""
        return self.shelves.get(thing.shelf, {}).values()

    def meets(self, thing: Thing, card: Card) -> float:
        """The share of what was said of a thing that holds on a card."""
        held = sum(holds_on_card(clue, card) for clue in thing.clues)
        return (held + (card["category"] == thing.category)) / (len(thing.clues) + 1)

    def rank(self, card: Card) -> int:
        """The order of the candidates that meet as much; first seen first where it is the same."""
        return 0

    def things(self) -> list[Thing]:
        """The things told of, with the cards seen for each; the same until the next result."""
        if self._things is None:
            self._things = self.told_of()
            for thing in self._things:
                self.weigh(thing)
        return self._things

    def weigh(self, thing: Thing) -> None:
        """Puts the candidates among the cards seen on a thing."""
        said, cards = (thing.clues, thing.viewed), list(self.seen(thing))
        if self._met.get(thing.key, (None, {}))[0] != said:
            self._met[thing.key] = said, {}
        met = self._met[thing.key][1]
        for card in cards:
            if card["product_id"] not in met:
                met[card["product_id"]] = self.meets(thing, card)
        cards.sort(key=lambda card: (-met[card["product_id"]], self.rank(card)))
        thing.cards = cards[:CANDIDATES]
        thing.meets = [met[card["product_id"]] for card in thing.cards]
        thing.fits = [card for card in thing.cards if met[card["product_id"]] == 1.0]

    def thing(self, subject: str, suffix: str = "") -> Thing:
        """A thing with all that was said of its subject."""
        facts = known(self.view, subject)
        key = subject + suffix
        category, noun = facts["category"]["value"], facts["category"]["noun"]
        return Thing(key, subject, category, noun, clues_of(facts), key, [], [], [])

    def ask(self, key: str, question: str, told: bool, noun: str = "") -> list[Move]:
        """A question to the customer, who would only repeat the answer to one put before."""
        if key in self.asked:
            return []
        text = question.format(noun=noun)
        return [plain("ask", f"ask:{key}", {"told": float(told)}, "ask_user", question=text)]

    def search(self, thing: Thing, features: Features) -> Move:
        """The next search for a thing: ``search`` for the first, ``more`` for what follows."""
        tries = self.tries.get(thing.shelf, 0)

        def make(_: Chooser) -> ToolCall:
            query, page = thing.query(tries)
            filters = filters_for(thing.category, thing.clues)
            return call("catalog_search", query=query, filters=filters, page=page)

        told = {"told": float(bool(thing.clues)), **features}
        if tries:
            told["again"] = min(tries / WORDINGS, 1.0)
        return Move("more" if tries else "search", f"search:{thing.shelf}", make, told)

    def look(self, thing: Thing, card: Card, place: int) -> dict[str, float]:
        """Features of a product as a candidate for a thing."""
        meets = thing.meets[place]
        return {
            "1": 1.0,
            "meets": meets,
            "all": float(meets == 1.0),
            "alone": float(meets == 1.0 and len(thing.fits) == 1),
            "first": float(place == 0),
        }

    def pick(self, chooser: Chooser, thing: Thing, among: Iterable[str] | None = None) -> Card:
        """The candidate that the chooser takes for a thing, of all or of the ids ``among``."""
        places = [
            place
            for place, card in enumerate(thing.cards)
            if among is None or card["product_id"] in among
        ]
        options = [
            Option("product", self.look(thing, thing.cards[place], place)) for place in places
        ]
        return thing.cards[places[chooser.one(options)]]

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        self._things = None
        self._offers.clear()
        what, _, key = move.key.partition(":")
        if what == "ask":
            self.asked.add(key)
        elif what == "search":
            self.tries[key] = self.tries.get(key, 0) + 1
            cards = self.shelves.setdefault(key, {})
            cards.update({card["product_id"]: card for card in result.get("results", ())})


@dataclass(slots=True)
class Line:
    """A line of the cart, or one that a call chosen for this step will make."""

    line_id: str
    product_id: str
    variant_id: str | None
    attributes: Mapping[str, str] | None
    quantity: int


class CartDesk(BasketDesk):
    """What lies in the cart, and what of the things wanted is found or sold out."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.history: dict[str, Card] | None = None
        self.variants: dict[str, list[Mapping[str, Any]]] = {}
        self.gone: set[tuple[str, str | None]] = set()  # product and variant that were refused
        self.meant: dict[str, str] = {}  # product id → the thing that it was taken for
        self.cart: list[Line] = []
        self.saved: dict[str, int] = {}  # code → cents that it takes off the cart as it is
        self.applied: str | None = None
        self.looked = False
        self.ordered = False

    # --- what is wanted, and what is known of it ---

    def told_of(self) -> list[Thing]:
        out = []
        for subject in subjects_of(self.view):
            facts, thing = known(self.view, subject), self.thing(subject)
            thing.viewed = "viewed" in facts
            thing.quantity = facts.get("quantity", {}).get("quantity", 1)
            thing.attributes = facts["variant"]["attributes"] if "variant" in facts else None
            out.append(thing)
            fallback = facts.get("fallback", {"kind": "skip"})
            if fallback["kind"] == "skip":
                continue
            other = self.thing(subject, "/instead")
            other.instead, other.quantity = True, thing.quantity
            if fallback["kind"] == "product":
                other.clues = [Constraint.from_dict(clue) for clue in fallback["clues"]]
            else:
                other.attributes, other.viewed = fallback["attributes"], thing.viewed
                other.shelf = thing.shelf
            out.append(other)
        return out

    def seen(self, thing: Thing) -> Iterable[Card]:
        lately = {
            one: card
            for one, card in (self.history or {}).items()
            if card["category"] == thing.category
        }
        return {**self.shelves.get(thing.shelf, {}), **lately}.values()

    def meets(self, thing: Thing, card: Card) -> float:
        meets = super().meets(thing, card)
        if not thing.viewed:
            return meets
        said = len(thing.clues) + 1
        return (meets * said + (card["product_id"] in (self.history or ()))) / (said + 1)

    def sold_out(self, thing: Thing, product_id: str) -> bool:
        """Whether a product is known to be sold out in the version and number wanted."""
        variants = self.variants.get(product_id)
        if variants is None:
            return any(one == product_id for one, _ in self.gone)
        return not any(
            thing.attributes in (None, variant["attributes"])
            and self.left(thing, product_id, variant)
            for variant in variants
        )

    def left(self, thing: Thing, product_id: str, variant: Mapping[str, Any]) -> bool:
        """Whether a variant was in stock in the number wanted when last heard of."""
        gone = (product_id, variant["variant_id"]) in self.gone
        return variant["stock"] >= thing.quantity and not gone

    def weigh(self, thing: Thing) -> None:
        super().weigh(thing)
        gone = [self.sold_out(thing, card["product_id"]) for card in thing.fits]
        thing.lost = bool(gone) and all(gone)

    def look(self, thing: Thing, card: Card, place: int) -> dict[str, float]:
        sold_out = float(self.sold_out(thing, card["product_id"]))
        return {**super().look(thing, card, place), "sold_out": sold_out}

    # --- the cart, as it will be after the calls chosen for this step ---

    def lines(self) -> list[Line]:
        """The lines of the cart."""
        lines = list(self.cart)
        for made in self.pending:
            told = made.arguments
            if made.name == "cart_remove":
                lines = [line for line in lines if line.line_id != told["line_id"]]
            elif made.name == "cart_add":
                one, variant_id = told["product_id"], told.get("variant_id")
                attributes = next(
                    (
                        variant["attributes"]
                        for variant in self.variants.get(one, ())
                        if variant["variant_id"] == variant_id
                    ),
                    None,
                )
                lines.append(Line("", one, variant_id, attributes, told["quantity"]))
        return lines

    def right(self, line: Line, thing: Thing) -> bool:
        """Whether a line is as a thing was told, as far as the card and the line show."""
        return (
            line.quantity == thing.quantity
            and thing.attributes in (None, line.attributes)
            and any(card["product_id"] == line.product_id for card in thing.fits)
        )

    def settled(self, subject: str, lines: list[Line]) -> bool:
        """Whether the cart holds what was told of a subject, or what was named instead."""
        for thing in self.things():
            if thing.subject == subject and not thing.lost:
                here = [line for line in lines if self.subject(line) == subject]
                return len(here) == 1 and self.right(here[0], thing)
        return not any(self.subject(line) == subject for line in lines)

    def subject(self, line: Line) -> str:
        """The subject for which a line was taken."""
        return self.meant.get(line.product_id, "").partition("/")[0]

    def complete(self) -> bool:
        """Whether every subject is settled."""
        lines = self.lines()
        return self.ordered or all(self.settled(s, lines) for s in subjects_of(self.view))

    # --- the moves ---

    def moves(self) -> list[Move]:
        overall = known(self.view, "")
        things = {thing.key: thing for thing in self.things()}
        lines = self.lines()
        asks = "checkout" in overall
        moves = self.ask("", ABOUT_ORDER, asks)
        if self.history is None and any(thing.viewed for thing in things.values()):
            moves.append(plain("list", "list", {}, "user_get_visit_history"))
        held = {self.subject(line) for line in lines}
        for thing in things.values():
            if not thing.instead:
                moves += self.ask(thing.subject, ABOUT_ITEM, bool(thing.clues), thing.noun)
            # What is in the cart is dropped before anything else is taken for it.
            if thing.subject not in held and not self.ordered:
                if thing.key not in self._offers:
                    self._offers[thing.key] = self._about(thing, things[thing.subject])
                moves += self._offers[thing.key]
        for line in self.cart:
            owner = things.get(self.meant[line.product_id])
            if owner is not None:
                moves.append(self._drop(line, owner))
        return moves + self._finish(overall) if lines and not self.ordered else moves

    def _finish(self, overall: Mapping[str, Any]) -> list[Move]:
        """The moves with a cart that is not empty; ``overall`` is what was said of all of it."""
        asks, complete = float("checkout" in overall), float(self.complete())
        codes = overall.get("discount_code", {}).get("codes", [])
        chosen = [made.arguments["code"] for made in self.pending if "code" in made.arguments]
        applied = chosen[-1] if chosen else self.applied
        untried = [code for code in codes if code not in self.saved and codes != [applied]]
        worth = [code for code in codes if self.saved.get(code)]
        best = max(worth, key=lambda code: self.saved[code], default=None)
        moves = []
        for code in codes:
            features = {
                "again": float(code in self.saved),
                "best": float(code == best),
                "applied": float(code == applied),
                "complete": complete,
            }
            moves.append(plain("code", f"code:{code}", features, "cart_apply_discount", code=code))
        seen = {"complete": complete, "again": float(self.looked)}
        moves.append(plain("show", "show", seen, "cart_view"))
        features = {
            "told": asks,
            "complete": complete,
            "told_complete": asks * complete,
            "unread": float(bool(untried)),
            "best": float(best in (None, applied)),
        }
        moves.append(plain("order", "order", features, "order_checkout"))
        return moves

    def _about(self, thing: Thing, first: Thing) -> list[Move]:
        """The moves that get a thing; ``first`` is what is wanted of its subject at first."""
        fits = [card["product_id"] for card in thing.fits]
        asked, sold_out = float(thing.subject in self.asked), float(thing.lost)
        due = float(thing.instead and first.lost)
        instead = {"instead": float(thing.instead), "due": due}
        moves = []

        def open_one(chooser: Chooser) -> ToolCall:
            one = self.pick(chooser, thing, unread)["product_id"]
            return call("catalog_get_variants", product_id=one)

        def take(chooser: Chooser) -> ToolCall:
            return self._take(chooser, thing)

        if thing.shelf == thing.key:
            found = {"found": float(len(fits) == 1), "viewed": float(thing.viewed), **instead}
            moves.append(self.search(thing, {"asked": asked, **found}))
            unread = [card["product_id"] for card in thing.cards]
            unread = [one for one in unread if one not in self.variants]
            if unread:
                features = {
                    "told": float(thing.attributes is not None),
                    "found": float(len(fits) == 1 and fits[0] in unread),
                    "sold_out": sold_out,
                    **instead,
                }
                moves.append(Move("open", f"open:{thing.key}", open_one, features))
        if thing.cards:
            closed = thing.attributes is not None and not any(one in self.variants for one in fits)
            features = {
                "asked": asked,
                "found": float(len(fits) == 1),
                "unread": float(closed),
                "sold_out": sold_out,
                **instead,
            }
            moves.append(Move("take", f"take:{thing.key}", take, features))
        return moves

    def _take(self, chooser: Chooser, thing: Thing) -> ToolCall:
        one = self.pick(chooser, thing)["product_id"]
        variant_id = None
        if one in self.variants:
            variants = self.variants[one]
            options = []
            for place, variant in enumerate(variants):
                features = {
                    "1": 1.0,
                    "meets": float(variant["attributes"] == thing.attributes),
                    "in_stock": float(self.left(thing, one, variant)),
                    "first": float(place == 0),
                }
                options.append(Option("variant", features))
            variant_id = variants[chooser.one(options)]["variant_id"]
        self.meant[one] = thing.key
        return call("cart_add", product_id=one, variant_id=variant_id, quantity=thing.quantity)

    def _drop(self, line: Line, owner: Thing) -> Move:
        gone = (line.product_id, line.variant_id) in self.gone
        features = {
            "changed": float(not self.right(line, owner)),
            "sold_out": float(gone or self.sold_out(owner, line.product_id)),
        }
        key = f"drop:{line.line_id}"
        return plain("drop", key, features, "cart_remove", line_id=line.line_id)

    def state(self) -> Features:
        asks = "checkout" in known(self.view, "")
        subjects = subjects_of(self.view)
        placing = any(made.name == "order_checkout" for made in self.pending)
        complete = self.complete()
        return {
            "asked": sum(s in self.asked for s in subjects) / max(1, len(subjects)),
            "complete": float(complete),
            "done": float(complete and asks == (self.ordered or placing)),
            "looked": float(self.looked or self.ordered),
            "nothing": float(not self.ordered and not self.lines()),
        }

    def ready(self) -> bool:
        return self.ordered or bool(self.lines())

    # --- what comes back ---

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        super().note(move, made, result)
        failed = "error" in result
        if move.name == "list":
            self.history = {card["product_id"]: card for card in result.get("products", ())}
            self._met.clear()
        elif move.name == "open" and not failed:
            self.variants[result["product_id"]] = result["variants"]
        elif move.name == "take" and result.get("error") == "insufficient_stock":
            self.gone.add((made.arguments["product_id"], made.arguments.get("variant_id")))
        elif move.name in ("take", "drop") and not failed:
            self.saved.clear()
            self.applied = None
        elif move.name == "code":
            code = made.arguments["code"]
            self.saved[code] = 0 if failed else result["cart"]["discount_cents"]
            self.applied = self.applied if failed else code
        elif move.name == "order":
            self.ordered = not failed
            short = result.get("line_ids", ())
            self.gone |= {(x.product_id, x.variant_id) for x in self.cart if x.line_id in short}
            self.cart = self.cart if failed else []
        seen = result if move.name == "show" else result.get("cart")
        if seen:
            self._see(seen["lines"])
            self.looked = move.name == "show"

    def _see(self, lines: list[Mapping[str, Any]]) -> None:
        """Takes in the cart as a result shows it."""
        self.cart = [
            Line(*(line[name] for name in Line.__slots__))
            for line in lines
            if line["product_id"] in self.meant
        ]
        self.gone |= {(x["product_id"], x["variant_id"]) for x in lines if x["sold_out"]}

    def answer(self, chooser: Chooser) -> dict[str, Any]:
        return {"message": "All done."}


class BundleDesk(BasketDesk):
    """What was found for each thing on the list, what it costs and whether it is in stock."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.stock: dict[str, bool] = {}
        self.floor: dict[str, int] = {}  # shelf → price at or below which nothing was found

    def told_of(self) -> list[Thing]:
        return [self.thing(subject) for subject in subjects_of(self.view)]

    def look(self, thing: Thing, card: Card, place: int) -> dict[str, float]:
        one, least = card["product_id"], min(card["price_cents"] for card in thing.cards)
        return {
            **super().look(thing, card, place),
            "cheap": least / max(1, card["price_cents"]),
            "sold_out": float(not self.stock.get(one, True)),
        }

    def rank(self, card: Card) -> int:
        return int(card["price_cents"])

    def weigh(self, thing: Thing) -> None:
        super().weigh(thing)
        left = [card for card in thing.fits if self.stock.get(card["product_id"], True)]
        thing.cheapest = left[0] if left else None

    def over_budget(self) -> bool:
        """Whether even the cheapest of what was found costs more than the budget told."""
        budget = known(self.view, "").get("budget", {}).get("cents")
        found = [thing.cheapest for thing in self.things()]
        return budget is not None and sum(card["price_cents"] for card in found if card) > budget

    def listed(self) -> bool:
        """Whether as many things were named as the customer said are needed."""
        return len(self.things()) >= known(self.view, "")["project"]["count"]

    def moves(self) -> list[Move]:
        if "" not in self._offers:
            self._offers[""] = self._all()
        return self._offers[""]

    def _all(self) -> list[Move]:
        told = self.listed() and "budget" in known(self.view, "")
        moves = self.ask("list", WHOLE_LIST, told)
        asked, over = float(bool(self.asked)), float(self.over_budget())
        unseen = [thing for thing in self.things() if thing.shelf not in self.tries]
        for thing in unseen or self.things():  # once all were searched for, there is a second look
            card = thing.cheapest
            if card is None:
                moves.append(self.search(thing, {"asked": asked}))
            else:
                moves.append(self._cheaper(thing, card, over))
                if card["product_id"] not in self.stock:
                    moves.append(self._check(thing, card, over))
        return moves

    def _cheaper(self, thing: Thing, card: Card, over: float) -> Move:
        """A search for something cheaper than what was found."""
        tries = self.tries.get(thing.shelf, 0)

        def make(_: Chooser) -> ToolCall:
            filters = filters_for(thing.category, thing.clues)
            filters["price_cents_max"] = max(0, card["price_cents"] - 1)
            return call("catalog_search", query=thing.query(tries)[0], filters=filters)

        at_floor = float(card["price_cents"] <= self.floor.get(thing.shelf, 0) + 1)
        features = {
            "found": 1.0,
            "over_budget": over,
            "floor": at_floor,
            "tries": min(tries / (2 * WORDINGS), 1.0),
        }
        return Move("more", f"search:{thing.shelf}", make, features)

    def _check(self, thing: Thing, card: Card, over: float) -> Move:
        """A look at the page of a product: is it in stock?"""
        one = card["product_id"]
        features = {"over_budget": over}
        return plain("check", f"check:{thing.key}", features, "catalog_get_product", product_id=one)

    def state(self) -> Features:
        things = self.things()
        best = [thing.cheapest for thing in things if thing.cheapest is not None]
        complete = self.listed() and len(best) == len(things)
        return {
            "asked": float(bool(self.asked)),
            "found": len(best) / known(self.view, "")["project"]["count"],
            "complete": float(complete),
            "over_budget": float(self.over_budget()),
            "unread": sum(x["product_id"] not in self.stock for x in best) / max(1, len(best)),
            "nothing": float(not best),
        }

    def ready(self) -> bool:
        return self.listed() and all(thing.cards for thing in self.things())

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        if move.name == "check":
            self.stock[made.arguments["product_id"]] = result.get("in_stock", False)
        elif move.name == "more" and "found" in move.features and not result.get("total"):
            shelf = move.key.partition(":")[2]
            below = made.arguments["filters"]["price_cents_max"]
            self.floor[shelf] = max(below, self.floor.get(shelf, 0))
        super().note(move, made, result)

    def answer(self, chooser: Chooser) -> dict[str, Any]:
        picks = [self.pick(chooser, thing) for thing in self.things() if thing.cards]
        return {"product_ids": [card["product_id"] for card in picks]}
