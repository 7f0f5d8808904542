"""A recommender that says what a test wants it to say: for tests of the layers around it."""

from typing import Literal

from rec_sys.inference.contract import (
    ComponentHealth,
    Health,
    IgnoredReview,
    ModelCard,
    Page,
    ProductsAnswer,
    Reason,
    Recommendation,
    RecommendationAnswer,
    RecommendationRequest,
    StepTimes,
    UnknownProductError,
    UnknownUserError,
    Versions,
)

VERSIONS = Versions(bundle="b0", index="v1", towers="triton/3", text_encoder="none")
TIMES = StepTimes(text=1.0, tower=2.0, index=0.5, rest=0.25, total=3.75)
KNOWN_USER, KNOWN_PRODUCT = "u1", "p1"


class ScriptedRecommender:
    """Knows one user and one product; keeps what it was asked.

    Attributes:
        failure: Raised in place of the next answers.
        asked: The requests and pages, in order.
        closed: Whether it was closed.
        warmed_up: Whether it was warmed up.
        health_now: What its health is.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.asked: list[object] = []
        self.closed = False
        self.warmed_up = False
        self.health_now = Health(
            ready=True, parts=(ComponentHealth(part="index", ready=True, needed=True, detail="serves v1"),)
        )
        self.fallback: Literal["popular"] | None = None

    async def recommend(self, request: RecommendationRequest) -> RecommendationAnswer:
        self._take(request)
        if request.user_id not in (None, KNOWN_USER) and not request.reviews:
            raise UnknownUserError(f"there is no user {request.user_id}", where="user_id", remedy="send reviews")
        return RecommendationAnswer(
            **self._answer(),
            user_id=request.user_id,
            known_user=request.user_id == KNOWN_USER,
            basis="reviews",
            reviews_used=len(request.reviews),
            ignored=tuple(
                IgnoredReview(field=f"reviews[{place}]", asin=review.asin, reason="unknown")
                for place, review in enumerate(request.reviews)
                if review.asin != KNOWN_PRODUCT
            ),
        )

    async def similar(self, asin: str, page: Page, by: Literal["graph", "text"]) -> ProductsAnswer:
        self._take((asin, page, by))
        if asin != KNOWN_PRODUCT:
            raise UnknownProductError(f"there is no product {asin}", where="asin", remedy="check the asin")
        return ProductsAnswer(**self._answer())

    async def search(self, text: str, page: Page) -> ProductsAnswer:
        self._take((text, page))
        return ProductsAnswer(**self._answer())

    async def models(self) -> tuple[ModelCard, ...]:
        return (ModelCard(name="user_tower", version="3", identity="b0", runtime="triton", details={"dim": 16}),)

    async def health(self) -> Health:
        return self.health_now

    async def warm_up(self) -> None:
        self.warmed_up = True

    async def close(self) -> None:
        self.closed = True

    def _take(self, question: object) -> None:
        self.asked.append(question)
        if self.failure is not None:
            raise self.failure

    def _answer(self) -> dict[str, object]:
        return {"products": (PRODUCT,), "versions": VERSIONS, "times": TIMES, "fallback": self.fallback}


PRODUCT = Recommendation(
    rank=1,
    asin="p2",
    title="Strings",
    brand="Maker",
    categories=("Strings",),
    price=5.0,
    rating_mean=4.5,
    review_count=12,
    score=3.25,
    memory_score=1.0,
    source="graph",
    reasons=(Reason(asin="p1", title="Guitar", snippet="Lovely", rating=5.0, timestamp=1, weight=0.75, memory=0.5),),
)
