"""Which peers there are: each one's settings, what it needs of the data, and the library that not every install has."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from rec_sys.contracts import InputError
from rec_sys.data.dataset import DatasetSummary
from rec_sys.evaluation.peers.content import ContentPeer
from rec_sys.evaluation.peers.contract import Peer
from rec_sys.evaluation.peers.dssm import DssmPeer, DssmSettings
from rec_sys.evaluation.peers.factors import (
    AlsPeer,
    AlsSettings,
    BprPeer,
    BprSettings,
    LightFmPeer,
    LightFmSettings,
    PureSvdPeer,
    PureSvdSettings,
)
from rec_sys.evaluation.peers.item_to_item import (
    EasePeer,
    EaseSettings,
    ItemKnnPeer,
    ItemKnnSettings,
    RecentEaseSettings,
    RecentItemKnnSettings,
    TfidfItemKnnSettings,
)
from rec_sys.evaluation.peers.learned import AutoencoderPeer, AutoencoderSettings, Gru4RecPeer, Gru4RecSettings
from rec_sys.evaluation.peers.light_gcn import LightGcnPeer, LightGcnSettings
from rec_sys.evaluation.peers.rating_baseline import RATING_BASELINES
from rec_sys.evaluation.peers.simple import (
    NoSettings,
    PopularAllTimePeer,
    PopularRecentPeer,
    PopularRecentSettings,
    RandomPeer,
)
from rec_sys.evaluation.peers.transformers import (
    Bert4RecPeer,
    Bert4RecSettings,
    EsasrecPeer,
    EsasrecSettings,
    HstuPeer,
    HstuSettings,
    SasrecPeer,
    TransformerSettings,
)
from rec_sys.evaluation.peers.user_to_user import UserKnnPeer, UserKnnSettings
from rec_sys.settings import Section

PeerName = Literal[
    "random",
    "popular",
    "popular_recent",
    "item_knn",
    "item_knn_tfidf",
    "item_knn_recent",
    "user_knn",
    "ease",
    "ease_recent",
    "pure_svd",
    "als",
    "bpr",
    "lightfm",
    "autoencoder",
    "light_gcn",
    "dssm",
    "gru4rec",
    "sasrec",
    "esasrec",
    "hstu",
    "bert4rec",
    "content",
    "rating_mean",
    "rating_product_mean",
    "rating_offsets",
]
PEER_NAMES: Final[tuple[PeerName, ...]] = get_args(PeerName)
GROUP_COMMAND: Final = "uv run --group peers"


class PeerSettings(Section):
    """The settings of every peer that has any; the defaults are those of the 2018 instrument sequences."""

    popular_recent: PopularRecentSettings = PopularRecentSettings()
    item_knn: ItemKnnSettings = ItemKnnSettings()
    item_knn_tfidf: TfidfItemKnnSettings = TfidfItemKnnSettings()
    item_knn_recent: RecentItemKnnSettings = RecentItemKnnSettings()
    user_knn: UserKnnSettings = UserKnnSettings()
    ease: EaseSettings = EaseSettings()
    ease_recent: RecentEaseSettings = RecentEaseSettings()
    pure_svd: PureSvdSettings = PureSvdSettings()
    als: AlsSettings = AlsSettings()
    bpr: BprSettings = BprSettings()
    lightfm: LightFmSettings = LightFmSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    light_gcn: LightGcnSettings = LightGcnSettings()
    dssm: DssmSettings = DssmSettings()
    gru4rec: Gru4RecSettings = Gru4RecSettings()
    sasrec: TransformerSettings = TransformerSettings()
    esasrec: EsasrecSettings = EsasrecSettings()
    hstu: HstuSettings = HstuSettings()
    bert4rec: Bert4RecSettings = Bert4RecSettings()

    def of(self, name: str) -> Section:
        """One peer's settings; empty for a peer without any."""
        section = getattr(self, name, None)
        return section if isinstance(section, Section) else NoSettings()


