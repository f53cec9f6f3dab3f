"""The kit's exceptions. Each message names the thing, the cause and the choices."""

from __future__ import annotations

from collections.abc import Iterable


class EcomkitError(Exception):
    """Base of every error that the kit raises on purpose."""


class UnknownName(EcomkitError, KeyError):
    """A name that is not in the list it must come from."""

    def __init__(self, kind: str, name: object, choices: Iterable[str] = ()) -> None:
        listed = sorted(choices)
        shown = ", ".join(listed[:12]) + (", …" if len(listed) > 12 else "")
        self.message = f"unknown {kind} {name!r}" + (f"; choose from {shown}" if listed else "")
        # What it is made of, so that it can be pickled and a worker's error reach the caller.
        super().__init__(kind, name, listed)

    def __str__(self) -> str:
        return self.message


class UnknownProduct(UnknownName):
    """A product id that the catalog does not hold."""

    def __init__(self, product_id: object) -> None:
        super().__init__("product", product_id)
        self.args = (product_id,)


class CatalogError(EcomkitError):
    """A catalog that is missing, damaged, or not the one the episodes were made on."""


class ImportProblem(EcomkitError):
    """A source file that cannot be read as a catalog at all (bad rows do not raise)."""


class SearchUnavailable(EcomkitError):
    """Search was needed but no embeddings and index were loaded."""


class IndexDamaged(EcomkitError):
    """An embeddings or index file that is truncated, corrupt, or of another catalog."""


class EpisodeError(EcomkitError):
    """An episode row that cannot be replayed, or a set of episodes that cannot be read."""


class DrawFailed(EcomkitError):
    """No sound episode could be drawn within the bounded number of tries."""


class SessionOver(EcomkitError):
    """``step`` was called on a session that has ended."""


class TrajectoryError(EcomkitError):
    """A trajectory that cannot be read."""


class HubError(EcomkitError):
    """The Hub, or the login there, does not allow what was asked."""
