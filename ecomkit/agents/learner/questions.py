"""The desks of tracking and policy: one answer to find out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecomkit.agents.learner.moves import Chooser, Desk, Features, Move, Option
from ecomkit.core.records import ToolCall
from ecomkit.envs.base import AgentView, call
from ecomkit.envs.history import matching
from ecomkit.envs.policy import PROFILE_FIELDS, as_answer, in_answer_unit
from ecomkit.envs.tracking import NO_DATE, order_clues, right_answer
from ecomkit.shop.policies import Reading, read_passage

WHICH_ORDER = "Which order do you mean? What do you remember of it?"
WHAT_ELSE = (
    "Could you tell me more about your situation? Is there anything else I should know about the "
    "order, the item or your account?"
)


class TrackingDesk(Desk):
    """Which order is meant, and what its page says."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.asked = 0
        self.listed: list[dict[str, Any]] = []
        self.opened: dict[str, dict[str, Any]] = {}

    def ids(self) -> list[str]:
        """Orders known of, newest first; one that the customer named by its number is known."""
        named = order_clues(self.view).get("order_id")
        ids = [order["order_id"] for order in self.listed]
        return ids if named is None or named in ids else [named, *ids]

    def options(self, ids: list[str]) -> list[Option]:
        """The orders as things to pick from."""
        clues = order_clues(self.view)
        if "order_id" in clues:
            fits = [clues["order_id"]]
        else:
            fits = matching(self.listed, clues, self.opened) if clues else []
        return [
            Option(
                "order",
                {
                    "meets": float(one in fits),
                    "alone": float(fits == [one]),
                    "read": float(one in self.opened),
                    "meets_read": float(one in fits and one in self.opened),
                    "newest": float(place == 0),
                },
            )
            for place, one in enumerate(ids)
        ]

    def moves(self) -> list[Move]:
        told = float(bool(order_clues(self.view)))
        moves = [
            Move(
                "ask",
                "ask",
                lambda _: call("ask_user", question=WHICH_ORDER),
                {"told": told, "again": float(self.asked > 0)},
            ),
            Move(
                "list",
                "list",
                lambda _: call("order_list"),
                {"again": float(bool(self.listed)), "told": told},
            ),
        ]
        known = self.opened.keys() | self.to_come("order_get_status", "order_id")
        unread = [one for one in self.ids() if one not in known]
        if unread:
            picks = self.options(unread)
            fitting = max(option.features["meets"] for option in picks)
            moves.append(
                Move(
                    "open",
                    f"open:{len(self.pending)}",
                    lambda chooser: call(
                        "order_get_status", order_id=unread[chooser.one(self.options(unread))]
                    ),
                    {"told": told, "meets": fitting},
                )
            )
        return moves

    def state(self) -> Features:
        clues = order_clues(self.view)
        fits = matching(self.listed, clues, self.opened) if clues else []
        return {
            "told": float(bool(clues)),
            "found": float(any(one in self.opened for one in fits)),
            "sure": float(len(fits) == 1 and fits[0] in self.opened),
            "nothing": float(not self.opened),
        }

    def ready(self) -> bool:
        return bool(self.opened)

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        if move.name == "ask":
            self.asked += 1
        elif move.name == "list":
            self.listed = list(result.get("orders", ()))
        elif "error" not in result:
            self.opened[result["order_id"]] = dict(result)

    def answer(self, chooser: Chooser) -> dict[str, Any]:
        ids = list(self.opened)
        if not ids:
            return {"order_id": "", "status": "processing", "expected_date": NO_DATE}
        return dict(right_answer(self.opened[ids[chooser.one(self.options(ids))]]))


class PolicyDesk(Desk):
    """What the rule says for this customer's case."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.asked = 0
        self.passages: list[Reading] = []
        self.profile: dict[str, Any] = {}

    def told(self) -> dict[str, Any]:
        """The facts that the customer has told, by field."""
        return {
            slot.value["field"]: slot.value["value"]
            for slot in self.view.disclosed
            if slot.kind == "fact"
        }

    def moves(self) -> list[Move]:
        told = float(bool(self.told()))
        text = next(slot.value["text"] for slot in self.view.disclosed if slot.key == "question")
        return [
            Move(
                "ask",
                "ask",
                lambda _: call("ask_user", question=WHAT_ELSE),
                {"told": told, "again": float(self.asked > 0)},
            ),
            Move(
                "search",
                "search",
                lambda _: call("policy_search", query=text),
                {"again": float(bool(self.passages))},
            ),
            Move(
                "open",
                "open",
                lambda _: call("user_get_profile"),
                {"again": float(bool(self.profile))},
            ),
        ]

    def state(self) -> Features:
        return {
            "asked": float(self.asked > 0),
            "found": float(bool(self.passages)),
            "nothing": float(not self.passages),
            "unread": float(not self.profile),
        }

    def ready(self) -> bool:
        return bool(self.passages)

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        if move.name == "ask":
            self.asked += 1
        elif move.name == "open":
            self.profile = {name: result[name] for name in PROFILE_FIELDS if name in result}
        else:
            read = [
                read_passage(passage["title"], passage["text"])
                for passage in result.get("passages", ())
            ]
            self.passages = [reading for reading in read if reading is not None]

    def answer(self, chooser: Chooser) -> dict[str, Any]:
        if not self.passages:
            return {}
        options = [
            Option("passage", {"newest": float(place == 0), "late": place / len(self.passages)})
            for place in range(len(self.passages))
        ]
        reading = self.passages[chooser.one(options)]
        case = {**self.profile, **self.told()}
        return as_answer(in_answer_unit(reading.answer(case), reading.unit))
