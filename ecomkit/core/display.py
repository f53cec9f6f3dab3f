"""How records look in a notebook: the one door from what is shown to what shows it."""

from __future__ import annotations

from importlib import import_module


def in_notebook(kind: str, shown: object) -> str:
    """``shown`` as HTML, by the function ``kind`` of :mod:`ecomkit.views.html`.

    It is looked up when it is called: records stand at the bottom of the house and know no view.
    """
    html: str = getattr(import_module("ecomkit.views.html"), kind)(shown)
    return html
