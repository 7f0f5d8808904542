"""A bundle's model asked again: what training measured must come out of the bundle alone, query by query."""

import numpy as np

from rec_sys.bundle import Bundle
from rec_sys.contracts import MemoryTensor, SplitName
from rec_sys.data.interactions import Interactions, list_user_ids
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
from rec_sys.ranker.facts import ProductFacts, UserFacts
from rec_sys.ranker.trees import Trees
from rec_sys.score_terms import without_terms


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
        daily: Sees the test split too, for questions that each have a bound.
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
        self.model: ReviewGraphModel = load_model(bundle)
        hop = None
        if self.model.settings.product_hop:
            hop = ProductHop(graph, of_review == SplitName.TRAIN, product_transitions)
        offsets = fit_rating_offsets(graph, evaluation_data.fitted.train_edges, pseudo_counts)

        def builder(*user_side: int) -> BlockBuilder:
            sampler = TemporalSampler(graph, np.isin(of_review, user_side), of_review == SplitName.TRAIN)
            limits = bundle.manifest.user_reviews, bundle.manifest.product_reviews
            return BlockBuilder(sampler, evaluation_data.fitted.text_visible, offsets, *limits, hop)

        before_test = SplitName.TRAIN, SplitName.HISTORY, SplitName.VALIDATION
        self.builder = builder(*before_test)
        self.daily = builder(*before_test, SplitName.TEST)
        self.memory_term = read_memory_term(bundle, graph.interactions)
        self._bundle = bundle
        self._past = np.isin(of_review, before_test)
        self._by_day = np.isin(of_review, (*before_test, SplitName.TEST))

    def ranked(self, queries: Queries, daily: bool = False) -> Scorer | None:
        """Scores in the order of the bundle's ranker, where it has one; `daily` questions see the test split's past."""
        card = self._bundle.manifest.ranker
        if card is None:
            return None
        towers = ModelScorer(self.model, self.daily if daily else self.builder, queries)
        facts = ProductFacts.of_table(self._bundle.products(), np.asarray(self.builder.graph.product_text_vectors))
        people = UserFacts.of_table(self._bundle.user_facts(), list_user_ids(self._bundle.histories()))
        term, past = self.memory_term, self._by_day if daily else self._past
        if daily and term is not None:
            term = term.as_of_each_question(self.builder.graph.interactions)
        return SecondStage(
            FirstStage(towers, term, past, facts, people, card.candidates),
            Trees.of_tensors(self._bundle.ranker_trees()),
        ).score


def read_memory_term(bundle: Bundle, reviews: Interactions) -> MemoryTerm | None:
    """The co-review memory of a bundle and what it counts for in these reviews' histories; None where it has none."""
    from scipy.sparse import csr_matrix

    tensors = bundle.memory()
    if tensors is None:
        return None
    rows = (tensors[MemoryTensor.WEIGHTS], tensors[MemoryTensor.NEIGHBOURS], tensors[MemoryTensor.OFFSETS])
    size = bundle.manifest.num_products
    matrix, popularity = without_terms(csr_matrix(rows, shape=(len(rows[2]) - 1, size)))
    return MemoryTerm(
        CoReviewMemory(matrix),
        bundle.manifest.score,
        bundle.manifest.user_reviews,
        reviews.timestamp if reviews.has_time else None,
        reviews.weight,
        popularity,
    )
