"""Being the agent: a session played by a person in the terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from ecomkit.core.records import Action, Episode, Observation, Score, ToolCall
from ecomkit.session.actions import MAX_CHARACTERS
from ecomkit.session.session import SEARCH_TOOLS, Session, replay
from ecomkit.shop import tools
from ecomkit.views import show

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

HELP = """\
Several calls make one step when they are joined with ";" (say goes with them too).
Products may be named by the number that is shown (#3), variants by the end of their id or by
their value (blue), order lines and cart lines by their id.

  search WORDS [brand="X"] [price<=35] [rating>=4] [page=2]     price in dollars
  open #3            variants #3            rank #3 #5 [like #2 | WORDS]
  add #3 [VARIANT] [QUANTITY]      cart     remove LINE     quantity LINE N
  code CODE          checkout
  orders             order ID
  eligible ORDER LINE        return ORDER LINE [REASON]     exchange ORDER LINE #3 [VARIANT]
  policy WORDS       visits                 profile         now
  ask QUESTION       ask the customer through the tool
  say TEXT           say something to the customer
  submit [JSON]      end with an answer: the whole JSON, or key=value pairs
  call NAME {JSON}   any tool, with its arguments as JSON

Not steps: help, tools [NAME], messages, goal (once it is over), quit."""

_SHORT = {
    "price": "price_cents",
    "ship": "ship_days",
    "shipping": "ship_days",
    "weight": "weight_lbs",
    "screen": "screen_size_inches",
    "connector": "connector_type",
    "form": "item_form",
    "skin": "skin_type",
    "finish": "finish_type",
    "age": "age_range",
    "reviews": "rating_count",
}
_FILTER = re.compile(r'(\w+)(<=|>=|=)("[^"]*"|\S+)')


class Misread(Exception):
    """A line that is no command; nothing was sent."""


class Memory:
    """What the person has seen: product ids by number, and the variants of each product."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.ids: list[str] = []
        self.variants: dict[str, list[Mapping[str, Any]]] = {}

    def take(self, result: Any, product_id: str = "") -> None:
        """Numbers every product in a tool result, in reading order."""
        if isinstance(result, Mapping):
            own = result.get("product_id")
            if isinstance(own, str):
                product_id = own
                if own not in self.numbers:
                    self.ids.append(own)
                    self.numbers[own] = len(self.ids)
            for key, value in result.items():
                if key == "variants" and isinstance(value, list) and product_id:
                    self.variants[product_id] = [v for v in value if isinstance(v, Mapping)]
                self.take(value, product_id)
        elif isinstance(result, list | tuple):
            for value in result:
                self.take(value, product_id)

    def product(self, word: str) -> str:
        """A product id from ``#3`` or from itself."""
        if not word.startswith("#"):
            return word
        if not word[1:].isdigit() or not 1 <= int(word[1:]) <= len(self.ids):
            shown = f"#1 to #{len(self.ids)}" if self.ids else "none yet"
            raise Misread(f"there is no product {word}; numbers shown so far: {shown}")
        return self.ids[int(word[1:]) - 1]

    def variant(self, product_id: str, word: str) -> str:
        """A variant id from itself, from its end, or from its value."""
        known = self.variants.get(product_id, [])
        for test in (
            lambda v: v.get("variant_id") == word,
            lambda v: (
                word.casefold() in (str(x).casefold() for x in (v.get("attributes") or {}).values())
            ),
            lambda v: str(v.get("variant_id", "")).casefold().endswith(word.casefold()),
        ):
            found = [str(v.get("variant_id")) for v in known if test(v)]
            if len(found) == 1:
                return found[0]
        return word


def _words(text: str, least: int, most: int, form: str) -> list[str]:
    words = text.split(maxsplit=most - 1) if most else text.split()
    if len(words) < least:
        raise Misread(f"it goes: {form}")
    return words


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise Misread(f"{word!r} is no whole number") from None


def _number(name: str, text: str) -> float | int:
    try:
        number = float(text.strip('"').lstrip("$").replace(",", ""))
    except ValueError:
        raise Misread(f"{name} needs a number, not {text!r}") from None
    if not -1e15 < number < 1e15:
        raise Misread(f"{name} cannot be {text}")
    # Prices are typed as they are shown, in dollars; the tool has cents.
    number = round(number * 100) if name == "price" else number
    return int(number) if number == int(number) else number


def _search(text: str) -> dict[str, Any]:
    """The arguments of ``catalog_search`` from words, ``brand="X"`` and ``price<=35``."""
    arguments: dict[str, Any] = {}
    filters: dict[str, Any] = {}
    known = tools.FILTER_SCHEMA["properties"]

    def take(match: re.Match[str]) -> str:
        name, sign, value = match.groups()
        if name == "page":
            arguments["page"] = _number(name, value)
            return " "
        attribute = _SHORT.get(name, name)
        if attribute in known and known[attribute]["type"] == "string":
            keys = [attribute] if sign == "=" else []
        else:
            ends = {"<=": ["max"], ">=": ["min"], "=": ["min", "max"]}[sign]
            keys = [f"{attribute}_{end}" for end in ends]
        if not keys or not all(key in known for key in keys):
            raise Misread(f"no filter {name}{sign}…; the filters are {', '.join(_filters())}")
        text_filter = keys == [attribute]
        filters.update(
            (key, value.strip('"') if text_filter else _number(name, value)) for key in keys
        )
        return " "

    query = " ".join(_FILTER.sub(take, text).split())
    if not query:
        raise Misread('it goes: search WORDS [brand="X"] [price<=35] [page=2]')
    if filters:
        arguments["filters"] = filters
    return {"query": query, **arguments}


def _filters() -> Iterator[str]:
    """The filters as a person types them."""
    short = {full: name for name, full in reversed(_SHORT.items())}
    for key in tools.FILTER_SCHEMA["properties"]:
        name, _, end = key.rpartition("_")
        if end in ("min", "max"):
            yield f"{short.get(name, name)}{'>=' if end == 'min' else '<='}"
        else:
            yield f"{short.get(key, key)}="


def _pairs(text: str) -> dict[str, Any]:
    """An answer from JSON, or from ``key=value`` pairs."""
    text = text.strip()
    if not text:
        return {}
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Misread(f"that is not JSON: {error}") from None
        return dict(value)
    answer: dict[str, Any] = {}
    for match in re.finditer(r'(\w+)=("[^"]*"|\S+)', text):
        try:
            answer[match[1]] = json.loads(match[2])
        except ValueError:
            answer[match[1]] = match[2].strip('"')
    if not answer:
        raise Misread('it goes: submit, submit key=value …, or submit {"key": "value"}')
    return answer


def parse_line(line: str, memory: Memory) -> Action:
    """The action that a line of commands means.

    Raises:
        Misread: with a sentence for the person; nothing was done.
    """
    texts: list[str] = []
    calls: list[ToolCall] = []
    answer: dict[str, Any] | None = None
    for command in split_commands(line):
        verb, _, rest = command.partition(" ")
        verb, rest = verb.lower(), rest.strip()
        if verb == "say":
            texts += [rest] if rest else []
        elif verb == "submit":
            answer = _pairs(rest)
        elif verb in _COMMANDS:
            calls.append(_COMMANDS[verb](rest, memory))
        else:
            raise Misread(f'no command {verb!r}; "help" lists them, "say {command}" says it')
    if not texts and not calls and answer is None:
        raise Misread("say what?")
    return Action(" ".join(texts), tuple(calls), answer)


def split_commands(line: str) -> Iterator[str]:
    """Parts of a line between ``;``, where a command follows it; other ``;`` belong to text."""
    verbs = "|".join([*_COMMANDS, "say", "submit"])
    for part in re.split(rf";\s*(?=(?:{verbs})\b)", line, flags=re.IGNORECASE):
        if part.strip().rstrip(";").strip():
            yield part.strip().rstrip(";").strip()


def _add(rest: str, memory: Memory) -> ToolCall:
    words = _words(rest, 1, 0, "add #3 [VARIANT] [QUANTITY]")
    arguments: dict[str, Any] = {"product_id": memory.product(words.pop(0))}
    # A long number is a variant id of an imported catalog, a short one a quantity.
    if words and words[-1].lstrip("-").isdigit() and len(words[-1]) < 6:
        arguments["quantity"] = int(words.pop())
    if words:
        arguments["variant_id"] = memory.variant(arguments["product_id"], " ".join(words))
    return ToolCall("cart_add", arguments)


def _rank(rest: str, memory: Memory) -> ToolCall:
    words = _words(rest, 1, 0, "rank #3 #5 [like #2 | WORDS]")
    ids = []
    while words and words[0].startswith("#"):
        ids.append(memory.product(words.pop(0)))
    if not ids:
        raise Misread("it goes: rank #3 #5 [like #2 | WORDS]")
    if len(words) == 2 and words[0] == "like":
        reference = {"reference_product_id": memory.product(words[1])}
        return ToolCall("catalog_rerank", {"product_ids": ids, **reference})
    query = {"query": " ".join(words)} if words else {}
    return ToolCall("catalog_rerank", {"product_ids": ids, **query})


def _product(name: str) -> Callable[[str, Memory], ToolCall]:
    def make(rest: str, memory: Memory) -> ToolCall:
        (word,) = _words(rest, 1, 1, "open #3 or variants #3")
        return ToolCall(name, {"product_id": memory.product(word)})

    return make


def _plain(name: str, *keys: str, optional: int = 0) -> Callable[[str, Memory], ToolCall]:
    """A command whose words are the tool's arguments in order, the last one to the end."""

    def make(rest: str, memory: Memory) -> ToolCall:
        if not keys:
            return ToolCall(name, {})
        form = " ".join([name, *(key.upper() for key in keys)])
        words = _words(rest, len(keys) - optional, len(keys), form)
        arguments: dict[str, Any] = dict(zip(keys, words, strict=False))
        if "quantity" in arguments:
            arguments["quantity"] = _whole(arguments["quantity"])
        if "product_id" in arguments:
            arguments["product_id"] = memory.product(arguments["product_id"])
            if "variant_id" in arguments:
                arguments["variant_id"] = memory.variant(
                    arguments["product_id"], arguments["variant_id"]
                )
        return ToolCall(name, arguments)

    return make


def _call(rest: str, memory: Memory) -> ToolCall:
    name, _, text = rest.partition(" ")
    if not name:
        raise Misread("it goes: call NAME {JSON}")
    return ToolCall(name, _pairs(text))


_COMMANDS: dict[str, Callable[[str, Memory], ToolCall]] = {
    "search": lambda rest, memory: ToolCall("catalog_search", _search(rest)),
    "open": _product("catalog_get_product"),
    "variants": _product("catalog_get_variants"),
    "rank": _rank,
    "add": _add,
    "cart": _plain("cart_view"),
    "remove": _plain("cart_remove", "line_id"),
    "quantity": _plain("cart_set_quantity", "line_id", "quantity"),
    "code": _plain("cart_apply_discount", "code"),
    "checkout": _plain("order_checkout"),
    "orders": _plain("order_list"),
    "order": _plain("order_get_status", "order_id"),
    "eligible": _plain("return_check_eligibility", "order_id", "line_id"),
    "return": _plain("return_initiate", "order_id", "line_id", "reason", optional=1),
    "exchange": _plain(
        "return_exchange", "order_id", "line_id", "product_id", "variant_id", optional=1
    ),
    "policy": _plain("policy_search", "query"),
    "visits": _plain("user_get_visit_history"),
    "profile": _plain("user_get_profile"),
    "now": _plain("datetime_now"),
    "ask": _plain("ask_user", "question"),
    "call": _call,
}


class Player:
    """The loop of ``ecomkit play``: reads commands, steps the session, prints what it shows."""

    def __init__(self, episode: Episode, catalog: Catalog, source: TextIO, out: TextIO) -> None:
        self.episode = episode
        self.catalog = catalog
        self.session: Session = replay(episode, catalog)
        self.memory = Memory()
        self.source = source
        self.out = out
        self.width = show.terminal_width()

    def run(self) -> Score | None:
        """Plays to the end; None if the person quits before it."""
        observation = self.session.reset()
        self._say(show.render_episode(self.episode, width=self.width))
        self._say('\nYou are the agent. "help" lists the commands.')
        while not observation.done:
            line = self._read(f"\nstep {observation.turn + 1} of {self.episode.max_turns}> ")
            if line is None or line.strip().lower() in ("quit", "exit"):
                self._say("You left before the end; there is no score.")
                return None
            try:
                if self._aside(line):
                    continue
                action = parse_line(line, self.memory)
                self._check(action)
            except Misread as error:
                self._say(f"(nothing was sent) {error}")
                continue
            observation = self.session.step(action)
            self._show(observation)
        score = self.session.score()
        self._say("\n" + show.render_score(score, self.width))
        self._after()
        return score

    def _say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def _read(self, prompt: str) -> str | None:
        """The next line that is not blank; None at the end of the input."""
        while True:
            if self.source is sys.stdin and sys.stdin.isatty():
                with suppress(ImportError):
                    import readline  # noqa: F401  (gives input() a history)
                try:
                    line = input(prompt)
                except EOFError:
                    return None
            else:
                line = self.source.readline()
                if not line:
                    return None
                self._say(prompt + line.rstrip("\n"))
            if line.strip():
                return line.strip()

    def _aside(self, line: str) -> bool:
        """Answers a line that is no step; False if it is one."""
        verb, _, rest = line.partition(" ")
        if verb in ("help", "?"):
            self._say(HELP)
        elif verb == "tools":
            self._say(self._tools(rest.strip()))
        elif verb == "messages":
            texts = show.render_messages(self.session.messages, self.width, self.memory.numbers)
            self._say("\n".join(texts))
        elif verb == "goal":
            self._say("The goal is hidden until the session is over.")
        else:
            return False
        return True

    def _schemas(self) -> list[Mapping[str, Any]]:
        return [tool.get("function", tool) for tool in self.episode.tools]

    def _tools(self, name: str) -> str:
        listed = self._schemas()
        if name:
            found = [tool for tool in listed if tool["name"] == name]
            if not found:
                raise Misread(
                    f"no tool {name!r}; choose from {', '.join(t['name'] for t in listed)}"
                )
            return json.dumps(found[0], indent=2, ensure_ascii=False)
        lines = []
        for tool in listed:
            lines += show.wrap(tool.get("description", ""), self.width, f"{tool['name']}: ", "    ")
        return "\n".join(lines)

    def _check(self, action: Action) -> None:
        """Keeps a slip of the keyboard from ending the session, as an illegal call would."""
        if len(action.text) > MAX_CHARACTERS:
            raise Misread(f"{len(action.text):,} characters are too many to say")
        counted = 0
        for call in action.tool_calls:
            tool = tools.resolve(call.name)
            if tool is None:
                raise Misread(f'no tool {call.name!r}; "tools" lists them')
            problems = tools.validate(tool, call.arguments)
            if problems:
                raise Misread(f"{tool.name}: {'; '.join(problems)}")
            if tool.name in SEARCH_TOOLS and self.catalog.search_engine is None:
                raise Misread(
                    "the catalog has no search: build embeddings and an index beside it "
                    "(scripts/build_embeddings.py, build_index.py), or name them with --search"
                )
            counted += tool.counts_budget
        if action.answer is not None:
            submit = next(f for f in self._schemas() if f["name"] == "submit_answer")
            if problems := tools.check_answer(submit["parameters"], action.answer):
                raise Misread(f"submit: {'; '.join(problems)}")
        if counted > self.episode.tool_budget:
            raise Misread(f"{counted} calls in one step; {self.episode.tool_budget} are allowed")

    def _show(self, observation: Observation) -> None:
        for result in observation.results:
            self.memory.take(result)
        messages = observation.messages
        for text in show.render_messages(messages, self.width, self.memory.numbers):
            self._say(text)

    def _after(self) -> None:
        """What the person may still ask once the score is known."""
        while (line := self._read('\nover ("goal", "messages" or "quit")> ')) is not None:
            if line == "goal":
                self._say(show.render_episode(self.episode, self.catalog, True, self.width))
            elif line == "messages":
                self._aside(line)
            else:
                return
