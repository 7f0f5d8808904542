"""Bundles with everything that serving reads, made without torch: a user tower whose answers numpy can compute."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper
from scipy import sparse

from rec_sys.bundle import Bundle, BundleContents, write_bundle
from rec_sys.contracts import (
    MILLISECONDS_A_DAY,
    HistoryColumn,
    MemoryTensor,
    ModelWeight,
    ProductColumn,
    ProductVector,
    TowerFile,
    TowerTensor,
)
from rec_sys.score_terms import RepeatRates, with_terms
from rec_sys.scoring import ScoreFormula, ShortHistory, sparse_tensors
from rec_sys.settings import ModelSettings, TableData, TextSettings
from tests.text_width import MINILM_DIM, TEXT_DIM

DIM, USER_REVIEWS = 16, 6
TEMPERATURE, MEMORY_WEIGHT, MEMORY_RECENCY = 0.1, 3.0, 0.8
MEMORY_SESSION, MEMORY_SESSION_DAYS = 0.5, 90.0
POPULARITY_WEIGHT, REPEAT_WEIGHT = 1.5, 20.0
SHORT = (ShortHistory(memory=0.25, popularity=2.0), ShortHistory(memory=0.5))
# Once, twice, more often: by the age of the newest review, in days.
REPEAT_RATES = tuple((share, share + 0.05, share + 0.1) for share in (0.3, 0.25, 0.2, 0.15, 0.1, 0.05))
REPEATS = RepeatRates(rates=REPEAT_RATES, by_time=True, weight=REPEAT_WEIGHT)
HELD_OUT_USER = "user 7"  # whose newest review the test split asked for
NEWEST = 1_600_000_000_000  # milliseconds
NO_TEXT = TextSettings(source="none")
FLOAT = TensorProto.FLOAT


@dataclass(frozen=True)
class PlainReview:
    """A review as `expected_answer` takes it; a product of None is none that the bundle has."""

    product: int | None
    rating: float | None = None
    timestamp: int | None = None
    text: Any = None  # float32 [text_dim]


def write_serving_bundle(
    folder: Path,
    *,
    seed: int = 0,
    num_products: int = 60,
    num_users: int = 40,
    text: TextSettings = NO_TEXT,
    text_encoder: str = "none",
    data: TableData | None = None,
    words: Sequence[str] = (),
    terms: bool = True,
) -> Bundle:
    """Writes a bundle; other seeds make other bundles.

    Users are called `user 0` and so on and have 1 to 9 reviews, products `p0` and so on.

    Args:
        folder: The bundle.
        seed: For everything random.
        num_products: Size of the catalogue.
        num_users: Users whose reviews it has.
        text: The text settings.
        text_encoder: The encoder's id, or none.
        data: The table that it says it was trained on.
        terms: Whether popularity and repeats are in the score.
        words: Titles, brands, categories and texts of its products, one each, in place of plain ones.
    """
    random = np.random.default_rng(seed)
    vectors = _unit(random.normal(size=(num_products, DIM)))
    text_dim = MINILM_DIM if text.source == "encoder" else TEXT_DIM
    product_text = _unit(random.normal(size=(num_products, text_dim)))
    inputs = (vectors + 0.3 * random.normal(size=vectors.shape)).astype(np.float32)
    histories, history_text = _histories(random, num_users, num_products, text_dim, text.source != "none")
    contents = BundleContents(
        data_name="invented",
        data_fingerprint=f"invented-{seed}",
        text_encoder=text_encoder,
        weights={
            ModelWeight.UNKNOWN_PRODUCT_INPUT: random.normal(size=DIM).astype(np.float32),
            "projection": (random.normal(size=(text_dim, DIM)) / 8).astype(np.float32),
            "unknown_user": random.normal(size=DIM).astype(np.float32),
        },
        settings={"text": text.model_dump(mode="json"), "model": ModelSettings().model_dump(mode="json")}
        | ({"data": data.model_dump(mode="json")} if data else {}),
        products=_products(random, num_products, words),
        product_vectors={
            ProductVector.OUTPUT: vectors,
            ProductVector.INPUT: inputs,
            ProductVector.RATING: vectors,
            ProductVector.RATING_OFFSET: np.zeros(num_products, dtype=np.float32),
            ProductVector.TEXT: product_text if text.source != "none" else np.zeros_like(product_text),
        },
        metrics={"validation": {}, "test": {"ndcg_at_10": 0.1}, "baselines": {}},
        histories=histories,
        history_text=history_text,
        score=ScoreFormula(
            temperature=TEMPERATURE,
            memory_weight=MEMORY_WEIGHT,
            recency=MEMORY_RECENCY,
            session=MEMORY_SESSION,
            session_days=MEMORY_SESSION_DAYS,
            **({"popularity_weight": POPULARITY_WEIGHT, "repeats": REPEATS, "short": SHORT} if terms else {}),
        ),
        user_reviews=USER_REVIEWS,
        product_reviews=3,
        has_time=True,
        memory=_memory(random, num_products, terms),
        towers={},
    )
    contents.towers[TowerFile.USER] = _tower(contents.weights["projection"], contents.weights["unknown_user"])
    contents.towers[TowerFile.PRODUCT] = _product_tower(contents.weights["projection"])
    write_bundle(folder, contents)
    return Bundle(folder)


def expected_answer(bundle: Bundle, reviews: Sequence[PlainReview]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the model says of a user, computed one review at a time.

    Args:
        bundle: One of ours.
        reviews: The user's reviews, newest first.

    Returns:
        Scores `[num_products]`, attention `[num_reads]`, and the memory's parts `[num_reads, num_products]`.
    """
    weights, tensors, memory = bundle.weights(), bundle.product_vectors(), bundle.memory()
    reviews = list(reviews)[: bundle.manifest.user_reviews]
    stamps = [review.timestamp for review in reviews if review.timestamp is not None]
    logits, values, ages = [], [], []
    for review in reviews:
        age = -1.0 if review.timestamp is None else (max(stamps) - review.timestamp) / MILLISECONDS_A_DAY
        ages.append(age)
        source = tensors[ProductVector.INPUT][review.product] if review.product is not None else None
        source = weights[ModelWeight.UNKNOWN_PRODUCT_INPUT] if source is None else source
        said = 0 if review.text is None else np.asarray(review.text) @ weights["projection"]
        logits.append(0.2 * (review.rating or 0) - 0.002 * age + (0 if review.text is None else said[0]))
        values.append(source + said)
    attention = np.exp(logits) / max(np.exp(logits).sum(), 1e-9) if reviews else np.zeros(0)
    hidden = attention @ np.array(values) if reviews else weights["unknown_user"]
    vector = hidden / np.linalg.norm(hidden)
    parts = np.zeros((len(reviews), bundle.manifest.num_products))
    short = SHORT[len(reviews) - 1] if 1 <= len(reviews) <= len(SHORT) else ShortHistory()
    for place, review in enumerate(reviews):
        if review.product is None:
            continue
        entries = slice(*memory[MemoryTensor.OFFSETS][[review.product, review.product + 1]])
        share = MEMORY_WEIGHT * short.memory * MEMORY_RECENCY**place
        if ages[place] >= 0:
            share *= 1 + MEMORY_SESSION * np.exp(-ages[place] / MEMORY_SESSION_DAYS)
        parts[place, memory[MemoryTensor.NEIGHBOURS][entries]] = share * memory[MemoryTensor.WEIGHTS][entries]
        same = [other for other, one in enumerate(reviews) if one.product == review.product]
        if place == same[0]:  # the newest of it
            age = place if ages[place] < 0 else ages[place]
            row = sum(age >= bound for bound in (1, 7, 30, 90, 365))
            parts[place, review.product] += REPEAT_WEIGHT * REPEAT_RATES[row][min(len(same), 3) - 1]
    towers = vector @ tensors[ProductVector.OUTPUT].T / TEMPERATURE
    return towers + parts.sum(axis=0) + popularity_term(bundle, len(reviews)), attention, parts


