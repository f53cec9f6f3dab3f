"""A language model as the agent: any OpenAI-compatible chat endpoint plays episodes.

    agent = ChatAgent("http://localhost:8000/v1", "my-model")
    trajectory = agent.play(episode, catalog)

The key, if the endpoint wants one, is read from ``ECOMKIT_AGENT_KEY``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecomkit.core.endpoint import EndpointFailed as EndpointFailed
from ecomkit.core.endpoint import chat_completion
from ecomkit.core.records import Episode, Trajectory
from ecomkit.session.session import Session

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

KEY = "ECOMKIT_AGENT_KEY"


class ChatAgent:
    """Plays episodes by sending the conversation and the tools to a chat endpoint.

    Args:
        base_url: up to ``/v1``; ``/chat/completions`` is added.
        model: the model's name there.
        name: the agent's name in trajectories; the model's if empty.
        key: the endpoint's key; ``ECOMKIT_AGENT_KEY`` if None.
        timeout: seconds for one answer.
        options: further fields of each request, such as ``temperature=0`` or ``seed=1``.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        name: str = "",
        key: str | None = None,
        timeout: float = 120.0,
        **options: Any,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"the address must begin with http:// or https://, got {base_url!r}")
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.name = name or model
        self.timeout = timeout
        self.options = options
        self._key = os.environ.get(KEY) if key is None else key

    def play(
        self, episode: Episode | Mapping[str, Any], catalog: Catalog, trial: int = 0
    ) -> Trajectory:
        """The trajectory of one episode.

        An endpoint that fails ends the trajectory where it is: ``metadata["stop_reason"]`` is then
        ``error`` and scoring counts it as a failure of the infrastructure.
        """
        session = Session(episode, catalog)
        seen = session.reset()
        metadata: dict[str, Any] = {"model": self.model}
        while not session.done:
            try:
                message = self.complete(session.messages, seen.tools)
            except EndpointFailed as error:
                metadata |= {"stop_reason": "error", "error": str(error)}
                break
            seen = session.step(message)
        done = session.trajectory(self.name, trial)
        return Trajectory(done.episode_id, done.messages, done.agent, trial, done.tools, metadata)

    def complete(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """One assistant message in OpenAI form.

        Raises:
            EndpointFailed: if no answer comes, or one that is no chat completion.
        """
        body = {
            "model": self.model,
            "messages": list(messages),
            "tools": list(tools),
            **self.options,
        }
        message = chat_completion(self.base_url, body, self._key, self.timeout)
        kept = {name: message[name] for name in ("content", "tool_calls") if message.get(name)}
        return {"role": "assistant", "content": "", **kept}
