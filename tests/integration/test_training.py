"""Small real trainings: what is learnt, that it repeats, and that every kind of data trains."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rec_sys.contracts import BundleFile, HistoryColumn, InputError, ProductVector, TowerFile
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.settings import Settings
from tests.text_width import TEXT_DIM
from tests.training_runs import NUM_PRODUCTS, NUM_REVIEWS, train_here, write_sequences, write_table


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return write_table(tmp_path_factory.mktemp("table"))


RATING_FIGURES = {"rmse", "mae", "auc", "f1", "accuracy", "balanced_accuracy", "rating_loss"}


def test_a_training_learns_the_taste_and_leaves_a_whole_bundle(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    run = train_here(caplog, tmp_path, *table, "trainer.max_epochs=6", pictures=True)
    test, popular = run.metrics["test"], run.metrics["baselines"]["popular"]
    assert test["ndcg_at_10_masked"] > 1.5 * popular["ndcg_at_10_masked"]
    assert test["rmse"] < run.metrics["baselines"]["rating_mean"]["rmse"]
    assert set(test) >= RATING_FIGURES
    bundle = run.bundle
    assert bundle.folder.parent == tmp_path / "bundles"
    assert len(list((bundle.folder / "pictures").glob("*.png"))) == 3
    assert bundle.products().height == bundle.manifest.num_products == NUM_PRODUCTS
    card = (bundle.folder / BundleFile.CARD).read_text()
    assert f"{test['ndcg_at_10_masked']:.4f}" in card
    histories = bundle.histories()
    assert histories.height == NUM_REVIEWS
    # The newest review of each who is asked, and no other.
    newest = histories.group_by(HistoryColumn.USER_ID, maintain_order=True).last().filter(HistoryColumn.HELD_OUT)
    assert 0 < newest.height == histories[HistoryColumn.HELD_OUT].sum()

    # The weights are the model: it can be put together again, and gives the vectors that lie beside them.
    settings = Settings.model_validate(bundle.settings())
    model = ReviewGraphModel(NUM_PRODUCTS, TEXT_DIM, settings.model, settings.graph)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in bundle.weights().items()})
    vectors = bundle.product_vectors()
    np.testing.assert_allclose(np.linalg.norm(vectors[ProductVector.OUTPUT], axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[ProductVector.RATING_OFFSET], model.product_offset.numpy())
    no_text = torch.zeros(NUM_PRODUCTS, TEXT_DIM), torch.zeros(NUM_PRODUCTS)
    inputs = model.product_tower.read_inputs(torch.arange(NUM_PRODUCTS), *no_text)
    np.testing.assert_allclose(vectors[ProductVector.INPUT], inputs.detach().numpy(), atol=1e-6)

    # Nothing is left to go on from, and nothing half-written.
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("*.unfinished"))


def test_one_seed_gives_equal_metrics_and_another_seed_others(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    first, second, other = (
        train_here(caplog, tmp_path / name, *table, f"seed={seed}") for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert first.metrics == second.metrics
    assert first.epochs == second.epochs
    for name, value in first.bundle.weights().items():
        np.testing.assert_array_equal(value, second.bundle.weights()[name])
    assert first.metrics["test"] != other.metrics["test"]


def test_early_stopping_brings_the_best_epoch_back(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    fast = ("trainer.max_epochs=30", "trainer.patience=3", "trainer.learning_rate=0.03", "model.dropout=0")
    run = train_here(caplog, tmp_path, *table, *fast)
    figures = [figure for _, figure in run.epochs]
    best = int(np.argmax(figures))
    assert len(figures) == best + 1 + 3 < 30
    assert figures[-1] < figures[best]
    # More weights of the memory are tried at the end than after an epoch.
    assert run.metrics["validation"]["ndcg_at_10_masked"] >= figures[best] - 5e-5


def test_a_refit_trains_on_validation_for_as_many_epochs_as_were_best(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rec_sys.train import learning

    fitted: list[tuple[int | None, int, int]] = []
    real = learning.fit

    def watch(learner: Any, checkpoints: Path, tracker: Any, epochs: int | None = None) -> bool:
        is_first = real(learner, checkpoints, tracker, epochs)
        fitted.append((epochs, len(learner.split.train_edges), learner.trainer.current_epoch))
        return is_first

    monkeypatch.setattr(learning, "fit", watch)
    fast = ("trainer.max_epochs=5", "trainer.patience=2", "trainer.learning_rate=0.03", "evaluation.refit=true")
    fast = (*fast, "model.memory=none")  # the epochs' figures are the towers' own
    run = train_here(caplog, tmp_path, *table, *fast)
    figures = [figure for _, figure in run.epochs[: fitted[0][2]]]
    best = int(np.argmax(figures)) + 1
    (_, train, _), (asked, more, trained) = fitted
    assert (asked, trained) == (best, best)
    assert more == train + 48  # one validation review of each user
    # Validation is measured by the first model, which has not learnt it.
    assert run.metrics["validation"]["ndcg_at_10_masked"] == pytest.approx(max(figures), abs=5e-5)


@pytest.mark.parametrize("protocol", ["random_split", "global_time"])
def test_the_other_protocols_train(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    scale = ["data.rating_scale=[0,5]"] if protocol == "global_time" else []
    run = train_here(caplog, tmp_path, *table, f"evaluation={protocol}", "model=gat", "trainer.max_epochs=2", *scale)
    named = "0 to 5, read as 1 to 5 stars" if scale else None
    assert run.metrics.get("rating_scale") == named
    assert ("Ratings: 0 to 5" in (run.bundle.folder / BundleFile.CARD).read_text()) == bool(scale)
    asked = run.metrics["test"]["num_queries"]
    assert asked == 5 if protocol == "random_split" else 20 < asked <= 42
    assert set(run.metrics["test"]) >= RATING_FIGURES


def test_sequences_train_without_text_stars_and_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fast = "trainer.max_epochs=6", "trainer.learning_rate=0.02"
    run = train_here(caplog, tmp_path, *write_sequences(tmp_path), *fast, pictures=True)
    assert not RATING_FIGURES & set(run.metrics["test"])
    assert set(run.metrics["baselines"]) == {"popular"}
    assert run.metrics["test"]["ndcg_at_10_masked"] > 1.5 * run.metrics["baselines"]["popular"]["ndcg_at_10_masked"]
    assert not run.bundle.manifest.has_time
    assert len(run.bundle.history_text()) == 0
    with pytest.raises(InputError, match="needs times"):
        train_here(caplog, tmp_path, *write_sequences(tmp_path), "evaluation=global_time")


def test_without_a_tower_the_memory_ranks_alone_and_the_bundle_is_whole(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    refit = "model.tower=none", "evaluation.refit=true"
    run = train_here(caplog, tmp_path, *table, *refit, towers=True, pictures=True)
    assert run.epochs == []
    test, baselines = run.metrics["test"], run.metrics["baselines"]
    assert test["ndcg_at_10_masked"] > 1.5 * baselines["popular"]["ndcg_at_10_masked"]
    # Stars are the offsets', of a history that the validation review has joined.
    assert test["rmse"] == pytest.approx(baselines["rating_offsets"]["rmse"], abs=0.03)
    bundle = run.bundle
    assert {path.name for path in (bundle.folder / "towers").iterdir()} == {TowerFile.USER, TowerFile.PRODUCT}
    assert [path.name for path in (bundle.folder / "pictures").iterdir()] == ["ranking_metrics.png"]
    np.testing.assert_allclose(np.linalg.norm(bundle.product_vectors()[ProductVector.OUTPUT], axis=1), 1, atol=1e-5)
    # Whoever sums cosine and memory as the manifest says gets the memory's ranking.
    assert 1 / bundle.manifest.score.temperature < 1e-6 < bundle.manifest.score.memory_weight


@pytest.mark.parametrize("gains", [True, False])
def test_towers_are_trained_only_while_they_add_to_the_memory(
    tmp_path: Path,
    table: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    gains: bool,
) -> None:
    from rec_sys.train import fused_validation

    error = 0.0 if gains else 1.0  # nothing is clear beside an error of 1
    monkeypatch.setattr(fused_validation, "standard_error_of_mean", lambda _: error)
    asked = "model.tower=auto", "trainer.trial_reviews=384", "trainer.max_epochs=4", "trainer.learning_rate=0.02"
    run = train_here(caplog, tmp_path, *table, *asked, "evaluation.refit=true", "model.co_review.weights=[0,5,40]")
    found, tower = run.metrics["towers"], run.bundle.settings()["model"]["tower"]
    assert (found["trained"], tower) == ((True, "attention") if gains else (False, "none"))
    assert found["error"] == error
    assert ("are trained on" if gains else "add nothing clear") in run.said
    assert f"memory alone {found['memory']:.4f}" in run.said
    assert f"Towers and memory {found['fused']:.4f}" in (run.bundle.folder / BundleFile.CARD).read_text()
    if gains:
        assert len(run.epochs) >= 4
        assert found["fused"] > found["memory"]
    else:
        assert len(run.epochs) == 1  # the trial ended within the second one
        alone = train_here(caplog, tmp_path, *table, "model.tower=none", "evaluation.refit=true")
        assert run.metrics["test"] == pytest.approx(alone.metrics["test"])
        assert run.metrics["validation"]["ndcg_at_10_masked"] == pytest.approx(found["memory"])


def test_towers_within_the_trial_are_kept_where_they_add_anything(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    run = train_here(caplog, tmp_path, *table, "model.tower=auto", "trainer.max_epochs=3")
    found = run.metrics["towers"]
    assert found["trained"] == (found["fused"] > found["memory"])
    assert len(run.epochs) == 3
    with pytest.raises(InputError, match="asks whether towers add"):
        train_here(caplog, tmp_path, *table, "model.tower=auto", "model.memory=none")


def test_validation_chooses_between_regressions_and_counts(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    figures = {}
    for method in ("ridge", "counts", "best"):
        asked = "model.tower=none", f"model.co_review.method={method}", "evaluation.refit=true"
        run = train_here(caplog, tmp_path, *table, *asked)
        figures[method] = run.metrics["validation"]["ndcg_at_10_masked"], run.metrics["test"]["ndcg_at_10_masked"]
    chosen = run.bundle.settings()["model"]["co_review"]["method"]
    assert figures["best"] == figures[chosen]
    assert figures["best"][0] == max(validation for validation, _ in figures.values())
    assert figures["ridge"] != figures["counts"]


MISSING = {
    "ratings": ("data.columns.rating=null",),
    "texts": ("text=none", "data.columns.text=null", "~text.vectors_path"),
    "times": ("data.columns.timestamp=null",),
    "ids": ("model.product_ids=false",),
    "product reviews": ("graph.product_reviews=0",),
    "ranking": ("model.ranking_weight=0",),
    "most candidates": ("trainer.num_candidates=5",),
}


@pytest.mark.parametrize("missing", MISSING)
def test_what_is_missing_is_done_without(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    overrides = [one for one in (*table, *MISSING[missing]) if not one.startswith("~")]
    if missing == "texts":
        overrides = [one for one in overrides if not one.startswith("text.vectors_path") and one != "text=given"]
    run = train_here(caplog, tmp_path, *overrides, "trainer.max_epochs=2")
    assert (RATING_FIGURES & set(run.metrics["test"]) == set()) == (missing == "ratings")
    assert 0 < run.metrics["test"]["ndcg_at_10"] <= 1
    assert run.bundle.manifest.has_time == (missing != "times")
    losses = [
        float(line.split("train loss ")[1].split(",")[0]) for line in run.said.splitlines() if "train loss" in line
    ]
    assert losses[1] < losses[0]


def test_every_user_with_one_review_is_refused_before_anything_is_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["user_id,asin,rating,timestamp,text"] + [
        f"u{row},p{row % 7},5,{1_400_000_000 + row},good {row}" for row in range(40)
    ]
    (tmp_path / "reviews.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="leaves no validation reviews"):
        train_here(
            caplog, tmp_path, "data=table", f"data.reviews_path={tmp_path / 'reviews.csv'}", "text=none"
        )  # fmt: skip
    assert not list(tmp_path.rglob("bundles"))
