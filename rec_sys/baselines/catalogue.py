"""Which baselines there are: each one's settings, what it needs of the data, and a library that may be missing."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from rec_sys.baselines.content import ContentBaseline
from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.dssm import DssmBaseline
from rec_sys.baselines.factors import AlsBaseline, BprBaseline, LightFmBaseline, PureSvdBaseline
from rec_sys.baselines.item_to_item import EaseBaseline, ItemKnnBaseline
from rec_sys.baselines.learned import AutoencoderBaseline, Gru4RecBaseline
from rec_sys.baselines.light_gcn import LightGcnBaseline
from rec_sys.baselines.popular import PopularBaseline, PopularRecentBaseline, RandomBaseline
from rec_sys.baselines.rating_baseline import KNOWN_MEAN, RATING_BASELINES, TEXT_TRIPLET
from rec_sys.baselines.transformers import Bert4RecBaseline, EsasrecBaseline, HstuBaseline, SasrecBaseline
from rec_sys.baselines.user_to_user import UserKnnBaseline
from rec_sys.contracts import InputError
from rec_sys.data.dataset import DatasetSummary
from rec_sys.settings import Section

GROUP_COMMAND: Final = "uv run --group baselines"


@dataclass(frozen=True)
class BaselineKind:
    """What there is to know of a baseline before it is made.

    Attributes:
        make: Makes it from its settings, a seed and a number of threads; None for a baseline of ratings.
        needs: What the data must have.
        library: The module that only the optional group installs.
        versions: Distributions whose versions belong beside its figures.
        imports: Modules to import before the clock starts: what that takes says nothing of the model.
    """

    make: Callable[[Any, int, int], Baseline] | None
    needs: Literal["time", "text", "rating", "known_rating", "product_text"] | None = None
    library: str | None = None
    versions: tuple[str, ...] = ("numpy", "scipy")
    imports: tuple[str, ...] = ("scipy.sparse", "scipy.linalg")

    def load_libraries(self) -> None:
        """Imports what the baseline would import while it learns."""
        for module in self.imports:
            importlib.import_module(module)


def _by_implicit(make: Callable[[Any, int, int], Baseline]) -> BaselineKind:
    modules = ("implicit.nearest_neighbours", "implicit.cpu.als", "implicit.cpu.bpr")
    return BaselineKind(make, versions=("pm-implicit", "numpy", "scipy"), imports=modules)


def _by_torch(make: Callable[[Any, int, int], Baseline]) -> BaselineKind:
    return BaselineKind(make, versions=("torch", "numpy"), imports=("rec_sys.baselines.nets",))


def _by_rectools(make: Callable[[Any, int, int], Baseline]) -> BaselineKind:
    modules = ("rectools.models.nn.transformers.sasrec", "rectools.dataset", "rec_sys.baselines.nets")
    return BaselineKind(make, versions=("rectools", "pytorch-lightning", "torch", "numpy"), imports=modules)


BASELINES: Final[dict[str, BaselineKind]] = {
    "random": BaselineKind(RandomBaseline),
    "popular": BaselineKind(PopularBaseline),
    "popular_recent": BaselineKind(PopularRecentBaseline, needs="time"),
    "item_knn": _by_implicit(ItemKnnBaseline),
    "item_knn_tfidf": _by_implicit(ItemKnnBaseline),
    "item_knn_recent": _by_implicit(ItemKnnBaseline),
    "user_knn": _by_implicit(UserKnnBaseline),
    "ease": BaselineKind(EaseBaseline),
    "ease_recent": BaselineKind(EaseBaseline),
    "pure_svd": BaselineKind(PureSvdBaseline),
    "als": _by_implicit(AlsBaseline),
    "bpr": _by_implicit(BprBaseline),
    "lightfm": BaselineKind(
        LightFmBaseline, library="lightfm", versions=("rectools-lightfm", "numpy"), imports=("lightfm",)
    ),
    "autoencoder": _by_torch(AutoencoderBaseline),
    "light_gcn": BaselineKind(
        LightGcnBaseline, versions=("torch-geometric", "torch", "numpy"), imports=("torch_geometric.nn.models",)
    ),
    "dssm": _by_rectools(DssmBaseline),
    "gru4rec": _by_torch(Gru4RecBaseline),
    "sasrec": _by_rectools(SasrecBaseline),
    "esasrec": _by_rectools(EsasrecBaseline),
    "hstu": _by_rectools(HstuBaseline),
    "bert4rec": _by_rectools(Bert4RecBaseline),
    "content": BaselineKind(ContentBaseline, needs="text", versions=("onnxruntime", "numpy")),
    **{name: BaselineKind(None, needs="rating", versions=("numpy",)) for name in RATING_BASELINES},
    KNOWN_MEAN: BaselineKind(None, needs="known_rating", versions=("numpy",)),
    TEXT_TRIPLET: BaselineKind(None, needs="product_text", versions=("sentence-transformers", "torch", "numpy")),
}


def make_baseline(name: str, settings: Section, seed: int, num_threads: int) -> Baseline:
    """A baseline that ranks, not fitted yet.

    Raises:
        ValueError: It predicts ratings only.
    """
    make = BASELINES[name].make
    if make is None:
        raise ValueError(f"{name} predicts stars and ranks nothing")
    baseline = make(settings, seed, num_threads)
    baseline.name = name
    return baseline


def refuse_missing_library(name: str) -> None:
    """Looks before anything is computed.

    Raises:
        InputError: The baseline's library is not installed.
    """
    library = BASELINES[name].library
    if library is not None and importlib.util.find_spec(library) is None:
        raise InputError(
            f"the baseline {name} needs the library {library}, which is not installed",
            where="setting baselines",
            remedy=f"start the command with `{GROUP_COMMAND} -m rec_sys.experiments.benchmark ...`,"
            f" or leave {name} out",
        )


def explain_unfit(name: str, data: DatasetSummary) -> str:
    """Why a baseline has nothing to learn from in this data; empty when it has."""
    there = {
        "time": data.has_time,
        "text": data.has_text,
        "rating": data.has_rating,
        "known_rating": data.has_rating and data.has_known_rating,
        "product_text": data.has_rating and data.has_product_text,
    }
    needs = BASELINES[name].needs
    return f"the data has no {needs.replace('_', ' ')}s" if needs and not there[needs] else ""
