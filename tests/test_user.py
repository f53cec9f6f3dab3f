"""The customer: what they understand, when they say what, and models that word it for them."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomkit.core.records import Slot
from ecomkit.core.seeds import rng
from ecomkit.user import (
    Mistake,
    Review,
    User,
    make_replies,
    phrase_correction,
    phrase_statement,
    phrase_switch,
    questions,
    recognise,
)
from ecomkit.user.llm import LLMPhraser, check

DATA = Path(__file__).parent / "data"
NOUNS = {"item1": ["wall charger", "charger"], "item2": ["desk lamp", "lamp"], "item3": ["kettle"]}
NOTHING = Review()
RIGHT = Review(shown_right=True)


def constraint(attribute, op, value):
    return {"attribute": attribute, "op": op, "value": value}


FACTS = [
    ("item1.brand", "brand", "item1", constraint("brand", "eq", "Norvik"), True, ("brand",)),
    ("item1.price", "price_cents", "item1", constraint("price_cents", "le", 3500), False,
     ("price_cents", "budget")),
    ("item1.rating", "rating", "item1", constraint("rating", "ge", 4.5), False, ("rating",)),
    ("item2.variant", "variant", "item2", {"attributes": {"size": "M"}}, False,
     ("variant", "size")),
    ("item2.quantity", "quantity", "item2", {"quantity": 2}, False, ("quantity",)),
    ("item2.fallback", "fallback", "item2", {"kind": "skip"}, False, ("fallback",)),
    ("code", "discount_code", "", {"codes": ["SAVE10"]}, False, ("discount_code",)),
]  # fmt: skip


def a_script(switch: bool = True) -> dict:
    r = rng("script")
    slots = []
    for key, kind, subject, value, opening, asked_by in FACTS:
        noun = NOUNS[subject][0] if subject else ""
        slots.append(
            Slot(
                key, kind, subject, value, opening, opening,
                phrase_statement(kind, value, noun, r), phrase_correction(kind, value, noun, r),
                asked_by,
            ).to_dict()
        )  # fmt: skip
    change = {
        "after_step": 2,
        "slot": "item2.quantity",
        "value": {"quantity": 3},
        "statement": "I need three desk lamps.",
        "correction": "It should be three desk lamps.",
        "text": phrase_switch("quantity", {"quantity": 2}, {"quantity": 3}, "desk lamp", r),
    }
    script = {
        "slots": slots,
        "nouns": {k: NOUNS[k] for k in ("item1", "item2")},
        "replies": make_replies(r),
        "switch": change if switch else None,
        "persona": {},
    }
    return json.loads(json.dumps(script))


def statement(user: User, key: str) -> str:
    return user.slots[key].statement


# --- what the customer understands ---------------------------------------------------------


def load(name):
    return json.loads((DATA / name).read_text())


def test_questions_the_recogniser_was_not_written_from():
    heldout = load("questions_heldout.json")
    total = hits = 0
    for kind, texts in heldout["questions"].items():
        assert len(texts) >= 20
        found = sum(kind in recognise(text, NOUNS).kinds for text in texts)
        assert found / len(texts) >= 0.75, kind
        total, hits = total + len(texts), hits + found
    assert hits / total >= 0.90
    statements = heldout["statements"]
    assert len(statements) >= 60
    wrong = [s for s in statements if recognise(s, NOUNS).kinds or recognise(s, NOUNS).confirms]
    assert len(wrong) / len(statements) <= 0.03, wrong


def test_questions_used_for_tuning():
    dev = load("questions_dev.json")
    for case in dev["questions"]:
        got: dict[str, set[str]] = {}
        for kinds, subjects, inherited in recognise(case["text"], dev["nouns"]).parts:
            for kind in kinds:
                loose = inherited and not case["parts"].get(kind)
                got.setdefault(kind, set()).update(() if loose else subjects)
        if "budget" in case["parts"]:
            got.pop("price_cents", None)
        assert got == {k: set(v) for k, v in case["parts"].items()}, case["text"]
    for text in dev["confirmations"]:
        question = recognise(text, dev["nouns"])
        assert question.confirms and not question.kinds, text
    for text in dev["statements"]:
        question = recognise(text, dev["nouns"])
        assert not question.kinds and not question.confirms, text


def test_skipping_patterns_that_cannot_match_changes_nothing(monkeypatch):
    texts = [t for ts in load("questions_heldout.json")["questions"].values() for t in ts]
    texts += [case["text"] for case in load("questions_dev.json")["questions"]]
    questions._recognise.cache_clear()
    fast = [recognise(text, NOUNS) for text in texts]
    questions._recognise.cache_clear()
    monkeypatch.setattr(questions, "_possible", lambda core: list(questions._STEM_KINDS))
    assert [recognise(text, NOUNS) for text in texts] == fast
    questions._recognise.cache_clear()


def test_describing_an_item_asks_nothing_about_it():
    text = (
        "Would you like me to add the black Norvik charger (USB-C, $34.99, 4.6 stars) to the cart?"
    )
    question = recognise(text, NOUNS)
    assert question.confirms and not question.kinds
    cart = (
        "Here is your cart:\n- 2 x Norvik, black, $34.99, 4.6 stars\n- lamp, size M\nIs that right?"
    )
    assert recognise(cart, NOUNS).confirms and not recognise(cart, NOUNS).kinds


def test_a_model_that_thinks_aloud_is_understood():
    text = (
        "I looked at the brand, the price and the size of several lamps. The ratings are fine. "
        "Now I have to find out how many are needed, so I will ask.\n\n"
        * 20
        + "How many desk lamps would you like?"
    )
    question = recognise(text, NOUNS)
    assert question.kinds == {"quantity"} and question.subjects == {"item2"}


def test_values_of_the_caller_ask_for_their_kind():
    assert not recognise("Do you want Norvik or Selka?").kinds
    assert recognise("Do you want Norvik or Selka?", (), {"brand": ["Norvik"]}).kinds == {"brand"}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_survived(text):
    recognise(text, NOUNS)


def test_huge_texts_are_cheap():
    text = "Which brand, " * 800_000
    start = time.process_time()
    recognise(text + "?", NOUNS)
    assert time.process_time() - start < 0.5


# --- when they say what ----------------------------------------------------------------------


def test_a_specific_question_draws_out_what_it_asks_and_no_more():
    user = User(a_script())
    assert [s.key for s in user.disclosed] == ["item1.brand"]
    reply = user.reply("What is your price range for the charger?", NOTHING, 1)
    assert reply.act == "clarify" and reply.stated == ("item1.price",)
    assert reply.text == statement(user, "item1.price")
    assert user.stated == {"item1.brand", "item1.price"}
    assert len(user.left_out()) == 5


def test_several_questions_in_one_message_are_all_answered():
    user = User(a_script())
    reply = user.reply(
        "Which size should the lamp be, how many do you need, and do you have a discount code?",
        NOTHING, 1,
    )  # fmt: skip
    assert reply.act == "clarify"
    assert reply.stated == ("item2.variant", "item2.quantity", "code")
    assert "SAVE10" in reply.text and "M" in reply.text


def test_a_question_about_another_item_draws_nothing_out():
    user = User(a_script())
    reply = user.reply("How many wall chargers do you need?", NOTHING, 1)
    assert reply.act == "continue" and not reply.stated
    assert user.stated == {"item1.brand"}


def test_asked_again_means_repeated_without_credit():
    user = User(a_script())
    first = user.reply("Which size should the lamp be?", NOTHING, 1)
    again = user.reply("What size was the lamp again?", NOTHING, 2)
    assert first.act == "clarify" and again.act == "continue" and not again.stated
    assert statement(user, "item2.variant") in again.text


def test_a_generic_question_draws_out_the_next_two():
    user = User(a_script())
    one = user.reply("Anything else I should know?", NOTHING, 1)
    assert one.act == "clarify" and one.stated == ("item1.price", "item1.rating")
    two = user.reply("Can you tell me more about the lamp?", NOTHING, 2)
    assert two.stated == ("item2.variant", "item2.quantity")
    three = user.reply("Anything else?", NOTHING, 3)
    assert three.stated == ("item2.fallback", "code")
    four = user.reply("Anything else?", NOTHING, 4)
    assert four.act == "continue" and four.text in a_script()["replies"]["nothing_more"]


def test_statements_draw_nothing_out_whatever_they_name():
    user = User(a_script())
    for text in load("questions_heldout.json")["statements"] + ["", "?", "ok", "\x00\u202e"]:
        reply = user.reply(text, NOTHING, 1)
        assert reply.act == "continue" and not reply.stated
    assert user.stated == {"item1.brand"}


def test_mistakes_are_named_and_a_correction_states_its_slot():
    user = User(a_script())
    review = Review(mistakes=(Mistake("item2.variant", "variant"),), shown_right=True)
    reply = user.reply("Is that right?", review, 1)
    assert reply.act == "correct" and reply.stated == ("item2.variant",)
    assert user.slots["item2.variant"].correction in reply.text
    assert any(reply.text.startswith(lead) for lead in user.replies["mistake_lead"])
    extra = Review(mistakes=(Mistake(None, "extra_item", "I didn't ask for the kettle."),))
    reply = user.reply("Done!", extra, 2)
    assert reply.act == "correct" and not reply.stated and "kettle" in reply.text


def test_a_question_comes_before_a_mistake():
    user = User(a_script())
    review = Review(mistakes=(Mistake("item2.variant", "variant"),))
    assert user.reply("How many lamps?", review, 1).act == "clarify"
    assert user.reply("How many lamps?", review, 2).act == "correct"


def test_confirming_needs_something_right_and_a_question():
    user = User(a_script())
    assert user.reply("Does this look right?", RIGHT, 1).act == "confirm"
    assert user.reply("Here you go.", RIGHT, 2).act == "continue"
    assert user.reply("Does this look right?", NOTHING, 3).act == "continue"


def test_a_change_of_mind_replaces_the_slot_everywhere():
    user = User(a_script())
    assert user.interject(1) is None
    reply = user.interject(2)
    assert reply is not None and reply.act == "elaborate" and reply.stated == ("item2.quantity",)
    assert user.interject(3) is None
    assert {s.key: s.value for s in user.disclosed}["item2.quantity"] == {"quantity": 3}
    assert "I need three desk lamps." in user.reply("How many lamps?", NOTHING, 3).text
    review = Review(mistakes=(Mistake("item2.quantity", "quantity"),))
    assert "It should be three desk lamps." in user.reply("Done.", review, 4).text


def test_a_change_of_mind_keeps_the_place_of_what_was_said():
    user = User(a_script())
    user.reply("How many lamps, and which size?", NOTHING, 1)
    order = [s.key for s in user.disclosed]
    user.interject(2)
    assert [s.key for s in user.disclosed] == order


def test_what_is_not_there_is_answered_in_its_own_way():
    user = User({**a_script(), "slots": []})
    replies = user.replies["by_kind"]
    assert user.reply("Should I place the order?", NOTHING, 1).text in replies["checkout"]
    reply = user.reply("Everything is in. Shall I place the order?", RIGHT, 1)
    assert reply.act == "confirm" and reply.text in replies["checkout"]
    assert user.reply("Do you have a coupon?", NOTHING, 2).text in replies["discount_code"]
    assert user.reply("Which colour?", NOTHING, 3).text in user.replies["no_preference"]
    assert user.reply("Which order is it?", NOTHING, 4).text in user.replies["unknown"]


def test_replies_depend_on_the_script_and_the_calls_alone():
    talk = [("Which size is the lamp?", NOTHING), ("Anything else?", NOTHING), ("Ok?", RIGHT),
            ("Hm.", NOTHING), ("Which brand?", NOTHING)]  # fmt: skip

    def play():
        user = User(a_script())
        return [user.reply(text, review, i) for i, (text, review) in enumerate(talk)]

    assert play() == play()


def test_a_minimal_script_is_enough():
    user = User({"slots": []})
    for text in ("Hello", "Which brand?", "Anything else?", "Is that right?"):
        assert user.reply(text, RIGHT, 1).text
    assert user.reply("x", Review(mistakes=(Mistake(None, "x", "No kettle."),)), 1).act == "correct"
    assert user.done_text() and user.quit_text() and user.interject(9) is None


def test_no_reply_gives_away_what_is_left_out():
    """Over many talks, a value is heard only in a reply that says so."""
    script = a_script(switch=False)
    marks = {"item1.price": "35", "item1.rating": "4.5", "code": "SAVE10"}
    pool = [t for ts in load("questions_heldout.json")["questions"].values() for t in ts]
    for i in range(60):
        user, draw = User(script), rng("talk", i)
        for step in range(8):
            before = set(user.stated)
            review = draw.choice([NOTHING, RIGHT, Review((Mistake("item2.variant", "v"),))])
            reply = user.reply(draw.choice(pool), review, step)
            assert set(reply.stated) == user.stated - before or reply.act == "correct"
            for key, mark in marks.items():
                assert mark not in reply.text or key in user.stated


def test_a_reply_is_fast():
    user = User(a_script())
    texts = [
        f"I found {i} lamps. Which size would you like for the lamp, and how many?"
        for i in range(300)
    ]
    best = 1.0
    for _ in range(3):
        questions._recognise.cache_clear()
        start = time.process_time()
        for text in texts:
            user.reply(text, NOTHING, 1)
        best = min(best, (time.process_time() - start) / len(texts))
    assert best < 400e-6  # 90 us on a quiet machine


# --- models that word it ---------------------------------------------------------------------

TEMPLATE = "I need two desk lamps from Norvik under $35. My code is SAVE10."
KEEP = [
    ("quantity", {"quantity": 2}),
    ("brand", constraint("brand", "eq", "Norvik")),
    ("price_cents", constraint("price_cents", "le", 3500)),
    ("discount_code", {"codes": ["SAVE10"]}),
]
HIDE = [("variant", {"attributes": {"color": "red"}}), ("rating", constraint("rating", "ge", 4.5))]
GOOD = "Hey! Looking for 2 Norvik desk lamps, under $35 please. I've got SAVE10 to use."
BAD = {
    "missing": "Hey! Looking for 2 desk lamps, under $35 please. I've got SAVE10 to use.",
    "leak": "Hey! Looking for 2 red Norvik desk lamps, under $35. I've got SAVE10 to use.",
    "figure": "Hey! Looking for 2 Norvik desk lamps, under $35, in 12 days. I've got SAVE10 here.",
    "length": "Norvik " + GOOD * 10,
    "format": GOOD + " {title}",
    "voice": "As an AI, here you go: 2 Norvik desk lamps under $35 with SAVE10. Enjoy.",
}


def test_the_check_accepts_a_faithful_rewording():
    assert check(TEMPLATE, GOOD, KEEP, HIDE, [["desk lamp", "desk lamps"]]) == ""


@pytest.mark.parametrize("reason", BAD)
def test_the_check_refuses(reason):
    assert check(TEMPLATE, BAD[reason], KEEP, HIDE).startswith(reason)


def test_the_check_refuses_a_changed_identifier_and_a_lost_item():
    template = "It's about order W1234567, please help."
    assert check(template, "It's about order w1234567, please help.", []).startswith("identifier")
    assert check(TEMPLATE, GOOD.replace("desk lamps", "things"), KEEP, HIDE, [["desk lamps"]])


class Stub(BaseHTTPRequestHandler):
    answers: list = []
    seen: list = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Stub.seen.append((self.path, self.headers.get("Authorization"), body))
        answer = Stub.answers.pop(0) if Stub.answers else GOOD
        if answer == "slow":
            time.sleep(1.0)
        if isinstance(answer, int):
            self.send_response(answer)
            self.end_headers()
            return
        raw = answer if isinstance(answer, bytes) else json.dumps(
            {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        ).encode()  # fmt: skip
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    Stub.answers, Stub.seen = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def a_phraser(endpoint, **options):
    return LLMPhraser(endpoint, "test-model", api_key="sk-secret", timeout=0.4, **options)


def test_a_good_text_is_taken(endpoint):
    phraser = a_phraser(endpoint)
    assert phraser.rewrite(TEMPLATE, KEEP, HIDE) == GOOD
    path, authorization, body = Stub.seen[0]
    assert path == "/v1/chat/completions" and authorization == "Bearer sk-secret"
    assert body["model"] == "test-model" and body["messages"][-1]["content"] == TEMPLATE
    assert phraser.counts == {"accepted": 1, "template": 0}
    assert "sk-secret" not in repr(phraser)


@pytest.mark.parametrize(
    "bad",
    [BAD["missing"], BAD["leak"], b"not json", b"[]", b'{"choices": []}', "", 500, 429,
     "slow", None],
    ids=["missing", "leak", "not json", "list", "no choice", "empty", "500", "429", "slow", "null"],
)  # fmt: skip
def test_a_bad_answer_is_asked_for_again(endpoint, bad):
    Stub.answers = [bad]
    phraser = a_phraser(endpoint)
    assert phraser.rewrite(TEMPLATE, KEEP, HIDE) == GOOD
    assert len(Stub.seen) == 2 and phraser.counts["accepted"] == 1


def test_after_the_last_try_the_template_stays(endpoint):
    Stub.answers = [BAD["leak"], 500, b"{"]
    phraser = a_phraser(endpoint, retries=2)
    assert phraser.rewrite(TEMPLATE, KEEP, HIDE) == TEMPLATE
    assert phraser.counts["template"] == 1 and phraser.counts["accepted"] == 0
    assert not any("secret" in name for name in phraser.counts)


def test_no_server_at_all_keeps_the_template():
    phraser = LLMPhraser("http://127.0.0.1:9", "m", timeout=0.5, retries=0)
    assert phraser.rewrite(TEMPLATE, KEEP) == TEMPLATE
    with pytest.raises(ValueError, match="http"):
        LLMPhraser("file:///etc/passwd", "m")


def test_a_whole_script_is_reworded_and_still_says_the_same(endpoint):
    script = a_script(switch=False)
    opening = "Hi, I need a wall charger from Norvik and two desk lamps."
    Stub.answers = ["A Norvik wall charger plus two desk lamps, please."]
    phraser = a_phraser(endpoint, retries=0)
    new_opening, new = phraser.rephrase(opening, script)
    assert new_opening == opening or "Norvik" in new_opening
    for old_slot, slot in zip(script["slots"], new["slots"], strict=True):
        assert {**slot, "statement": ""} == {**old_slot, "statement": ""}
    assert phraser.counts["accepted"] + phraser.counts["template"] == 1 + len(script["slots"])
    assert User(new).reply("Which size is the lamp?", NOTHING, 1).act == "clarify"


@pytest.mark.parametrize(
    ("text", "subject"),
    [("How many sports & outdoors items?", "a"), ("How many sports and outdoors items?", "a"),
     ("Which size of kids' headphones?", "b"), ("Which color for the kids headphones?", "b"),
     ("Which color for the chefs knife?", "c"), ("How many chef's knives?", "c"),
     ("What size is the knife?", "c")],
)  # fmt: skip
def test_names_with_marks_are_found(text, subject):
    nouns = {
        "a": ["sports & outdoors item"],
        "b": ["pair of kids' headphones"],
        "c": ["chef's knife"],
    }
    assert recognise(text, nouns).subjects == {subject}
