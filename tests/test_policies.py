"""The shop's rules: text and answer from the same figures, found by ordinary questions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomkit.core.errors import DrawFailed, UnknownName
from ecomkit.core.seeds import rng
from ecomkit.shop import policies
from ecomkit.shop.policies import (
    REGIONS,
    TIERS,
    PolicyError,
    default_policy,
    draw_case,
    draw_policy,
    draw_return,
    eligibility,
    eligibility_turns_on,
    evaluate,
    passage,
    rules,
    turns_on,
)

DEPARTMENTS = tuple(f"shelf-{name}" for name in "abcdefghijklmnopqrstuvwxyz")
CLAUSES = (1, 2, 3, 4, 5)


def policy(seed: int, **more: Any) -> dict[str, Any]:
    return draw_policy(rng("test", seed), DEPARTMENTS, **more)


def test_there_are_enough_rules_topics_and_conditions() -> None:
    assert len(policies.question_kinds()) >= 40
    assert len(policies.topics()) >= 10
    for clauses in CLAUSES:
        assert sum(len(rule.fields) >= clauses for rule in rules().values()) >= 40


def test_a_drawn_policy_is_plain_json_and_depends_on_its_seed() -> None:
    one = policy(1)
    assert json.loads(json.dumps(one)) == one == policy(1)
    assert one != policy(2)
    assert policies.policy_hash(one) != policies.policy_hash(policy(2)) != policies.policy_hash()
    assert len(json.dumps(one)) < 5000


def test_figures_stay_in_their_ranges_and_cannot_be_memorised() -> None:
    drawn = [policy(seed) for seed in range(60)]
    for key, rule in rules().items():
        if rule.base is None:
            continue
        bases = [p["figures"][key][0] for p in drawn]
        assert all(rule.base.low <= base <= rule.base.high for base in bases)
        if rule.unit != "terms":
            assert max(bases.count(base) for base in bases) <= 20, key


def test_department_lists_do_not_overlap_and_hold_the_focus() -> None:
    where: set[str] = set()
    for seed in range(40):
        groups = policy(seed, focus="shelf-c")["groups"]
        names = [name for members in groups.values() for name in members]
        assert len(names) == len(set(names))
        where.update(group for group, members in groups.items() if "shelf-c" in members)
        where.update({"none"} if "shelf-c" not in names else set())
    assert where == {"one", "two", "three", "none"}
    assert "shelf-c" in policy(3, focus="shelf-c", group="final")["groups"]["final"]
    with pytest.raises(UnknownName, match="department group"):
        policy(3, focus="shelf-c", group="four")


# An independent reading of a passage, from its words alone.
_MONEY = re.compile(r"\$([\d,]+)\.(\d\d)")
_FIGURE = re.compile(r"\d+")


def _figures(sentence: str) -> list[int]:
    cents = [int(a.replace(",", "")) * 100 + int(b) for a, b in _MONEY.findall(sentence)]
    return cents or [int(n) for n in _FIGURE.findall(sentence)]


_MINUS = ("subtract", "taken off", "shorter", "less", "falls", "lower", "fewer")
_SHARE = ("of that", "counts")


def read_passage(text: str, facts: dict[str, Any]) -> int:
    """The answer that a careful person would work out from a passage's sentences."""
    conditions = {
        field: policies._condition(None, field, str(value).lower() if value is True else value, 0)
        for field, value in facts.items()
        if field != "department" and not isinstance(value, int) or value is True
    }
    sentences = re.split(r"(?<=\.) (?=[A-Z])", text)
    total = _figures(sentences[0])[0]
    share = None
    for sentence in sentences[1:]:
        lead = re.match(r"(?:If|When) (.+?), (?!\d{3})", sentence)
        if lead is None:
            continue
        body = sentence[len("If ") :] if sentence.startswith("If") else sentence[len("When ") :]
        applies = False
        for field, value in facts.items():
            if field in conditions and body.startswith(conditions[field] + ", "):
                applies, body = True, body[len(conditions[field]) :]
                break
            if field == "department" and body.startswith("the item is from "):
                names = body[len("the item is from ") :]
                if policies.spoken(value) in names:
                    applies, body = True, names.replace(policies.spoken(value), "")
                break
            if field not in conditions and field != "department":
                words = policies._data().dims[field]["cond"].split("{n}")
                if body.startswith(words[0]) and words[1].strip() + ", " in body:
                    condition, _, body = body.partition(words[1].strip() + ", ")
                    applies = value >= _figures(condition)[0]
                    break
        if not applies:
            continue
        figure = _figures(body)[-1]
        if "%" in body and any(word in body for word in _SHARE):
            share = figure
        else:
            total += -figure if any(word in body for word in _MINUS) else figure
    return total if share is None else total * share // 100


