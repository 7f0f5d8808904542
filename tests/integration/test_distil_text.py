"""Token vectors are fitted to the texts that training may read, and the choice that is printed reads with them."""

from pathlib import Path

import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.dataset import embedded_review_text
from rec_sys.data.prepare import prepare
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings
from rec_sys.text.opening import open_encoder
from rec_sys.train.distil_text import DistilTextSettings, run, train_texts
from tests.tiny_transformers import write_tiny_transformer
from tests.training_runs import write_table


def settings_of(folder: Path, *choices: str) -> DistilTextSettings:
    data = [choice for choice in write_table(folder) if not choice.startswith("text")]
    common = (f"output_dir={folder}", "tracking=none", "text.static_dim=12", "text.num_threads=1", "text.device=cpu")
    return compose_settings([*data, *common, *choices], DistilTextSettings, "distil_text")


def test_the_printed_choice_reads_with_vectors_of_the_train_parts_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_transformer(tmp_path / "tiny")
    given = settings_of(tmp_path, "text=sentence_transformer", f"text.model={model}", "num_texts=60")
    run(given)
    *_, choice = capsys.readouterr().out.splitlines()
    chosen = compose_settings(choice.removeprefix("model: ").split(), Settings).text
    learned = Path(chosen.model or "").stat().st_mtime_ns
    run(given)  # what is learned already is not learned again
    assert capsys.readouterr().out.splitlines()[-1] == choice
    assert Path(chosen.model or "").stat().st_mtime_ns == learned
    assert open_encoder(chosen, tmp_path / "elsewhere").encode(["great tone", "It broke."]).shape == (2, 12)


def test_no_text_of_a_later_part_is_learnt_from(tmp_path: Path) -> None:
    given = settings_of(tmp_path)
    dataset = prepare(given.data, given.output_dir)
    texts = train_texts(given, dataset)
    reviews = dataset.reviews().with_columns(text=embedded_review_text())
    newest = reviews.group_by("user_id").agg(pl.col("timestamp").max())
    asked = reviews.join(newest, on=["user_id", "timestamp"])["text"]
    assert 0 < len(texts) < reviews["text"].n_unique()
    assert not set(texts) & set(asked)


def test_a_static_encoder_and_no_encoder_cannot_be_distilled(tmp_path: Path) -> None:
    for choice in ("text=static", "text=none"):
        with pytest.raises(InputError, match="distilled from an encoder that reads whole texts"):
            run(settings_of(tmp_path, choice))
