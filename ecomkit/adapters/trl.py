"""Episodes and trajectories for TRL's trainers, with no mapping code.

``GRPOTrainer`` takes an episode set as it is: the column ``prompt`` is the conversation so far, and
``environment_factory=environments(catalog)`` gives the agent the shop's tools, one class for each
value of the column ``environment``. ``SFTTrainer`` takes :func:`passing`, or a parquet file of
trajectories: the columns ``messages`` and ``tools``.

Needs ``pip install 'ecomkit[train]'``; this module itself loads neither TRL nor torch.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import EpisodeError
from ecomkit.core.records import EPISODE_COLUMNS, Action, Episode, ToolCall, Trajectory
from ecomkit.envs import REGISTRY, environment
from ecomkit.scores.scoring import score
from ecomkit.scores.trajectories import arrow_schema, parquet_row
from ecomkit.session.actions import to_message
from ecomkit.session.session import Session
from ecomkit.shop.tools import schemas

if TYPE_CHECKING:
    import datasets

    from ecomkit.catalog import Catalog

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "object": dict,
}
OVER = json.dumps({"error": "session_over", "message": "The conversation has ended."})


class ShopEnvironment:
    """One session as TRL sees it: ``reset`` with a row, tools as methods, ``get_reward``.

    Made by :func:`environments`. All calls of one assistant message are one step of the session,
    as everywhere in the kit: the methods are coroutines, which TRL runs together. The agent talks
    to the customer through ``ask_user``; what the customer says of their own accord is put after
    the last result. An illegal call ends the session with reward -1.
    """

    _catalog: Catalog
    _name: str = ""
    _session: Session | None = None
    _gathered: _Calls | None = None

    def reset(self, **row: Any) -> None:
        """Begin the episode of a dataset row. The prompt says all that there is to say.

        Raises:
            EpisodeError: if the row is of another environment, whose answer has other fields.
        """
        # Where there are several classes, TRL keeps the column that chooses among them.
        row = {"environment": self._name, **row}
        if row["environment"] != self._name:
            raise EpisodeError(
                f"an episode of {row['environment']!r} in the class of {self._name!r}: give the "
                "trainer environment_factory=environments(catalog)"
            )
        episode = Episode.from_row({name: row[name] for name in EPISODE_COLUMNS})
        self._session = Session(episode, self._catalog)
        self._gathered = None

    def get_reward(self) -> float:
        """The reward of the session, in [-1, 1]; unfinished, as if it ended now."""
        if self._session is None:
            raise RuntimeError("get_reward before reset")
        return float(self._session.score().reward)

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The result of one call, once all calls of the message are known."""
        gathered = self._gathered
        if gathered is None:
            gathered = self._gathered = _Calls()
        place = gathered.add(name, arguments)
        # The other calls of the message are registered before this goes on.
        await asyncio.sleep(0)
        if self._gathered is gathered:
            self._gathered = None
            gathered.results = self._step(gathered.calls)
        return gathered.results[place]

    def _step(self, calls: Sequence[ToolCall]) -> list[str]:
        session = self._session
        if session is None:
            raise RuntimeError("a tool was called before reset")
        if session.done:
            return [OVER] * len(calls)
        observation = session.step(to_message(Action(tool_calls=tuple(calls)), session.steps + 1))
        said = {
            message.get("tool_call_id"): str(message["content"])
            for message in observation.messages
            if message["role"] == "tool"
        }
        over = json.dumps({"error": session.termination, "message": session.message})
        results = [said.get(call.id, over if session.done else "{}") for call in calls]
        for message in observation.messages:
            if message["role"] == "user":
                results[-1] += f"\n\nThe customer says: {message['content']}"
        return results


