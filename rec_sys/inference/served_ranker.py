"""The ranker of a bundle as answers need it: its trees, and what its features are looked up in."""

import threading
from functools import cached_property
from typing import Any, Final

import numpy as np
import onnxruntime
import polars as pl

from rec_sys.bundle import Bundle
from rec_sys.bundle_manifest import RankerCard
from rec_sys.contracts import BundleFile, RankerTensor
from rec_sys.inference.known_users import KnownUsers
from rec_sys.ranker.facts import FloatArray, PastReviews, ProductFacts
from rec_sys.ranker.features import feature_names
from rec_sys.ranker.trees import Trees

_OUTPUTS: Final = [RankerTensor.VALUE]


class ServedRanker:
    """The ranker of one bundle.

    Attributes:
        card: What it is.
        trees: What it learned.
        facts: Of the bundle's products.
        past: All reviews that the bundle has.
        people: Of the bundle's users.

    Args:
        bundle: A bundle whose manifest names a ranker.
        card: That ranker.
        products: The bundle's product table.
        text: float32 `[num_products, text_dim]`, of their texts.
        users: The bundle's users, with all reviews that it has.

    Raises:
        InputError: The bundle is damaged, or was written by a version with other features.
    """

    def __init__(
        self,
        bundle: Bundle,
        card: RankerCard,
        products: pl.DataFrame,
        text: FloatArray,
        users: KnownUsers,
    ) -> None:
        self.card = card
        with bundle.reading(BundleFile.RANKER):
            self.trees = Trees.of_tensors(bundle.ranker_trees())
        self.people = users.facts
        known = feature_names(self.people.names)
        if card.features != known or self.trees.feature.max(initial=0) >= len(known):
            raise bundle.damaged(BundleFile.RANKER, "its ranker reads other features than this version computes")
        self.facts = ProductFacts.of_table(products, text)
        order = np.argsort(users.timestamp, kind="stable")
        time = users.timestamp[order] if bundle.manifest.has_time else None
        reviewer = self.people.values[users.user[order]]
        self.past = PastReviews(users.product[order], time, users.rating[order], len(self.facts), reviewer)
        self._lock = threading.Lock()

    def run(self, features: FloatArray) -> FloatArray:
        """What the trees add to the first stage's scores, float32 `[n]`; `features` is `[n, len(card.features)]`."""
        with self._lock:
            session = self._session
        found: FloatArray = session.run(_OUTPUTS, {RankerTensor.FEATURES: features})[0][:, 0]
        return found

    @cached_property
    def _session(self) -> Any:
        from rec_sys.ranker.onnx_export import write_onnx  # and with it onnx, which most bundles need not

        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        content = write_onnx(self.trees, len(self.card.features))
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
