"""Tomorrow's model: what was written is trained, the better one goes live, and who is forgotten is gone."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from starlette.testclient import TestClient

from rec_sys.bundle import Bundle, bundle_folders
from rec_sys.contracts import BundleFile, HistoryColumn, ProductColumn
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.interactions import list_user_ids
from rec_sys.data.splits import split_reviews
from rec_sys.entry import compose_settings
from rec_sys.evaluation import bundle_scorer
from rec_sys.evaluation.bundle_scorer import METRIC, BundleComparison, BundleScorer
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.graph.build import build_graph
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.publish import PublishSettings
from rec_sys.publish import run as publish
from rec_sys.refresh import command as refresh
from rec_sys.refresh.command import KEPT, run
from rec_sys.refresh.settings import RefreshSettings
from rec_sys.refresh_history import refreshes
from rec_sys.settings import Settings, StoreSettings
from rec_sys.store.messages import WrittenBatch, WrittenReview
from rec_sys.store.store import Store
from rec_sys.train import train
from rec_sys.train.run_folder import RunFolder
from rec_sys.vector_database.opening import open_publisher
from tests.changed_bundles import note_anew
from tests.live_shops import Shop, wait_until
from tests.training_runs import settings_of

DATA = ("data=sample", "data.num_users=60", "data.num_products=40", "data.num_reviews=600")
TEXT = ("text=lsa", "text.static_dim=8")
DAY = 86_400_000
WORDS = "Nobody else has these nine words of mine."


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that was trained and published by hand."""
    outputs = tmp_path_factory.mktemp("published") / "outputs"
    settings = settings_of(outputs, *DATA, *TEXT, "trainer.max_epochs=1")
    folder = RunFolder(settings)
    with folder.locked():
        train.train(settings, folder)
    publish(compose_settings(overrides(outputs), PublishSettings, "publish"))
    return outputs


@pytest.fixture
def outputs(published: Path, tmp_path: Path) -> Path:
    shutil.copytree(published, tmp_path / "outputs", symlinks=True)
    return tmp_path / "outputs"


def overrides(outputs: Path, *given: str) -> list[str]:
    return [
        *(f"output_dir={outputs}", f"triton.model_repository={outputs / 'models'}", "export.check=onnxruntime"),
        *("export.lengths=[8]", "index.progress=false", "index.check_queries=4", "tracking=none", *given),
    ]


def refresh_settings(outputs: Path, *given: str) -> RefreshSettings:
    return compose_settings(overrides(outputs, *given), RefreshSettings, "refresh")


def live(outputs: Path) -> Bundle:
    served = open_publisher(refresh_settings(outputs).index).status().served
    assert served is not None
    return next(bundle for folder in bundle_folders(outputs) if (bundle := Bundle(folder)).identity == served.bundle)


@contextmanager
def gateway(outputs: Path) -> Iterator[TestClient]:
    shop = Shop(outputs, live(outputs))
    with shop.served("index.progress=false", "store.poll_seconds=0.05") as client:
        yield client


def write(client: TestClient, user_id: str, *asins: str, text: str | None = None) -> list[str]:
    """Each a day after the other."""
    newest = 1_800_000_000_000
    reviews = [
        {"user_id": user_id, "asin": asin, "rating": 5, "timestamp": newest + DAY * day, "text": text}
        for day, asin in enumerate(asins)
    ]
    response = client.post("/v1/reviews", json={"reviews": reviews})
    assert response.status_code == 201, response.text
    return [str(one["review_id"]) for one in response.json()["reviews"]]


def ask(client: TestClient, user_id: str) -> dict[str, Any]:
    response = client.get(f"/v1/users/{user_id}/recommendations")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def files_with(folders: list[Path], *words: str) -> list[str]:
    """Files in which one of some words stands, as bytes or in a table."""
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += pl.read_parquet(path).write_ndjson().encode()
        found += [str(path) for word in words if word.encode() in content]
    return found


