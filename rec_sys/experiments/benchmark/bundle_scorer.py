"""A bundle's model asked again: what training measured must come out of the bundle alone, query by query."""

import numpy as np

from rec_sys.bundle import Bundle
from rec_sys.contracts import MemoryTensor, SplitName
from rec_sys.data.interactions import Interactions
from rec_sys.data.queries import Queries
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.evaluation.ranking import Scorer
from rec_sys.evaluation.second_stage import FirstStage, SecondStage
from rec_sys.experiments.benchmark.evaluation_data import EvaluationData
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.product_hop import ProductHop
from rec_sys.graph.rating_offsets import fit_rating_offsets
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.graph.sampler import TemporalSampler
from rec_sys.modules.bundled_model import load_model
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.ranker.facts import ProductFacts
from rec_sys.ranker.trees import Trees


class BundledModel:
    """The towers and the memory of a bundle, with what they may read for the test questions.

    Args:
        bundle: What training left.
        graph: The graph that it was trained on.
        evaluation_data: The split that it was fitted on.
        product_transitions: How many transitions to and from other products a product vector reads.
        pseudo_counts: Shrinkage of the rating offsets.

    Attributes:
        model: The towers.
        builder: Sees all that came before the test split on the user side, the fitted part on the product side.
        memory_term: The co-review memory; None where the bundle has none.
    """

    def __init__(
        self,
        bundle: Bundle,
        graph: ReviewGraph,
        evaluation_data: EvaluationData,
        product_transitions: int,
        pseudo_counts: float,
    ) -> None:
        of_review = evaluation_data.fitted.of_review
        sampler = TemporalSampler(
            graph,
            user_side=np.isin(of_review, (SplitName.TRAIN, SplitName.HISTORY, SplitName.VALIDATION)),
            product_side=of_review == SplitName.TRAIN,
        )
        self.model: ReviewGraphModel = load_model(bundle)
        hop = None
        if self.model.settings.product_hop:
            hop = ProductHop(graph, of_review == SplitName.TRAIN, product_transitions)
        self.builder = BlockBuilder(
            sampler,
            evaluation_data.fitted.text_visible,
            fit_rating_offsets(graph, evaluation_data.fitted.train_edges, pseudo_counts),
            bundle.manifest.user_reviews,
            bundle.manifest.product_reviews,
            hop,
        )
        self.memory_term = read_memory_term(bundle, graph.interactions)
        self._bundle = bundle
        self._past = np.isin(of_review, (SplitName.TRAIN, SplitName.HISTORY, SplitName.VALIDATION))

    def ranked(self, queries: Queries) -> Scorer | None:
        """Scores in the order of the bundle's ranker; None where it has none."""
        card = self._bundle.manifest.ranker
        if card is None:
            return None
        towers = ModelScorer(self.model, self.builder, queries)
        facts = ProductFacts.of_table(self._bundle.products(), np.asarray(self.builder.graph.product_text_vectors))
        first = FirstStage(towers, self.memory_term, self._past, facts, card.candidates)
        return SecondStage(first, Trees.of_tensors(self._bundle.ranker_trees())).score


def read_memory_term(bundle: Bundle, reviews: Interactions) -> MemoryTerm | None:
    """The co-review memory of a bundle and what it counts for in these reviews' histories; None where it has none."""
    from scipy.sparse import csr_matrix

    tensors = bundle.memory()
    if tensors is None:
        return None
    rows = (tensors[MemoryTensor.WEIGHTS], tensors[MemoryTensor.NEIGHBOURS], tensors[MemoryTensor.OFFSETS])
    size = bundle.manifest.num_products
    memory = CoReviewMemory(csr_matrix(rows, shape=(size, size)))
    timestamp = reviews.timestamp if reviews.has_time else None
    return MemoryTerm(memory, bundle.manifest.score, bundle.manifest.user_reviews, timestamp, reviews.weight)
