"""What the service asks of a recommender; `rec_sys.inference.recommender.Recommender` is the one that serves."""

from typing import Literal, Protocol

from rec_sys.inference.contract import (
    Health,
    ModelCard,
    Page,
    ProductsAnswer,
    RecommendationAnswer,
    RecommendationRequest,
)


class Answering(Protocol):
    """Questions in, answers out, on one event loop; the errors are those of `rec_sys.inference.contract`."""

    async def recommend(self, request: RecommendationRequest) -> RecommendationAnswer:
        """Products for a user."""

    async def similar(self, asin: str, page: Page, by: Literal["graph", "text"]) -> ProductsAnswer:
        """Products like another."""

    async def search(self, text: str, page: Page) -> ProductsAnswer:
        """Products whose text means the like."""

    async def models(self) -> tuple[ModelCard, ...]:
        """What answers are made with."""

    async def health(self) -> Health:
        """Whether answers can be given; raises nothing."""

    async def warm_up(self) -> None:
        """Opens what the first answer needs."""

    async def close(self) -> None:
        """Lets go of files and connections."""
