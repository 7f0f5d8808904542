"""From a prepared data set to its graph: which vectors belong to which review, and when it is built anew."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rec_sys.checksums import CHECKSUMS
from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.prepare import prepare
from rec_sys.entry import compose_settings
from rec_sys.graph.build import build_graph
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.settings import Settings
from tests.text_width import TEXT_DIM

NUM_ROWS = 12


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve raw rows, out of order, one of them an exact duplicate."""
    folder = tmp_path_factory.mktemp("raw")
    rows = [
        {
            "user_id": f"u{row % 4}",
            "asin": f"p{row % 3}",
            "rating": 5,
            "timestamp": 1_400_000_000 - row,
            "text": f"t{row}",
        }
        for row in range(NUM_ROWS - 1)
    ]
    pl.DataFrame([*rows, rows[4]]).write_csv(folder / "reviews.csv")
    return folder / "reviews.csv"


@pytest.fixture(scope="module")
def prepared(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, PreparedDataset]:
    output_dir = tmp_path_factory.mktemp("outputs")
    overrides = ["data=table", f"data.reviews_path={table}", f"output_dir={output_dir}", "text=none"]
    settings = compose_settings(overrides, Settings)
    return settings, prepare(settings.data, output_dir)


def build(prepared: tuple[Settings, PreparedDataset], **changes: Any) -> ReviewGraph:
    """The graph under changed settings; `text__source` stands for `text.source`."""
    settings, dataset = prepared
    values = settings.model_dump(mode="json")
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        (values[section] if section else values)[name] = value
    changed = Settings.model_validate(values)
    return build_graph(dataset, changed.graph, changed.text, changed.seed, changed.output_dir)[0]


def write_vectors(folder: Path, vectors: Any) -> dict[str, Any]:
    np.save(folder / "vectors.npy", vectors)
    return {"text__source": "given", "text__vectors_path": str(folder / "vectors.npy")}


def test_a_given_vector_belongs_to_the_raw_row_that_it_stands_at(
    prepared: tuple[Settings, PreparedDataset], tmp_path: Path
) -> None:
    vectors = np.repeat(np.arange(NUM_ROWS), TEXT_DIM).reshape(NUM_ROWS, TEXT_DIM)
    graph = build(prepared, **write_vectors(tmp_path, vectors.astype(np.float32)))
    reviews = prepared[1].reviews()
    assert reviews.height == NUM_ROWS - 1
    source = reviews[ReviewColumn.SOURCE_ROW].to_numpy()[graph.interactions.review_row]
    np.testing.assert_array_equal(graph.text_vectors[graph.text_row][:, 0], source)
    assert graph.has_text
    assert not graph.has_product_text


def test_without_a_text_source_the_graph_has_no_text(prepared: tuple[Settings, PreparedDataset]) -> None:
    graph = build(prepared)
    assert not graph.has_text
    assert (graph.text_row == -1).all()
    assert (graph.interactions.body_index >= 0).all()  # equal texts are still known to be equal


def test_a_graph_is_built_once_for_what_shapes_it(prepared: tuple[Settings, PreparedDataset], tmp_path: Path) -> None:
    folder = prepared[1].folder

    def graphs() -> set[Path]:
        return set(folder.glob("graph-*"))

    build(prepared)
    before = graphs()
    build(prepared, trainer__learning_rate=0.1, output_dir=str(tmp_path))
    assert graphs() == before
    build(prepared, seed=7)
    assert len(graphs()) == len(before) + 1
    # In file order the seed shapes nothing.
    build(prepared, graph__tie_break="file")
    build(prepared, graph__tie_break="file", seed=7)
    assert len(graphs()) == len(before) + 2
    # The same path with other vectors is another graph.
    given = write_vectors(tmp_path, np.zeros((NUM_ROWS, TEXT_DIM), dtype=np.float32))
    build(prepared, **given)
    write_vectors(tmp_path, np.ones((NUM_ROWS + 1, TEXT_DIM), dtype=np.float32))
    assert (build(prepared, **given).text_vectors == 1).all()
    assert len(graphs()) == len(before) + 4