def test_what_was_written_is_trained_once_and_what_comes_meanwhile_stays_live(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = live(outputs)
    asins = first.products().sort(ProductColumn.REVIEW_COUNT)[ProductColumn.ASIN].to_list()
    known, forgotten = first.histories()[HistoryColumn.USER_ID].unique(maintain_order=True)[:2]
    compare = refresh._Refresh._compare

    with gateway(outputs) as client:
        taken = write(client, "new", *asins[:4], text=WORDS)
        before = client.get(f"/v1/users/{known}/reviews").json()["total"]
        write(client, known, asins[0])
        write(client, "gone at once", asins[0], text="Words of somebody who left.")
        for user_id in ("gone at once", forgotten):
            assert client.delete(f"/v1/users/{user_id}").status_code == 200
        assert client.put("/v1/products/fresh", json={"title": "Quiet kettle", "price": 30}).status_code == 200
        assert client.patch(f"/v1/products/{asins[1]}", json={"price": 12.5}).status_code == 200
        assert client.delete(f"/v1/products/{asins[2]}").status_code == 204

        def written_meanwhile(*arguments: Any) -> BundleComparison:
            write(client, "meanwhile", asins[5])
            client.put("/v1/products/later", json={"title": "Loud kettle"})
            return compare(*arguments)

        monkeypatch.setattr(refresh._Refresh, "_compare", written_meanwhile)
        monkeypatch.setattr(BundleComparison, "is_worse", property(lambda _: False))
        run(refresh_settings(outputs))
        second = live(outputs)
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"live: bundle {second.identity}")

        # The bundle holds what was in the log when it was read.
        histories = second.histories()
        rows = histories.filter(pl.col(HistoryColumn.USER_ID) == "new")
        assert rows[HistoryColumn.SEQUENCE].to_list() == [1, 2, 3, 4]
        assert second.manifest.store_position is not None
        assert second.manifest.store_position.sequence == 11
        facts = {row[ProductColumn.ASIN]: row for row in second.products().to_dicts()}
        assert (facts["fresh"]["title"], facts[asins[1]]["price"]) == ("Quiet kettle", 12.5)
        assert facts[asins[1]]["title"] == first.products().filter(asin=asins[1])["title"].item()
        assert "later" not in facts

        # The gateway follows, and adds to it what came afterwards alone.
        wait_until(lambda: ask(client, "meanwhile")["versions"]["bundle"] == second.identity)
        wait_until(lambda: client.get("/v1/products/later/similar").status_code == 200)
        assert ask(client, "meanwhile")["reviews_used"] == 1
        assert ask(client, "new")["reviews_used"] == 4
        assert client.get(f"/v1/users/{known}/reviews").json()["total"] == before + 1
        listed = client.get("/v1/users/new/reviews").json()
        assert (listed["total"], {one["review_id"] for one in listed["reviews"]}) == (4, set(taken))
        trending = client.get("/v1/products/trending", params={"window": "day", "limit": 40}).json()["products"]
        score = {one["asin"]: one["score"] for one in trending}
        assert score[asins[3]] == pytest.approx(1, abs=0.1)  # one review today, told by the log and by the bundle
        found = client.get("/v1/products/search", params={"q": "kettle", "limit": 100}).json()["products"]
        assert {"fresh", "later"} < {one["asin"] for one in found}
        assert asins[2] not in {one["asin"] for one in found}
        for user_id in ("gone at once", forgotten):
            assert client.get(f"/v1/users/{user_id}/recommendations").status_code == 404
        # A review that the bundle holds is removed all the same.
        assert client.delete(f"/v1/users/new/reviews/{taken[0]}").status_code == 204
        assert ask(client, "new")["reviews_used"] == 3
        assert client.delete("/v1/users/meanwhile").status_code == 200
        assert client.delete(f"/v1/users/{known}").status_code == 200
    with gateway(outputs) as client:  # as one that starts anew does
        assert ask(client, "new")["reviews_used"] == 3
        assert client.get("/v1/users/new/reviews").json()["total"] == 3
        assert client.get(f"/v1/users/{known}/recommendations").status_code == 404
    index, data = outputs / "index", outputs / "data"
    made = [folder for folder in data.iterdir() if folder.name.endswith(second.manifest.data_fingerprint[:12])]
    places = [second.folder, *made, index, outputs / "models", *outputs.glob("store.db*")]
    assert len(made) == 1
    assert not files_with(places, forgotten, "gone at once", "somebody who left")
    assert files_with(places, "new", WORDS)  # the scan finds who is there


