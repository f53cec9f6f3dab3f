"""A chat endpoint as the agent, against a stub server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

import ecomkit as ek
from ecomkit.agents.chat import ChatAgent

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

Serve = Callable[[Callable[[dict[str, Any]], Any]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server whose answers a function of the request's body gives; returns its address."""
    servers = []

    def start(reply: Callable[[dict[str, Any]], Any]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body["_path"], body["_key"] = self.path, self.headers.get("Authorization")
                said = reply(body)
                status = said if isinstance(said, int) else 200
                raw = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def completion(message: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", **message}}]}


def called(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    calls = [{"id": "c1", "type": "function", "function": function}]
    return completion({"content": None, "tool_calls": calls})


@pytest.fixture(scope="module")
def episode(catalog: Catalog) -> ek.Episode:
    return ek.draw_episode("cart", 0, 0, catalog)


def test_the_endpoint_plays_and_the_trajectory_scores_as_valid(
    serve: Serve, catalog: Catalog, episode: ek.Episode, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = []

    def reply(body: dict[str, Any]) -> Any:
        bodies.append(body)
        if len(bodies) == 1:
            return called("cart_view", {})
        return called("submit_answer", {"message": "Done."})

    monkeypatch.setenv("ECOMKIT_AGENT_KEY", "secret-word")
    agent = ChatAgent(serve(reply), "stub", temperature=0)
    trajectory = agent.play(episode, catalog, trial=2)
    assert (trajectory.agent, trajectory.trial) == ("stub", 2)
    assert [body["_path"] for body in bodies] == ["/v1/chat/completions"] * 2
    assert bodies[0]["_key"] == "Bearer secret-word" and bodies[0]["temperature"] == 0
    assert bodies[0]["messages"] == [dict(message) for message in episode.prompt]
    assert [m["role"] for m in bodies[1]["messages"]] == ["system", "user", "assistant", "tool"]
    assert {tool["function"]["name"] for tool in bodies[0]["tools"]} >= {"cart_view"}
    score = ek.score(trajectory, episode, catalog)
    assert (score.verdict, score.termination, score.passed) == ("valid", "answered", False)
    assert "secret-word" not in json.dumps(trajectory.to_row())


@pytest.mark.parametrize("said", [503, b"<html>", {"choices": []}, completion({}) | {"choices": 3}])
def test_a_failing_endpoint_is_a_failure_of_the_infrastructure(
    serve: Serve, catalog: Catalog, episode: ek.Episode, said: Any
) -> None:
    agent = ChatAgent(serve(lambda body: said), "stub", key="")
    trajectory = agent.play(episode, catalog)
    assert trajectory.metadata["stop_reason"] == "error"
    table = ek.score_many([trajectory], [episode], catalog, diagnose=True)
    assert table["labels"].to_list() == [["infra_error"]]
    assert table["passed"].to_list() == [False]


def test_nobody_there_and_no_address(catalog: Catalog, episode: ek.Episode) -> None:
    trajectory = ChatAgent("http://127.0.0.1:9/v1", "stub", timeout=2).play(episode, catalog)
    assert trajectory.metadata["stop_reason"] == "error"
    with pytest.raises(ValueError, match="http"):
        ChatAgent("file:///etc", "stub")


def test_output_that_is_no_action_ends_the_session(
    serve: Serve, catalog: Catalog, episode: ek.Episode
) -> None:
    trajectory = ChatAgent(serve(lambda body: completion({"content": ""})), "stub").play(
        episode, catalog
    )
    assert ek.score(trajectory, episode, catalog).termination == "format_error"