def popularity_term(bundle: Bundle, reviews: int) -> np.ndarray:
    """What popularity adds to the score of each product for a user of so many reviews, `[num_products]`."""
    added = SHORT[reviews - 1].popularity if 1 <= reviews <= len(SHORT) else 0.0
    found: np.ndarray = (POPULARITY_WEIGHT + added) * _popularity(bundle.manifest.num_products)
    return found


def known_reviews(bundle: Bundle, user_id: str) -> list[PlainReview]:
    """A known user's reviews, newest first."""
    rows = bundle.histories().filter(pl.col(HistoryColumn.USER_ID) == user_id).rows(named=True)
    text = bundle.history_text()
    return [
        PlainReview(
            row[HistoryColumn.PRODUCT_INDEX],
            row[HistoryColumn.RATING],
            row[HistoryColumn.TIMESTAMP],
            text[row[HistoryColumn.TEXT_ROW]].astype(np.float32) if row[HistoryColumn.TEXT_ROW] >= 0 else None,
        )
        for row in reversed(rows)
    ]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _histories(
    random: np.random.Generator, num_users: int, num_products: int, text_dim: int, has_text: bool
) -> tuple[pl.DataFrame, np.ndarray]:
    rows: list[dict[str, Any]] = []
    texts: list[np.ndarray] = []
    for user in sorted(range(num_users), key=str):
        count = int(random.integers(1, 10))
        times = np.sort(NEWEST - random.integers(0, 900, count) * MILLISECONDS_A_DAY)
        for place, (product, time) in enumerate(zip(random.choice(num_products, count), times, strict=True), start=1):
            written = has_text and random.random() < 0.8
            if written:
                texts.append(random.normal(size=text_dim) / text_dim**0.5)
            rows.append(
                {
                    HistoryColumn.USER_ID: f"user {user}",
                    HistoryColumn.PRODUCT_INDEX: int(product),
                    HistoryColumn.RATING: float(random.integers(1, 6)) if random.random() < 0.9 else None,
                    HistoryColumn.TIMESTAMP: int(time),
                    HistoryColumn.TEXT_ROW: len(texts) - 1 if written else -1,
                    HistoryColumn.HELD_OUT: f"user {user}" == HELD_OUT_USER and place == count,
                    HistoryColumn.SNIPPET: f"what user {user} says of p{product}" if written else None,
                }
            )
    schema = {
        HistoryColumn.USER_ID: pl.String,
        HistoryColumn.PRODUCT_INDEX: pl.Int32,
        HistoryColumn.RATING: pl.Float32,
        HistoryColumn.TIMESTAMP: pl.Int64,
        HistoryColumn.TEXT_ROW: pl.Int32,
        HistoryColumn.HELD_OUT: pl.Boolean,
        HistoryColumn.SNIPPET: pl.String,
    }
    return pl.DataFrame(rows, schema=schema), np.array(texts, dtype=np.float16).reshape(-1, text_dim)


