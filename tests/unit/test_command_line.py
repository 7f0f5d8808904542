"""Every command's `--help` and its answer to a mistake: what they say, and what they do not wait for."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.settings_help import help_text, settings_of
from tests.unit.test_config import commands, request

REPOSITORY = Path(__file__).resolve().parents[2]
# What takes long to import, and whatever imports it.
HEAVY = {
    *("numpy", "polars", "pandas", "scipy", "sklearn", "matplotlib", "pandera", "sqlalchemy", "safetensors"),
    *("torch", "torch_geometric", "pytorch_lightning", "lightning", "mlflow", "optuna", "rectools", "implicit"),
    *("qdrant_client", "qdrant_edge", "onnx", "onnxruntime", "tokenizers", "transformers", "grpc", "tritonclient"),
    *("fastapi", "starlette", "uvicorn", "httpx", "structlog"),
}
LOADS = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
found = {}
for name in sys.argv[3:]:
    importlib.import_module(name)
    found[name] = sorted({module.partition(".")[0] for module in sys.modules} & set(json.loads(sys.argv[2])))
print(json.dumps(found))
"""


def entry_modules() -> list[str]:
    """Every module that ends in a call of `run_entry`."""
    paths = (path for folder in ("rec_sys", "triton_utils") for path in sorted((REPOSITORY / folder).rglob("*.py")))
    return [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for path in paths
        if "run_entry(" in (code := path.read_text(encoding="utf-8"))
        for statement in ast.parse(code).body
        if isinstance(statement, ast.If) and "run_entry(" in ast.unparse(statement)
    ]


@cache
def loaded() -> dict[str, list[str]]:
    """What has been imported after each entry's module; one process for all, because one takes a second to start."""
    command = [sys.executable, "-c", LOADS, str(REPOSITORY), json.dumps(sorted(HEAVY)), *entry_modules(), "numpy"]
    found: dict[str, list[str]] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return found


@pytest.mark.parametrize("module", entry_modules())
def test_settings_are_checked_before_anything_that_takes_long_is_imported(module: str) -> None:
    assert loaded()[module] == []


def test_an_import_that_takes_long_would_be_found() -> None:
    assert len(entry_modules()) >= 13
    assert loaded()["numpy"] == ["numpy"]


@pytest.mark.parametrize("config_name", commands())
def test_help_shows_what_a_command_does_its_groups_and_every_setting(config_name: str) -> None:
    asked = request(config_name)
    text = help_text(asked, "What it does,\nin one\nparagraph.\n\nAnd more.")
    assert text.startswith("What it does, in one paragraph.\n\n")
    for group, choice in asked.choices.items():
        assert f"\n  {group}={choice}\n" in text
        assert all(f"\n      {option} " in text for option in asked.options(group))
    groups = text.partition("Settings with")[0]
    assert set(re.findall(r"^  (\w+)=", groups, re.MULTILINE)) == asked.choices.keys()
    for key, field, value in settings_of(asked.settings_type, asked.composed):
        if isinstance(value, dict):
            assert f"\n  {key}: " in text
        else:
            assert f"\n  {key}=" in text
            assert field.description
            assert " ".join(field.description.split()) in " ".join(text.split())


@pytest.mark.parametrize("config_name", commands())
def test_every_option_says_what_it_is(config_name: str) -> None:
    asked = request(config_name)
    options = [(group, option) for group in asked.choices for option in asked.options(group)]
    assert [f"{group}={option}" for group, option in options if not asked.remark(group, option)] == []


def test_help_shows_the_settings_of_the_choices_made() -> None:
    text = help_text(request("config", "data=table", "trainer=sampled"), "Trains.")
    assert "\n  data=table\n" in text
    assert "\n  data.columns.user_id=auto\n" in text
    assert "\n  data.reviews_path=VALUE\n      a path, must be given. The table of reviews" in text
    assert "\n  trainer.batch_size=512\n      a whole number, at least 1. Reviews predicted a step." in text
    assert "data.num_users" not in text


def test_help_for_a_choice_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean data=sample"):
        help_text(request("config", "data=sampel"), "Trains.")


@pytest.mark.parametrize(
    ("config_name", "typed", "meant"),
    [
        ("infer", "user=A1", "user_id"),
        ("infer", "usr_id=A1", "user_id"),
        ("infer", "user_ids=A1", "user_id"),
        ("infer", "usrs=file", "users"),
        ("infer", "review=file", "reviews"),
        ("infer", "limits=3", "limit"),
        ("infer", "index.link=3", "index.hnsw_links"),
        ("infer", "inference.url=a:1", "inference.triton_url"),
        ("config", "epochs=3", "trainer.max_epochs"),
        ("config", "trainer.epochs=3", "trainer.max_epochs"),
        ("config", "model.head=1", "model.num_heads"),
        ("config", "batch=4", "trainer.batch_size"),
        ("config", "output=x", "output_dir"),
        ("benchmark", "baseline=[popular]", "baselines"),
        ("benchmark", "tuning.trial=3", "tuning.trials"),
        ("gateway", "serving.prot=1", "serving.port"),
        ("gateway", "port=1", "serving.port"),
        ("demo", "prot=1", "port"),
        ("demo", "repository=x", "model_repository"),
        ("create_vectorbase", "acton=status", "action"),
        ("model_export", "export.version=1", "export.kept_versions"),
        ("triton_server", "triton.grpc=1", "triton.grpc_port"),
        ("latency", "measurement.second=1", "measurement.seconds"),
        ("scaling", "scaling.size=[1000]", "scaling.sizes"),
        ("cold_start", "cold_start.seed=1", "cold_start.seeds"),
        ("index_benchmark", "measurement.question=10", "measurement.questions"),
    ],
)
def test_a_misspelt_setting_is_answered_with_the_one_that_was_meant(config_name: str, typed: str, meant: str) -> None:
    with pytest.raises(InputError) as refused:
        compose_settings([typed], commands()[config_name], config_name)
    assert refused.value.remedy == f"did you mean {meant}?"


@pytest.mark.parametrize(
    ("config_name", "typed", "renamed"),
    [
        ("benchmark", "peers=[popular]", "baselines"),
        ("benchmark", "peer_settings=default", "baseline_settings"),
        ("config", "model.co_review.burst=1", "model.co_review.session"),
        ("config", "model.co_review.burst_days=1", "model.co_review.session_days"),
    ],
)
def test_a_former_name_is_answered_with_the_present_one(config_name: str, typed: str, renamed: str) -> None:
    with pytest.raises(InputError) as refused:
        compose_settings([typed], commands()[config_name], config_name)
    assert refused.value.remedy == f"it is called {renamed} now"
