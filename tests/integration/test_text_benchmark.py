"""The comparison of encoders on a small table: one is learned first and kept, mistakes come first."""

import json
from pathlib import Path
from typing import Any

import pytest

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments.text_benchmark import command
from rec_sys.experiments.text_benchmark.settings import TextBenchmarkSettings
from rec_sys.experiments.text_benchmark.table import RESULTS
from rec_sys.settings import Settings
from tests.tiny_transformers import TINY_DIM, write_tiny_transformer
from tests.training_runs import SMALL, write_table

STATIC_DIM = 12


def read_rows(path: Path) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(path.with_name(RESULTS).read_text())["rows"]}


def test_a_table_of_encoders_has_costs_and_figures_and_keeps_what_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_tiny_transformer(tmp_path / "tiny")
    data = [choice for choice in write_table(tmp_path) if not choice.startswith("text")]
    typed = [*SMALL, f"output_dir={tmp_path}", *data, "trainer.max_epochs=1", "text.device=cpu"]
    typed += ["text=sentence_transformer", f"text.model={model}", f"text.static_dim={STATIC_DIM}"]
    own = ["measurement.rows=[{name:tiny},{name:fitted,learn:distil_text}]", "measurement.seeds=[3]"]
    own += ["measurement.num_texts=40", "measurement.rounds=1"]
    settings = compose_settings([*typed, *own], TextBenchmarkSettings, "text_benchmark")
    trained = {}

    def note(folder: Path, settings: Settings, fingerprint: str, label: str, arguments: list[str]) -> dict[str, float]:
        trained[label] = compose_settings(arguments, Settings).text  # trainings are tests of the ablation
        return {"validation ndcg_at_10_masked": 0.25, "test ndcg_at_10_masked": 0.5}

    monkeypatch.setattr(command, "trained_figures", note)
    found = read_rows(command.compare_encoders(settings, typed))

    tiny, fitted = trained.values()
    assert list(trained) == ["tiny, seed 3", "fitted, seed 3"]
    assert (tiny.encoder, tiny.model, fitted.encoder) == ("sentence_transformer", str(model), "static")
    assert (found["tiny"]["bytes_a_text"], found["fitted"]["bytes_a_text"]) == (2 * TINY_DIM, 2 * STATIC_DIM)
    for name in ("tiny", "fitted"):
        figures = found[name]["figures"]
        assert (figures["whole validation"], figures["whole test"]) == ([0.25], [0.5])
        assert all(0 <= value < 1 for part in ("validation", "test") for value in figures[f"content {part}"])
    assert found["tiny"]["figures"] != found["fitted"]["figures"]
    assert found["fitted"]["texts_a_second"] > found["tiny"]["texts_a_second"]
    assert found["tiny"]["cosine"] == pytest.approx([1, 1])
    assert found["fitted"]["cosine"] is None
    assert found["tiny"]["share_of_peak"] > 0

    monkeypatch.setattr(command, "run_command", None)  # what is learned is not learned again
    for name, row in read_rows(command.compare_encoders(settings, typed)).items():
        assert row["figures"] == found[name]["figures"]


def test_a_row_without_an_encoder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    typed = [f"output_dir={tmp_path}"]
    rows = ['measurement.rows=[{name:none,changes:["text=none"]}]']
    settings = compose_settings([*typed, *rows], TextBenchmarkSettings, "text_benchmark")
    with pytest.raises(InputError, match="no encoder whose speed") as raised:
        command.compare_encoders(settings, typed)
    assert "row 'none'" in (raised.value.where or "")
    assert not list(tmp_path.iterdir())
