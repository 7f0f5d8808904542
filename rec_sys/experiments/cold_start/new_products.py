"""Withheld products as they arrive: with the co-review memory's columns for them, and without."""

from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rec_sys.contracts import SplitName
from rec_sys.data.interactions import FloatArray
from rec_sys.data.queries import Queries
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.experiments.cold_start.protocol import OWN, Scorer, Withheld, place_products, without_own
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.placing import Arrivals, known_products, with_columns
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.newcomers import place_column
from rec_sys.product_kinds import ProductKinds
from rec_sys.settings import NewcomerSettings, Settings
from rec_sys.train.assembly import make_builders

NOT_PLACED: Final = f"{OWN}, unknown to the memory"
WITHOUT_REVIEWS: Final = f"{OWN}, without their reviews"

Trained = tuple[dict[str, BlockBuilder], ReviewGraphModel, MemoryTerm | None]


class NewProducts:
    """A model that was trained without some products, and these products.

    Args:
        graph: All reviews.
        withheld: The products.
        trained: On `withheld.split`.
        settings: How it was trained.
        kinds: Of all products.
    """

    def __init__(
        self, graph: ReviewGraph, withheld: Withheld, trained: Trained, settings: Settings, kinds: ProductKinds
    ) -> None:
        self.graph, self.withheld, self.settings = graph, withheld, settings
        self.builders, self.model, self.memory_term = trained
        with_reviews = make_builders(graph, withheld.placed, settings)["test"]
        self.with_reviews = place_products(self.model, with_reviews, withheld.products)
        self.without_reviews = place_products(self.model, self.builders["test"], withheld.products)
        if self.memory_term is None:
            return
        self.known = known_products(graph, withheld.split, self.memory_term.memory, kinds)
        visible = withheld.placed.text_visible
        arrivals = Arrivals(graph, withheld.split, visible, kinds, settings.model.co_review)
        columns, first = graph.interactions, np.flatnonzero(withheld.first)
        self.newcomers = {
            reviews: [
                arrivals.of_product(product, first[(columns.product_index[first] == product) & reviews])
                for product in withheld.products.tolist()
            ]
            for reviews in (True, False)
        }

    def placed(self, reviews: bool, settings: NewcomerSettings) -> MemoryTerm | None:
        """The memory with columns for the products, by their first reviews or without any."""
        if self.memory_term is None:
            return None
        place = partial(place_column, known=self.known, memory=self.settings.model.co_review, settings=settings)
        columns = np.stack([place(newcomer) for newcomer in self.newcomers[reviews]], axis=1)
        memory = with_columns(self.memory_term.memory, self.withheld.products, columns)
        return replace(self.memory_term, memory=memory)

    def scorers(self, queries: Queries) -> dict[str, Scorer]:
        """The model with the products placed, with the towers alone knowing them, and placed without any review."""
        wanted = self.settings.model.newcomers
        return {
            OWN: self._scorer(queries, self.with_reviews, self.placed(True, wanted)),
            NOT_PLACED: self._scorer(queries, self.with_reviews, self.memory_term),
            WITHOUT_REVIEWS: self._scorer(queries, self.without_reviews, self.placed(False, wanted)),
        }

    def without_own(self, score: Scorer, queries: Queries) -> Scorer:
        """Without what the user asked has reviewed at another time, as far as anything was counted from it."""
        counted = self.withheld.placed.of_review == SplitName.TRAIN
        return without_own(score, queries, self.graph.interactions, np.flatnonzero(counted))

    def _scorer(self, queries: Queries, products: Tensor, memory_term: MemoryTerm | None) -> Scorer:
        own = ModelScorer(self.model, self.builders["test"], queries, memory_term)
        own.products = products
        return self.without_own(own.score, queries)

    def trade_off(self, factors: tuple[float, ...]) -> list[dict[str, Any]]:
        """NDCG@10 of new and of known products by `NewcomerSettings.factor`, beside that without any column.

        Returns:
            For each factor, and None, and with and without reviews: `factor`, `reviews`, `new`, `known`.
        """
        points = []
        for reviews, products in ((True, self.with_reviews), (False, self.without_reviews)):
            for factor in (None, *factors):
                term = self.memory_term
                if factor is not None:
                    term = self.placed(reviews, self.settings.model.newcomers.model_copy(update={"factor": factor}))
                found = [
                    float(self._ndcg(queries, products, term).mean())
                    for queries in (self.withheld.questions, self.withheld.split.test)
                ]
                points.append(
                    {
                        "seed": self.settings.seed,
                        "factor": factor,
                        "reviews": reviews,
                        "new": found[0],
                        "known": found[1],
                    }
                )
        return points

    def _ndcg(self, queries: Queries, products: Tensor, term: MemoryTerm | None) -> npt.NDArray[np.float64]:
        size, batch = self.graph.interactions.num_products, self.settings.evaluation.query_batch
        ranked = evaluate_ranking(self._scorer(queries, products, term), queries, size, (10,), batch)
        values: FloatArray = ranked.per_query["ndcg_at_10_masked"].to_numpy()
        return values.astype(np.float64)
