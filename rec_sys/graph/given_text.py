"""Text vectors that were made elsewhere: one for each raw row of reviews, or one for each product, of any width."""

from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import InputError, ProductColumn, ReviewColumn
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.interactions import Interactions
from rec_sys.graph.review_graph import ReviewGraph, assemble_graph
from rec_sys.raw_files.table_rows import read_columns
from rec_sys.settings import TextSettings
from rec_sys.unit_vectors import unit_vectors

_PRODUCT: Final = "product_id"  # columns of the map from products to rows
_ROW: Final = "vector_id"


def identify_given(text: TextSettings) -> str:
    """Names the vectors by their files; equal names, equal vectors.

    Raises:
        InputError: A file cannot be used.
    """
    found = []
    for path in (text.vectors_path, text.product_vectors_path, text.product_vector_map):
        if path is None:
            continue
        if path != text.product_vector_map:
            open_vectors(path, is_archive=path == text.product_vectors_path and path.suffix == ".npz")
        stat = path.stat()
        found.append(f"given:{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}")
    return " ".join(found)


def with_given_text(interactions: Interactions, dataset: PreparedDataset, text: TextSettings) -> ReviewGraph:
    """The graph with given vectors of reviews, of products, or of both in one space.

    Raises:
        InputError: They do not fit the data, or each other.
    """
    products = None
    if text.product_vectors_path is not None and text.product_vector_map is not None:
        products = _product_vectors(dataset, text.product_vectors_path, text.product_vector_map)
    if text.vectors_path is None:
        width = 0 if products is None else products.shape[1]
        return assemble_graph(interactions, np.zeros((0, width), dtype=np.float16), None, products)
    vectors = open_vectors(text.vectors_path)
    source = dataset.scan_reviews().select(ReviewColumn.SOURCE_ROW).collect().to_series().to_numpy()
    if len(source) and source.max() >= len(vectors):
        raise InputError(
            f"there are {len(vectors):,} vectors for raw rows up to {source.max() + 1:,}",
            where=str(text.vectors_path),
            remedy="give one vector for every row of the raw review file, in its order",
        )
    if products is not None and products.shape[1] != vectors.shape[1]:
        raise InputError(
            f"vectors of reviews have {vectors.shape[1]} numbers and those of products {products.shape[1]}",
            where=f"{text.vectors_path} and {text.product_vectors_path}",
            remedy="make both with one encoder, or give one of them",
        )
    return assemble_graph(interactions, vectors, source[interactions.review_row].astype(np.int32), products)


def _product_vectors(dataset: PreparedDataset, path: Path, map_path: Path) -> npt.NDArray[np.float16]:
    """float16 `[num_products, width]`, unit length as encoders give them; zero for products without a vector."""
    vectors = open_vectors(path, is_archive=path.suffix == ".npz")
    owners = read_columns(map_path, [_PRODUCT, _ROW]).unique(maintain_order=True)
    rows = owners[_ROW].cast(pl.Int64, strict=False)
    missing = owners.filter(~rows.is_between(0, len(vectors) - 1).fill_null(False))
    twice = owners.filter(~owners[_PRODUCT].is_first_distinct())
    if not len(rows) or len(missing) or len(twice):
        what = "no product has a row"
        if len(missing):
            product, row = missing.row(0)
            what = f"not every product's row is one of the {len(vectors):,} vectors: that of {product} is {row}"
        elif len(twice):
            what = f"the product {twice[_PRODUCT][0]} has two rows"
        raise InputError(what, where=str(map_path), remedy="give the vectors and the map that belong together")
    asins = dataset.products()[ProductColumn.ASIN]
    place = asins.replace_strict(owners[_PRODUCT], rows, default=-1, return_dtype=pl.Int64).to_numpy()
    found = np.zeros((len(asins), vectors.shape[1]), dtype=np.float32)
    found[place >= 0] = vectors[place[place >= 0]]
    return unit_vectors(found).astype(np.float16)


def open_vectors(path: Path, *, is_archive: bool = False) -> npt.NDArray[np.floating]:
    """An array of floats, `[rows, any width]`, never unpickled.

    Args:
        path: An .npy file.
        is_archive: It is an .npz file, with that array alone in it.

    Raises:
        InputError: It is missing, holds something else, or pickled objects.
    """
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        if is_archive and not isinstance(vectors, np.ndarray):
            with vectors as archive:
                names = archive.files
                vectors = archive[names[0]] if len(names) == 1 else np.zeros(0)
    except FileNotFoundError as error:
        raise InputError("the file of text vectors is missing", where=str(path), remedy="give its path") from error
    except (ValueError, OSError, EOFError, BadZipFile) as error:  # EOFError where it is empty
        kind = ".npz" if is_archive else ".npy"
        what, remedy = f"this is no {kind} file: {error}", "write it with numpy.save"
        if "Object arrays" in str(error):
            what = f"this is no {kind} file of numbers: it holds pickled objects, which could run any code"
            remedy = "save it as a plain array: numpy.stack(list(array)).astype('float32')"
        raise InputError(what, where=str(path), remedy=remedy) from error
    if not isinstance(vectors, np.ndarray):
        vectors.close()
        raise InputError(
            "this is an .npz file, and so no plain array",
            where=str(path),
            remedy="take the array out of it and write it alone, with numpy.save",
        )
    if vectors.ndim != 2 or vectors.shape[1] == 0 or vectors.dtype.kind != "f":
        raise InputError(
            f"vectors have shape {vectors.shape} and type {vectors.dtype}",
            where=str(path),
            remedy="give floats of shape [rows, any width], one row for every row of the raw review file",
        )
    return vectors
