"""The command as a user types it: what it prints, what it refuses, and with which exit code."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rec_sys.contracts import BundleFile, InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments.index_benchmark.index_benchmark import REPORT, choose_catalogues
from rec_sys.experiments.index_benchmark.index_benchmark import run as run_benchmark
from rec_sys.experiments.index_benchmark.settings import IndexBenchmarkSettings
from rec_sys.settings import EdgeIndex, ServerIndex
from rec_sys.vector_database.contract import ProductQuery, UserTaste
from rec_sys.vector_database.create_vectorbase import CreateVectorbaseSettings, run
from rec_sys.vector_database.opening import open_index
from tests import warm_processes
from tests.product_indexes import make_catalogue, quick_folder


@pytest.fixture
def output_dir() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


def settings_of(output_dir: Path, *arguments: str) -> CreateVectorbaseSettings:
    overrides = (f"output_dir={output_dir}", "index.progress=false", *arguments)
    return compose_settings(overrides, CreateVectorbaseSettings, "create_vectorbase")


def test_the_newest_bundle_is_served_and_the_last_line_says_so(
    output_dir: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(2):
        catalogue = make_catalogue(output_dir / "bundles" / f"run-{seed}", 60, seed=seed)
    settings = settings_of(output_dir)
    run(settings)
    output = capsys.readouterr()
    with open_index(settings.index) as index:
        version = index.version()
        answer = index.search(ProductQuery(UserTaste(catalogue.vectors[0])))
    assert version.bundle == catalogue.identity
    assert answer.hits[0].product.asin == catalogue.asins[0]
    assert output.out == f"index: {output_dir / 'index'} serves {version.name}\n"
    assert "checked: 60 products" in caplog.text


def test_publishing_asking_and_going_back(output_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def served(*arguments: str) -> str:
        run(settings_of(output_dir, *arguments))
        return capsys.readouterr().out.split()[-1]

    bundles = [output_dir / "bundles" / name for name in ("a", "b")]
    for seed, bundle in enumerate(bundles):
        make_catalogue(bundle, 60, seed=seed)
    run(settings_of(output_dir, "action=status"))
    assert "serves nothing yet" in capsys.readouterr().out
    first, second = (served(f"bundle={bundle}") for bundle in bundles)
    assert first != second
    assert served(f"bundle={bundles[1]}") == served("action=status") == second
    assert served("action=rollback") == served("action=status") == first
    assert served(f"bundle={bundles[1]}") == second


def test_a_server_is_chosen_by_its_address() -> None:
    chosen = settings_of(Path("out"), "index=server", "index.url=https://qdrant.example:6333").index
    assert isinstance(chosen, ServerIndex)
    assert str(chosen.url) == "https://qdrant.example:6333"
    own = settings_of(Path("out")).index
    assert isinstance(own, EdgeIndex)
    assert own.folder == Path("out/index")


def test_the_api_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    chosen = settings_of(Path("out"), "index=server").index
    assert isinstance(chosen, ServerIndex)
    assert chosen.api_key is not None
    assert chosen.api_key.get_secret_value() == "secret"
    assert "secret" not in repr(chosen)


@pytest.mark.parametrize(
    ("arguments", "where", "what"),
    [
        (["bundle={bundles}/nowhere"], "{bundles}/nowhere", "there is no bundle"),
        (["bundle={bundles}/damaged"], "{bundles}/damaged/product_vectors.safetensors", "missing or was changed"),
        (
            ["bundle={bundles}/sound", "index=server", "index.url=http://localhost:1", "index.upload_attempts=1"],
            "http://localhost:1",
            "the Qdrant server does not answer",
        ),
        (["action=rollback"], "{output_dir}/index", "there is no version to go back to"),
        (["bundle=null", "output_dir={bundles}"], "{bundles}/bundles", "there is no bundle yet"),
    ],
)
def test_bad_input_is_refused_where_it_stands(output_dir: Path, arguments: list[str], where: str, what: str) -> None:
    bundles = output_dir / "bundles"
    for name in ("sound", "damaged"):
        make_catalogue(bundles / name, 60)
    path = bundles / "damaged" / BundleFile.PRODUCT_VECTORS
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    names = {"bundles": bundles, "output_dir": output_dir}
    with pytest.raises(InputError, match=what) as refused:
        run(settings_of(output_dir, *(argument.format(**names) for argument in arguments)))
    assert refused.value.where == where.format(**names)


def test_a_refusal_is_one_message_and_exit_code_2(output_dir: Path) -> None:
    module = "rec_sys.vector_database.create_vectorbase"
    result = warm_processes.run("-m", module, f"output_dir={output_dir}", timeout=600)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: there is no bundle yet\n")
    assert "Traceback" not in result.stderr


def test_the_benchmark_measures_both_back_ends_and_a_bundle_that_is_given(
    output_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_catalogue(output_dir / "given", 120, has_text=False)
    settings = compose_settings(
        (
            f"bundle={output_dir / 'given'}",
            *(f"output_dir={output_dir}", "measurement.sizes=[150]", "measurement.dim=16", "measurement.questions=12"),
            *("measurement.in_memory_seconds=0.3", "index.check_queries=4", "index.progress=false"),
        ),
        IndexBenchmarkSettings,
        "index_benchmark",
    )
    run_benchmark(settings)
    report = json.loads((output_dir / "index_benchmark" / REPORT).read_text())
    assert [(row["back_end"], row["products"]) for row in report] == [
        # The bundle has no texts to ask by.
        *[("Qdrant Edge", 120)] * 3,
        *[("client in memory", 120)] * 3,
        *[("Qdrant Edge", 150)] * 4,
        *[("client in memory", 150)] * 4,
    ]
    assert {row["recall"] for row in report} == {1.0}
    assert all(0 < row["p50"] <= row["p99"] for row in report)
    assert all(0 <= row["processor_p50"] <= row["processor_p99"] for row in report)
    assert all((row["disk_bytes"] is None) == (row["back_end"] == "client in memory") for row in report)
    assert [path.name for path in (output_dir / "index_benchmark").iterdir()] == [REPORT]
    assert capsys.readouterr().out.endswith(f"benchmark: {output_dir / 'index_benchmark' / REPORT}\n")


def test_the_whole_search_and_the_graphs_are_measured_beside_each_other(output_dir: Path) -> None:
    changes = ["measurement.sizes=[150]", "measurement.both_searches=true", "measurement.in_memory=false"]
    changes += ["measurement.text=false"]
    changes += [f"output_dir={output_dir}", "measurement.questions=10", "measurement.dim=16"]
    settings = compose_settings([*changes, "index.progress=false"], IndexBenchmarkSettings, "index_benchmark")
    run_benchmark(settings)
    report = json.loads((output_dir / "index_benchmark" / REPORT).read_text())
    assert [row["back_end"] for row in report] == ["Qdrant Edge, flat"] * 3 + ["Qdrant Edge, HNSW"] * 3
    assert all(row["recall"] == 1 for row in report[:3])
    assert all(0.5 < row["recall"] <= 1 for row in report[3:])


@pytest.mark.parametrize(
    ("given", "sizes", "measured"),
    [
        ((), (), ["2,000 invented products"]),
        ((), (300, 500), ["300 invented products", "500 invented products"]),
        (("newest",), (), ["120 products of newest"]),
        (("newest",), (300,), ["300 invented products"]),
        (("newest", "chosen"), (300,), ["120 products of chosen", "300 invented products"]),
    ],
)
def test_the_benchmark_invents_only_what_is_asked_for(
    output_dir: Path, given: tuple[str, ...], sizes: tuple[int, ...], measured: list[str]
) -> None:
    for name in given:
        make_catalogue(output_dir / "bundles" / name, 120, has_text=False)
    settings = compose_settings(
        [f"output_dir={output_dir}", f"measurement.sizes={list(sizes)}"], IndexBenchmarkSettings, "index_benchmark"
    )
    if "chosen" in given:
        settings = settings.model_copy(update={"bundle": output_dir / "bundles" / "chosen"})
    assert [name for name, _, _ in choose_catalogues(settings)] == measured