@pytest.fixture
def quick(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A training that copies the served bundle; the folders that it has made."""
    made: list[Path] = []

    def copied(settings: Settings, folder: RunFolder, written: Any) -> Path:
        served, dataset = live(outputs), train_data(settings, written)
        target = folder.path / "bundles" / f"candidate-{len(made)}"
        shutil.copytree(served.folder, target)
        manifest = json.loads((target / BundleFile.MANIFEST).read_text())
        manifest["data_fingerprint"] = dataset.summary.fingerprint
        manifest["store_position"] = dataset.summary.model_dump(mode="json")["store_position"]
        (target / BundleFile.MANIFEST).write_text(json.dumps(manifest))
        note_anew(target)
        made.append(target)
        return target

    monkeypatch.setattr(train, "train", copied)
    with Store(StoreSettings(), outputs) as store:
        store.write([WrittenBatch((WrittenReview(user_id="ada", asin="S1", rating=4, timestamp=DAY),))])
    return made


def train_data(settings: Settings, written: Any) -> PreparedDataset:
    from rec_sys.data.prepare import prepare

    return prepare(settings.data, settings.output_dir, written)


def test_a_worse_candidate_is_not_published(
    outputs: Path, quick: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = live(outputs).identity
    worse = BundleComparison(candidate=0.2, served=0.3, error=0.05, num_questions=60, left_out=0)
    monkeypatch.setattr(bundle_scorer, "compare_bundles", lambda *_: worse)
    for _ in range(2):  # the second time it is not trained again
        with pytest.raises(SystemExit) as ended:
            run(refresh_settings(outputs))
        assert ended.value.code == KEPT
    assert len(quick) == 1
    assert live(outputs).identity == before
    said = capsys.readouterr().out.splitlines()
    assert "candidate NDCG@10 0.2000, served 0.3000, difference -0.1000 ± 0.0500" in said[0]
    assert said[2] == f"live: bundle {before}"
    # Within the error it is not worse.
    monkeypatch.setattr(bundle_scorer, "compare_bundles", lambda *_: BundleComparison(0.2, 0.24, 0.05, 60, 0))
    run(refresh_settings(outputs))
    assert live(outputs).folder.name == quick[0].name
    # Gone back from, it does not come again by itself.
    run(refresh_settings(outputs, "action=rollback"))
    run(refresh_settings(outputs))
    assert live(outputs).identity == before
    assert capsys.readouterr().out.splitlines()[-1] == f"nothing was written since the rollback; live: bundle {before}"
    noted = refreshes(outputs)[:4]
    assert [one.outcome for one in noted] == ["nothing new", "published", "worse", "worse"]
    assert (noted[1].candidate_ndcg, noted[1].served_ndcg, noted[1].num_questions) == (0.2, 0.24, 60)
    assert {one.served for one in noted} == {before}


def test_what_no_rollback_needs_goes_with_those_who_are_in_it(outputs: Path, quick: list[Path]) -> None:
    by_hand = live(outputs).folder
    for number in range(3):
        with Store(StoreSettings(), outputs) as store:
            store.write([WrittenBatch((WrittenReview(user_id=f"user {number}", asin="S1", timestamp=DAY),))])
        run(refresh_settings(outputs, "index.kept_versions=2"))
    names = {folder.name for folder in bundle_folders(outputs)}
    assert names == {by_hand.name, quick[1].name, quick[2].name}
    made = [PreparedDataset(path.parent).summary for path in (outputs / "data").glob("*/summary.json")]
    positions = [one.store_position.sequence for one in made if one.store_position is not None]
    assert sorted(positions) == [3, 4]
    assert not bundle_folders(outputs / "refresh")


def test_a_publication_that_was_interrupted_is_taken_up(
    outputs: Path, quick: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(outputs).identity
    with monkeypatch.context() as patched:
        patched.setattr(refresh, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(refresh_settings(outputs))
    assert live(outputs).identity == before
    run(refresh_settings(outputs))
    assert live(outputs).identity != before
    assert len(quick) == 1


def test_a_bundle_asked_as_a_gateway_asks_it_reaches_its_own_test_figure(outputs: Path) -> None:
    bundle = live(outputs)
    settings = Settings.model_validate(bundle.settings()).model_copy(update={"output_dir": outputs})
    [folder] = (outputs / "data").glob("sample-*")
    dataset = PreparedDataset(folder)
    graph, _ = build_graph(dataset, settings.graph, settings.text, settings.seed, outputs)
    split = split_reviews(graph.interactions, settings.evaluation, settings.seed)
    asins = dataset.products()[ProductColumn.ASIN].to_list()
    user_ids = list_user_ids(dataset.reviews()).to_list()
    scorer = BundleScorer(ServedBundle(bundle), graph, asins, user_ids, split.text_visible, split.test)
    found = evaluate_ranking(scorer.score, split.test, len(asins), (10,))
    assert np.isclose(found.metrics[METRIC], bundle.metrics()["test"][METRIC], atol=1e-4)
