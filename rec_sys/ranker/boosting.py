"""Learns trees with LightGBM, XGBoost or CatBoost, and brings them into one form.

Each question is a group; the trees learn what to add to the first stage's score so that what was taken next stands
before what was not. The libraries are in the dependency group `ranker` and are needed for training alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import InputError
from rec_sys.ranker.facts import FloatArray, IntArray
from rec_sys.ranker.trees import LEAF, Trees
from rec_sys.settings import RankerSettings


@dataclass(frozen=True, eq=False)
class RankingTable:
    """What trees are learned from; a row is a candidate, and rows of one question stand together.

    Attributes:
        question: int64 `[n]`, ascending.
        features: float32 `[n, num_features]`.
        score: float32 `[n]`, the first stage's, which the trees add to.
        taken: bool `[n]`, whether it is what the user came to next.
    """

    question: IntArray
    features: FloatArray
    score: FloatArray
    taken: npt.NDArray[np.bool_]

    def telling(self) -> "RankingTable":
        """The questions that have both what was taken and what was not: the others teach no order."""
        _, place, size = np.unique(self.question, return_inverse=True, return_counts=True)
        taken = np.bincount(place, self.taken)
        kept = ((taken > 0) & (taken < size))[place]
        return RankingTable(self.question[kept], self.features[kept], self.score[kept], self.taken[kept])

    def spread(self) -> float:
        """The deviation of the scores within a question."""
        _, place, size = np.unique(self.question, return_inverse=True, return_counts=True)
        mean = np.bincount(place, self.score) / size
        return float(np.sqrt(np.mean(np.square(self.score - mean[place])))) if len(place) else 0.0

    def sizes(self) -> IntArray:
        """Candidates of each question: int64 `[num_questions]`."""
        return np.unique(self.question, return_counts=True)[1].astype(np.int64)

    def joined(self, other: "RankingTable") -> "RankingTable":
        """Both tables' questions."""
        first = int(self.question.max(initial=-1)) + 1
        return RankingTable(
            np.concatenate([self.question, other.question + first]),
            np.concatenate([self.features, other.features]),
            np.concatenate([self.score, other.score]),
            np.concatenate([self.taken, other.taken]),
        )


def library_of(name: str) -> Any:
    """The library of a ranker.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{name} cannot be imported: {error}",
            where=f"setting model.ranker={name}",
            remedy="install the group ranker: uv sync --group ranker",
        ) from error


def fit_trees(name: str, table: RankingTable, settings: RankerSettings, seed: int) -> tuple[Trees, Any]:
    """Learns; returns the trees and the library's own model, which they equal."""
    library = library_of(name)
    return _FITS[name](library, table.telling(), settings, seed)


def _fit_lightgbm(library: Any, table: RankingTable, settings: RankerSettings, seed: int) -> tuple[Trees, Any]:
    data = library.Dataset(
        table.features, label=table.taken.astype(np.float32), group=table.sizes(), init_score=table.score
    )
    options = {
        "objective": "lambdarank",
        "num_leaves": settings.leaves,
        "learning_rate": settings.shrinkage,
        "lambda_l2": settings.l2,
        "min_data_in_leaf": settings.min_candidates,
        "lambdarank_truncation_level": settings.truncation,
        "num_threads": settings.num_threads,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbosity": -1,
    }
    model = library.train(options, data, settings.rounds)
    return join_trees([_lightgbm_nodes(tree["tree_structure"]) for tree in model.dump_model()["tree_info"]]), model


def _fit_xgboost(library: Any, table: RankingTable, settings: RankerSettings, seed: int) -> tuple[Trees, Any]:
    data = library.DMatrix(table.features, label=table.taken.astype(np.float32), base_margin=table.score)
    data.set_group(table.sizes())
    options = {
        "objective": "rank:ndcg",
        "lambdarank_pair_method": "topk",
        "lambdarank_num_pair_per_sample": settings.truncation,
        "grow_policy": "lossguide",
        "max_leaves": settings.leaves,
        "max_depth": 0,
        "learning_rate": settings.shrinkage,
        "lambda": settings.l2,
        "min_child_weight": 0.0,
        "base_score": 0.0,
        "nthread": settings.num_threads,
        "tree_method": "hist",
        "seed": seed,
    }
    model = library.train(options, data, settings.rounds)
    dumped = model.get_dump(dump_format="json", with_stats=True)
    return join_trees([_xgboost_nodes(json.loads(tree)) for tree in dumped]), model


def _fit_catboost(library: Any, table: RankingTable, settings: RankerSettings, seed: int) -> tuple[Trees, Any]:
    data = library.Pool(
        table.features, label=table.taken.astype(np.float32), group_id=table.question, baseline=table.score[:, None]
    )
    options = {
        "loss_function": "YetiRank",
        "iterations": settings.rounds,
        "depth": max(1, round(np.log2(settings.leaves))),
        "learning_rate": settings.shrinkage,
        "l2_leaf_reg": settings.l2,
        "thread_count": settings.num_threads or -1,
        "random_seed": seed,
        "allow_writing_files": False,
        "verbose": False,
    }
    model = library.CatBoost(options)
    model.fit(data)
    with TemporaryDirectory(prefix="catboost-") as folder:
        path = Path(folder, "model.json")
        model.save_model(str(path), format="json")
        content = json.loads(path.read_text())
    scale, (bias,) = content["scale_and_bias"]
    numeric = content["features_info"]["float_features"]
    trees = [_catboost_nodes(tree, numeric, scale) for tree in content["oblivious_trees"]]
    return join_trees([*trees, [Node(value=bias)]] if bias else trees), model


