"""What is live: trials stay trials, two data sets do not mix, a rollback goes where it is told."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rec_sys.bundle import Bundle, bundle_folders
from rec_sys.contracts import BundleFile, InputError, ServedModel
from rec_sys.entry import compose_settings
from rec_sys.inference.recommender import Recommender
from rec_sys.inference.recommender_thread import RecommenderThread
from rec_sys.modules import model_export
from rec_sys.modules.model_export import ModelExportSettings
from rec_sys.publish import PublishSettings, run
from rec_sys.settings import InferenceSettings
from rec_sys.vector_database import create_vectorbase, publication
from rec_sys.vector_database.create_vectorbase import CreateVectorbaseSettings
from rec_sys.vector_database.opening import open_publisher
from tests import warm_processes
from tests.changed_bundles import note_anew
from tests.training_runs import SMALL, write_table
from triton_utils.repository import ModelRepository


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bundles of a shop, and one of another data set that is the newest; all but one are made up from it."""
    folder = tmp_path_factory.mktemp("trained")
    outputs = folder / "outputs"
    given = [*write_table(folder), *SMALL, f"output_dir={outputs}", "trainer.max_epochs=1", "data.name=shop"]
    done = warm_processes.run("-m", "rec_sys.train.train", *given, timeout=600)
    assert done.returncode == 0, done.stderr
    [first] = bundle_folders(outputs)
    for day, data_name in ((1, "shop"), (2, "shop"), (3, "other")):
        copy = first.with_name(f"{data_name}-{day}")
        shutil.copytree(first, copy)
        manifest = json.loads((copy / BundleFile.MANIFEST).read_text())
        manifest |= {"created": f"2100-01-0{day}T00:00:00+00:00", "data_name": data_name}
        (copy / BundleFile.MANIFEST).write_text(json.dumps(manifest))
        note_anew(copy)
    return outputs


@pytest.fixture
def outputs(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "outputs")
    return tmp_path / "outputs"


def shop_bundles(outputs: Path) -> list[Bundle]:
    """Oldest first."""
    bundles = [Bundle(folder) for folder in bundle_folders(outputs)]
    return sorted((one for one in bundles if one.manifest.data_name == "shop"), key=lambda one: one.manifest.created)


def overrides(outputs: Path, *given: str) -> list[str]:
    return [
        *(f"output_dir={outputs}", f"triton.model_repository={outputs / 'models'}", "export.check=onnxruntime"),
        "export.lengths=[8]",
        *("index.progress=false", "index.check_queries=4", *given),
    ]


def publish(outputs: Path, *given: str) -> None:
    run(compose_settings(overrides(outputs, *given), PublishSettings, "publish"))


def live(outputs: Path) -> str | None:
    settings = compose_settings(overrides(outputs), PublishSettings, "publish")
    served = open_publisher(settings.index).status().served
    return None if served is None else served.bundle


def towers(outputs: Path) -> str | None:
    return ModelRepository(outputs / "models").newest_identity(ServedModel.USER_TOWER)


def test_towers_and_products_of_one_bundle_go_live_together(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = shop_bundles(outputs)[0]
    publish(outputs, f"bundle={first.folder}", "tracking=none")
    assert live(outputs) == first.identity == towers(outputs)
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"live: bundle {first.identity}, index version ")
    settings = compose_settings(overrides(outputs), PublishSettings, "publish")
    recommender = RecommenderThread(settings.index, InferenceSettings(), outputs)
    try:
        card = recommender.ask(Recommender.models)[0]
    finally:
        recommender.close()
    assert card.identity == first.identity


def test_another_data_set_goes_live_only_by_force(outputs: Path) -> None:
    """Training left the newest bundle for another data set; every command that publishes the newest refuses it."""
    first = shop_bundles(outputs)[0]
    publish(outputs, f"bundle={first.folder}", "tracking=none")
    index = [text for text in overrides(outputs) if text.startswith(("output_dir", "index"))]
    models = [text for text in overrides(outputs) if not text.startswith("index")]
    for command in (
        lambda: publish(outputs, "tracking=none"),
        lambda: create_vectorbase.run(compose_settings(index, CreateVectorbaseSettings, "create_vectorbase")),
        lambda: model_export.run(compose_settings(models, ModelExportSettings, "model_export")),
    ):
        with pytest.raises(InputError, match="of shop are served here, and this bundle is of other") as refused:
            command()
        assert "force=true" in refused.value.remedy
        assert live(outputs) == first.identity == towers(outputs)
    publish(outputs, "tracking=none", "force=true")
    assert live(outputs) == towers(outputs) != first.identity