@pytest.mark.parametrize("clauses", CLAUSES)
def test_a_question_turns_on_its_clauses_and_its_passage_tells_the_answer(clauses: int) -> None:
    kinds = set()
    for seed in range(150):
        drawn = policy(seed, focus="shelf-c")
        kind, facts = draw_case(rng("case", clauses, seed), drawn, clauses)
        kinds.add(kind)
        answer = evaluate(drawn, kind, facts)
        assert set(turns_on(drawn, kind, facts)) == set(facts)
        assert len(facts) == clauses
        text = passage(drawn, kind).text
        if isinstance(answer, str):
            assert answer in text and answer in policies.options(kind)
        else:
            assert answer > 0
            assert read_passage(text, facts) == answer, (kind, facts, text)
    assert len(kinds) >= 40


def test_no_constant_answers_many_questions() -> None:
    answers: list[Any] = []
    for seed in range(400):
        drawn = policy(seed)
        kind, facts = draw_case(rng("case", seed), drawn, 2)
        answers.append(evaluate(drawn, kind, facts))
    assert max(answers.count(answer) for answer in answers) < 30


def test_more_clauses_than_conditions_fail_with_the_axis_named() -> None:
    with pytest.raises(DrawFailed, match="policy_clauses"):
        draw_case(rng(1), policy(1), 30)


def test_additions_come_before_percentages_and_rounding_is_down_once() -> None:
    kind = "membership_fee"  # 55 % for students, more for businesses
    figures = [5001, 55, 1500, 3, 300, 400, 200, 100]
    drawn = {"figures": {kind: figures}}
    assert evaluate(drawn, kind, {}) == 5001
    assert evaluate(drawn, kind, {"student": True}) == 5001 * 55 // 100
    assert evaluate(drawn, kind, {"student": True, "business": True}) == 6501 * 55 // 100
    assert evaluate(drawn, kind, {"student": False, "years": 2}) == 5001
    assert evaluate(drawn, kind, {"years": 3}) == 4701


def test_nothing_goes_below_zero() -> None:
    drawn = {"figures": {"hazard_limit": [8, 3, 4, 6, 40, 2, 2]}, "groups": {"one": ["x"]}}
    facts = {"battery": True, "region": "Alaska or Hawaii", "department": "X"}
    assert evaluate(drawn, "hazard_limit", facts) == 0


def test_a_choice_follows_its_chain_without_a_gap() -> None:
    drawn = {"figures": {"refund_method": [5, 4, 3, 2, 1, 0]}}
    options = policies.options("refund_method")
    assert evaluate(drawn, "refund_method", {}) == options[5]
    assert evaluate(drawn, "refund_method", {"gift": True}) == options[4]
    assert evaluate(drawn, "refund_method", {"no_receipt": True}) == options[5]
    assert evaluate(drawn, "refund_method", {"gift": True, "no_receipt": True}) == options[3]


def test_unknown_names_are_told() -> None:
    with pytest.raises(UnknownName, match="unknown policy rule 'cashback'"):
        evaluate(None, "cashback", {})
    with pytest.raises(PolicyError, match="no answer of its own"):
        evaluate(None, "final_sale", {})
    with pytest.raises(UnknownName, match="unknown policy field"):
        policies.say("mood", "good", rng(1))
    with pytest.raises(UnknownName, match="unknown value of tier"):
        policies.say("tier", "Bronze", rng(1))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(policies.question_kinds())),
    st.dictionaries(
        st.sampled_from(["tier", "region", "gift", "order_total", "department", "years", "count"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.floats()),
    ),
)
def test_odd_facts_never_raise(kind: str, facts: dict[str, Any]) -> None:
    answer = evaluate(default_policy(), kind, facts)
    assert isinstance(answer, str) or answer >= 0


def test_tiers_and_regions_are_those_of_the_rules() -> None:
    dims = policies._data().dims
    assert TIERS == (dims["tier"]["neutral"], *dims["tier"]["values"])
    assert REGIONS == (dims["region"]["neutral"], *dims["region"]["values"])


# Text


def test_documents_read_like_a_shop() -> None:
    for seed in range(12):
        pages = policies.documents(policy(seed))
        assert tuple(pages) == policies.topics()
        text = "\n".join(pages.values())
        assert not re.search(r"[{}_]|None|\b1 (days|hours|months|points|items)\b", text)
        assert not re.search(r"\bis from ,|  ", text)
        assert re.search(r"^# Returns\n\n## How long", text)


def test_every_figure_that_counts_stands_in_the_text() -> None:
    drawn = policy(5)
    for key, rule in rules().items():
        if rule.base is None or rule.unit == "terms":
            continue
        text = passage(drawn, key).text
        for number, figure in enumerate(drawn["figures"][key]):
            shown = f"${figure // 100:,}.{figure % 100:02d}"
            assert shown in text or str(figure) in text, (key, number, figure)


