"""What TRL's trainers are given: environment classes, and passing trajectories."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import ecomkit as ek
from ecomkit.adapters import trl as training
from ecomkit.catalog import Catalog
from ecomkit.core.errors import UnknownName
from ecomkit.envs import REGISTRY, environment
from ecomkit.shop.tools import validate


@pytest.fixture(scope="module")
def rows(episodes_folder: Path) -> list[dict[str, Any]]:
    """Cart episodes at d = 3, as a dataset gives them."""
    return list(ek.load_episodes(episodes_folder, "cart", split="d03"))


def call(env: Any, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """All calls of one message, as the trainer makes them."""

    async def together() -> list[str]:
        return await asyncio.gather(*[getattr(env, name)(**given) for name, given in calls])

    return asyncio.run(together())


def solve(env: Any, row: dict[str, Any]) -> list[str]:
    """Play the reference, a message for each of its steps."""
    out: list[str] = []
    for action in json.loads(row["reference"])["actions"]:
        calls = [(c["name"], c["args"]) for c in action.get("tool_calls") or ()]
        if action.get("answer") is not None:
            calls.append(("submit_answer", action["answer"]))
        out = call(env, calls)
    return out


def test_an_environment_scores_as_the_kit_does(
    rows: list[dict[str, Any]], catalog: Catalog
) -> None:
    env = training.environment_class("cart", catalog)()
    for row in rows:  # the same instance again and again, as the trainer does
        assert env.reset(**row) is None
        last = solve(env, row)
        wanted = ek.score(ek.play("reference", row, catalog), row, catalog)
        assert env.get_reward() == wanted.reward > 0
        assert env._session.steps == wanted.steps, "the calls of one message are one step"
        assert "The customer says:" in last[-1]
        assert json.loads(call(env, [("cart_view", {})])[0])["error"] == "session_over"
        assert env.get_reward() == wanted.reward


def test_results_are_those_of_the_session(rows: list[dict[str, Any]], catalog: Catalog) -> None:
    env = training.environment_class("cart", catalog)()
    env.reset(**rows[0])
    calls = [
        ("catalog_search", {"query": "lamp", "page": None}),
        ("ask_user", {"question": "What color would you like?"}),
    ]
    found = call(env, calls)
    session = ek.replay(rows[0], catalog)
    session.reset()
    observation = session.step(
        {
            "tool_calls": [
                {"name": "catalog_search", "args": {"query": "lamp"}},
                {"name": "ask_user", "args": {"question": "What color would you like?"}},
            ]
        }
    )
    wanted = [m["content"] for m in observation.messages if m["role"] == "tool"]
    assert [json.loads(text.split("\n\n")[0]) for text in found] == [json.loads(t) for t in wanted]
    assert -1 <= env.get_reward() < 1


def test_an_illegal_call_ends_it(rows: list[dict[str, Any]], catalog: Catalog) -> None:
    env = training.environment_class("cart", catalog)()
    with pytest.raises(RuntimeError, match="before reset"):
        env.get_reward()
    env.reset(**rows[0])
    said = call(env, [("cart_add", {"product_id": "A", "quantity": "many"})])
    assert json.loads(said[0])["error"] == "illegal_tool"
    assert env.get_reward() == -1.0
    env.reset(**rows[0])
    budget = rows[0]["tool_budget"]
    call(env, [("cart_view", {})] * (budget + 1))
    assert env.get_reward() == -1.0
    env.reset(**rows[0])
    call(env, [("cart_view", {})] * budget)
    assert env.get_reward() > -1.0
    with pytest.raises(UnknownName, match="cart"):
        training.environments(catalog, ["carts"])


@pytest.mark.parametrize("name", list(REGISTRY))
def test_the_schemas_come_back(name: str, catalog: Catalog) -> None:
    utils = pytest.importorskip("transformers.utils")
    env = training.environments(catalog)[name]()
    for schema in training.schemas(environment(name).answer_parameters):
        wanted = schema["function"]
        found = utils.get_json_schema(getattr(env, wanted["name"]))["function"]
        assert found["name"] == wanted["name"]
        properties = wanted["parameters"].get("properties", {})
        assert list(found["parameters"]["properties"]) == sorted(
            properties, key=lambda field: field not in wanted["parameters"].get("required", ())
        )
        assert set(found["parameters"].get("required", ())) == set(
            wanted["parameters"].get("required", ())
        )
        for field, given in properties.items():
            back = found["parameters"]["properties"][field]
            assert back["type"] == given.get("type", "string"), (wanted["name"], field)
            assert back.get("enum") == given.get("enum")
    assert validate("cart_view", {}) == []


def test_passing_trajectories(rows: list[dict[str, Any]], catalog: Catalog, tmp_path: Path) -> None:
    played = [ek.play(agent, row, catalog) for row in rows for agent in ("reference", "empty")]
    found = training.passing(played, rows, catalog)
    assert list(found["episode_id"]) == [row["episode_id"] for row in rows]
    assert {"messages", "tools"} <= set(found.column_names)
    assert json.loads(found[0]["tools"]) == json.loads(rows[0]["tools"])
    assert found[0]["messages"][0]["role"] == "system"
    # The parquet file of the same trajectories has the same columns.
    ek.write_trajectories(played, tmp_path / "played.parquet")
    import datasets

    read = datasets.load_dataset("parquet", data_files=str(tmp_path / "played.parquet"))["train"]
    assert read.features == found.features
    assert len(read) == len(played)


# With TRL itself --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(rows: list[dict[str, Any]]) -> Any:
    """A byte-level tokenizer trained on the episodes, with the chat template of Qwen 3."""
    pytest.importorskip("trl")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from trl import chat_template_utils

    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([row["tools"] + row["prompt"][0]["content"] for row in rows], trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    made.chat_template = chat_template_utils.qwen3_chat_template
    return made


@pytest.fixture
def model(tokenizer: Any) -> Any:
    """A random model of one small layer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=32768,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


