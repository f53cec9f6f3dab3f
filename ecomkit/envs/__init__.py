"""The registry of environments: one line each."""

from __future__ import annotations

from importlib import import_module

from ecomkit.core.errors import UnknownName
from ecomkit.envs.base import Environment

REGISTRY: dict[str, str] = {
    "bundle": "ecomkit.envs.bundle:Bundle",
    "cart": "ecomkit.envs.cart:Cart",
    "discovery": "ecomkit.envs.discovery:Discovery",
    "journey": "ecomkit.envs.journey:Journey",
    "policy": "ecomkit.envs.policy:PolicyQuestion",
    "returns": "ecomkit.envs.returns:Returns",
    "substitution": "ecomkit.envs.substitution:Substitution",
    "tracking": "ecomkit.envs.tracking:Tracking",
}
"""Environment name → ``module:class``. Adding one is a module and a line here."""

_INSTANCES: dict[str, Environment] = {}


def environment(name: str) -> Environment:
    """The environment called ``name`` (one shared, stateless instance).

    Raises:
        UnknownName: with the names to choose from.
    """
    if name not in _INSTANCES:
        if name not in REGISTRY:
            raise UnknownName("environment", name, REGISTRY)
        module, _, attribute = REGISTRY[name].partition(":")
        # Threads that come first at once get the same one.
        _INSTANCES.setdefault(name, getattr(import_module(module), attribute)())
    return _INSTANCES[name]


__all__ = ["REGISTRY", "Environment", "environment"]
