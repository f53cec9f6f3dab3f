"""One request to an OpenAI-compatible chat endpoint, whoever needs it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

_MAX_RESPONSE = 4_000_000


class EndpointFailed(OSError):
    """The endpoint gave no chat completion; the message holds no secret."""


def chat_completion(
    base_url: str, body: Mapping[str, Any], key: str | None, timeout: float
) -> dict[str, Any]:
    """The first choice's message.

    Args:
        base_url: up to ``/v1``; ``/chat/completions`` is added.
        body: of the request, plain JSON.
        key: sent as a bearer token, if there is one.
        timeout: seconds.

    Raises:
        EndpointFailed: if no answer comes (``status 500``, ``timeout``, the error's kind), or one
            that is no chat completion.
    """
    request = urllib.request.Request(
        f"{base_url}/chat/completions",
        data=json.dumps(body, allow_nan=False).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    if key:
        # Unredirected, so that a redirect cannot carry the key to another host.
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            raw = response.read(_MAX_RESPONSE)
    except urllib.error.HTTPError as error:
        raise EndpointFailed(f"status {error.code}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        late = isinstance(reason, TimeoutError)
        raise EndpointFailed("timeout" if late else type(error).__name__) from None
    try:
        message = json.loads(raw)["choices"][0]["message"]
    except (ValueError, LookupError, TypeError):
        message = None
    if not isinstance(message, dict):
        raise EndpointFailed("not a chat completion")
    return message