def test_styles_paraphrase_the_same_rule() -> None:
    texts = set()
    for style in range(6):
        texts.add(passage({**policy(4), "style": style}, "refund_time").text)
    assert len(texts) >= 3


def test_every_fact_can_be_said_in_several_ways() -> None:
    for name, dim in policies._data().dims.items():
        forms = [dim["said"]] if "unit" in dim else [v["said"] for v in dim["values"].values()]
        assert all(len(set(form)) >= 3 for form in forms), name
    assert policies.say("order_total", 12050, rng(3)).count("$120.50") == 1
    assert "shelf a" in policies.say("department", "shelf-a", rng(3))


# Written apart from the rules file: what a person might type.
QUERIES = {
    "return_window": ["can I still send back my headphones", "return deadline for gold members"],
    "return_shipping_fee": ["who pays for the return label", "cost of return label"],
    "return_label_validity": ["my return label is old, is it still valid"],
    "oversized_collection_fee": ["can someone collect the return from my house"],
    "return_place": ["where to drop off a return"],
    "final_sale": ["which products are final sale"],
    "used_items": ["can worn or used things be returned"],
    "exchange_window": ["how long do I have to exchange for another size", "swap deadline"],
    "exchange_hold": ["will you reserve the replacement"],
    "exchange_fee": ["is there a charge for exchanges"],
    "exchange_limit": ["maximum number of exchanges per year"],
    "refund_time": ["how long does a refund take to arrive"],
    "restocking_fee": ["restocking fee for opened package"],
    "refund_method": ["do I get the refund on my card or as store credit"],
    "late_return_credit": ["returning something after the return window closed"],
    "shipping_fee": ["how much is delivery to Canada"],
    "free_shipping_minimum": ["minimum spend for free delivery"],
    "delivery_time": ["delivery time to Hawaii"],
    "heavy_surcharge": ["extra charge for heavy parcels"],
    "shipping_carrier": ["which carrier delivers"],
    "delay_credit": ["compensation for a late parcel"],
    "delay_claim_window": ["deadline to report a late parcel"],
    "lost_parcel_wait": ["when is a parcel considered lost"],
    "cancel_window": ["can I cancel my order"],
    "cancel_fee": ["late cancellation fee"],
    "cancel_refund_time": ["money back after cancelled order"],
    "price_match_window": ["price match time limit in days"],
    "price_match_share": ["what share of the price difference is refunded"],
    "price_match_limit": ["maximum price match amount"],
    "code_validity": ["how long are promo codes valid"],
    "code_maximum": ["largest discount a coupon can give"],
    "code_minimum_spend": ["minimum order for a coupon code"],
    "points_earned": ["how many loyalty points does an order earn"],
    "membership_fee": ["annual cost of membership"],
    "points_expiry": ["do my points expire"],
    "birthday_credit": ["birthday bonus"],
    "gift_card_limit": ["maximum balance of a gift card"],
    "gift_card_delivery": ["when will the gift card email arrive"],
    "gift_card_refund": ["return an unused gift card"],
    "warranty_term": ["warranty length in months"],
    "warranty_repair_time": ["how long does a warranty repair take"],
    "warranty_deductible": ["my share of repair costs"],
    "warranty_remedy": ["defective under warranty, repair or replacement"],
    "pickup_hold": ["how long will the store keep my pickup"],
    "pickup_ready": ["when is my pickup ready"],
    "pickup_proof": ["what to bring to collect a pickup"],
    "hazard_limit": ["limit on hazardous items per order"],
    "hazard_surcharge": ["fee for shipping hazardous goods"],
    "damage_report": ["parcel arrived damaged, when to report"],
    "damage_credit": ["keep the damaged item for a partial refund"],
    "repeat_discount": ["how much do I save with a subscription"],
    "repeat_notice": ["skip a repeat delivery"],
    "personalization_time": ["how long does engraving take"],
    "personalization_fee": ["engraving cost"],
    "installment_months": ["how many monthly installments", "spread the payment over months"],
    "installment_late_fee": ["missed installment penalty"],
    "answer_time": ["how fast does support reply"],
    "complaint_desk": ["who handles complaints"],
    "trade_in_value": ["what is my trade-in worth"],
    "trade_in_offer": ["how long is a trade-in offer good for"],
}


def test_a_reasonable_question_finds_its_passage() -> None:
    asked = [(key, query) for key, queries in QUERIES.items() for query in queries]
    assert set(QUERIES) | {"return_basics"} == set(rules())
    found = [key in [p.key for p in policies.search(None, query)] for key, query in asked]
    missed = [pair for pair, hit in zip(asked, found, strict=True) if not hit]
    assert not missed
    first = [policies.search(None, query)[0].key == key for key, query in asked]
    assert sum(first) >= 0.75 * len(first)


