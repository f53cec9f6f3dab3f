"""The session: the only place where agent, tools, user and world meet.

One step is: read the action, refuse what is illegal, run the tool calls in order, then take the
answer or let the user reply, then let the shop's events and the user's change of mind happen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ecomkit.core.display import in_notebook
from ecomkit.core.errors import CatalogError, SessionOver
from ecomkit.core.records import (
    DISCOUNTED_ACTS,
    Action,
    Check,
    Episode,
    Observation,
    Reply,
    Score,
    Slot,
    ToolCall,
    Trajectory,
    Verdict,
)
from ecomkit.core.rewards import combine, efficiency, hallucination, shaped
from ecomkit.envs import environment
from ecomkit.session.actions import Unparseable, parse_action, to_message
from ecomkit.shop.tools import (
    ToolContext,
    compile_schema,
    printable,
    product_ids_written,
    resolve,
    validate,
)
from ecomkit.shop.tools import run as run_tool
from ecomkit.shop.world import World
from ecomkit.user import SAID_AT_ONCE, Mistake, User

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.envs.base import Environment, Intent

_WORST_FIRST = ("quit", "correct", "elaborate", "continue", "clarify", "confirm")
_UNBUDGETED = frozenset({"ask_user", "submit_answer"})
SEARCH_TOOLS = frozenset({"catalog_search", "catalog_rerank"})
"""Tools whose results need the embeddings; scoring may take them from a log."""


LoggedSearch = Callable[[int, str, Mapping[str, Any]], Mapping[str, Any]]
"""(place among the step's calls, tool, arguments) → the result to take."""


class Said(NamedTuple):
    """One message of the session: a tool's result (JSON-ready) or the customer's words."""

    role: str
    tool: str
    content: Any


@dataclass(slots=True)
class Step:
    """One step of a traced session: what was done, what came of it, and the state before."""

    before: Session
    """The session as it was; it can be played on without touching the one it comes from."""
    action: Action | None = None
    """None for output that is no action."""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Legal calls in order, by canonical name, the answer not among them."""
    results: tuple[Mapping[str, Any], ...] = ()
    replies: list[Reply] = field(default_factory=list)
    """What the customer said in this step, a change of mind included."""
    mistakes: list[Mistake] = field(default_factory=list)
    """What the customer pointed out in this step."""


class Part:
    """One intent of a journey being played: what its verifier and its agents may look at.

    Steps are its own: those taken while it was the one talked about. The world, the catalog and
    the conversation are the session's.
    """

    def __init__(self, session: Session, number: int, intent: Intent, user: User) -> None:
        self.session = session
        self.catalog = session.catalog
        self.world = session.world
        self.number = number
        self.intent = intent
        self.user = user
        """Nobody has spoken with them before the intent begins; from then on a copy."""
        self.steps = 0
        self.begun = number == 0
        self.answer: Mapping[str, Any] | None = None
        self.answered_in: int | None = None
        """The session's step in which it was answered."""
        self.fired: dict[str, int] = {}
        self.order_steps: dict[str, int] = {}
        self._verdict: Verdict | None = None

    def copy(self, session: Session) -> Part:
        """The same intent in another session."""
        new = Part.__new__(Part)
        new.__dict__.update(self.__dict__)
        new.session = session
        new.world = session.world
        if self.begun and self.answer is None:
            new.user = self.user.copy()  # the others say nothing, or begin with a copy
        new.fired = dict(self.fired)
        new.order_steps = dict(self.order_steps)
        return new

    @property
    def environment(self) -> Environment:
        """The environment that it is a task of."""
        return self.intent.environment

    @property
    def stated(self) -> set[str]:
        """Keys of its slots that the user has stated."""
        return self.user.stated if self.begun else set()

    @property
    def disclosed(self) -> Sequence[Slot]:
        """Its slots that the user has stated."""
        return self.user.disclosed if self.begun else ()

    @property
    def turn(self) -> int:
        """Its steps so far."""
        return self.steps

    @property
    def max_turns(self) -> int:
        """Its share of the session's steps."""
        return self.intent.max_turns

    @property
    def tool_budget(self) -> int:
        """Tool calls allowed in one step."""
        return self.session.tool_budget

    @property
    def trace(self) -> Sequence[Step]:
        """The session's steps, those of other intents among them."""
        return self.session.trace

    def close(self, answer: Mapping[str, Any]) -> None:
        """Take the answer and judge it by the world as it is now."""
        self.answer = answer
        self.answered_in = self.session.steps
        self._verdict = self.environment.verify(self.intent.goal, self)

    def verdict(self) -> Verdict:
        """What was said of it when it was answered; before that, that it was not."""
        if self._verdict is not None:
            return self._verdict
        return Verdict(-1.0, False, (Check("answered", False, "no submit_answer"),))


class Session:
    """One episode being played.

    Args:
        episode: an :class:`Episode` or a row of an episode set.
        catalog: the catalog that the episode was made on.
        shaping: add potential-based shaping to the rewards of the steps. The terms sum to
            minus the potential of the start, whatever the agent does.
        record: keep chat messages. Without, ``messages`` stays empty, which is faster where
            only the results and the score are wanted.
        trace: keep the steps in ``trace``, each with the state before it (:class:`Step`), which
            failure labels are read from.

    Raises:
        EpisodeError: for a row that is no episode.
        CatalogError: if the catalog is not the episode's.
    """

    def __init__(
        self,
        episode: Episode | Mapping[str, Any],
        catalog: Catalog,
        *,
        shaping: bool = False,
        record: bool = True,
        trace: bool = False,
    ) -> None:
        if not isinstance(episode, Episode):
            episode = Episode.from_row(episode)
        if episode.catalog_hash != catalog.hash:
            raise CatalogError(
                f"episode {episode.episode_id!r} was made on the catalog "
                f"{episode.catalog_hash[:12]}…, this one is {catalog.hash[:12]}…; "
                "load the catalog that was published with the episodes"
            )
        self.episode = episode
        self.catalog = catalog
        self.shaping = shaping
        self.record = record
        self.traced = trace
        self.environment: Environment = environment(episode.environment)
        self._intents = self.environment.intents(episode.goal, episode.user, episode.axes)
        # Built once: every reset begins with copies.
        scripts = [intent.script for intent in self._intents] or [episode.user]
        self._users = [User(script) for script in scripts]
        self._schemas: tuple[Mapping[str, Any], ...] = tuple(episode.tools)
        self.messages: list[dict[str, Any]] = []
        self.reset()

    def __copy__(self) -> Session:
        """As independent as a deep copy: half a session could not be played on."""
        return deepcopy(self)

    def fork(self) -> Session:
        """An independent session in the same state, without messages; it searches for real."""
        new = Session.__new__(Session)
        new.__dict__.update(self.__dict__)
        new.record = new.traced = new.shaping = False
        new.trace, new.messages = [], []
        new.logged_search = None
        new.said = []
        new.world = self.world.copy()
        new.parts = [part.copy(new) for part in self.parts]
        new._broken_off = [new.parts[part.number] for part in self._broken_off]
        new.part = new.parts[self.part.number] if self.part is not None else None
        new.user = new.part.user if new.part is not None else self.user.copy()
        new.context = ToolContext(
            world=new.world,
            catalog=self.catalog,
            search=self.catalog.search_engine,
            axes=self.episode.axes,
            seed=self.episode.seed,
            ask=new._ask,
            shown=set(self.context.shown),
        )
        new.fired = dict(self.fired)
        new.order_steps = dict(self.order_steps)
        new.acts = list(self.acts)
        new._seen = set(self._seen)
        new._named = set(self._named)
        new._unseen = set(self._unseen)
        new._replies = []
        new._review = new._verdict = new._final = None
        return new

    # --- what verifiers and agents read ------------------------------------------------------

    @property
    def disclosed(self) -> Sequence[Slot]:
        """Slots that the user has stated, in the order stated, with their present values."""
        return self.user.disclosed

    @property
    def stated(self) -> set[str]:
        """Keys of the slots that the user has stated."""
        if self.parts:
            return {f"{part.number + 1}.{key}" for part in self.parts for key in part.stated}
        return self.user.stated

    @property
    def turn(self) -> int:
        """Assistant steps taken so far."""
        return self.steps

    @property
    def max_turns(self) -> int:
        """Assistant steps allowed."""
        return self.episode.max_turns

    @property
    def tool_budget(self) -> int:
        """Tool calls allowed in one step; ask_user and submit_answer do not count."""
        return self.episode.tool_budget

    @property
    def answer_parameters(self) -> Mapping[str, Any]:
        """The JSON schema that an answer given now must meet: in a journey that of the intent
        talked about."""
        env = self.environment if self.part is None else self.part.environment
        return env.answer_parameters

    # --- the life of a session ---------------------------------------------------------------

    def reset(self) -> Observation:
        """Start over. Returns the system prompt and the customer's opening."""
        episode = self.episode
        self.world = World(episode.world, self.catalog)
        self.user = self._users[0].copy()
        self.parts = [
            Part(self, number, intent, self._users[number] if number else self.user)
            for number, intent in enumerate(self._intents)
        ]
        """The intents of a journey, in the order in which they come up; else none."""
        self.part: Part | None = self.parts[0] if self.parts else None
        """The intent that an answer given now would answer."""
        self._broken_off: list[Part] = []
        self.context = ToolContext(
            world=self.world,
            catalog=self.catalog,
            search=self.catalog.search_engine,
            axes=episode.axes,
            seed=episode.seed,
            ask=self._ask,
        )
        self.steps = 0
        self.done = False
        self.answer: Mapping[str, Any] | None = None
        self.fired: dict[str, int] = {}
        self.order_steps: dict[str, int] = {}
        self.acts: list[str] = []
        """The user's act in each step: the worst of several, ``none`` if nothing was said."""
        self.termination = "unfinished"
        self.message = ""
        self._seen: set[str] = set()
        self._named: set[str] = set()
        self._unseen: set[str] = set()
        self._bad_turns = 0
        self._confirmed: tuple[Any, float] | None = None
        self._replies: list[Reply] = []
        self._review: Any = None
        self._verdict: Verdict | None = None
        self._final: Score | None = None
        self.logged_search: LoggedSearch | None = None
        """Gives the result of a search call, from a log; None to search for real."""
        self.said: list[Said] = []
        """What the session said in the present step, for comparing with a log."""
        self._potential = self._progress() if self.shaping else 0.0
        self.trace: list[Step] = []
        """The steps so far, if asked for."""
        self.messages = [dict(message) for message in episode.prompt] if self.record else []
        return Observation(tuple(self.messages), self._schemas, 0, False)

    def step(self, action: Any) -> Observation:
        """Take one step: an Action, an OpenAI assistant message, a JSON action or plain text.

        Returns:
            The new messages (tool results, the customer's reply), whether the session is over,
            and on the last step the reward in [-1, 1].

        Raises:
            SessionOver: if the session has ended.
            SearchUnavailable: if the agent searches and no index was loaded.
        """
        if self.done:
            raise SessionOver(f"session ended ({self.termination}); call reset() to start over")
        if self.traced:
            self.trace.append(Step(self.fork()))
        self.steps += 1
        if self.part is not None:
            self.part.steps += 1
        start = len(self.messages)
        self._replies = []
        self._review = None
        self.said = []
        try:
            parsed = parse_action(action)
        except Unparseable as error:
            if self.record:
                self.messages.append({"role": "assistant", "content": _shown(action)})
            self.acts.append("none")
            return self._finish("format_error", str(error), start + 1, ())
        message: Mapping[str, Any] = {}
        if self.record:
            message = to_message(parsed, self.steps)
            self.messages.append(dict(message))
        calls, answer, problem = self._legal(parsed)
        if self.traced:
            self.trace[-1].action = parsed
            self.trace[-1].replies = self._replies
        if problem:
            self.acts.append("none")
            return self._finish("illegal_tool", problem, start + 1, ())

        results = self._run(calls, message)
        if self.traced:
            self.trace[-1].calls = tuple((name, arguments) for name, arguments, _ in calls)
            self.trace[-1].results = results
        worked = any(
            name not in _UNBUDGETED and "error" not in result
            for (name, _, _), result in zip(calls, results, strict=True)
        )
        if answer is not None:
            self._name_ids(_ids_in(answer))
            self.answer = answer
            self._note_answer(message)
            if self.part is not None:
                self.part.close(answer)
                if self._next_part():
                    return self._go_on(start + 1, results)
            self.acts.append(self._worst())
            self._say(self.user.done_text())
            return self._finish("answered", "", start + 1, results)
        if parsed.text.strip():
            self._reply(parsed.text)
        return self._close_step(start + 1, results, worked)

    def _close_step(
        self, start: int, results: tuple[Mapping[str, Any], ...], worked: bool
    ) -> Observation:
        """The end of a step that gave no answer: bad turns, events, change of mind, limits."""
        act = self._worst()
        bad = act == "correct" or (act == "continue" and not worked)
        self._bad_turns = self._bad_turns + 1 if bad else 0
        if self._bad_turns >= 2:
            self.acts.append("quit")
            self._say(self.user.quit_text())
            return self._finish("quit", "the customer gave up", start, results)
        self._happen()
        self.acts.append(self._worst())
        return self._await(start, results)

    def _happen(self) -> None:
        """The shop's events, the customer's change of mind, and the next intent breaking in."""
        part = self.part
        step = self.steps if part is None else part.steps
        for event in self.world.tick(step, None if part is None else part.number):
            name = event["kind"]
            if name == "code_exhausted":
                name = f"code_exhausted:{event['code']}"
            self.fired[name] = self.steps
            if part is not None:
                part.fired[name] = step
        interjection = self.user.interject(step)
        if interjection is not None:
            self.fired["switch"] = self.steps
            if part is not None:
                part.fired["switch"] = step
            self._replies.append(interjection)
            self._say(interjection.text)
        if part is None or part.intent.broken_off_after is None:
            return
        following = self.parts[part.number + 1]
        if step >= part.intent.broken_off_after and not following.begun:
            self.fired["switch"] = self.steps
            self._broken_off.append(part)
            self._begin(following)
            said = following.intent.interrupting
            self._replies.append(Reply(said, "elaborate"))
            self._say(said)

    def _begin(self, part: Part) -> None:
        if not part.begun:
            part.begun = True
            part.user = part.user.copy()  # a fork or the next session may begin it too
        self.part, self.user = part, part.user

    def _next_part(self) -> bool:
        """Turns to what is to be answered next, in the customer's words; False if nothing is."""
        assert self.part is not None
        thanks = self.part.intent.thanks
        if self._broken_off:
            part = self._broken_off.pop()
            said = part.intent.resuming
        else:
            left = [part for part in self.parts if not part.begun]
            if not left:
                return False
            part = left[0]
            said = part.intent.following
        self._begin(part)
        self._say(f"{thanks} {said}")
        return True

    def _go_on(self, start: int, results: tuple[Mapping[str, Any], ...]) -> Observation:
        """The end of a step that answered one intent of several."""
        self.acts.append(self._worst())
        self._bad_turns = 0
        return self._await(start, results)

    def _await(self, start: int, results: tuple[Mapping[str, Any], ...]) -> Observation:
        """What the agent sees before its next step, if it has one."""
        act = self.acts[-1]
        self._seen |= self.context.shown
        self.context.shown.clear()
        if self.steps >= self.episode.max_turns:
            return self._finish("turn_limit", "no answer within the turns allowed", start, results)
        return Observation(
            tuple(self.messages[start:]),
            self._schemas,
            self.steps,
            False,
            self._shape() if self.shaping else 0.0,
            results,
            {"act": act},
        )

    # --- the parts of a step -----------------------------------------------------------------

    def _legal(
        self, action: Action
    ) -> tuple[list[tuple[str, Mapping[str, Any], ToolCall]], Mapping[str, Any] | None, str]:
        """Calls with canonical names, the answer, and what is illegal (empty if nothing is).

        Nothing is run before every call of the step is known to be legal.
        """
        calls: list[tuple[str, Mapping[str, Any], ToolCall]] = []
        answer = action.answer
        problems: list[str]
        counted = 0
        for made in action.tool_calls:
            tool = resolve(made.name)
            if tool is None:
                return [], None, f"there is no tool called {printable(made.name)!r}"
            name = tool.name
            if name == "submit_answer":
                if answer is not None:
                    return [], None, "submit_answer was called twice in one step"
                answer = made.arguments
                continue
            problems = validate(tool, made.arguments)
            if problems:
                return [], None, f"{name}: {problems[0]}"
            counted += name not in _UNBUDGETED
            calls.append((name, made.arguments, made))
        if counted > self.episode.tool_budget:
            return (
                [],
                None,
                f"{counted} tool calls in one step; the budget is {self.episode.tool_budget}",
            )
        if answer is not None:
            problems = []
            env = self.environment if self.part is None else self.part.environment
            _answer_check(env.name)(answer, "", problems)
            if problems:
                return [], None, f"submit_answer: {problems[0]}"
        return calls, answer, ""

    def _run(
        self,
        calls: Sequence[tuple[str, Mapping[str, Any], ToolCall]],
        message: Mapping[str, Any],
    ) -> tuple[Mapping[str, Any], ...]:
        results = []
        sent = [item["id"] for item in message.get("tool_calls", ()) if not _is_submit(item)]
        for place, (name, arguments, _) in enumerate(calls):
            placed = len(self.world.placed)
            self._name_ids(product_ids_written(name, arguments))
            if self.logged_search is not None and name in SEARCH_TOOLS:
                result = self.logged_search(place, name, arguments)
                self.context.shown.update(card["product_id"] for card in result.get("results", ()))
            else:
                result = run_tool(self.context, name, arguments)
            for order_id in self.world.placed[placed:]:
                self.order_steps[order_id] = self.steps
                if self.part is not None:
                    self.part.order_steps[order_id] = self.part.steps
            results.append(result)
            self.said.append(Said("tool", name, result))
            if self.record:
                self.messages.append(
                    {
                        "role": "tool",
                        "tool_call_id": sent[place],
                        "name": name,
                        "content": json.dumps(result, ensure_ascii=False),
                    }
                )
        return tuple(results)

    def _note_answer(self, message: Mapping[str, Any]) -> None:
        self.said.append(Said("tool", "submit_answer", {"submitted": True}))
        for sent in message.get("tool_calls", ()):
            if _is_submit(sent):
                self.messages.append(
                    {
                        "role": "tool",
                        "tool_call_id": sent["id"],
                        "name": "submit_answer",
                        "content": '{"submitted": true}',
                    }
                )

    def _ask(self, question: str) -> str:
        reply = self._answer_of_user(question)
        self._review = None
        return reply.text

    def _reply(self, text: str) -> None:
        self._say(self._answer_of_user(text).text)

    def _answer_of_user(self, text: str) -> Reply:
        review = self._seen_by_user()
        reply = self.user.reply(text, review, self.steps)
        if reply.act == "confirm" and not self._shows_more():
            reply = replace(reply, act="continue")
        self._replies.append(reply)
        if self.traced and reply.act == "correct":
            self.trace[-1].mistakes.extend(review.mistakes[:SAID_AT_ONCE])
        return reply

    def _shows_more(self) -> bool:
        """Whether more is right than when the customer last confirmed, or it is about something
        else by now. Else "is that right?" after every lookup would make all steps free."""
        part = self.part
        about = (part and part.number, len(self.fired), self.user.changed)
        now = (
            self._progress() if part is None else part.environment.progress(part.intent.goal, part)
        )
        before = self._confirmed
        if before is not None and before[0] == about and now <= before[1]:
            return False
        self._confirmed = (about, now)
        return True

    def _say(self, text: str) -> None:
        if self.said and self.said[-1].role == "user":
            text_before = self.said[-1].content
            self.said[-1] = Said("user", "", f"{text_before} {text}")
        else:
            self.said.append(Said("user", "", text))
        if not self.record:
            return
        last = self.messages[-1]
        if last["role"] == "user":
            last["content"] += " " + text
        else:
            self.messages.append({"role": "user", "content": text})

    def _seen_by_user(self) -> Any:
        if self._review is None:
            part = self.part
            self._review = (
                self.environment.review(self.episode.goal, self)
                if part is None
                else part.environment.review(part.intent.goal, part)
            )
        return self._review

    def _worst(self) -> str:
        acts = {reply.act for reply in self._replies}
        return next((act for act in _WORST_FIRST if act in acts), "none")

    def _name_ids(self, product_ids: Sequence[str]) -> None:
        """Note ids that the agent used, and which of them nothing had shown before this step."""
        for product_id in product_ids:
            self._named.add(product_id)
            if product_id not in self._seen:
                self._unseen.add(product_id)

    def _progress(self) -> float:
        return self.environment.progress(self.episode.goal, self)

    def _shape(self, final: bool = False) -> float:
        after = 0.0 if final else self._progress()
        before, self._potential = self._potential, after
        return shaped(before, after)

    # --- the end -----------------------------------------------------------------------------

    def _finish(
        self, termination: str, message: str, start: int, results: tuple[Mapping[str, Any], ...]
    ) -> Observation:
        self.done = True
        self.termination = termination
        self.message = message
        score = self._final = self.score()
        reward = score.reward + (self._shape(final=True) if self.shaping else 0.0)
        return Observation(
            tuple(self.messages[start:]),
            self._schemas,
            self.steps,
            True,
            reward,
            results,
            {"score": score, "act": self.acts[-1] if self.acts else "none"},
        )

    def verdict(self) -> Verdict:
        """What the environment's verifier says of the session as it stands."""
        if self._verdict is not None:
            return self._verdict
        verdict = self.environment.verify(self.episode.goal, self)
        if self.done:
            # Kept only now: what was said before the end holds for that moment.
            self._verdict = verdict
        return verdict

    def score(self) -> Score:
        """The reward of the session and its parts (SPEC §8); before the end, as if it ended now."""
        if self._final is not None:
            return self._final
        verdict = self.verdict()
        termination = self.termination
        if termination not in ("format_error", "illegal_tool", "infra_error") and self._denied():
            termination = "denied_category"
        # What is asked along with an answer can't have served it.
        answered = {part.answered_in for part in self.parts}
        if self.termination == "answered":
            answered.add(self.steps)
        discounted = sum(
            act in DISCOUNTED_ACTS and step not in answered
            for step, act in enumerate(self.acts, start=1)
        )
        r_eff, effective = efficiency(self.steps, discounted, self.episode.max_turns)
        r_hall = hallucination(self._named, self._named - self._unseen)
        hard = termination in ("format_error", "illegal_tool", "denied_category")
        passed = verdict.passed and termination == "answered"
        return Score(
            reward=-1.0 if hard else combine(verdict.r_task, r_eff, r_hall),
            r_task=-1.0 if hard else verdict.r_task,
            r_eff=r_eff,
            r_hall=r_hall,
            passed=passed,
            termination=termination,
            steps=self.steps,
            effective_steps=effective,
            par_turns=self.episode.par_turns,
            checks=verdict.checks,
            episode_id=self.episode.episode_id,
            message=self.message,
            details=verdict.details,
        )

    def _denied(self) -> bool:
        """True if a product of a denied category was recommended or bought."""
        if not self.catalog.deny_list:
            return False
        named = set(_ids_in(self.answer or {}))
        for part in self.parts:
            named |= set(_ids_in(part.answer or {}))
        if self.termination == "answered":
            named |= {line.product_id for line in self.world.cart}
        for order_id in self.order_steps:
            order = self.world.order(order_id)
            named |= {line["product_id"] for line in order["lines"]} if order else set()
        named |= {record.get("replacement_product_id", "") for record in self.world.returns}
        for product_id in sorted(named):
            try:
                category = self.catalog.product(product_id).category
            except KeyError:
                continue
            if category in self.catalog.deny_list:
                return True
        return False

    def trajectory(self, agent: str = "", trial: int = 0) -> Trajectory:
        """The session so far as a trajectory in OpenAI chat form."""
        episode = self.episode
        made_on = {
            name: getattr(episode, name)
            for name in ("generator_version", "catalog_hash", "search_hash")
            if getattr(episode, name)
        }
        return Trajectory(episode.episode_id, tuple(self.messages), agent, trial, metadata=made_on)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return in_notebook("session", self)


def replay(
    episode: Episode | Mapping[str, Any], catalog: Catalog, *, shaping: bool = False
) -> Session:
    """A session of the episode, reset and ready; see :class:`Session`."""
    return Session(episode, catalog, shaping=shaping)


@lru_cache(maxsize=32)
def _answer_check(environment_name: str) -> Any:
    return compile_schema(environment(environment_name).answer_parameters)


def _is_submit(sent: Mapping[str, Any]) -> bool:
    tool = resolve(sent["function"]["name"])
    return tool is not None and tool.name == "submit_answer"


def _ids_in(answer: Mapping[str, Any]) -> list[str]:
    """Product ids in an answer, as verifiers read them: under keys that end in ``product_id`` or
    ``product_ids``, without blanks around them."""
    found: list[str] = []
    for key, value in answer.items():
        if isinstance(value, Mapping):
            found.extend(_ids_in(value))
        elif isinstance(value, (list, tuple)):
            if key.endswith("product_ids"):
                found.extend(v.strip() for v in value if isinstance(v, str))
            for inner in value:
                if isinstance(inner, Mapping):
                    found.extend(_ids_in(inner))
        elif key.endswith("product_id") and isinstance(value, str):
            found.append(value.strip())
    return found


def _shown(action: Any) -> str:
    """Unparseable output as text for the log, cut short."""
    if isinstance(action, Mapping):
        action = action.get("content") or repr(dict(action))
    text = action if isinstance(action, str) else repr(action)
    return text[:2000].encode("utf-8", "replace").decode("utf-8")
