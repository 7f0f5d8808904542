"""Word vectors fitted on the texts at hand: the decomposition's own, read alike in training and in serving."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rec_sys.contracts import InputError, SplitName
from rec_sys.data.dataset import embedded_review_text
from rec_sys.data.interactions import build_interactions
from rec_sys.data.prepare import prepare
from rec_sys.data.splits import split_reviews
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings, TextSettings
from rec_sys.text.lsa import fit_lsa
from rec_sys.text.opening import identify_encoder, open_encoder
from rec_sys.text.static import StaticEncoder
from rec_sys.train import fitted_text
from tests.training_runs import train_here, write_table

DIM = 6
WORDS = ("strings", "guitar", "cable", "amp", "pick", "sound", "tone", "Bright", "dull", "broke")


def some_texts(number: int = 60) -> list[str]:
    random = np.random.default_rng(0)
    return [" ".join(random.choice(WORDS, random.integers(3, 9))) + f"! word{row}" for row in range(number)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> StaticEncoder:
    folder = tmp_path_factory.mktemp("lsa") / "model"
    fit_lsa(some_texts(), DIM, 0, folder)
    found = open_encoder(TextSettings(encoder="static", model=str(folder)), folder.parent)
    assert isinstance(found, StaticEncoder)
    return found


def test_texts_are_read_as_scikit_learn_decomposes_them(encoder: StaticEncoder) -> None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    texts = [*some_texts(), "A bright new amp, which broke.", "nothing known here"]
    reader = TfidfVectorizer(min_df=2)
    expected = (
        TruncatedSVD(DIM, random_state=0).fit(reader.fit_transform(some_texts())).transform(reader.transform(texts))
    )
    vectors = encoder.encode(texts)
    np.testing.assert_allclose(vectors @ vectors.T, normalize(expected) @ normalize(expected).T, atol=1e-4)
    assert not vectors[-1].any()


def test_the_folder_is_one_of_sentence_transformers(encoder: StaticEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    texts = some_texts(5)
    expected = SentenceTransformer(str(encoder.folder), device="cpu").encode(texts)
    np.testing.assert_allclose(encoder.encode(texts), expected, atol=1e-6)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    fit_lsa(some_texts(), DIM, 0, tmp_path / "model")
    vocabulary = tmp_path / "model" / "0_StaticEmbedding" / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text().replace("guitar", "gvitar"))
    with pytest.raises(InputError, match=r"damaged|changed"):
        open_encoder(TextSettings(encoder="static", model=str(tmp_path / "model")), tmp_path).encode(["guitar"])


def test_it_is_fitted_by_training_and_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fitted by training"):
        identify_encoder(TextSettings(encoder="lsa"))
    with pytest.raises(InputError, match="fitted by training"):
        open_encoder(TextSettings(encoder="lsa"), tmp_path)


def test_texts_of_later_parts_are_not_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [choice for choice in write_table(tmp_path) if not choice.startswith("text")]
    settings = compose_settings([*data, "text=lsa", f"output_dir={tmp_path}"], Settings)
    dataset = prepare(settings.data, tmp_path)
    read: list[set[str]] = []

    def watch(texts: list[str], *others: Any) -> None:
        read.append(set(texts))
        fit_lsa(texts, *others)

    monkeypatch.setattr(fitted_text, "fit_lsa", watch)
    fitted = fitted_text.fit_text(settings, dataset)
    assert (fitted.encoder, Path(fitted.model or "").is_dir()) == ("static", True)
    assert fitted_text.fit_text(settings, dataset) == fitted
    assert len(read) == 1  # the second time it lies there

    columns = build_interactions(dataset, settings.graph.tie_break, settings.seed)
    split = split_reviews(columns, settings.evaluation, settings.seed)
    texts = dataset.reviews().select(text=embedded_review_text())["text"].to_numpy()[columns.review_row]
    later = np.isin(split.of_review, (SplitName.VALIDATION, SplitName.TEST))
    assert later.sum() > 80
    assert not read[0] & set(texts[later])
    assert read[0] == set(texts[~later]) - set(texts[later])


def test_where_there_is_no_text_none_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = [choice for choice in write_table(tmp_path) if not choice.startswith("text")]
    run = train_here(caplog, tmp_path, *data, "data.columns.text=null", "experiment=fast")
    assert run.bundle.text_settings().source == "none"
    assert run.metrics["test"]["ndcg_at_10_masked"] > run.metrics["baselines"]["popular"]["ndcg_at_10_masked"]