@pytest.mark.parametrize("clauses", (1, 3, 5))
def test_what_customers_ask_finds_its_passage(clauses: int) -> None:
    for seed in range(60):
        drawn = policy(seed)
        kind, facts = draw_case(rng("ask", clauses, seed), drawn, clauses)
        said = " ".join(policies.say(f, v, rng("say", seed, f)) for f, v in facts.items())
        question = policies.ask(kind, rng("how", seed))
        assert kind in [p.key for p in policies.search(drawn, question)], question
        assert kind in [p.key for p in policies.search(drawn, f"{question} {said}", 8)], question


@pytest.mark.parametrize("query", ["", "   ", "?!", "zzzz qqqq", "\ud800\x00", "the of and"])
def test_a_query_without_known_words_finds_nothing(query: str) -> None:
    assert policies.search(None, query) == []


def test_a_long_query_is_read_in_part() -> None:
    assert policies.search(None, "restocking fee " * 10**6)[0].key == "restocking_fee"


# Returns


@pytest.mark.parametrize("clauses", CLAUSES)
@pytest.mark.parametrize("eligible", [True, False])
@pytest.mark.parametrize("exchange", [True, False])
def test_a_drawn_return_turns_on_its_clauses(clauses: int, eligible: bool, exchange: bool) -> None:
    for seed in range(40):
        drawn = policy(seed, focus="shelf-c")
        facts, days = draw_return(
            rng("return", clauses, seed), drawn, clauses, eligible, "shelf-c", exchange
        )
        judged = eligibility(drawn, facts, days, exchange)
        assert judged.eligible is eligible
        assert judged.code == ("eligible" if eligible else "window_closed")
        assert facts["department"] == "shelf-c"
        assert len(eligibility_turns_on(drawn, facts, days, exchange)) == clauses
        for name in eligibility_turns_on(drawn, facts, days, exchange):
            rest = {key: value for key, value in facts.items() if key != name}
            assert eligibility(drawn, rest, days, exchange).eligible is not eligible


def test_what_cannot_be_returned() -> None:
    drawn = policy(9, focus="shelf-c", group="final")
    window = evaluate(drawn, "return_window", {})
    assert isinstance(window, int)

    def code(facts: dict[str, Any], days: int | None = 3) -> str:
        return eligibility(drawn, facts, days).code

    assert code({}) == "eligible" == code({}, window)
    assert code({}, window + 1) == "window_closed"
    assert code({}, None) == "not_delivered"
    assert code({"department": "shelf-c"}) == "final_sale" == code({"personalized": True})
    assert code({"department": "SHELF-C", "condition": "defective"}) == "eligible"
    lowest = drawn["figures"]["used_items"][0]
    for rank, tier in enumerate(TIERS):
        expected = "eligible" if rank >= lowest else "used_item"
        assert code({"condition": "used", "tier": tier}) == expected


def test_the_restocking_fee_is_for_open_packages_only() -> None:
    for condition, fee in [("unopened", False), ("opened", True), ("defective", False)]:
        judged = eligibility(None, {"condition": condition}, 1)
        assert (judged.fee_percent > 0) is fee
        assert eligibility(None, {"condition": condition}, 1, exchange=True).fee_percent == 0


def test_facts_are_read_off_the_order() -> None:
    order = {"placed_at": "2025-12-03T11:00:00", "payment": "gift card", "total_cents": 9000}
    line = {"condition": "opened", "unit_price_cents": 4500, "quantity": 2, "gift": True}
    facts = policies.return_facts(order, line, "rugs", {"tier": "Gold", "region": "Canada"})
    assert facts == {
        "tier": "Gold",
        "region": "Canada",
        "department": "rugs",
        "condition": "opened",
        "holiday": True,
        "order_total": 9000,
        "item_price": 4500,
        "count": 2,
        "payment": "gift card",
        "gift": True,
    }
    assert policies.days_since("2026-02-27T23:59:00", "2026-03-01T00:01:00") == 2
    assert policies.days_since(None, "2026-03-01") is None


def test_another_process_draws_renders_and_finds_the_same() -> None:
    program = (
        "from ecomkit.shop import policies as p; from ecomkit.core.seeds import digest, rng;"
        "drawn = p.draw_policy(rng('x'), ['b', 'a', 'c', 'd', 'e', 'f', 'g', 'h'], 'c');"
        "cases = [p.draw_case(rng(i), drawn, 3) for i in range(20)];"
        "found = [q.key for q in p.search(drawn, 'can I return opened gifts')];"
        "print(digest([drawn, cases, found, p.documents(drawn)]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1