@pytest.mark.parametrize(
    ("vectors", "complaint"),
    [
        (np.zeros((NUM_ROWS, 0), dtype=np.float32), "shape"),
        (np.zeros(NUM_ROWS, dtype=np.float32), "shape"),
        (np.zeros((NUM_ROWS, TEXT_DIM), dtype=np.int64), "int64"),
        (np.zeros((NUM_ROWS - 2, TEXT_DIM), dtype=np.float32), "10 vectors for raw rows up to 11"),
        (np.array([{"a": 1}], dtype=object), r"no \.npy file"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    prepared: tuple[Settings, PreparedDataset], tmp_path: Path, vectors: Any, complaint: str
) -> None:
    before = set(prepared[1].folder.iterdir())
    with pytest.raises(InputError, match=complaint) as refusal:
        build(prepared, **write_vectors(tmp_path, vectors))
    assert refusal.value.where.endswith("vectors.npy")
    assert set(prepared[1].folder.iterdir()) == before


def test_a_collection_of_arrays_is_no_array(prepared: tuple[Settings, PreparedDataset], tmp_path: Path) -> None:
    path = tmp_path / "vectors.npz"
    np.savez(path, vectors=np.zeros((NUM_ROWS, TEXT_DIM), dtype=np.float32))
    with pytest.raises(InputError, match="no plain array") as refused:
        build(prepared, text__source="given", text__vectors_path=str(path))
    assert refused.value.where == str(path)


@pytest.mark.parametrize(("change", "seed"), [("bit", 71), ("lost", 72), ("no checksums", 73)])
def test_a_graph_that_was_changed_is_built_again(
    prepared: tuple[Settings, PreparedDataset], change: str, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(prepared[1].folder.glob("graph-*"))
    build(prepared, seed=seed)
    [folder] = set(prepared[1].folder.glob("graph-*")) - before
    path = folder / (CHECKSUMS if change == "no checksums" else "user_index.npy")
    sound = path.read_bytes()
    path.unlink()
    if change == "bit":
        path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    build(prepared, seed=seed)
    assert path.read_bytes() == sound
    assert "it is built again" in caplog.text


@pytest.mark.parametrize("content", [b"", b"not numpy", b"PK\x03\x04 and no zip", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_vectors_are_refused(
    prepared: tuple[Settings, PreparedDataset], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "vectors.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"no \.npy file"):
        build(prepared, text__source="given", text__vectors_path=str(tmp_path / "vectors.npy"))
    with pytest.raises(InputError, match="missing"):
        build(prepared, text__source="given", text__vectors_path=str(tmp_path / "elsewhere.npy"))


def write_product_vectors(folder: Path, prepared: PreparedDataset, width: int) -> tuple[dict[str, Any], np.ndarray]:
    """Vectors of all products but the last, in another order than the products; the settings that give them."""
    asins = prepared.products()["asin"].to_list()[:-1]
    random = np.random.default_rng(0)
    vectors, row = random.normal(size=(len(asins), width)).astype(np.float32), random.permutation(len(asins))
    np.savez(folder / "vectors.npz", vectors)
    pl.DataFrame({"product_id": asins, "vector_id": row}).write_parquet(folder / "map.pq")
    paths = {"product_vectors_path": folder / "vectors.npz", "product_vector_map": folder / "map.pq"}
    return {"text__source": "given", **{f"text__{name}": str(path) for name, path in paths.items()}}, vectors[row]


@pytest.mark.parametrize("width", [5, 64])
def test_given_vectors_of_products_are_their_text_whatever_their_width(
    prepared: tuple[Settings, PreparedDataset], tmp_path: Path, width: int
) -> None:
    given, vectors = write_product_vectors(tmp_path, prepared[1], width)
    graph = build(prepared, **given)
    found = np.asarray(graph.product_text_vectors, dtype=np.float32)
    np.testing.assert_allclose(found[:-1], vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-3)
    assert not found[-1].any()
    assert graph.text_vectors.shape == (0, width)
    assert (np.asarray(graph.text_row) == -1).all()


def test_a_pickled_archive_of_vectors_is_refused_unread(
    prepared: tuple[Settings, PreparedDataset], tmp_path: Path
) -> None:
    given, vectors = write_product_vectors(tmp_path, prepared[1], 5)
    np.savez(tmp_path / "vectors.npz", np.array([*vectors, None], dtype=object))
    with pytest.raises(InputError, match="pickled objects, which could run any code") as refused:
        build(prepared, **given)
    assert refused.value.where.endswith("vectors.npz")


def test_a_map_to_rows_that_are_not_there_is_refused(
    prepared: tuple[Settings, PreparedDataset], tmp_path: Path
) -> None:
    given, vectors = write_product_vectors(tmp_path, prepared[1], 5)
    np.savez(tmp_path / "vectors.npz", vectors[:-1])
    with pytest.raises(InputError, match="not every product's row is one of the 1 vectors"):
        build(prepared, **given)


def test_a_map_with_equal_rows_is_read_and_one_with_two_rows_of_a_product_is_refused(
    prepared: tuple[Settings, PreparedDataset], tmp_path: Path
) -> None:
    given, _ = write_product_vectors(tmp_path, prepared[1], 5)
    owners = pl.read_parquet(tmp_path / "map.pq")
    pl.concat([owners, owners]).write_parquet(tmp_path / "map.pq")
    assert np.asarray(build(prepared, **given).product_text_vectors)[:-1].any(axis=1).all()
    other = owners.with_columns(vector_id=owners["vector_id"].reverse())
    pl.concat([owners, other]).write_parquet(tmp_path / "map.pq")
    with pytest.raises(InputError, match=f"the product {owners['product_id'][0]} has two rows"):
        build(prepared, **given)
