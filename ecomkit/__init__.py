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
    from ecomkit.agents.scripted import play as play
    from ecomkit.core.difficulty import difficulty as difficulty
    from ecomkit.core.errors import EcomkitError as EcomkitError
    from ecomkit.core.records import Action as Action
    from ecomkit.core.records import Episode as Episode
    from ecomkit.core.records import Observation as Observation
    from ecomkit.core.records import Score as Score
    from ecomkit.core.records import ToolCall as ToolCall
    from ecomkit.core.records import Trajectory as Trajectory
    from ecomkit.data.loading import check_fit as check_fit
    from ecomkit.data.loading import load_catalog as load_catalog
    from ecomkit.data.loading import load_episodes as load_episodes
    from ecomkit.episodes.draw import draw_episode as draw_episode
    from ecomkit.scores.scoring import score as score
    from ecomkit.scores.scoring import score_file as score_file
    from ecomkit.scores.scoring import score_many as score_many
    from ecomkit.scores.trajectories import read_trajectories as read_trajectories
    from ecomkit.scores.trajectories import write_trajectories as write_trajectories
    from ecomkit.session.session import Session as Session
    from ecomkit.session.session import replay as replay
    from ecomkit.views.report import report as report

_HOME = {
    "load_catalog": "data.loading",
    "load_episodes": "data.loading",
    "check_fit": "data.loading",
    "read_trajectories": "scores.trajectories",
    "write_trajectories": "scores.trajectories",
    "draw_episode": "episodes.draw",
    "difficulty": "core.difficulty",
    "replay": "session.session",
    "play": "agents.scripted",
    "score": "scores.scoring",
    "score_many": "scores.scoring",
    "report": "views.report",
    "score_file": "scores.scoring",
    "Session": "session.session",
    "Action": "core.records",
    "ToolCall": "core.records",
    "Observation": "core.records",
    "Episode": "core.records",
    "Trajectory": "core.records",
    "Score": "core.records",
    "EcomkitError": "core.errors",
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


class _ByName(ModuleType):
    """This module's class, so that a function that uses it pickles it by name wherever it is
    installed: dill, with which ``datasets`` makes its fingerprints, would write the content of one
    outside site-packages, which grows with every name used."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _ByName
