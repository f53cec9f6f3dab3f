"""Drawing, certifying, writing and loading episodes (SPEC §9, §10).

Nothing is kept that has not been played by code, through the session that an agent uses: the
reference and the honest agent pass, and every near miss fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ecomkit.agents.scripted import (
    CHEAP_POLICIES,
    actions_from,
    actions_to_json,
    play_session,
    run_actions,
    run_policy,
)
from ecomkit.core.difficulty import Axes, difficulty
from ecomkit.core.errors import DrawFailed, UnknownName
from ecomkit.core.records import Episode
from ecomkit.core.seeds import Rng, digest, rng
from ecomkit.core.version import GENERATOR_VERSION
from ecomkit.envs import environment
from ecomkit.envs.base import DrawContext, Environment, Phraser, Redraw
from ecomkit.episodes.wording import put_into_words
from ecomkit.session.session import Session
from ecomkit.shop.tools import schemas

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


SPLITS = ("train", "test")
MAX_TRIES = 25

SYSTEM_PROMPT = (
    "You are the shopping assistant of an online store, talking with a customer. {task} "
    "Use the tools to search the catalog, to look things up and to act for the customer. "
    "Use only product ids, variant ids and order ids that a tool or the customer has shown you. "
    "If something you need to know is missing, ask the customer. "
    "You have at most {max_turns} turns and may make up to {tool_budget} tool call{s} in each; "
    "ask_user and submit_answer do not count. When everything is done, call submit_answer."
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """How code fared on an episode. ``reason`` is empty if the episode is sound."""

    reason: str
    honest_turns: int
    near_misses: Mapping[str, tuple[int, int]]
    """Kind → (attempts, attempts that passed)."""

    @property
    def sound(self) -> bool:
        """True if the reference and the honest agent pass and no near miss does."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Drawn:
    """A certified episode and the dead ends met on the way (one reason a redraw)."""

    episode: Episode
    certificate: Certificate
    redraws: tuple[str, ...]


