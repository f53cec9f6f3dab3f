"""Every tool by name, and the one way to validate and to call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ecomkit.shop.tools.schema import Handler, Tool, compile_schema, make_tool

TOOLS: dict[str, Tool] = {}
"""Every tool by its name, in the order of SPEC §5."""

_ALIASES: dict[str, str] = {}


def tool(
    *,
    writes: bool = False,
    budget: bool = True,
    aliases: tuple[str, ...] = (),
    product_arguments: tuple[str, ...] = (),
) -> Callable[[Handler], Handler]:
    """Make a documented function ``(ctx, ...) -> dict`` a tool of the shop.

    Args:
        writes: True if a call can change the world.
        budget: True if a call uses up the step's tool budget.
        aliases: other names it answers to, besides the dotted form of its own.
        product_arguments: the arguments that hold a product id and are written.

    Raises:
        ValueError: if a name is taken, or the docstring lacks an argument.
    """

    def register(function: Handler) -> Handler:
        made = make_tool(
            function, writes=writes, budget=budget, product_arguments=product_arguments
        )
        dotted = made.name.replace("_", ".", 1)
        for name in (made.name, dotted, *aliases):
            if name in _ALIASES:
                raise ValueError(f"the tool name {name!r} is taken by {_ALIASES[name]!r}")
            _ALIASES[name] = made.name
        TOOLS[made.name] = made
        return function

    return register


def resolve(name: object) -> Tool | None:
    """The tool with this name or alias (``catalog.search``, ``order.lookup``); None if unknown."""
    if not isinstance(name, str):
        return None
    canonical = _ALIASES.get(name)
    return TOOLS[canonical] if canonical is not None else None


def validate(tool: Tool | str, arguments: object) -> list[str]:
    """What is wrong with a call, as sentences; an empty list means that it is legal.

    Strict: unknown, missing and wrongly typed arguments, bounds and choices. ``true`` is no
    integer and neither is ``2.0``; null does not stand for an argument left out; NaN and
    infinities are refused. For ``submit_answer`` only an object is asked for, since its
    parameters belong to the environment (see :func:`check_answer`).
    """
    found = tool if isinstance(tool, Tool) else resolve(tool)
    if found is None:
        return [f"there is no such tool; choose from {', '.join(TOOLS)}"]
    problems: list[str] = []
    if found.name == "submit_answer":
        _ANY_OBJECT(arguments, "", problems)
    else:
        found.check(arguments, "", problems)
    return problems


_ANY_OBJECT = compile_schema({"type": "object"})


def check_answer(parameters: Mapping[str, Any], answer: object) -> list[str]:
    """What is wrong with an answer, given the environment's JSON schema for it."""
    problems: list[str] = []
    compile_schema(parameters)(answer, "", problems)
    return problems


def call(ctx: Any, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run one tool call and return its result, a JSON object.

    A call that :func:`validate` refuses is not run: the result is an ``illegal_call`` error
    (the session ends the episode before it comes to that). A business refusal is a result
    with ``error`` and ``message``.

    Args:
        ctx: the session's :class:`ToolContext`; its world may change, and the product ids
            that the result shows are added to ``ctx.shown``.
        name: a tool name or alias.
        arguments: the parsed arguments.

    Raises:
        SearchUnavailable: if the tool needs search and none was loaded.
    """
    found = resolve(name)
    problems = validate(found, arguments) if found is not None else validate("", arguments)
    if found is None or problems:
        return {"error": "illegal_call", "message": "; ".join(problems) + "."}
    if found.name == "submit_answer":
        return found.handler(ctx)
    return found.handler(ctx, **arguments)


def run(ctx: Any, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`call` without the check, for a call that :func:`validate` has found legal."""
    return TOOLS[name].handler(ctx, **arguments)


def schemas(
    answer_parameters: Mapping[str, Any], answer_description: str = ""
) -> list[dict[str, Any]]:
    """All tools in the form of OpenAI's ``tools`` list, ``submit_answer`` last.

    Args:
        answer_parameters: the JSON schema of the environment's answer.
        answer_description: what to submit, in a sentence; a general one if empty.
    """
    listed = [entry.to_openai() for name, entry in TOOLS.items() if name != "submit_answer"]
    listed.append(
        {
            "type": "function",
            "function": {
                "name": "submit_answer",
                "description": answer_description or TOOLS["submit_answer"].description,
                "parameters": dict(answer_parameters),
            },
        }
    )
    return listed


def product_ids_written(name: str, arguments: Mapping[str, Any]) -> list[str]:
    """The product ids that a call would write, such as the product of ``cart_add``."""
    found = resolve(name)
    if found is None:
        return []
    return [
        arguments[argument].strip()
        for argument in found.product_arguments
        if isinstance(arguments.get(argument), str)
    ]
