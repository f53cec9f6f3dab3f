"""What a person is shown: cards, tables, money, and nothing that steers the terminal."""

from __future__ import annotations

import pytest

from ecomkit.core.records import Action, Check, Score, ToolCall, Trajectory
from ecomkit.views import show

CARD = {
    "product_id": "A1B2C3D4E5",
    "title": "Norvik Compact Wall Charger",
    "category": "wall chargers",
    "brand": "Norvik",
    "store": "Norvik",
    "price_cents": 123456,
    "rating": 4.5,
    "rating_count": 1234,
    "ship_days": 2,
    "attributes": {"wattage": 65.0},
    "varies_by": "connector_type",
}


def test_cards_say_what_tells_them_apart() -> None:
    text = show.render_cards([CARD, {**CARD, "store": "Corner Shop", "ship_days": 0}], width=80)
    for part in ("$1,234.56", "A1B2C3D4E5", "rated 4.5 (1,234)", "ships in 2 d", "65 W"):
        assert part in text
    assert "varies by connector type" in text
    assert text.count("sold by") == 1
    assert "ships today" in text


def test_cards_carry_the_numbers_that_commands_take() -> None:
    assert "#7 Norvik" in show.render_cards([CARD], width=80, numbers={"A1B2C3D4E5": 7})
    assert "1. Norvik" in show.render_cards([CARD], width=80)


@pytest.mark.parametrize("width", [60, 72, 100])
def test_nothing_is_wider_than_asked(width: int) -> None:
    long = {**CARD, "title": "A very long title " * 12, "brand": "宽字符品牌" * 9}
    line = {
        "line_id": "L1",
        "product_id": "A1B2C3D4E5",
        "variant_id": "A1B2C3D4E5-v1",
        "title": "Long " * 30,
        "attributes": {"size": "M"},
        "quantity": 2,
        "unit_price_cents": 999,
    }
    results = [
        {"results": [CARD, long], "page": 1, "pages": 3},
        {"lines": [line, line], "subtotal_cents": 3996, "discount_code": None},
        {"orders": [{"order_id": "W1", "lines": [line]}]},
        {"product_id": "A1", "description": "word " * 100, "features": ["a" * 30] * 9},
        {"error": "out_of_stock", "message": "That is sold out. " * 10, "line_ids": ["L1"]},
    ]
    for result in results:
        text = show.render_tool_result("any", result, width=width)
        assert max(show.columns(row) for row in text.split("\n")) <= width


def test_cart_lines_show_what_it_costs_and_what_is_gone() -> None:
    line = {
        "line_id": "C1",
        "product_id": "A1B2C3D4E5",
        "variant_id": "A1B2C3D4E5-v2",
        "title": "Norvik Wall Charger",
        "attributes": {"connector_type": "USB-C"},
        "quantity": 3,
        "unit_price_cents": 1299,
        "line_total_cents": 3897,
        "available": 1,
        "sold_out": True,
    }
    cart = {"lines": [line], "units": 3, "total_cents": 3897}
    text = show.render_tool_result("cart_view", cart, width=80, numbers={"A1B2C3D4E5": 4})
    assert "C1  Norvik Wall Charger (USB-C)" in text
    assert "3 x $12.99 = $38.97" in text
    assert "A1B2C3D4E5 #4 · variant A1B2C3D4E5-v2 · SOLD OUT: 1 left" in text
    assert "SOLD OUT" not in show.render_tool_result(
        "cart_view", {"lines": [{**line, "sold_out": False}]}, width=80
    )


def test_other_rows_are_a_table_with_money() -> None:
    cart = {
        "lines": [
            {"line_id": "L1", "quantity": 2, "line_total_cents": 1998, "sold_out": False},
            {"line_id": "L2", "quantity": 10, "line_total_cents": 5, "sold_out": True},
        ],
        "total_cents": 2003,
        "discount_code": None,
    }
    lines = show.render_tool_result("cart_view", cart, width=80).split("\n")
    assert lines[0] == "total: $20.03 · discount code: –"
    table = [line.split() for line in lines[2:]]
    assert table == [
        ["line", "id", "quantity", "line", "total", "sold", "out"],
        ["L1", "2", "$19.98", "no"],
        ["L2", "10", "$0.05", "yes"],
    ]


def test_a_refusal_says_why() -> None:
    text = show.render_tool_result("cart_add", {"error": "unknown_product", "message": "No such."})
    assert text == "refused: No such. [unknown_product]"


@pytest.mark.parametrize("result", [{}, [], "text", None, {"a": {"b": [{"c": {"d": 1}}]}}, 3])
def test_any_result_is_shown(result: object) -> None:
    assert show.render_tool_result("tool", result).strip()


def test_control_characters_do_not_reach_the_terminal() -> None:
    evil = "\x1b[2Jgone\u202egnp\x07"
    texts = [
        show.render_cards([{**CARD, "title": evil, "attributes": {evil: evil}}]),
        show.render_tool_result("x", {"error": evil, "message": evil}),
        show.render_tool_result("x", {evil: evil, "rows": [{evil: evil}]}),
        show.render_action(Action(evil, (ToolCall(evil, {evil: evil}),), {evil: evil})),
        "\n".join(show.render_messages([{"role": "user", "content": evil}])),
        "\n".join(show.render_messages([{"role": evil, "content": evil}])),
        show.render_trajectory(Trajectory(evil, [{"role": "assistant", "content": evil}], evil)),
    ]
    for text in texts:
        assert "gone" in text
        assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text


def test_trajectory_reads_step_by_step() -> None:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "cart_add", "arguments": '{"product_id": "A1", "quantity": 2}'},
    }
    messages = [
        {"role": "system", "content": "You sell."},
        {"role": "user", "content": "Two of the chargers."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"message": "Added."}'},
        {"role": "assistant", "content": "Done?"},
        {"role": "user", "content": "Yes."},
        {"role": "assistant", "content": '{"tool_calls": 3}'},
    ]
    text = show.render_trajectory(Trajectory("cart-d00-train-000001", messages, "me", 2), width=80)
    wanted = [
        "trajectory of me, trial 2, on cart-d00-train-000001",
        "[system] You sell.",
        "customer: Two of the chargers.",
        "-- step 1 -",
        '-> cart_add(product_id="A1", quantity=2)',
        "  cart_add:",
        "message: Added.",
        "-- step 2 -",
        "agent: Done?",
        "customer: Yes.",
        "-- step 3 -",
        "agent, unreadable:",
    ]
    places = [text.find(part) for part in wanted]
    assert -1 not in places
    assert places == sorted(places)


def test_score_lists_its_checks() -> None:
    checks = (Check("units", True), Check("total", False, "paid $1.00 too much"))
    score = Score(-0.06, 0.0, -0.43, 0.0, False, "answered", 8, 6, 5, checks)
    text = show.render_score(score, width=80)
    assert "not passed: reward -0.06 (task 0.00, efficiency -0.43, hallucination 0.00)" in text
    assert "[x] units" in text
    assert "[ ] total: paid $1.00 too much" in text


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["- one", "  two", "  three"]),
        ("one two three", 9, ["- one two", "  three"]),
        ("abcdefghij kl", 6, ["- abcd", "  efgh", "  ij", "  kl"]),
        ("品牌品牌", 6, ["- 品牌", "  品牌"]),
        ("", 6, ["-"]),
        ("a\n\nb", 6, ["- a", "", "  b"]),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    assert show.wrap(text, width, "- ") == lines