@dataclass
class CellAudit:
    """Totals of one cell (environment, split, difficulty), to be added up."""

    episodes: int = 0
    redraws: Counter[str] = field(default_factory=Counter)
    near_misses: Counter[str] = field(default_factory=Counter)
    near_miss_passes: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    policy_passes: Counter[str] = field(default_factory=Counter)
    policy_reward_micros: Counter[str] = field(default_factory=Counter)
    """Summed rewards in millionths: whole numbers, so that any grouping gives the same sum."""
    best_reward_micros: dict[str, int] = field(default_factory=dict)

    def add_draw(self, drawn: Drawn) -> None:
        """Count one drawn episode."""
        self.episodes += 1
        self.redraws.update(drawn.redraws)
        for kind, (attempts, passes) in drawn.certificate.near_misses.items():
            self.near_misses[kind] += attempts
            self.near_miss_passes[kind] += passes

    def add_session(self, policy: str, session: Session) -> None:
        """Count one session of a scripted agent."""
        score = session.score()
        micros = round(score.reward * 1_000_000)
        self.policies[policy] += 1
        self.policy_passes[policy] += score.passed
        self.policy_reward_micros[policy] += micros
        self.best_reward_micros[policy] = max(
            micros, self.best_reward_micros.get(policy, -1_000_000)
        )

    def merge(self, other: CellAudit) -> None:
        """Add the totals of another part of the cell."""
        self.episodes += other.episodes
        for name in (
            "redraws",
            "near_misses",
            "near_miss_passes",
            "policies",
            "policy_passes",
            "policy_reward_micros",
        ):
            mine = getattr(self, name)
            for key, value in getattr(other, name).items():
                mine[key] += value
        for policy, best in other.best_reward_micros.items():
            self.best_reward_micros[policy] = max(
                best, self.best_reward_micros.get(policy, -1_000_000)
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON form, keys sorted."""
        return {
            "episodes": self.episodes,
            **{
                name: dict(sorted(getattr(self, name).items()))
                for name in (
                    "redraws",
                    "near_misses",
                    "near_miss_passes",
                    "policies",
                    "policy_passes",
                    "policy_reward_micros",
                    "best_reward_micros",
                )
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CellAudit:
        """The inverse of :meth:`to_dict`."""
        audit = cls(episodes=data["episodes"])
        for name, value in data.items():
            if name == "best_reward_micros":
                audit.best_reward_micros = dict(value)
            elif name != "episodes":
                setattr(audit, name, Counter(value))
        return audit


def draw(
    environment_name: str,
    d: int,
    seed: int,
    catalog: Catalog,
    *,
    split: str = "train",
    department: str | None = None,
    preset: str | None = None,
    axes: Mapping[str, float] | None = None,
    paired: Sequence[Mapping[str, float]] = (),
    certify_episode: bool = True,
    phraser: Phraser | None = None,
) -> Drawn:
    """Draw the episode of a seed, and again with the next sub-seed until it is sound.

    Args:
        environment_name: such as ``cart``.
        d: difficulty, 0-12.
        seed: whole number; episodes of other seeds, cells and splits are independent of it.
        catalog: with a search engine, which the honest agent needs.
        split: ``train`` or ``test``; the two never share a target product.
        department: draw for the scenario ``environment@department``.
        preset: named overrides, such as ``flash_sale``.
        axes: single axes to set; the rest of the draw is held still.
        paired: other settings of ``axes`` under which the same sub-seed must give a sound episode
            too, so that sets drawn for each of them differ in nothing else.
        certify_episode: play the reference, the honest agent and the near misses.
        phraser: rewords what the customer says, such as :class:`ecomkit.user.llm.LLMPhraser`.

    Raises:
        DrawFailed: if no sound episode came in 25 tries; it names the axis or agent at fault.
            Also if the environment can't be drawn on this catalog.
        UnknownName: for an unknown environment, split, department, preset or axis.
    """
    env = environment(environment_name)
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    if department is not None and department not in catalog.departments:
        raise UnknownName("department", department, catalog.departments)
    values = difficulty(d, preset, **(axes or {}))
    unavailable = env.available(catalog)
    if unavailable:
        raise DrawFailed(f"{environment_name} is not available on this catalog: {unavailable}")
    others = [difficulty(d, preset, **other) for other in paired if dict(other) != dict(axes or {})]
    reasons: list[str] = []
    dead_end = ""
    for attempt in range(MAX_TRIES):

        def one_try(settings: Axes, attempt: int = attempt) -> tuple[Episode, Certificate] | str:
            context = DrawContext(
                catalog=catalog,
                axes=settings,
                difficulty=d,
                split=split,
                rng=_key(environment_name, d, split, seed, department, attempt),
                department=department,
                phraser=phraser,
            )
            try:
                episode = _draw_once(env, context, seed, settings)
            except Redraw as redraw:
                nonlocal dead_end
                dead_end = f"; the last dead end: {redraw}"
                return f"draw:{redraw.axis}"
            if not certify_episode:
                return episode, Certificate("", 0, {})
            certificate = certify(episode, catalog)
            if not certificate.sound:
                return certificate.reason
            return replace(episode, honest_turns=certificate.honest_turns), certificate

        made = one_try(values)
        if not isinstance(made, str):
            misfits = (made_there for made_there in map(one_try, others))
            misfit = next((reason for reason in misfits if isinstance(reason, str)), None)
            if misfit is None:
                return Drawn(*made, tuple(reasons))
            made = f"paired:{misfit}"
        reasons.append(made)
    counted = ", ".join(f"{reason} ({n}×)" for reason, n in Counter(reasons).most_common(4))
    raise DrawFailed(
        f"no sound episode of {environment_name!r} at d = {d}, seed {seed}"
        f"{f', department {department!r}' if department else ''}{_set_by_hand(preset, axes)} "
        f"in {MAX_TRIES} tries: {counted}{dead_end}"
    )


def _set_by_hand(preset: str | None, axes: Mapping[str, float] | None) -> str:
    """``, with tool_budget = 1`` where axes were set: they may be what leaves no way."""
    parts = [f"the preset {preset!r}"] if preset else []
    parts += [f"{name} = {value:g}" for name, value in (axes or {}).items()]
    return f", with {', '.join(parts)}" if parts else ""


def draw_goal(
    environment_name: str,
    d: int,
    seed: int,
    catalog: Catalog,
    *,
    split: str = "train",
    department: str | None = None,
) -> str:
    """The ``goal_hash`` of an uncertified draw, without its words: for counting goals.

    Raises:
        DrawFailed: if 25 tries met a dead end.
        UnknownName: for an unknown environment.
    """
    env = environment(environment_name)
    axes = difficulty(d)
    for attempt in range(MAX_TRIES):
        key = _key(environment_name, d, split, seed, department, attempt)
        context = DrawContext(catalog, axes, d, split, key, department)
        try:
            return _goal_hash(env, env.draw(context).goal)
        except Redraw:
            continue
    raise DrawFailed(f"no goal of {environment_name!r} at d = {d}, seed {seed}, {department!r}")


def _key(
    environment_name: str, d: int, split: str, seed: int, department: str | None, attempt: int
) -> Rng:
    """The generator of one try."""
    return rng(
        "episode",
        GENERATOR_VERSION,
        environment_name,
        d,
        split,
        seed,
        department or "",
        attempt,
    )


def _goal_hash(env: Environment, goal: Mapping[str, Any]) -> str:
    return digest([env.name, env.goal_identity(goal)], 32)


def draw_episode(
    environment_name: str, d: int, seed: int, catalog: Catalog, **options: Any
) -> Episode:
    """The certified episode of a seed; see :func:`draw` for the options and errors."""
    return draw(environment_name, d, seed, catalog, **options).episode


@lru_cache(maxsize=32)
def _tool_schemas(environment_name: str) -> tuple[Mapping[str, Any], ...]:
    env = environment(environment_name)
    return tuple(schemas(env.answer_parameters, env.answer_description))


def _draw_once(env: Environment, context: DrawContext, seed: int, axes: Axes) -> Episode:
    catalog = context.catalog
    draft = env.draw(context)
    key = episode_id(env.name, context.difficulty, context.split, seed, context.department, axes)
    world = {"key": key, **draft.world}
    opening, script = put_into_words(draft, context, env.name)
    actions = env.reference(draft.goal, world, axes, catalog)
    max_turns = env.max_turns(draft.goal, axes)
    prompt = (
        {
            "role": "system",
            "content": SYSTEM_PROMPT.format(
                task=env.task,
                max_turns=max_turns,
                tool_budget=axes.tool_budget,
                s="" if axes.tool_budget == 1 else "s",
            ),
        },
        {"role": "user", "content": opening},
    )
    engine = catalog.search_engine
    return Episode(
        episode_id=key,
        environment=env.name,
        department=draft.department,
        difficulty=context.difficulty,
        seed=seed,
        prompt=prompt,
        tools=_tool_schemas(env.name),
        axes=axes,
        max_turns=max_turns,
        tool_budget=axes.tool_budget,
        par_turns=len(actions),
        honest_turns=0,
        goal=draft.goal,
        world=world,
        user=script,
        reference=actions_to_json(actions),
        goal_hash=_goal_hash(env, draft.goal),
        catalog_hash=catalog.hash,
        search_hash=engine.hash if engine is not None else "",
        policy_hash=digest(world["policy"], 32) if "policy" in world else "",
        generator_version=GENERATOR_VERSION,
    )


def episode_id(
    environment_name: str, d: int, split: str, seed: int, department: str | None, axes: Axes
) -> str:
    """``cart-d06-train-000123``, with the department and a mark of changed axes if any."""
    parts = [environment_name, f"d{d:02d}", split, f"{seed:06d}"]
    if department:
        parts.append("".join(c if c.isalnum() else "_" for c in department.casefold()))
    if axes != difficulty(d):
        parts.append(digest(axes.to_dict(), 6))
    return "-".join(parts)


def certify(episode: Episode, catalog: Catalog) -> Certificate:
    """Play the reference, the honest agent and every near miss of an episode."""
    env = environment(episode.environment)
    session = Session(episode, catalog, record=False)
    run_actions(session, actions_from(episode.reference))
    verdict = session.verdict()
    if not (session.done and session.score().passed and verdict.r_task == 1.0):
        return Certificate(f"reference:{_first_failure(session)}", 0, {})
    session.reset()
    run_policy(session, env.honest(session))
    if not session.score().passed:
        return Certificate(f"honest:{_first_failure(session)}", session.steps, {})
    honest_turns = session.steps
    tally: dict[str, tuple[int, int]] = {}
    reason = ""
    for miss in env.near_misses(episode.goal, episode.world, episode.axes, catalog):
        session.reset()
        run_actions(session, miss.actions)
        passed = session.score().passed
        attempts, passes = tally.get(miss.kind, (0, 0))
        tally[miss.kind] = (attempts + 1, passes + passed)
        if passed and not reason:
            reason = f"near_miss:{miss.kind}"
    return Certificate(reason, honest_turns, tally)


def _first_failure(session: Session) -> str:
    if session.termination not in ("answered",):
        return session.termination
    failed = [check.name for check in session.verdict().checks if not check.passed]
    return failed[0].rpartition(".")[2] if failed else "r_task"


def audit_policies(
    episodes: Sequence[Episode],
    catalog: Catalog,
    audit: CellAudit,
    policies: Sequence[str] = (*CHEAP_POLICIES, "naive"),
) -> None:
    """Play the cheap policies and the naive one on each episode and count what they reach.

    The neighbour of an episode is the one before it in ``episodes``, of the first the last.
    """
    for index, episode in enumerate(episodes):
        for policy in policies:
            if policy == "neighbour" and len(episodes) < 2:
                continue
            session = play_session(
                policy, episode, catalog, neighbour=episodes[index - 1], record=False
            )
            audit.add_session(policy, session)