@pytest.mark.slow
def test_grpo_takes_episodes_as_they_are(
    episodes_folder: Path, catalog: Catalog, tokenizer: Any, model: Any, tmp_path: Path
) -> None:
    trl = pytest.importorskip("trl")
    played: list[training.ShopEnvironment] = []

    class Watched(training.environment_class("cart", catalog)):  # type: ignore[misc]
        def get_reward(self) -> float:
            played.append(self)
            return super().get_reward()

    trainer = trl.GRPOTrainer(
        model=model,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=2,
            num_generations=2, max_completion_length=400, report_to=[], use_cpu=True,
            save_strategy="no", logging_steps=1, disable_tqdm=True,
            max_tool_calling_iterations=2, gradient_checkpointing=False,
            generation_kwargs={"max_new_tokens": 8},
        ),
        train_dataset=ek.load_episodes(episodes_folder, "cart", split="d03"),
        processing_class=tokenizer,
        environment_factory={"cart": Watched},
    )  # fmt: skip
    # The model is random; these words are put into its mouth, so that tools are really called.
    spoken = (
        '<tool_call>\n{"name": "cart_view", "arguments": {}}\n</tool_call>\n'
        '<tool_call>\n{"name": "order_list", "arguments": {}}\n</tool_call><|im_end|>'
    )
    speak = trainer._generate_single_turn
    turns: list[int] = []

    def prompted(prompt_ids: Any, *others: Any, **named: Any) -> Any:
        turns.append(len(prompt_ids))
        found = list(speak(prompt_ids, *others, **named))
        if len(turns) == 1:
            ids = tokenizer(spoken)["input_ids"]
            found[0] = [list(ids) for _ in prompt_ids]
        return tuple(found)

    trainer._generate_single_turn = prompted
    result = trainer.train()
    assert result.global_step == 1
    assert len(turns) >= 2, "results of tools were fed back"
    sessions = [env._session for env in played]
    assert len(sessions) == 2 and all(s is not None for s in sessions)
    assert {s.steps for s in sessions if s} == {1}, "two calls in one message are one step"
    log = trainer.state.log_history[0]
    assert -1 <= log["reward"] <= 1 and log["tools/call_frequency"] == 2


@pytest.mark.slow
def test_sft_takes_trajectories_as_they_are(
    rows: list[dict[str, Any]], catalog: Catalog, tokenizer: Any, model: Any, tmp_path: Path
) -> None:
    trl = pytest.importorskip("trl")
    played = [ek.play("honest", row, catalog) for row in rows]
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=1, report_to=[],
            use_cpu=True, save_strategy="no", logging_steps=1, disable_tqdm=True, max_length=8192,
            gradient_checkpointing=False, assistant_only_loss=False,
        ),
        train_dataset=training.passing(played, rows, catalog),
        processing_class=tokenizer,
    )  # fmt: skip
    text = tokenizer.decode(trainer.train_dataset[0]["input_ids"])
    assert "catalog_search" in text and "<tool_call>" in text and "<tool_response>" in text
    assert trainer.train().global_step == 1
    assert trainer.state.log_history[0]["loss"] > 0
