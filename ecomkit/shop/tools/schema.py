"""From a documented function to a tool: OpenAI schema, strict validation, safe echo."""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

Check = Callable[[Any, str, list[str]], None]
Handler = Callable[..., dict[str, Any]]

MAX_PROBLEMS = 8
"""Validation stops after this many problems, so that hostile input costs little."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an argument, put in ``Annotated[type, Limits(...)]``. ``schema`` replaces the
    schema that the type alone would give."""

    minimum: int | float | None = None
    maximum: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of the shop.

    ``parameters`` is its JSON schema. ``writes`` is True if a call can change the world;
    ``counts_budget`` is True if a call uses up the step's tool budget.
    ``product_arguments`` names the arguments that hold a product id and are written.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    writes: bool
    counts_budget: bool
    handler: Handler = field(repr=False)
    check: Check = field(repr=False)
    product_arguments: tuple[str, ...] = ()

    def to_openai(self) -> dict[str, Any]:
        """The tool in the form of OpenAI's ``tools`` list."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }


def printable(value: object, limit: int = 60) -> str:
    """Text from outside, fit to be echoed: cut, and with control characters and lone
    surrogates replaced, so that a result is always valid UTF-8."""
    text = value if isinstance(value, str) else type(value).__name__
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in cut)
    return cut + "…" if len(text) > limit else cut


def _type_name(value: object) -> str:
    """The JSON name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    return "array" if isinstance(value, (list, tuple)) else type(value).__name__


def compile_schema(schema: Mapping[str, Any]) -> Check:
    """A function ``check(value, path, problems)`` for a JSON schema, strict as the kit is:
    ``true`` is no integer, ``2.0`` is no integer, NaN and infinities are refused, and an
    object takes no property that it does not name unless ``additionalProperties`` says so.

    Supports type (one or a list), enum, minimum, maximum, minLength, maxLength, minItems,
    maxItems, uniqueItems, items, properties, required and additionalProperties.

    Raises:
        ValueError: for a type that JSON does not have.
    """
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, (list, tuple)):
        return _compile_union(schema, kind)
    if kind is None:
        return _compile_enum(schema)
    makers: dict[str, Callable[[Mapping[str, Any]], Check]] = {
        "object": _compile_object,
        "array": _compile_array,
        "string": _compile_string,
        "integer": _compile_number,
        "number": _compile_number,
        "boolean": _compile_boolean,
        "null": _compile_null,
    }
    if kind not in makers:
        raise ValueError(f"unknown JSON type {kind!r}; choose from {', '.join(sorted(makers))}")
    check = makers[kind](schema)
    return check


def _wrong_type(path: str, wanted: str, value: object) -> str:
    article = "an" if wanted[0] in "aeio" else "a"
    return f"{path} must be {article} {wanted}, not {_type_name(value)}"


def _compile_union(schema: Mapping[str, Any], kinds: Sequence[str]) -> Check:
    options = [compile_schema({**schema, "type": kind}) for kind in kinds]

    def check(value: Any, path: str, problems: list[str]) -> None:
        first: list[str] | None = None
        for option in options:
            found: list[str] = []
            option(value, path, found)
            if not found:
                return
            if first is None:
                first = found
        problems.extend(first or ())

    return check


def _compile_enum(schema: Mapping[str, Any]) -> Check:
    allowed = list(schema.get("enum", ()))

    def check(value: Any, path: str, problems: list[str]) -> None:
        if allowed and not (isinstance(value, (str, int)) and value in allowed):
            problems.append(f"{path} must be one of {', '.join(map(str, allowed))}")

    return check


def _compile_boolean(schema: Mapping[str, Any]) -> Check:
    def check(value: Any, path: str, problems: list[str]) -> None:
        if value is not True and value is not False:
            problems.append(_wrong_type(path, "boolean", value))

    return check


def _compile_null(schema: Mapping[str, Any]) -> Check:
    def check(value: Any, path: str, problems: list[str]) -> None:
        if value is not None:
            problems.append(_wrong_type(path, "null", value))

    return check


def _compile_string(schema: Mapping[str, Any]) -> Check:
    low, high = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    allowed = schema.get("enum")
    choices = None if allowed is None else frozenset(a for a in allowed if isinstance(a, str))

    def check(value: Any, path: str, problems: list[str]) -> None:
        if not isinstance(value, str):
            problems.append(_wrong_type(path, "string", value))
        elif not low <= len(value) <= high:
            if len(value) < low:
                problems.append(f"{path} must not be empty")
            else:
                problems.append(f"{path} is too long: {len(value)} characters, at most {high}")
        elif choices is not None and value not in choices:
            problems.append(
                f"{path} must be one of {', '.join(sorted(choices))}, not '{printable(value)}'"
            )

    return check