class _Calls:
    """The calls of one assistant message, and later their results."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.results: list[str] = []

    def add(self, name: str, arguments: Mapping[str, Any]) -> int:
        place = len(self.calls)
        # Optional arguments that a chat template fills with null were not given.
        given = {key: value for key, value in arguments.items() if value is not None}
        self.calls.append(ToolCall(name, given, f"call_{place}"))
        return place


def environments(catalog: Catalog, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Environment classes by name, for ``GRPOTrainer(environment_factory=…)``.

    Args:
        catalog: with its search engine, the one that the episodes were made on.
        names: values of the column ``environment`` of the training set; all if None.

    Raises:
        UnknownName: for an unknown environment.
    """
    return {name: environment_class(name, catalog) for name in names or REGISTRY}


def environment_class(name: str, catalog: Catalog) -> type[ShopEnvironment]:
    """The class of one environment: its tools, ``submit_answer`` with its answer's fields.

    Raises:
        UnknownName: for an unknown environment.
    """
    env = environment(name)
    members: dict[str, Any] = {"_catalog": catalog, "_name": name}
    for schema in schemas(env.answer_parameters, env.answer_description):
        members[schema["function"]["name"]] = _method(schema["function"])
    members["__doc__"] = ShopEnvironment.__doc__
    return type(f"{name.capitalize()}Environment", (ShopEnvironment,), members)


def _method(function: Mapping[str, Any]) -> Callable[..., Any]:
    """A tool as a documented coroutine: types and Google-style docstring give its schema back."""
    name = function["name"]
    fields: Mapping[str, Any] = function["parameters"].get("properties", {})
    required = function["parameters"].get("required", ())

    async def method(self: ShopEnvironment, **arguments: Any) -> str:
        return await self._call(name, arguments)

    ordered = sorted(fields, key=lambda field: field not in required)
    annotations: dict[str, Any] = {field: _type(fields[field]) for field in ordered}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("self", kind)]
    lines = [" ".join(str(function["description"]).split())]
    if ordered:
        lines += ["", "Args:"]
    for field in ordered:
        default = inspect.Parameter.empty if field in required else None
        parameters.append(
            inspect.Parameter(field, kind, default=default, annotation=annotations[field])
        )
        lines.append(f"    {field}: {_said(fields[field])}")
    method.__name__ = method.__qualname__ = name
    method.__doc__ = "\n".join(lines)
    method.__annotations__ = {**annotations, "return": str}
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        parameters, return_annotation=str
    )
    return method


def _type(schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "array":
        inner = _type(schema.get("items", {}))
        return list[inner]  # type: ignore[valid-type]
    return _TYPES.get(str(schema.get("type")), str)


def _said(schema: Mapping[str, Any]) -> str:
    """A parameter's description; what type hints cannot say is written out."""
    text = " ".join(str(schema.get("description", "")).split()) or str(schema.get("type", "value"))
    shape = {key: schema[key] for key in ("minimum", "maximum", "maxItems") if key in schema}
    items = schema.get("items", {})
    if schema.get("type") == "object" or items.get("type") == "object":
        shape = dict(schema)
        shape.pop("description", None)
    if shape:
        text += f" As JSON schema: {json.dumps(shape)}"
    if schema.get("enum"):
        text += f" (choices: {json.dumps(list(schema['enum']))})"
    return text


def passing(
    trajectories: Iterable[Trajectory],
    episodes: Iterable[Episode | Mapping[str, Any]],
    catalog: Catalog,
) -> datasets.Dataset:
    """The trajectories that pass, as a dataset that ``SFTTrainer`` takes as it is.

    Each is scored by replay; the columns are those of a parquet file of trajectories, ``messages``
    and ``tools`` among them.

    Args:
        trajectories: of any agents.
        episodes: theirs; those without an episode here are left out.
        catalog: the one that the episodes were made on.
    """
    import datasets
    import pyarrow as pa

    by_id: dict[str, Episode] = {}
    for row in episodes:
        episode = row if isinstance(row, Episode) else Episode.from_row(row)
        by_id[episode.episode_id] = episode
    rows = []
    for trajectory in trajectories:
        found = by_id.get(trajectory.episode_id)
        if found is not None and score(trajectory, found, catalog).passed:
            rows.append(parquet_row(trajectory) | {"tools": json.dumps(found.tools)})
    return datasets.Dataset(pa.Table.from_pylist(rows, arrow_schema()))
