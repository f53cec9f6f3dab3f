"""ecomkit: a shop, a scripted customer, frozen episodes, exact replay and scores.

The public names are resolved on first use, so that ``import ecomkit`` stays light: it
loads no torch, faiss, datasets or polars.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    # "as" marks a public name for type checkers.
    from ecomkit.agents import play as play
    from ecomkit.difficulty import difficulty as difficulty
    from ecomkit.episodes import draw_episode as draw_episode
    from ecomkit.errors import EcomkitError as EcomkitError
    from ecomkit.loading import check_fit as check_fit
    from ecomkit.loading import load_catalog as load_catalog
    from ecomkit.loading import load_episodes as load_episodes
    from ecomkit.records import Action as Action
    from ecomkit.records import Episode as Episode
    from ecomkit.records import Observation as Observation
    from ecomkit.records import Score as Score
    from ecomkit.records import ToolCall as ToolCall
    from ecomkit.records import Trajectory as Trajectory
    from ecomkit.replay import Session as Session
    from ecomkit.replay import replay as replay
    from ecomkit.report import report as report
    from ecomkit.scoring import score as score
    from ecomkit.scoring import score_file as score_file
    from ecomkit.scoring import score_many as score_many
    from ecomkit.trajectories import read_trajectories as read_trajectories
    from ecomkit.trajectories import write_trajectories as write_trajectories

_HOME = {
    "load_catalog": "loading",
    "load_episodes": "loading",
    "check_fit": "loading",
    "read_trajectories": "trajectories",
    "write_trajectories": "trajectories",
    "draw_episode": "episodes",
    "difficulty": "difficulty",
    "replay": "replay",
    "play": "agents",
    "score": "scoring",
    "score_many": "scoring",
    "report": "report",
    "score_file": "scoring",
    "Session": "replay",
    "Action": "records",
    "ToolCall": "records",
    "Observation": "records",
    "Episode": "records",
    "Trajectory": "records",
    "Score": "records",
    "EcomkitError": "errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'ecomkit' has no attribute {name!r}")
    value = getattr(import_module(f"ecomkit.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``ecomkit.replay`` and ``ecomkit.difficulty`` the functions of these names.

    Importing a submodule makes it an attribute of the package, which would hide them.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