def _compile_number(schema: Mapping[str, Any]) -> Check:
    whole = schema["type"] == "integer"
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    allowed = schema.get("enum")

    def check(value: Any, path: str, problems: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            problems.append(_wrong_type(path, "integer" if whole else "number", value))
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{path} must be a finite number")
        elif value < low:
            problems.append(f"{path} must be at least {low}")
        elif value > high:
            problems.append(f"{path} must be at most {high}")
        elif allowed is not None and value not in allowed:
            problems.append(f"{path} must be one of {', '.join(map(str, allowed))}")

    return check


def _compile_array(schema: Mapping[str, Any]) -> Check:
    low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    item = compile_schema(schema["items"]) if schema.get("items") else None
    unique = bool(schema.get("uniqueItems"))

    def check(value: Any, path: str, problems: list[str]) -> None:
        if not isinstance(value, (list, tuple)):
            problems.append(_wrong_type(path, "array", value))
            return
        if not low <= len(value) <= high:
            few = len(value) < low
            problems.append(
                f"{path} has {len(value)} entries; {'at least ' if few else 'at most '}"
                f"{low if few else high} are allowed"
            )
            return
        if item is not None:
            before = len(problems)
            for number, entry in enumerate(value):
                item(entry, f"{path}[{number}]", problems)
                if len(problems) >= MAX_PROBLEMS:
                    return
            if len(problems) > before:
                return
        if unique and any(entry in value[:number] for number, entry in enumerate(value)):
            problems.append(f"{path} must not repeat an entry")

    return check


def _compile_object(schema: Mapping[str, Any]) -> Check:
    properties = {
        name: compile_schema(entry) for name, entry in schema.get("properties", {}).items()
    }
    required = tuple(schema.get("required", ()))
    extra = schema.get("additionalProperties", not properties)
    names = ", ".join(properties) or "none"

    def check(value: Any, path: str, problems: list[str]) -> None:
        if type(value) is not dict and not isinstance(value, Mapping):
            problems.append(_wrong_type(path or "arguments", "object", value))
            return
        for name, entry in value.items():
            inner = properties.get(name) if isinstance(name, str) else None
            if inner is not None:
                inner(entry, f"{path}.{name}" if path else name, problems)
            elif not extra:
                where = f" of {path}" if path else ""
                problems.append(f"unknown argument '{printable(name)}'{where}; choose from {names}")
            if len(problems) >= MAX_PROBLEMS:
                return
        for name in required:
            if name not in value:
                problems.append(f"{path}.{name} is missing" if path else f"{name} is missing")

    return check


_BASE_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _schema_of(annotation: Any) -> dict[str, Any]:
    """The JSON schema of a type annotation."""
    limits: Limits | None = None
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        limits = next((extra for extra in extras if isinstance(extra, Limits)), None)
    if get_origin(annotation) in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        schema = _schema_of(options[0])
    elif get_origin(annotation) is Literal:
        schema = {"type": "string", "enum": list(get_args(annotation))}
    elif get_origin(annotation) is list:
        schema = {"type": "array", "items": _schema_of(get_args(annotation)[0])}
    elif annotation in _BASE_TYPES:
        schema = {"type": _BASE_TYPES[annotation]}
    else:
        schema = {"type": "object"}
    if limits is None:
        return schema
    if limits.schema is not None:
        return dict(limits.schema)
    for key, value in (
        ("minimum", limits.minimum),
        ("maximum", limits.maximum),
        ("minLength", limits.min_length),
        ("maxLength", limits.max_length),
        ("minItems", limits.min_items),
        ("maxItems", limits.max_items),
    ):
        if value is not None:
            schema[key] = value
    return schema


_ARGUMENT = re.compile(r"^\s{4}(\w+):\s*(.*)$")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description and the per-argument lines of a docstring with an ``Args:`` section."""
    lines = inspect.cleandoc(text).split("\n")
    head: list[str] = []
    arguments: dict[str, str] = {}
    current: str | None = None
    inside = False
    for line in lines:
        if line.strip() == "Args:":
            inside = True
        elif not inside:
            head.append(line)
        elif match := _ARGUMENT.match(line):
            current = match.group(1)
            arguments[current] = match.group(2).strip()
        elif current is not None and line.strip():
            arguments[current] += " " + line.strip()
    description = " ".join(" ".join(head).split())
    return description, arguments


def make_tool(
    function: Handler, *, writes: bool, budget: bool, product_arguments: tuple[str, ...] = ()
) -> Tool:
    """A :class:`Tool` from a function ``(ctx, ...)`` with a typed signature and a docstring.

    Raises:
        ValueError: if an argument has no line in the docstring, or the docstring is missing.
    """
    description, documented = read_docstring(function.__doc__ or "")
    name = function.__name__
    if not description:
        raise ValueError(f"tool {name!r} needs a docstring: it is what the agent reads")
    hints = get_type_hints(function, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name not in documented:
            raise ValueError(f"tool {name!r}: argument {parameter.name!r} is not in its Args")
        schema = _schema_of(hints[parameter.name])
        properties[parameter.name] = {**schema, "description": documented[parameter.name]}
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        writes=writes,
        counts_budget=budget,
        handler=function,
        check=compile_schema(parameters),
        product_arguments=product_arguments,
    )
