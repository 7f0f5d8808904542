"""The second stage from the training command to answers: adopted where it pays, the same in every way of asking."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.bundle import Bundle
from rec_sys.contracts import BundleFile, InputError, SplitName
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.prepare import prepare
from rec_sys.data.queries import Queries
from rec_sys.data.splits import Split, split_reviews
from rec_sys.data.synthetic_shop import write_shop
from rec_sys.entry import compose_settings
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.evaluation.ranks import rank_products
from rec_sys.evaluation.second_stage import FirstStage, SecondStage
from rec_sys.experiments.benchmark.bundle_scorer import BundledModel, read_memory_term
from rec_sys.experiments.benchmark.evaluation_data import build_evaluation_data
from rec_sys.graph.build import build_graph
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.inference.backends import Backends
from rec_sys.inference.batch_export import export_users
from rec_sys.inference.contract import RecommendationAnswer, RecommendationRequest, Review
from rec_sys.inference.live_reviews import OnRecord
from rec_sys.inference.recommender import Recommender
from rec_sys.inference.second_stage import describe_products
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.user_reviews import read_user, stored_reviews
from rec_sys.modules.bundled_model import load_model
from rec_sys.modules.publication import publish_bundle
from rec_sys.ranker.facts import UserFacts
from rec_sys.ranker.features import FEATURES, Candidates
from rec_sys.settings import EdgeIndex, ExportSettings, InferenceSettings, Settings, TritonSettings
from rec_sys.train.assembly import make_builders
from rec_sys.train.run_folder import RunFolder
from rec_sys.train.train import train
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.changed_bundles import note_anew
from tests.triton_servers import needs_core
from triton_utils.server import TritonServer

CANDIDATES = 60
SHOP = (
    *("data=table", "data.name=shop", "data.events.column=event", "data.events.weights={view: 0.3, order: 1}"),
    *("evaluation=next_days", "evaluation.target_events=[order]", "evaluation.window_days=21", "text=none"),
    *("model.tower=none", "model.dim=16", "model.ranker=lightgbm", "tracking=none", "trainer.num_threads=1"),
    "data.user_columns.facts={age: years}",
    *(f"model.second_stage.candidates={CANDIDATES}", "model.second_stage.rounds=40", "trainer.progress=false"),
)
UNNAMED = "C00005"  # is not in the table of customers
ASKED = tuple(f"C{number:05d}" for number in (0, 3, 5, 8, 40, 100, 250))


def run_settings(folder: Path) -> Settings:
    events, products = write_shop(folder / "shop", 0, customers=700, products=200, days=240, visits=6_000)
    ages = write_ages(folder / "ages.csv", pl.read_parquet(events), pl.read_csv(products))
    files = f"data.reviews_path={events}", f"data.metadata_path={products}", f"data.users_path={ages}"
    return compose_settings([*SHOP, *files, f"output_dir={folder}"], Settings)


def write_ages(path: Path, events: pl.DataFrame, products: pl.DataFrame) -> Path:
    """Ages of most customers, some empty: those who came first to dear products are older."""
    joined = events.sort("timestamp").join(products, on="asin")
    first = joined.group_by("user_id").agg(pl.col("price").head(2).mean().log().alias("price")).sort("user_id")
    known = first.filter(~pl.col("user_id").is_in([UNNAMED])).with_row_index()
    age = pl.when(pl.col("index") % 9 > 0).then((15 * pl.col("price")).round())
    known.select("user_id", age.alias("years")).write_csv(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Bundle]:
    settings = run_settings(tmp_path_factory.mktemp("ranker"))
    folder = RunFolder(settings)
    with folder.locked():
        path = train(settings, folder)
    assert path is not None
    bundle = Bundle(path)
    EdgePublisher(index_of(settings)).publish(read_catalogue(bundle))
    return settings, bundle


def index_of(settings: Settings) -> EdgeIndex:
    return EdgeIndex.model_validate(
        {"backend": "edge", "folder": settings.output_dir / "index", "check_queries": 4, "progress": False}
    )


def ask(
    settings: Settings, requests: list[RecommendationRequest], inference: InferenceSettings | None = None
) -> list[RecommendationAnswer]:
    async def ask_all() -> list[RecommendationAnswer]:
        chosen = inference or InferenceSettings(num_threads=1)
        async with Recommender(index_of(settings), chosen, settings.output_dir) as recommender:
            return list(await asyncio.gather(*map(recommender.recommend, requests)))

    return asyncio.run(ask_all())


def listed(answer: RecommendationAnswer) -> list[str]:
    return [product.asin for product in answer.products]


def test_it_is_adopted_where_two_stages_show_a_gain(trained: tuple[Settings, Bundle]) -> None:
    _, bundle = trained
    figures = bundle.metrics()["ranker"]
    assert figures["adopted"]
    for stage in ("earlier", "validation"):
        assert figures[stage]["after"] - figures[stage]["before"] > 2 * figures[stage]["error"] > 0
    assert bundle.metrics()["validation"]["ndcg_at_10_masked"] == pytest.approx(figures["validation"]["after"])
    card = bundle.manifest.ranker
    assert card is not None
    assert (card.library, card.candidates) == ("lightgbm", CANDIDATES)
    assert card.features == (*FEATURES, "user_age", "age_from_reviewers")


def test_answers_stand_in_the_rankers_order_with_its_reasons(trained: tuple[Settings, Bundle]) -> None:
    settings, bundle = trained
    trees = ServedBundle(bundle).ranker.trees
    own = trees.feature >= len(FEATURES)
    assert own.any()  # splits by what is known of customers
    mean = trees.predict(np.zeros((1, 40), np.float32)) - trees.contributions(np.zeros((1, 40), np.float32)).sum()
    request = RecommendationRequest(user_id=ASKED[1])
    (answer,) = ask(settings, [request], InferenceSettings(num_threads=1, max_reasons=20))
    scores = [product.score for product in answer.products]
    assert scores == sorted(scores, reverse=True)
    assert answer.versions.ranker == "in_process"
    for product in answer.products:
        assert product.ranker_score == pytest.approx(mean[0] + sum(product.ranker_reasons.values()), abs=0.05)
        sizes = [abs(part) for part in product.ranker_reasons.values()]
        assert sizes == sorted(sizes, reverse=True)
    assert {"user_age", "age_from_reviewers"} & set().union(*(one.ranker_reasons for one in answer.products))
    (plain,) = ask(settings, [request.model_copy(update={"explain": False})])
    assert listed(plain) == listed(answer)
    assert not any(product.ranker_reasons for product in plain.products)


def test_pages_follow_one_another_beyond_the_candidates(trained: tuple[Settings, Bundle]) -> None:
    settings, _ = trained
    whole = RecommendationRequest(user_id=ASKED[0], limit=100, explain=False)
    parts = [whole.model_copy(update={"limit": 25, "offset": offset}) for offset in (0, 25, 50, 75)]
    (all_at_once,) = ask(settings, [whole])
    assert [asin for page in ask(settings, parts) for asin in listed(page)] == listed(all_at_once)
    assert len(set(listed(all_at_once))) == 100
    behind = [product.ranker_score for product in all_at_once.products[CANDIDATES:]]
    assert not any(behind)


def test_a_diverse_page_is_chosen_among_the_ranked(trained: tuple[Settings, Bundle]) -> None:
    settings, _ = trained
    pages = [RecommendationRequest(user_id=ASKED[0], diversity=diversity) for diversity in (0, 0.001)]
    plain, diverse = ask(settings, pages)
    assert diverse.products[0] == plain.products[0]
    assert any(product.ranker_score for product in diverse.products)


def test_a_table_of_users_gets_the_same_answers(trained: tuple[Settings, Bundle], tmp_path: Path) -> None:
    settings, _ = trained
    pl.DataFrame({"user_id": ASKED}).write_csv(tmp_path / "users.csv")

    async def export() -> None:
        backends = Backends(index_of(settings), InferenceSettings(num_threads=1), settings.output_dir, None)
        await export_users(backends, tmp_path / "users.csv", tmp_path / "out", 10)
        await backends.close()

    asyncio.run(export())
    table = pl.read_parquet(tmp_path / "out" / "part-00000.parquet")
    for answer in ask(settings, [RecommendationRequest(user_id=user) for user in ASKED]):
        rows = table.filter(pl.col("user_id") == answer.user_id)
        assert rows["score"].to_list() == pytest.approx([one.score for one in answer.products], abs=1e-4)
        assert rows["source"].to_list() == [one.source for one in answer.products]
        assert rows["rank"].to_list() == list(range(1, 11))


@needs_core
def test_through_triton_they_are_the_same(trained: tuple[Settings, Bundle], tmp_path: Path) -> None:
    settings, bundle = trained
    ports = {"grpc_port": 0, "http_port": 0, "metrics_port": 0, "poll_seconds": 0, "log_path": None}
    triton = TritonSettings.model_validate({"model_repository": tmp_path / "models", **ports})
    published = publish_bundle(bundle, ExportSettings(lengths=(8,)), triton, settings.output_dir / "text")
    assert "ranker" in [one.name for one in published]
    requests = [RecommendationRequest(user_id=user) for user in ASKED]
    with TritonServer(triton) as server:
        inference = InferenceSettings(runtime="triton", triton_url=server.endpoints.grpc, fallback="none")
        found = ask(settings, requests, inference)
    for there, here in zip(found, ask(settings, requests), strict=True):
        assert there.versions.ranker == "triton, version 1"
        assert listed(there) == listed(here)
        for product, other in zip(there.products, here.products, strict=True):
            assert product.score == pytest.approx(other.score, abs=1e-5)


def test_the_benchmark_finds_what_training_measured(trained: tuple[Settings, Bundle]) -> None:
    _, bundle = trained
    settings, dataset, graph = read_again(bundle)
    data = build_evaluation_data(dataset, settings.evaluation, settings.graph, settings.seed, "train")
    bundled = BundledModel(bundle, graph, data, settings.graph.product_transitions, settings.model.offset_pseudo_counts)
    ranked = bundled.ranked(data.split.test)
    assert ranked is not None
    found = evaluate_ranking(ranked, data.split.test, graph.interactions.num_products).metrics
    assert {name: bundle.metrics()["test"][name] for name in found} == pytest.approx(found, abs=1e-6)


def read_again(bundle: Bundle) -> tuple[Settings, PreparedDataset, ReviewGraph]:
    """What the bundle was trained on."""
    settings = Settings.model_validate(bundle.settings())
    dataset = prepare(settings.data, settings.output_dir)
    graph, _ = build_graph(dataset, settings.graph, settings.text, settings.seed, settings.output_dir)
    return settings, dataset, graph


def test_serving_ranks_as_evaluation_does(trained: tuple[Settings, Bundle]) -> None:
    """The bundle's users are asked as questions of an evaluation, after all reviews that there are."""
    folder_settings, bundle = trained
    settings, dataset, graph = read_again(bundle)
    columns = graph.interactions
    split = split_reviews(columns, settings.evaluation, settings.seed)
    served = ServedBundle(bundle)
    users = dataset.reviews()["user_id"].unique().sort()
    asked = [users.index_of(user) for user in ASKED]
    edges = [np.flatnonzero(columns.user_index == user) for user in asked]
    history = np.concatenate(edges)
    queries = Queries(
        user_index=np.array(asked, dtype=np.int32),
        bound=np.full(len(asked), columns.num_reviews),
        target_offsets=np.arange(len(asked) + 1),
        target_products=np.zeros(len(asked), dtype=np.int32),
        target_edges=np.zeros(len(asked), dtype=np.int64),
        history_offsets=np.cumsum([0, *map(len, edges)]),
        history_products=columns.product_index[history],
        num_cold=0,
        history_edges=history,
        history_known=split.of_kind[history],
    )
    every: Split = replace(split, of_review=np.full(columns.num_reviews, SplitName.TRAIN, dtype=np.uint8))
    term = read_memory_term(bundle, columns)
    towers = ModelScorer(load_model(bundle), make_builders(graph, every, settings)["train"], queries)
    people = UserFacts.of_table(dataset.users(), users)
    every_edge = np.ones(columns.num_reviews, dtype=np.bool_)
    first = FirstStage(towers, term, every_edge, served.ranker.facts, people, CANDIDATES)
    rows = np.arange(len(asked))
    scores = SecondStage(first, served.ranker.trees).score(rows)
    expected = rank_products(scores, 10, *queries.masked_products(rows))
    _, candidates, features = first.propose(rows)
    stored = [stored_reviews(served.users.rows(user), served, served.users.place(user)) for user in ASKED]
    np.testing.assert_allclose(features, describe_products(served.ranker, stored, candidates), rtol=1e-5, atol=1e-5)
    ages = features[:, len(FEATURES) :]
    unknown = np.isin(candidates.row, [ASKED.index(UNNAMED)])
    assert np.isnan(ages[unknown]).all()
    assert np.isfinite(ages[~unknown]).any(axis=0).all()
    for row, answer in enumerate(ask(folder_settings, [RecommendationRequest(user_id=user) for user in ASKED])):
        own = candidates.row == row
        value = dict(zip(candidates.product[own].tolist(), served.ranker.run(features[own]).tolist(), strict=True))
        products = [served.index_of[product.asin] for product in answer.products]
        assert [product.ranker_score for product in answer.products] == pytest.approx(
            [value[product] for product in products], abs=1e-5
        )
        assert products == expected[row].tolist()


