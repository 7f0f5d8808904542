"""The contract of tests/baseline_contract.py for the baselines with networks, and for our own model beside them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.contracts import SplitName
from rec_sys.data.interactions import FloatArray, Interactions
from rec_sys.data.queries import Queries
from rec_sys.data.splits import Split
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings
from tests.baseline_contract import PersonalBaselineContract


class TestAutoencoder(PersonalBaselineContract):
    name = "autoencoder"
    changes = {"dim": 4, "hidden_dim": 16, "epochs": 150, "learning_rate": 1e-2, "dropout": 0.2, "batch_size": 8}


class TestGru4Rec(PersonalBaselineContract):
    name = "gru4rec"
    changes = {"dim": 16, "epochs": 100, "dropout": 0.3, "learning_rate": 1e-2, "batch_size": 8}


class TestLightGcn(PersonalBaselineContract):
    name = "light_gcn"
    changes = {"dim": 8, "epochs": 60, "batch_size": 64, "learning_rate": 2e-2}
    answers_cold_start_users = False


class TestDssm(PersonalBaselineContract):
    name = "dssm"
    changes = {"dim": 8, "epochs": 150, "batch_size": 8, "learning_rate": 1e-2}
    num_asked = 4  # its user tower has learned from whole histories, never from one product


class TestSasrec(PersonalBaselineContract):
    name = "sasrec"
    changes = {"dim": 16, "epochs": 100, "dropout": 0.3, "learning_rate": 1e-2, "batch_size": 8, "length": 16}


class TestEsasrec(PersonalBaselineContract):
    name = "esasrec"
    changes = {**TestSasrec.changes, "num_negatives": 12}


class TestHstu(PersonalBaselineContract):
    name = "hstu"
    changes = TestSasrec.changes


class TestBert4Rec(PersonalBaselineContract):
    name = "bert4rec"
    changes = TestSasrec.changes


class OwnModel(Baseline):
    """Our own model behind the baselines' contract: trained on the reviews without Lightning, asked through its scorer.

    A history of somebody who is not in the data becomes reviews of a new user, as serving makes it: nothing is
    trained anew.
    """

    name = "review_graph"
    epochs = 30

    @property
    def num_parameters(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())

    def _fit(self, reviews: TrainingReviews) -> None:
        import torch

        from rec_sys.train.assembly import make_builders, make_model
        from rec_sys.train.batches import TrainingBatches
        from rec_sys.train.lightning_module import ReviewGraphLearner

        graph, split = self._graph_with(None), self._split(len(reviews))
        builders = make_builders(graph, split, self.settings)
        self.model = make_model(graph, split, builders["train"], self.settings)
        chosen = self.settings
        learner = ReviewGraphLearner(self.model, chosen.trainer, chosen.evaluation, chosen.seed, split, builders)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-3)
        for epoch in range(self.epochs):
            torch.manual_seed(epoch)
            batches = TrainingBatches(
                builders["train"],
                split.train_edges,
                batch_size=32,
                num_candidates=0,
                id_dropout=0.0,
                seed=self.seed,
                epoch=epoch,
            )
            for number, batch in enumerate(batches):
                loss = learner.training_step(batch, number)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.model.eval()

    def _score(self, histories: Histories) -> FloatArray:
        from rec_sys.evaluation.model_scorer import ModelScorer
        from rec_sys.modules.hybrid_score import MemoryTerm
        from rec_sys.train.assembly import fit_co_review, make_builders, make_formula

        graph, fitted = self._graph_with(histories), self._split(len(self.reviews), len(histories.products))
        builder = make_builders(graph, fitted, self.settings)["test"]
        asking = self.reviews.num_users + np.arange(len(histories), dtype=np.int32)
        bound = np.full(len(histories), graph.interactions.num_reviews)
        queries = queries_of(asking, bound, histories)
        wanted = self.settings.model.co_review
        memory = fit_co_review(graph, fitted, wanted, wanted.l2[0])
        formula = make_formula(self.model.temperature, wanted, 100.0)
        term = MemoryTerm(memory, formula, self.settings.graph.user_reviews)
        scorer = ModelScorer(self.model, builder, queries, term)
        return scorer.score(np.arange(len(histories)))

    def _graph_with(self, histories: Histories | None) -> Any:
        """The training reviews, and behind them the histories as reviews of further users."""
        from rec_sys.graph.review_graph import assemble_graph

        known = self.reviews
        asked = histories or known.histories_of(np.empty(0, dtype=np.int64))
        user = np.concatenate([known.user_index, known.num_users + asked.rows()]).astype(np.int32)
        product = np.concatenate([known.product_index, asked.products]).astype(np.int32)
        text_row = np.concatenate([known.text_row, asked.text_row]).astype(np.int32)
        number = np.arange(len(user), dtype=np.int64)
        interactions = Interactions(
            num_users=known.num_users + len(asked),
            num_products=known.num_products,
            has_time=True,
            user_index=user,
            product_index=product,
            rating=np.full(len(user), 5, dtype=np.float32),
            timestamp=number * 86_400_000,
            body_index=number.astype(np.int32),
            unit_start=number,
            review_row=number,
        )
        return assemble_graph(interactions, known.text_vectors, text_row)

    def _split(self, num_training: int, num_asked: int = 0) -> Split:
        part = np.repeat(np.array([SplitName.TRAIN, SplitName.HISTORY], dtype=np.uint8), [num_training, num_asked])
        nobody = queries_of(np.empty(0, np.int32), np.empty(0, np.int64), None)
        return Split(part, np.ones(len(part), dtype=np.bool_), nobody, nobody, nobody)


def queries_of(users: npt.NDArray[np.int32], bound: npt.NDArray[np.int64], histories: Histories | None) -> Queries:
    """Questions without targets."""
    offsets = np.zeros(len(users) + 1, dtype=np.int64)
    empty = np.empty(0, dtype=np.int64)
    return Queries(
        user_index=users,
        bound=bound,
        target_offsets=offsets,
        target_products=empty.astype(np.int32),
        target_edges=empty,
        history_offsets=offsets if histories is None else histories.offsets,
        history_products=empty.astype(np.int32) if histories is None else histories.products,
        num_cold=0,
    )


def settings() -> Settings:
    return compose_settings(
        ["model.dim=16", "model.dropout=0", "model.id_dropout=0", "graph.user_reviews=16", "graph.product_reviews=4"],
        Settings,
    )


class TestOwnModel(PersonalBaselineContract):
    name = OwnModel.name

    def make(self, epochs: int | None = None) -> Baseline:
        model = OwnModel(settings(), seed=3)
        model.epochs = epochs or model.epochs
        return model