def test_a_rollback_goes_back_as_many_steps_as_are_kept(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundles = shop_bundles(outputs)
    for bundle in bundles:
        publish(outputs, f"bundle={bundle.folder}", "tracking=none")
    capsys.readouterr()
    publish(outputs, "action=list")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"live: bundle {bundles[2].identity}"
    said = {line.partition(": ")[0]: line.rpartition("; ")[2] for line in lines[:-1]}
    assert [said[bundle.folder.name].split()[0] for bundle in bundles] == ["kept", "kept", "live"]
    assert sorted(said.values())[-1] == "not published"  # the other data set's
    assert all("test NDCG@10 0." in line for line in lines[:-1])

    publish(outputs, "action=rollback", "tracking=none")
    publish(outputs, "action=rollback", "tracking=none")
    assert live(outputs) == bundles[0].identity
    with pytest.raises(InputError, match="there is no version to go back to"):
        publish(outputs, "action=rollback", "tracking=none")
    for bundle in bundles[1:]:
        publish(outputs, f"bundle={bundle.folder}", "tracking=none")
    oldest = open_publisher(compose_settings(overrides(outputs), PublishSettings, "publish").index).status().kept[-1]
    publish(outputs, "action=rollback", f"version={oldest}", "tracking=none")
    assert live(outputs) == bundles[0].identity

    # MLflow names what is live, and can be published from.
    publish(outputs, f"bundle={bundles[1].folder}")
    publish(outputs, "bundle=models:/rec_sys@previous")
    assert live(outputs) == bundles[0].identity
    with pytest.raises(InputError, match="alias nobody not found"):
        publish(outputs, "bundle=models:/rec_sys@nobody")


def test_towers_that_are_gone_are_exported_anew_by_a_rollback(outputs: Path) -> None:
    first, second, _ = shop_bundles(outputs)
    for bundle in (first, second):
        publish(outputs, f"bundle={bundle.folder}", "tracking=none", "export.kept_versions=1")
    publish(outputs, "action=rollback", "tracking=none")
    assert live(outputs) == first.identity == towers(outputs)
    publish(outputs, f"bundle={second.folder}", "tracking=none", "export.kept_versions=1")
    shutil.rmtree(first.folder)
    with pytest.raises(InputError, match="are gone, and so is the bundle"):
        publish(outputs, "action=rollback", "tracking=none")
    assert live(outputs) == second.identity


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    try:
        yield
    finally:
        path.write_bytes(content)


def test_where_either_part_fails_neither_goes_live(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, _ = shop_bundles(outputs)
    publish(outputs, f"bundle={first.folder}", "tracking=none")
    # The products do not pass their check: nothing of the towers is published either.
    with monkeypatch.context() as patched:
        patched.setattr(publication, "SCORE_TOLERANCE", -1.0)
        with pytest.raises(InputError, match="the new version finds"):
            publish(outputs, f"bundle={second.folder}", "tracking=none")
    assert live(outputs) == first.identity == towers(outputs)
    # Nothing answers there that could load the towers: the products stay.
    with pytest.raises(InputError, match="Triton does not serve the new towers"):
        publish(
            outputs,
            f"bundle={second.folder}",
            *("tracking=none", "triton_url=127.0.0.1:1", "triton.start_timeout_seconds=0.5"),
        )
    assert live(outputs) == first.identity
    assert ModelRepository(outputs / "models").holds(ServedModel.USER_TOWER, first.identity)


def test_a_bundle_that_is_damaged_is_listed_with_what_is_wrong(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _damaged(shop_bundles(outputs)[0].folder / "metrics.json"):
        publish(outputs, "action=list")
    assert "missing or was changed" in capsys.readouterr().out
    assert json.loads((shop_bundles(outputs)[0].folder / "metrics.json").read_text())
