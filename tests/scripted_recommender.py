"""A recommender that says what a test wants it to say: for tests of the layers around it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from rec_sys.contracts import InputError
from rec_sys.inference.contract import (
    IgnoredReview,
    Page,
    ProductsAnswer,
    Reason,
    Recommendation,
    RecommendationAnswer,
    RecommendationRequest,
    Review,
    StepTimes,
    UnknownProductError,
    UnknownUserError,
    Versions,
)
from rec_sys.inference.event_messages import NewEvent, NewEvents
from rec_sys.inference.health_messages import ComponentHealth, Health, ModelCard
from rec_sys.inference.insight import MappedProduct, NamedProduct
from rec_sys.inference.live_trends import Window
from rec_sys.inference.product_messages import (
    ChangedFacts,
    ListedProduct,
    ListedProducts,
    ProductFacts,
    TakenProduct,
)
from rec_sys.inference.review_messages import (
    Forgotten,
    ListedReview,
    ListedReviews,
    NewestReview,
    NewReviews,
    TakenReview,
    TakenReviews,
)
from rec_sys.live_bundles import ListedBundle
from rec_sys.refresh_history import RefreshOutcome
from rec_sys.store.messages import Receipt
from rec_sys.vector_database.contract import IndexVersion

VERSIONS = Versions(bundle="b0", index="v1", towers="triton/3", text_encoder="none")
TIMES = StepTimes(text=1.0, tower=2.0, index=0.5, rest=0.25, total=3.75)
KNOWN_USER, KNOWN_PRODUCT = "u1", "p1"


class ScriptedRecords:
    """Takes every review, and knows one of one user."""

    async def take(self, new: NewReviews, key: str | None = None) -> TakenReviews:
        return TakenReviews(
            reviews=tuple(TakenReview(review_id=f"r{at}", sequence=at) for at in range(1, len(new.reviews) + 1))
        )

    async def page(self, user_id: str, limit: int, offset: int) -> ListedReviews:
        self._check(user_id)
        review = Review(asin=KNOWN_PRODUCT, rating=5)
        shown = {name: getattr(review, name) for name in ("asin", "title", "text", "rating", "timestamp")}
        listed = ListedReview(review_id="r1", source="written", **shown)
        return ListedReviews(user_id=user_id, total=1, reviews=(listed,)[offset : offset + limit])

    async def newest(self, limit: int, before: int | None = None) -> tuple[NewestReview, ...]:
        listed = (await self.page(KNOWN_USER, 1, 0)).reviews[0]
        return (NewestReview(**dict(listed), user_id=KNOWN_USER, sequence=1),)

    async def has(self, user_id: str, review_id: str) -> bool:
        return (user_id, review_id) == (KNOWN_USER, "r1")

    async def remove(self, user_id: str, review_id: str) -> bool:
        return (user_id, review_id) == (KNOWN_USER, "r1")

    async def forget(self, user_id: str) -> Forgotten:
        self._check(user_id)
        return Forgotten(written=1, trained=0)

    def _check(self, user_id: str) -> None:
        if user_id != KNOWN_USER:
            raise UnknownUserError(f"there is no user {user_id}", where="user_id", remedy="check the id")


class ScriptedEvents:
    """Takes every event, the second time as one that is known."""

    def __init__(self) -> None:
        self._taken: list[NewEvent] = []

    async def take(self, new: NewEvents, key: str | None = None) -> list[Receipt]:
        receipts = []
        for event in new.events:
            is_new = event not in self._taken
            self._taken += [event] * is_new
            place = 1 + self._taken.index(event)
            receipts.append(Receipt(subject=f"e{place}", sequence=place, is_new=is_new))
        return receipts


class ScriptedProducts:
    """Takes what is said of any product, and knows one.

    Attributes:
        said: What was taken, by asin.
    """

    def __init__(self) -> None:
        self.said: dict[str, ProductFacts | None] = {}

    async def page(self, words: str, limit: int, offset: int) -> ListedProducts:
        return ListedProducts(total=1, products=(await self.about(KNOWN_PRODUCT),))

    async def about(self, asin: str) -> ListedProduct:
        if asin != KNOWN_PRODUCT:
            raise UnknownProductError(f"there is no product {asin}", where="asin", remedy="check the asin")
        return ListedProduct(asin=asin, title="Guitar", brand="Maker", price=9.9, review_count=3, written=False)

    async def put(self, asin: str, facts: ProductFacts) -> TakenProduct:
        self.said[asin] = facts
        return TakenProduct(asin=asin, sequence=1, trained=asin == KNOWN_PRODUCT, searchable=True)

    async def change(self, asin: str, facts: ChangedFacts) -> TakenProduct:
        return await self.put(asin, facts)

    async def remove(self, asin: str) -> None:
        self.said[asin] = None


class ScriptedPublications:
    """Has two bundles, one of which is live, and a picture.

    Attributes:
        went_back: To these versions.
        failure: Raised where the bundles are asked for.
    """

    def __init__(self) -> None:
        self.went_back: list[str] = []
        self.failure: InputError | None = None

    async def bundles(self) -> list[ListedBundle]:
        if self.failure is not None:
            raise self.failure
        figures = {"ndcg_at_10": 0.25}
        live = ListedBundle("b1", Path("b1"), "live", "v2", "sample", "2026-01-02T03:04:05+00:00", figures)
        return [live, ListedBundle("b0", None, "kept", "v1")]

    async def refreshes(self) -> tuple[RefreshOutcome, ...]:
        gate: dict[str, Any] = {"candidate_ndcg": 0.31, "served_ndcg": 0.3, "error": 0.01, "num_questions": 1_000}
        return (RefreshOutcome(at="2026-01-02T03:04:05+00:00", outcome="published", served="b0", **gate),)

    async def pictures(self) -> dict[str, Path]:
        return {"curves.png": Path(__file__).parents[1] / ".readme" / "learning_curves.png"}

    async def reports(self) -> dict[str, Path]:
        return {"sample-x": Path(__file__)}

    async def roll_back(self, version: str, tracking: object) -> IndexVersion | None:
        self.went_back.append(version)
        return None


class ScriptedInsight:
    """Knows what the recommender knows."""

    async def some_users(self, limit: int) -> tuple[str, ...]:
        return (KNOWN_USER,)

    async def titles(self, asins: Iterable[str]) -> dict[str, str]:
        return {asin: f"Product {asin}" for asin in asins}

    async def in_catalogue(self, asins: Iterable[str]) -> frozenset[str]:
        return frozenset({KNOWN_PRODUCT}.intersection(asins))

    async def products_called(self, words: str, limit: int) -> tuple[NamedProduct, ...]:
        return (NamedProduct(KNOWN_PRODUCT, "Guitar"),)

    async def attention(self, user_id: str) -> tuple[Reason, ...]:
        return PRODUCT.reasons

    async def asked_by_test(self, user_id: str) -> tuple[NamedProduct, ...]:
        return ()

    async def product_map(self, limit: int) -> tuple[MappedProduct, ...]:
        return (MappedProduct(KNOWN_PRODUCT, "Guitar", 0.5, 0.5, ("Strings",)),)

    async def figures(self) -> dict[str, dict[str, float]]:
        return {"this model": {"ndcg_at_10": 0.3}, "popular": {"ndcg_at_10": 0.2}}


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
        self.records = ScriptedRecords()
        self.products = ScriptedProducts()
        self.events = ScriptedEvents()
        self.insight = ScriptedInsight()
        self.publications = ScriptedPublications()
        self.lists = self
        self.failure: BaseException | None = None
        self.asked: list[object] = []
        self.closed = False
        self.warmed_up = False
        self.health_now = Health(
            ready=True, parts=(ComponentHealth(part="index", ready=True, needed=True, detail="serves v1"),)
        )
        self.fallback: Literal["popular"] | None = None

    async def recommend(self, request: RecommendationRequest, *, as_tested: bool = False) -> RecommendationAnswer:
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

    async def trending(self, page: Page, window: Window) -> ProductsAnswer:
        self._take((page, window))
        return ProductsAnswer(**self._answer())

    async def new(self, page: Page, window: Window) -> ProductsAnswer:
        return await self.trending(page, window)

    async def search(self, text: str, page: Page) -> ProductsAnswer:
        self._take((text, page))
        return ProductsAnswer(**self._answer())

    async def models(self) -> tuple[ModelCard, ...]:
        return (ModelCard(name="user_tower", version="3", identity="b0", runtime="triton", details={"dim": 16}),)

    async def health(self) -> Health:
        return self.health_now

    async def warm_up(self) -> None:
        self.warmed_up = True

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        yield

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
