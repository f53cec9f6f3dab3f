"""Records in a notebook: readable, and hostile content shown as the text it is."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecomkit as ek
from ecomkit.agents.scripted import play_session
from ecomkit.core.records import Check, Score, Trajectory
from ecomkit.views import html

VOID = {"br", "hr", "img", "input", "meta", "link"}
HOSTILE = (
    "</div></style><script>alert(1)</script><img src=x onerror=alert(2)> & \"'`\u202e\x00\ud800"
)


class Reader(HTMLParser):
    """Tags that are open, all tags and attributes seen, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text += data


def read(page: str) -> Reader:
    """Parses and checks that every tag is closed and nothing can run or load."""
    page.encode("utf-8")
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert not reader.tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    assert not any(name.startswith("on") for name in reader.attributes)
    assert not reader.attributes & {"src", "srcset", "action", "formaction"}
    return reader


@pytest.fixture(scope="module")
def session(episodes_folder, catalog):
    row = ek.load_episodes(episodes_folder, "cart", split="d03")[0]
    return play_session("honest", ek.Episode.from_row(row), catalog)


def test_the_four_records_render(session):
    episode, trajectory, score = session.episode, session.trajectory("honest"), session.score()
    opening = episode.prompt[-1]["content"]
    for record in (episode, session, trajectory):
        page = record._repr_html_()
        assert html.esc(opening) in page
        read(page)
    assert "agent, step 1" in trajectory._repr_html_()
    assert "hidden from the agent" in episode._repr_html_()
    assert "✓ passed" in session._repr_html_() and "✓ passed" in score._repr_html_()
    text = read(score._repr_html_()).text
    assert f"{score.reward:.2f}" in text and score.checks[0].name in text


def test_a_session_renders_at_every_stage(episodes_folder, catalog):
    session = ek.replay(ek.load_episodes(episodes_folder, "cart", split="d00")[0], catalog)
    assert "0 of" in read(session._repr_html_()).text
    session.step({"tool_calls": [{"name": "cart_view", "args": {}}]})
    assert "1 of" in read(session._repr_html_()).text
    session.step("no JSON {")
    session.step({"tool_calls": [{"name": HOSTILE, "args": {}}]})
    assert "illegal_tool" in read(session._repr_html_()).text
    quiet = play_session("reference", session.episode, catalog, record=False)
    assert "keeps no messages" in quiet._repr_html_()


def hostile_messages():
    call = {"id": "1", "function": {"name": HOSTILE, "arguments": {HOSTILE: HOSTILE}}}
    card = {"product_id": HOSTILE, "title": HOSTILE, "price_cents": HOSTILE, HOSTILE: [HOSTILE]}
    return [
        {"role": HOSTILE, "content": HOSTILE},
        {"role": "user", "content": HOSTILE},
        {"role": "assistant", "content": HOSTILE, "tool_calls": [call, HOSTILE, None]},
        {"role": "tool", "name": HOSTILE, "content": json.dumps({"results": [card, card]})},
        {"role": "tool", "name": HOSTILE, "content": {"error": HOSTILE, "message": HOSTILE}},
        {"role": "tool", "content": {"stock": HOSTILE, HOSTILE: 1}},
        {"role": "assistant", "content": json.dumps({"assistant_message": HOSTILE, "answer": card,
            "tool_calls": [{"name": HOSTILE, "args": card}, 7]})},
        {"role": "assistant", "content": [{"type": "text", "text": HOSTILE}], "tool_calls": 7},
        HOSTILE,
        None,
    ]  # fmt: skip


def test_hostile_content_is_shown_as_text(session):
    trajectory = Trajectory(HOSTILE, hostile_messages(), HOSTILE, HOSTILE)
    reader = read(trajectory._repr_html_())
    assert reader.text.count("alert(1)") >= 12 and "onerror=alert(2)" in reader.text
    assert "\u202e" not in reader.text and "\x00" not in reader.text
    read(html.conversation(hostile_messages(), decisive_step=2, why=HOSTILE))
    score = Score(
        0.0, 0.0, 0.0, 0.0, False, HOSTILE, 1, 1, 1, (Check(HOSTILE, False, HOSTILE),),
        HOSTILE, HOSTILE, HOSTILE, 0, HOSTILE,
    )  # fmt: skip
    read(score._repr_html_())
    row = session.episode.to_row()
    row["goal"] = json.dumps({HOSTILE[:-1]: [{HOSTILE[:-1]: HOSTILE[:-1]}]})
    row["prompt"] = [{"role": "user", "content": HOSTILE}]
    row["department"] = row["episode_id"] = HOSTILE
    read(ek.Episode.from_row(row)._repr_html_())


def test_the_decisive_step_is_marked_once(session):
    page = html.conversation(session.messages, decisive_step=2)
    assert page.count("ek-decisive") == 1 == page.count("decisive step")
    assert page.index("agent, step 1") < page.index("ek-decisive") < page.index("agent, step 3")
    beyond = html.conversation(session.messages, decisive_step=99)
    assert beyond.count("ek-decisive") == 1 and beyond.rindex("ek-decisive") > beyond.index(
        "step 3"
    )


def test_what_is_long_or_deep_is_cut():
    deep: object = "x"
    for _ in range(900):
        deep = [deep]
    nested = '{"a":' * 5000 + "1" + "}" * 5000
    messages = [
        {"role": "assistant", "content": "y" * 1_000_000},
        {
            "role": "tool",
            "content": {"a": deep, "b": 10**5000, "c": float("inf"), "d": float("nan")},
        },
        {"role": "tool", "content": {"results": [{"a": 1}] * 100_000}},
        {"role": "tool", "content": nested},
        *[{"role": "user", "content": "more"}] * 10_000,
    ]
    page = html.conversation(messages)
    assert len(page) < 200_000 and "996,000 more characters" in page
    assert f"{len(messages) - html.MESSAGE_LIMIT:,} more messages" in page
    read(page)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
ROLES = st.sampled_from(["user", "assistant", "tool", "system"])


@given(st.lists(st.fixed_dictionaries({"role": ROLES}, optional={
    "content": JSON, "tool_calls": JSON, "name": JSON}) | JSON, max_size=5))  # fmt: skip
def test_anything_renders(messages):
    read(html.conversation(messages))


def test_ids_are_named_by_what_the_log_showed():
    card = {"product_id": "A1", "title": "Fast charger", "price_cents": 1999}
    messages = [
        {"role": "tool", "content": json.dumps({"results": [card]})},
        {"role": "assistant", "tool_calls": [
            {"function": {"name": "cart_add", "arguments": '{"product_id": "A1"}'}}]},
    ]  # fmt: skip
    page = html.conversation(messages)
    assert page.count("Fast charger") == 2 and "$19.99" in page
    assert "Fast charger" in html.value({"want": "A1"}, html.product_titles(messages))


def test_a_goal_reads_as_requirements():
    goal = {
        "requirements": [
            {"attribute": "price_cents", "op": "le", "value": 7500},
            {"attribute": "rating", "op": "between", "value": [4.0, 4.5]},
            {"attribute": HOSTILE, "op": HOSTILE, "value": {HOSTILE: [HOSTILE]}},
        ],
        "empty": None,
    }
    text = read(html.value(goal)).text
    assert "price ≤ $75.00; rating from 4 to 4.5; " in text