_FITS: Final = {"lightgbm": _fit_lightgbm, "xgboost": _fit_xgboost, "catboost": _fit_catboost}


_LIGHTGBM_ZERO: Final = float(np.float32(1e-35))  # kZeroThreshold in its meta.h
_ABOVE_ZERO: Final = float(np.nextafter(np.float32(_LIGHTGBM_ZERO), np.float32(1)))


@dataclass(frozen=True)
class Node:
    """A node of one tree; `left` and `right` are places in the tree's own list, behind this one."""

    feature: int = LEAF
    threshold: float = 0.0
    missing_left: bool = False
    left: int = 0
    right: int = 0
    value: float = 0.0
    cover: float = 1.0


def join_trees(trees: list[list[Node]]) -> Trees:
    """One forest of several trees."""
    roots = np.cumsum([0, *map(len, trees)])[:-1].astype(np.int32)
    nodes = [(node, int(root)) for tree, root in zip(trees, roots, strict=True) for node in tree]

    def column(name: str, dtype: type) -> npt.NDArray[Any]:
        return np.array([getattr(node, name) for node, _ in nodes], dtype=dtype)

    start = np.array([root for _, root in nodes], dtype=np.int32)
    return Trees(
        roots=roots,
        feature=column("feature", np.int32),
        threshold=column("threshold", np.float32),
        missing_left=column("missing_left", np.bool_),
        left=column("left", np.int32) + start,
        right=column("right", np.int32) + start,
        value=column("value", np.float32),
        cover=column("cover", np.float32),
    )


def _rounded_down(threshold: float) -> float:
    """The largest float32 that is no larger: the same float32 numbers are at most both."""
    # A threshold that nothing reaches is the largest float64.
    rounded = np.float32(min(threshold, float(np.finfo(np.float32).max)))
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))


def _lightgbm_nodes(root: dict[str, Any]) -> list[Node]:
    """Its comparison is x <= threshold in float64; where training saw no missing value, one is read as 0.

    So is what is hardly different from 0, before it is compared.
    """
    found: list[Node] = []
    for node, left, right in _walk(root, ("left_child", "right_child")):
        if "leaf_value" in node:
            found.append(Node(value=node["leaf_value"], cover=node.get("leaf_count", 1)))
            continue
        has_missing = node["missing_type"] == "NaN"
        missing_left = node["default_left"] if has_missing else node["threshold"] >= 0
        threshold = _rounded_down(node["threshold"])
        if abs(threshold) <= _LIGHTGBM_ZERO:
            threshold = _LIGHTGBM_ZERO if node["threshold"] >= 0 else -_ABOVE_ZERO
        found.append(Node(node["split_feature"], threshold, missing_left, left, right, cover=node["internal_count"]))
    return found


def _xgboost_nodes(root: dict[str, Any]) -> list[Node]:
    """Its comparison is x < threshold in float32: x is at most the next smaller number."""
    found: list[Node] = []
    for node, left, right in _walk(root, ("children",)):
        if "leaf" in node:
            found.append(Node(value=node["leaf"], cover=node["cover"]))
            continue
        below = float(np.nextafter(np.float32(node["split_condition"]), np.float32(-np.inf)))
        missing_left = node["missing"] == node["yes"]
        found.append(Node(int(node["split"][1:]), below, missing_left, left, right, cover=node["cover"]))
    return found


def _walk(root: dict[str, Any], below: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """The nodes of a tree of dictionaries, each before its children, with the places that these will have."""
    waiting, places = [root], 1
    while waiting:
        node = waiting.pop(0)
        children = node.get(below[0], []) if len(below) == 1 else [node[name] for name in below if name in node]
        waiting += children
        yield node, places, places + 1
        places += len(children)


def _catboost_nodes(tree: dict[str, Any], numeric: list[dict[str, Any]], scale: float) -> list[Node]:
    """Every level of its trees asks the same, x > border, and the answers are the bits of a leaf's number."""
    splits = tree["splits"]
    depth = len(splits)
    covers = np.array(tree["leaf_weights"], dtype=np.float64)
    found: list[Node] = []
    for level in range(depth):
        # The first question is the last split, whose bit is the highest: a node's leaves then stand side by side.
        split = splits[depth - 1 - level]
        feature = numeric[split["float_feature_index"]]
        sums = covers.reshape(2**level, -1).sum(axis=1)
        for place in range(2**level):
            left = 2 ** (level + 1) - 1 + 2 * place
            missing_left = feature["nan_value_treatment"] != "AsTrue"
            threshold = _rounded_down(split["border"])
            flat = feature["flat_feature_index"]
            found.append(Node(flat, threshold, missing_left, left, left + 1, cover=float(sums[place])))
    values = zip(tree["leaf_values"], tree["leaf_weights"], strict=True)
    return found + [Node(value=scale * value, cover=float(cover)) for value, cover in values]
