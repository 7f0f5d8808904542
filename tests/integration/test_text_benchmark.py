"""The comparison of encoders on a small table: one is learned first, figures are kept, mistakes come first."""

import json
from pathlib import Path
from typing import Any

import pytest

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments import kept_training
from rec_sys.experiments.text_benchmark import command
from rec_sys.experiments.text_benchmark.settings import TextBenchmarkSettings
from rec_sys.experiments.text_benchmark.table import RESULTS
from rec_sys.settings import Settings
from rec_sys.train.run_folder import RunFolder
from rec_sys.train.train import train
from tests.tiny_transformers import TINY_DIM, write_tiny_transformer
from tests.training_runs import SMALL, write_table

STATIC_DIM = 12


def read_rows(path: Path) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(path.with_name(RESULTS).read_text())["rows"]}


def test_a_table_of_encoders_has_costs_and_figures_and_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_tiny_transformer(tmp_path / "tiny")
    data = [choice for choice in write_table(tmp_path) if not choice.startswith("text")]
    typed = [*SMALL, f"output_dir={tmp_path}", *data, "trainer.max_epochs=1", "text.device=cpu"]
    typed += ["text=sentence_transformer", f"text.model={model}", f"text.static_dim={STATIC_DIM}"]
    own = ["measurement.rows=[{name:tiny},{name:fitted,learn:distil_text}]", "measurement.seeds=[3]"]
    own += ["measurement.num_texts=40", "measurement.rounds=1"]
    settings = compose_settings([*typed, *own], TextBenchmarkSettings, "text_benchmark")
    trained = []

    def train_here(arguments: list[str]) -> Any:  # and not in a process, which takes seconds to start
        asked = compose_settings(arguments, Settings)
        trained.append(asked.text)
        folder = RunFolder(asked)
        with folder.locked():
            return train(asked, folder)

    monkeypatch.setattr(kept_training, "train", train_here)
    found = read_rows(command.compare_encoders(settings, typed))

    assert [text.encoder for text in trained] == ["sentence_transformer", "static"]
    assert trained[1].model != str(model)
    assert (found["tiny"]["bytes_a_text"], found["fitted"]["bytes_a_text"]) == (2 * TINY_DIM, 2 * STATIC_DIM)
    for name in ("tiny", "fitted"):
        assert found[name]["figures"].keys() == {"content validation", "content test", "whole validation", "whole test"}
        assert all(0 <= value <= 1 for (value,) in found[name]["figures"].values())
    assert found["fitted"]["texts_a_second"] > found["tiny"]["texts_a_second"]
    assert found["tiny"]["cosine"] == pytest.approx([1, 1])
    assert found["fitted"]["cosine"] is None
    assert found["tiny"]["share_of_peak"] > 0

    monkeypatch.setattr(kept_training, "train", None)
    monkeypatch.setattr(command, "run_command", None)
    again = read_rows(command.compare_encoders(settings, typed))
    assert {name: row["figures"] for name, row in again.items()} == {
        name: row["figures"] for name, row in found.items()
    }


def test_a_row_without_an_encoder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    typed = [f"output_dir={tmp_path}"]
    rows = ['measurement.rows=[{name:none,changes:["text=none"]}]']
    settings = compose_settings([*typed, *rows], TextBenchmarkSettings, "text_benchmark")
    with pytest.raises(InputError, match="no encoder whose speed") as raised:
        command.compare_encoders(settings, typed)
    assert "row 'none'" in (raised.value.where or "")
    assert not list(tmp_path.iterdir())
