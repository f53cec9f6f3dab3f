"""Search: encoders from text to int8 vectors, exact and IVF indexes, and the engine over them."""

from __future__ import annotations

from ecomkit.shop.search.embed import (
    StaticEncoder,
    TransformerEncoder,
    distil,
    split_words,
    token_table,
)
from ecomkit.shop.search.engine import SearchEngine, distract, open_search
from ecomkit.shop.search.index import build_embeddings, build_index

__all__ = [
    "SearchEngine",
    "StaticEncoder",
    "TransformerEncoder",
    "build_embeddings",
    "build_index",
    "distil",
    "distract",
    "open_search",
    "split_words",
    "token_table",
]