def test_of_a_user_without_a_name_or_forgotten_nothing_is_known(trained: tuple[Settings, Bundle]) -> None:
    _, bundle = trained
    served = ServedBundle(bundle)
    known = next(user for user in ASKED if np.isfinite(served.users.facts.values[served.users.place(user)]).all())
    limits, sent = InferenceSettings(), (Review(asin=served.asins[0]),)
    asked = RecommendationRequest(user_id=known)
    users = [
        read_user(asked, served, limits),
        read_user(RecommendationRequest(reviews=sent), served, limits),
        read_user(asked.model_copy(update={"reviews": sent}), served, limits, OnRecord({}, forgotten=True)),
    ]
    row = np.arange(3)
    candidates = Candidates(row, row, np.zeros(3, np.float32), np.zeros(3, np.float32))
    found = describe_products(served.ranker, users, candidates)[:, len(FEATURES) :]
    assert np.isfinite(found[:, 0]).tolist() == [True, False, False]
    assert np.isnan(found[1:]).all()
    served.users.forget(known)
    assert np.isnan(served.users.facts.values[users[0].user]).all()
    assert served.users.place(known) == len(served.users.facts.values) - 1


@pytest.mark.parametrize("damage", ["lost", "column", "row"])
def test_facts_that_do_not_fit_the_ranker_are_refused(
    damage: str, trained: tuple[Settings, Bundle], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained[1].folder, tmp_path / "bundle"))
    path = folder / BundleFile.USER_FACTS
    table = pl.read_parquet(path)
    path.unlink()
    if damage != "lost":
        table = table.rename({"age": "years"}) if damage == "column" else pl.concat([table, table.head(1)])
        table.write_parquet(path)
    note_anew(folder)
    with pytest.raises(InputError, match="the bundle is damaged") as refused:
        ServedBundle(Bundle(folder))
    assert refused.value.where in (str(path), str(folder / BundleFile.RANKER))


def test_where_it_does_not_pay_the_bundle_says_so_and_has_none(tmp_path: Path) -> None:
    base = ["model.tower=none", "text=none", "model.dim=16", "tracking=none", f"output_dir={tmp_path}"]
    settings = compose_settings([*base, "model.ranker=lightgbm", "model.second_stage.rounds=1"], Settings)
    folder = RunFolder(settings)
    with folder.locked():
        path = train(settings, folder)
    assert path is not None
    bundle = Bundle(path)
    figures = json.loads((path / "metrics.json").read_text())["ranker"]
    assert not figures["adopted"]
    assert figures["validation"]["num_queries"] > 100
    assert bundle.manifest.ranker is None
    assert bundle.user_facts() is None
    assert ServedBundle(bundle).ranker is None