def _memory(random: np.random.Generator, num_products: int, terms: bool) -> dict[str, np.ndarray]:
    neighbours = np.concatenate([np.sort(random.choice(num_products, 8, replace=False)) for _ in range(num_products)])
    weights = random.exponential(1.0, 8 * num_products).astype(np.float32)
    offsets = np.arange(num_products + 1) * 8
    memory = sparse.csr_matrix((weights, neighbours, offsets), shape=(num_products, num_products))
    return dict(sparse_tensors(with_terms(memory, _popularity(num_products) if terms else None, repeats=terms)))


def _popularity(num_products: int) -> np.ndarray:
    return (np.arange(num_products) % 10 / 9).astype(np.float32)


def _products(random: np.random.Generator, count: int, words: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            ProductColumn.ASIN: [f"p{number}" for number in range(count)],
            ProductColumn.TITLE: words or [f"Product {number}" if number % 7 else None for number in range(count)],
            ProductColumn.BRAND: words or [f"Brand {number % 4}" for number in range(count)],
            ProductColumn.CATEGORIES: [
                ["All", words[number] if words else f"Kind {number % 3}"] for number in range(count)
            ],
            ProductColumn.PRICE: np.round(random.uniform(5, 100, count), 2),
            ProductColumn.TEXT: [f"Product {number}" for number in range(count)],
            ProductColumn.RATING_MEAN: np.round(random.uniform(1, 5, count), 1),
            ProductColumn.REVIEW_COUNT: random.permutation(count),
            ProductColumn.FIRST_REVIEW: [NEWEST - MILLISECONDS_A_DAY] * count,
            ProductColumn.LAST_REVIEW: [NEWEST] * count,
        },
        schema_overrides={ProductColumn.PRICE: pl.Float32, ProductColumn.RATING_MEAN: pl.Float32},
    )


