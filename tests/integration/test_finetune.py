"""A text encoder that is learned further: on what, what it gains, and that it is used as it was learned."""

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.dataset import embedded_review_text
from rec_sys.data.prepare import prepare
from rec_sys.data.splits import split_reviews
from rec_sys.entry import compose_settings
from rec_sys.graph.build import build_graph
from rec_sys.settings import TextSettings
from rec_sys.text.embedding import embed_texts
from rec_sys.text.finetune.command import run
from rec_sys.text.finetune.pairs import draw_pairs
from rec_sys.text.finetune.settings import FinetuneRun
from rec_sys.text.opening import open_encoder
from tests.tiny_transformers import TINY_DIM, write_tiny_transformer

WORDS = ("strings guitar tone", "cable amp sound", "pick bright dull")
NOISE = ["the", "a", "and", "is", "it", "broke", "good", "bad", "great", "my", "in"]
USERS, PRODUCTS = 60, 30


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tastes; one word of many tells what kind of product a review is of."""
    random = np.random.default_rng(0)
    rows = ["user_id,asin,timestamp,text"]
    for user in range(USERS):
        for number, product in enumerate(random.permutation(PRODUCTS // 3)[:7]):
            word = random.choice(WORDS[user % 3].split())
            said = [*random.choice(NOISE, 8), word]
            random.shuffle(said)
            rows.append(f"u{user},p{3 * product + user % 3},{1_400_000_000 + 1000 * user + number},{' '.join(said)}")
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_transformer(tmp_path_factory.mktemp("model") / "tiny", pooling="mean")


def settings_of(reviews: Path, model: Path, output_dir: Path, *more: str) -> FinetuneRun:
    chosen = ["data=table", f"data.reviews_path={reviews}", "text=sentence_transformer", f"text.model={model}"]
    return compose_settings([*chosen, f"output_dir={output_dir}", "tracking=none", *more], FinetuneRun, "finetune")


def figures(printed: str) -> dict[str, list[float]]:
    """Name -> before and after."""
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in printed.splitlines() if "_at_10" in line]
    return {name: [float(before), float(after)] for name, before, after in rows}


def test_a_projection_learns_what_tells_products_apart_and_is_read_as_it_was_learned(
    reviews: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned = ("finetune.epochs=20", "finetune.learning_rate=0.005", "finetune.batch_size=32")
    run(settings_of(reviews, model, tmp_path, *learned))
    printed = capsys.readouterr().out
    before, after = figures(printed)["ndcg_at_10_masked"]
    assert after > 1.1 * before
    folder = printed.splitlines()[-1].partition("text.model=")[2]
    tuned = TextSettings(encoder="sentence_transformer", model=folder)
    texts = pl.read_csv(reviews)["text"].unique().to_list()
    stored = embed_texts(texts, tuned, tmp_path / "text")
    assert (stored.num_embedded, stored.num_reused, stored.vectors.shape[1]) == (0, len(texts), TINY_DIM)
    own = open_encoder(tuned, tmp_path / "text").encode(texts)
    assert np.einsum("td,td->t", own, stored.vectors.astype(np.float32)).min() > 0.999  # rounded as it is stored


@pytest.mark.parametrize(
    "wanted",
    [
        ("finetune.layers=all",),
        ("finetune.loss=triplet", "finetune.matryoshka=[16,8]"),
        ("finetune.layers=all", "finetune.loss=triplet"),
    ],
)
def test_every_weight_any_loss_and_nested_widths_can_be_learned(
    reviews: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: tuple[str, ...]
) -> None:
    run(
        settings_of(
            reviews,
            model,
            tmp_path,
            "finetune.epochs=1",
            "finetune.learning_rate=0.001",
            "finetune.batch_size=16",
            *wanted,
        )
    )
    printed = capsys.readouterr().out
    assert set(figures(printed)) == {"recall_at_10_masked", "ndcg_at_10_masked"}
    folder = printed.splitlines()[-1].partition("text.model=")[2]
    tuned = open_encoder(TextSettings(encoder="sentence_transformer", model=folder), tmp_path / "text")
    plain = open_encoder(TextSettings(encoder="sentence_transformer", model=str(model)), tmp_path / "text")
    assert not np.allclose(tuned.encode(["a bright tone"]), plain.encode(["a bright tone"]), atol=1e-4)


def test_pairs_are_of_the_train_split_and_lead_to_the_next_product_in_anothers_words(
    reviews: Path, model: Path, tmp_path: Path
) -> None:
    settings = settings_of(reviews, model, tmp_path)
    dataset = prepare(settings.data, tmp_path)
    graph, _ = build_graph(dataset, settings.graph, settings.text, 0, tmp_path)
    split = split_reviews(graph.interactions, settings.evaluation, 0)
    pairs = draw_pairs(dataset, graph, split, 100_000, seed=0)
    columns, edges = graph.interactions, split.train_edges
    texts = dataset.reviews().select(text=embedded_review_text())["text"].gather(columns.review_row).to_list()
    train = {texts[edge] for edge in edges if split.text_visible[edge]}
    assert train.issuperset({*pairs["anchor"], *pairs["positive"], *pairs["negative"]})
    assert not train & {texts[edge] for edge in np.flatnonzero(split.of_review > 0)}
    where = {texts[edge]: (int(columns.user_index[edge]), int(columns.product_index[edge])) for edge in edges}
    following = {}
    for user in range(columns.num_users):
        own = edges[columns.user_index[edges] == user]
        for older, newer in pairwise(own):
            following[texts[older]] = int(columns.product_index[newer])
    for anchor, positive, _ in pairs.iter_rows():
        assert where[positive][1] == following[anchor]
        assert where[positive][0] != where[anchor][0]
    assert pairs.height > 0.9 * len(following)
    assert pairs.equals(draw_pairs(dataset, graph, split, 100_000, seed=0))
    assert not pairs.equals(draw_pairs(dataset, graph, split, 100_000, seed=1))
    assert draw_pairs(dataset, graph, split, 50, seed=0).height == 50


def test_products_with_texts_of_their_own_are_the_positives(reviews: Path, model: Path, tmp_path: Path) -> None:
    products = tmp_path / "products.csv"
    products.write_text("asin,title\n" + "\n".join(f"p{number},Thing number {number}" for number in range(PRODUCTS)))
    settings = settings_of(reviews, model, tmp_path, f"data.metadata_path={products}")
    dataset = prepare(settings.data, tmp_path)
    graph, _ = build_graph(dataset, settings.graph, settings.text, 0, tmp_path)
    pairs = draw_pairs(dataset, graph, split_reviews(graph.interactions, settings.evaluation, 0), 100_000, seed=0)
    assert pairs["positive"].str.starts_with("Thing number").all()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["text=none"], "no transformer to fine-tune"),
        (["text=static"], "no transformer to fine-tune"),
        (["finetune.matryoshka=[64]"], f"the vectors have {TINY_DIM} numbers"),
        (["data.max_reviews=200", "finetune.max_pairs=100"], None),
    ],
)
def test_what_cannot_be_learned_is_refused(
    reviews: Path, model: Path, tmp_path: Path, more: list[str], what: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = settings_of(reviews, model, tmp_path, *more)
    if what is None:
        run(settings)
        assert "finetune: 100 pairs of texts" in caplog.text
        return
    with pytest.raises(InputError, match=what):
        run(settings)
    assert not list((tmp_path / "text" / "tuned").rglob("modules.json"))