@dataclass(frozen=True)
class PeerKind:
    """What there is to know of a peer before it is made.

    Attributes:
        make: Makes it from its settings, a seed and a number of threads; None for a baseline of ratings.
        needs: What the data must have: `time`, `text` or `rating`.
        library: The module that only the optional group installs.
        versions: Distributions whose versions belong beside its figures.
        imports: Modules to import before the clock starts: what that takes says nothing of the model.
    """

    make: Callable[[Any, int, int], Peer] | None
    needs: Literal["time", "text", "rating"] | None = None
    library: str | None = None
    versions: tuple[str, ...] = ("numpy", "scipy")
    imports: tuple[str, ...] = ("scipy.sparse", "scipy.linalg")

    def load_libraries(self) -> None:
        """Imports what the peer would import while it learns."""
        for module in self.imports:
            importlib.import_module(module)


def _by_implicit(make: Callable[[Any, int, int], Peer]) -> PeerKind:
    modules = ("implicit.nearest_neighbours", "implicit.cpu.als", "implicit.cpu.bpr")
    return PeerKind(make, versions=("pm-implicit", "numpy", "scipy"), imports=modules)


def _by_torch(make: Callable[[Any, int, int], Peer]) -> PeerKind:
    return PeerKind(make, versions=("torch", "numpy"), imports=("rec_sys.evaluation.peers.nets",))


def _by_rectools(make: Callable[[Any, int, int], Peer]) -> PeerKind:
    modules = ("rectools.models.nn.transformers.sasrec", "rectools.dataset", "rec_sys.evaluation.peers.nets")
    return PeerKind(make, versions=("rectools", "pytorch-lightning", "torch", "numpy"), imports=modules)


PEERS: Final[dict[str, PeerKind]] = {
    "random": PeerKind(RandomPeer),
    "popular": PeerKind(PopularAllTimePeer),
    "popular_recent": PeerKind(PopularRecentPeer, needs="time"),
    "item_knn": _by_implicit(ItemKnnPeer),
    "item_knn_tfidf": _by_implicit(ItemKnnPeer),
    "item_knn_recent": _by_implicit(ItemKnnPeer),
    "user_knn": _by_implicit(UserKnnPeer),
    "ease": PeerKind(EasePeer),
    "ease_recent": PeerKind(EasePeer),
    "pure_svd": PeerKind(PureSvdPeer),
    "als": _by_implicit(AlsPeer),
    "bpr": _by_implicit(BprPeer),
    "lightfm": PeerKind(LightFmPeer, library="lightfm", versions=("rectools-lightfm", "numpy"), imports=("lightfm",)),
    "autoencoder": _by_torch(AutoencoderPeer),
    "light_gcn": PeerKind(
        LightGcnPeer, versions=("torch-geometric", "torch", "numpy"), imports=("torch_geometric.nn.models",)
    ),
    "dssm": _by_rectools(DssmPeer),
    "gru4rec": _by_torch(Gru4RecPeer),
    "sasrec": _by_rectools(SasrecPeer),
    "esasrec": _by_rectools(EsasrecPeer),
    "hstu": _by_rectools(HstuPeer),
    "bert4rec": _by_rectools(Bert4RecPeer),
    "content": PeerKind(ContentPeer, needs="text", versions=("onnxruntime", "numpy")),
    **{name: PeerKind(None, needs="rating", versions=("numpy",)) for name in RATING_BASELINES},
}


def make_peer(name: str, settings: Section, seed: int, num_threads: int) -> Peer:
    """A peer that ranks, not fitted yet.

    Raises:
        ValueError: It predicts ratings only.
    """
    make = PEERS[name].make
    if make is None:
        raise ValueError(f"{name} predicts stars and ranks nothing")
    peer = make(settings, seed, num_threads)
    peer.name = name
    return peer


def refuse_missing_library(name: str) -> None:
    """Looks before anything is computed.

    Raises:
        InputError: The peer's library is not installed.
    """
    library = PEERS[name].library
    if library is not None and importlib.util.find_spec(library) is None:
        raise InputError(
            f"the peer {name} needs the library {library}, which is not installed",
            where="setting peers",
            remedy=f"start the command with `{GROUP_COMMAND} -m rec_sys.evaluation.benchmark ...`, or leave {name} out",
        )


def explain_unfit(name: str, data: DatasetSummary) -> str:
    """Why a peer has nothing to learn from in this data; empty when it has."""
    there = {"time": data.has_time, "text": data.has_text, "rating": data.has_rating}
    needs = PEERS[name].needs
    return f"the data has no {needs}s" if needs and not there[needs] else ""