def _tower(projection: np.ndarray, unknown: np.ndarray) -> bytes:
    """Attention by stars, age and the text's first projected number, over products plus projected texts."""
    names = TowerTensor
    constants = {
        "projection": projection,
        "unknown": unknown[None],
        "first": np.eye(1, DIM, dtype=np.float32)[0],
        "of_rating": np.float32(0.2),
        "of_age": np.float32(0.002),
        "tiny": np.float32(1e-9),
        "one": np.float32(1),
        "axis_1": np.array([1], dtype=np.int64),
        "axis_2": np.array([2], dtype=np.int64),
        "start": np.array([0], dtype=np.int64),
        "end": np.array([1], dtype=np.int64),
    }
    steps = [
        ("MatMul", [names.REVIEW_TEXT, "projection"], "projected"),
        ("Unsqueeze", [names.HAS_TEXT, "axis_2"], "wide_has_text"),
        ("Mul", ["projected", "wide_has_text"], "said"),
        ("Mul", ["said", "first"], "said_first"),
        ("ReduceSum", ["said_first", "axis_2"], "of_text", {"keepdims": 0}),
        ("Mul", [names.RATING, "of_rating"], "rated"),
        ("Mul", [names.AGE, "of_age"], "aged"),
        ("Sub", ["rated", "aged"], "without_text"),
        ("Add", ["without_text", "of_text"], "logits"),
        ("Exp", ["logits"], "exponent"),
        ("Mul", ["exponent", names.MASK], "present"),
        ("ReduceSum", ["present", "axis_1"], "total", {"keepdims": 1}),
        ("Max", ["total", "tiny"], "divisor"),
        ("Div", ["present", "divisor"], names.REVIEW_WEIGHTS),
        ("Unsqueeze", [names.REVIEW_WEIGHTS, "axis_2"], "wide_weights"),
        ("Add", [names.PRODUCT_INPUTS, "said"], "values"),
        ("Mul", ["values", "wide_weights"], "weighted"),
        ("ReduceSum", ["weighted", "axis_1"], "attended", {"keepdims": 0}),
        ("Slice", [names.MASK, "start", "end", "axis_1"], "known"),
        ("Sub", ["one", "known"], "not_known"),
        ("Mul", ["not_known", "unknown"], "for_unknown"),
        ("Mul", ["attended", "known"], "for_known"),
        ("Add", ["for_known", "for_unknown"], "hidden"),
        ("ReduceL2", ["hidden", "axis_1"], "norm", {"keepdims": 1}),
        ("Div", ["hidden", "norm"], names.USER_VECTOR),
    ]
    nodes = [helper.make_node(kind, given, [made], **dict(*rest)) for kind, given, made, *rest in steps]
    blocks = {names.PRODUCT_INPUTS: DIM, names.REVIEW_TEXT: len(projection)}
    columns = (names.HAS_TEXT, names.RATING, names.AGE, names.MASK)
    inputs = [helper.make_tensor_value_info(name, FLOAT, ["batch", "length", width]) for name, width in blocks.items()]
    inputs += [helper.make_tensor_value_info(name, FLOAT, ["batch", "length"]) for name in columns]
    outputs = [
        helper.make_tensor_value_info(names.USER_VECTOR, FLOAT, ["batch", DIM]),
        helper.make_tensor_value_info(names.REVIEW_WEIGHTS, FLOAT, ["batch", "length"]),
    ]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "user_tower", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _product_tower(projection: np.ndarray) -> bytes:
    """A product's text and the mean of its reviews' texts, projected."""
    names = TowerTensor
    steps = [
        ("ReduceSum", [names.REVIEW_TEXT, "axis_1"], "reviewed", {"keepdims": 0}),
        ("Add", [names.PRODUCT_TEXT, "reviewed"], "said"),
        ("MatMul", ["said", "projection"], "projected"),
        ("Add", ["projected", "tiny"], "hidden"),
        ("ReduceL2", ["hidden", "axis_1"], "norm", {"keepdims": 1}),
        ("Div", ["hidden", "norm"], names.PRODUCT_VECTOR),
    ]
    nodes = [helper.make_node(kind, given, [made], **dict(*rest)) for kind, given, made, *rest in steps]
    shapes: dict[str, list[str | int]] = {
        names.PRODUCT_TEXT: ["batch", len(projection)],
        names.HAS_PRODUCT_TEXT: ["batch"],
        names.ACTIVITY: ["batch", 4],
        names.REVIEW_TEXT: ["batch", "length", len(projection)],
    } | {name: ["batch", "length"] for name in (names.HAS_TEXT, names.RATING, names.AGE, names.MASK)}
    inputs = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info(names.PRODUCT_VECTOR, FLOAT, ["batch", DIM])]
    constants = {"projection": projection, "axis_1": np.array([1], dtype=np.int64), "tiny": np.float32(1e-6)}
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "product_tower", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
