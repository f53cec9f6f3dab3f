"""Sentences by a language model, when episodes are generated: checked by code, or not used.

Any OpenAI-compatible endpoint serves. The template's sentence goes in, a rewording comes back; it
is kept only if it states every value, tells nothing that is left out, and changes no figure and
no identifier. Otherwise it is asked for again, and in the end the template stays. What is kept is
frozen in the episode, so replay never calls a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ecomkit.core.endpoint import EndpointFailed, chat_completion
from ecomkit.user.mentions import holds_words, mentions, missing, normalise
from ecomkit.user.words import number_word

Fact = tuple[str, Any]
"""(kind, value) of a slot."""

_SYSTEM = (
    "You rewrite a message that a customer types to a shop's assistant. Keep every fact, figure, "
    "name and code exactly. Add no fact. Write as the customer, in the first person, natural and "
    "informal. Answer with the rewritten message only: no quotes, no comment."
)
_FIGURE = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_IDENTIFIER = re.compile(r"\b(?=\w*[0-9])(?=\w*[A-Za-z])\w{4,}\b|\b[A-Z]{4,}\b")
_ASSISTANT_TALK = re.compile(
    r"\b(?:as an ai|language model|rewritten"
    r"|here(?:'s| is) (?:the|a) (?:re|message)|how can i help)",
    re.IGNORECASE,
)


class LLMPhraser:
    """Rewords customers' sentences through ``{base_url}/chat/completions``.

    Args:
        base_url: such as ``http://localhost:8000/v1``; http or https.
        model: the model's name at that endpoint.
        api_key: sent as a bearer token if given; never printed and never part of an error.
        timeout: seconds for one call.
        retries: further attempts after a failed call or check.
        temperature: of the sampling.

    ``counts`` holds how many texts were ``accepted``, how many kept their ``template``, and how
    often an attempt failed, by reason.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 2,
        temperature: float = 0.7,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError("base_url must start with http:// or https://")
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.timeout = timeout
        self.retries = retries
        self.temperature = temperature
        self.counts: dict[str, int] = {"accepted": 0, "template": 0}
        self._api_key = api_key

    def __repr__(self) -> str:
        return f"LLMPhraser(base_url={self.base_url!r}, model={self.model!r})"

    def rewrite(
        self,
        text: str,
        keep: Sequence[Fact],
        hide: Sequence[Fact] = (),
        names: Sequence[Sequence[str]] = (),
    ) -> str:
        """A rewording of ``text``, or ``text`` itself if none passes the checks.

        Args:
            text: the template's sentence, before typos.
            keep: the slots that it states.
            hide: the slots that it must not tell.
            names: for each item in it, what that item may be called; one of them must stay.
        """
        problem = ""
        for _ in range(self.retries + 1):
            try:
                candidate = self._complete(text, problem)
            except EndpointFailed as error:
                self._count(f"call: {error}")
                continue
            problem = check(text, candidate, keep, hide, names)
            if not problem:
                self._count("accepted")
                return candidate
            self._count(f"check: {problem.split(':')[0]}")
        self._count("template")
        return text

    def rephrase(self, opening: str, script: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """An opening and a user script with the opening and the statements reworded.

        The input must be free of typos: put them in afterwards.
        """
        slots = [dict(slot) for slot in script["slots"]]
        nouns: Mapping[str, Sequence[str]] = script.get("nouns", {})
        facts = [(slot["kind"], slot["value"]) for slot in slots]
        said = [fact for fact, slot in zip(facts, slots, strict=True) if slot["opening"]]
        omitted = [fact for fact, slot in zip(facts, slots, strict=True) if not slot["opening"]]
        new_opening = self.rewrite(opening, said, omitted, list(nouns.values()))
        for i, slot in enumerate(slots):
            others = facts[:i] + facts[i + 1 :]
            names = [nouns[slot["subject"]]] if slot["subject"] in nouns else []
            slot["statement"] = self.rewrite(slot["statement"], [facts[i]], others, names)
        return new_opening, {**script, "slots": slots}

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _complete(self, text: str, problem: str) -> str:
        """One call. Raises EndpointFailed with a reason that holds no secret."""
        prompt = text if not problem else f"{text}\n\n(Your last attempt was refused: {problem}.)"
        body = {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": 400,
            "messages": [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": prompt},
            ],
        }
        content = chat_completion(self.base_url, body, self._api_key, self.timeout).get("content")
        if not isinstance(content, str) or not content.strip():
            raise EndpointFailed("empty")
        content = re.sub(r"<think>.*?</think>", "", content, flags=re.DOTALL).strip()
        if len(content) > 1 and content[0] == content[-1] == '"' and '"' not in content[1:-1]:
            content = content[1:-1].strip()
        return content


def check(
    template: str,
    candidate: str,
    keep: Sequence[Fact],
    hide: Sequence[Fact] = (),
    names: Sequence[Sequence[str]] = (),
) -> str:
    """Why ``candidate`` cannot stand for ``template``; empty if it can."""
    size = len(template)
    if not size * 0.4 - 10 <= len(candidate) <= size * 2.5 + 60:
        return "length: out of bounds"
    if re.search(r"[{}<>\\]|```|\*\*", candidate) or any(
        ord(c) < 32 and c != "\n" for c in candidate
    ):
        return "format: markup or control characters"
    if _ASSISTANT_TALK.search(candidate):
        return "voice: it must be the customer's message"
    clean, before = normalise(candidate), normalise(template)
    for kind, value in keep:
        lacking = missing(candidate, kind, value)
        if lacking:
            return f"missing: {lacking[0]!r} must be said"
    for group in names:
        if any(holds_words(before, name) for name in group) and not any(
            holds_words(clean, name) for name in group
        ):
            return f"missing: {group[0]!r} must be named"
    for kind, value in hide:
        groups = [
            [word for word in group if word not in ("a", "an", "one")]
            for group in mentions(kind, value)
        ]
        told = [any(holds_words(clean, w) for w in g) for g in groups]
        told_before = [any(holds_words(before, w) for w in g) for g in groups]
        if groups and kind != "checkout" and all(told) and not all(told_before):
            return "leak: it tells what the message leaves out"
    return _figures_problem(template, candidate)


def _figures_problem(template: str, candidate: str) -> str:
    clean, before = normalise(candidate), normalise(template)
    for figure in sorted(set(_FIGURE.findall(clean)) - set(_FIGURE.findall(before))):
        if not (
            figure.isdigit() and int(figure) <= 99 and holds_words(before, number_word(int(figure)))
        ):
            return f"figure: {figure} is not in the message"
    for figure in sorted(set(_FIGURE.findall(before)) - set(_FIGURE.findall(clean))):
        if not (
            figure.isdigit() and int(figure) <= 99 and holds_words(clean, number_word(int(figure)))
        ):
            return f"figure: {figure} was lost"
    ids = set(_IDENTIFIER.findall(template))
    lost = sorted(word for word in ids if word not in candidate)
    if lost:
        return f"identifier: {lost[0]} was changed"
    return ""
