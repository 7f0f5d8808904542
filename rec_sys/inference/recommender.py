"""The recommender: from reviews to products with their reasons; long because it says all that may be asked of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from rec_sys.contracts import InputError
from rec_sys.inference.answers import list_products, to_query
from rec_sys.inference.backends import Backends, OtherBundleError
from rec_sys.inference.clock import StepClock, timed
from rec_sys.inference.contract import (
    Filter,
    Page,
    ProductsAnswer,
    RecommendationAnswer,
    RecommendationRequest,
    RequestError,
    Review,
    ServingUnavailable,
    UnknownModelError,
    UnknownUserError,
)
from rec_sys.inference.dynamic_batcher import DynamicBatcher
from rec_sys.inference.event_records import EventRecords
from rec_sys.inference.filter_names import explain_empty, unmet_parts
from rec_sys.inference.health_messages import Health, ModelCard
from rec_sys.inference.insight import Insight
from rec_sys.inference.inspection import describe_models, examine
from rec_sys.inference.live_reviews import NOTHING_ON_RECORD, OnRecord
from rec_sys.inference.product_records import ProductRecords
from rec_sys.inference.product_shelf import ProductShelf
from rec_sys.inference.publications import Publications
from rec_sys.inference.review_log import ReviewLog
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.shop_lists import ShopLists
from rec_sys.inference.user_blocks import PreparedUser, answer_popular, answer_users, answers_seen, prepare
from rec_sys.inference.user_records import UserRecords
from rec_sys.inference.user_reviews import read_user
from rec_sys.settings import IndexSettings, InferenceSettings, StoreSettings, TableData
from rec_sys.vector_database.contract import ProductAnswer, ProductQuery, SimilarTo, TextMeaning, UnknownProductError

Result = TypeVar("Result")

MODELS: Final = ("hybrid", "graph", "memory", "popular")
_TRIES: Final = 5  # another bundle would have to be published during each of them
_AT_ONCE: Final = 64  # users of a block
# Blocks: one is with the index while another is with Triton; in one process they would only wait for each other.
_SIDE_BY_SIDE: Final = {"in_process": 1, "triton": 2}


class Recommender:
    """Answers for one event loop; nothing is asked of Triton or the index before the first question.

    Every answer comes from one bundle: the one that the index was made from. Where another version of the index is
    published, the next answer comes from its bundle.

    Args:
        index: The index.
        inference: How reviews become recommendations.
        output_dir: Where training wrote its bundles, and where exported text encoders are kept.
        bundle: The one bundle to serve; None for whichever the index was made from.
        store: Where what users write is kept; None where nothing is taken.

    Attributes:
        records, products, events: What users write, what is said of products, and what becomes of answers; None
            without a store.
        insight: What else is asked of the bundle served.
        lists: What is trending, and what is new.
        publications: The bundles behind what is served.
    """

    def __init__(
        self,
        index: IndexSettings,
        inference: InferenceSettings,
        output_dir: Path,
        bundle: Path | None = None,
        store: StoreSettings | None = None,
    ) -> None:
        self._settings = inference
        self._backends = Backends(index, inference, output_dir, bundle)
        self._log = None if store is None else ReviewLog(store, output_dir, inference.retry_after_seconds)
        self.insight = Insight(self._backends, self._log)
        self.publications = Publications(self._backends, output_dir)
        self.lists = ShopLists(self._backends, self._log)
        self.records: UserRecords | None = None
        self.products: ProductRecords | None = None
        self.events: EventRecords | None = None
        if store is not None and self._log is not None:
            self._shelf = ProductShelf(self._backends, self._log, store.poll_seconds)
            parts = (self._backends, self._log, self._shelf)
            self.records, self.products, self.events = (
                UserRecords(*parts),
                ProductRecords(*parts),
                EventRecords(self._log),
            )

        async def answer(users: Sequence[PreparedUser]) -> Sequence[RecommendationAnswer | Exception]:
            return await answer_users(self._backends, users)

        self._batcher = DynamicBatcher(answer, _AT_ONCE, _SIDE_BY_SIDE[inference.runtime])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of connections and files."""
        if self._log is not None:
            await self._log.close()
        await self._backends.close()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follows what others write, for an `async with` block; without a store there is nothing to follow."""
        if self._log is None:
            yield
            return
        async with self._log.following(), self._shelf.following():
            yield

    async def catch_up(self) -> None:
        """Reads what was written until now, by whomever; raises `ServingUnavailable` where a part is away."""
        if self._log is not None:
            await self._log.catch_up()
            await self._shelf.sync()

    async def warm_up(self) -> None:
        """Opens the bundle, the tower and the encoder, so that the first answer is as quick as others.

        Raises:
            ServingUnavailable: A component is away.
            InputError: The bundle has no tower, or its text encoder is not here.
        """
        await self._try_out()

    async def recommend(self, request: RecommendationRequest, *, as_tested: bool = False) -> RecommendationAnswer:
        """Products for a user. Users that are asked for at the same time share the work.

        Args:
            request: The question.
            as_tested: From the reviews before those that the test split held out, see `Insight.asked_by_test`.

        Raises:
            RequestError: The request cannot be meant; the field is named.
            UnknownModelError: There is no such model.
            UnknownUserError: Nothing is known of the user, who sends no reviews either.
            ServingUnavailable: A component is away and no fallback is allowed.
        """
        if request.model not in MODELS:
            raise UnknownModelError(
                f"there is no model {request.model}", where="model", remedy=f"ask for one of {', '.join(MODELS)}"
            )
        clock = StepClock()
        try:
            return await self._in_one_version(lambda served: self._ask(request, served, clock, as_tested=as_tested))
        except ServingUnavailable as away:
            if self._settings.fallback != "popular":
                raise
            return await self._answer_popular(request, clock, away)

    async def similar(self, asin: str, page: Page, by: Literal["graph", "text"] = "graph") -> ProductsAnswer:
        """Products like one: by what reviews made of them, or by their texts.

        Raises:
            UnknownProductError: The index does not hold it.
            RequestError: It has no text, or the request cannot be meant.
            ServingUnavailable: The index is away.
        """
        clock = StepClock()
        found = await self._find(to_query(SimilarTo(asin, by), page, page.filter.for_index()), clock, "by")
        served = await self._bundle_at_hand()
        return list_products(found, page, by, clock, served, () if found.hits else explain_empty(page, served))

    async def search(self, text: str, page: Page) -> ProductsAnswer:
        """Products whose text means what this one does, or whose titles have its words.

        Raises:
            UnknownProductError: One of the examples is unknown.
            RequestError: There is nothing to search for, or the model reads no text.
            ServingUnavailable: The index, or Triton where it is needed, is away.
        """
        clock, longest = StepClock(), self._settings.max_text_characters
        text = text.strip()
        if not 1 <= len(text) <= longest:
            raise RequestError(f"the text has {len(text):,} characters", field="q", remedy=f"give 1 to {longest:,}")

        async def ask(served: ServedBundle) -> ProductsAnswer:
            if served.text_settings.source != "encoder":
                raise RequestError("this model reads no new texts", field="q", remedy="look for similar products")
            with timed("text", [clock]):
                [vector], fallback = await self._backends.embed([text], served)
            query = to_query(TextMeaning(vector, text), page, page.filter.for_index())
            found = await self._find(query, clock, "like", served)
            hints = () if found.hits else explain_empty(page, served)
            return list_products(found, page, "text", clock, served, hints, fallback)

        return await self._in_one_version(ask)

    async def _find(
        self, query: ProductQuery, clock: StepClock, field: str, served: ServedBundle | None = None
    ) -> ProductAnswer:
        """Asks the index; a product without a text is the fault of a field of the request."""
        try:
            with timed("index", [clock]):
                [found] = await self._backends.search([query], served)
        except (UnknownProductError, ServingUnavailable):
            raise
        except InputError as error:
            raise RequestError(error.what, field=field, remedy=error.remedy) from error
        return found

    async def unmet_parts(self, wanted: Filter) -> list[str]:
        """What a filter asks for that no product of the bundle has, in words, with the nearest names.

        Raises:
            InputError: There is no bundle.
        """
        return unmet_parts(wanted, await self._bundle_at_hand())

    async def table_settings(self) -> TableData | None:
        """How the table was read that the model learned; None where it was none; `InputError` without a bundle."""
        return (await self._bundle_at_hand()).table_settings

    async def health(self) -> Health:
        """Whether answers can be given; never raises. A question is asked to see."""
        return await examine(self._backends, self._try_out, self._log)

    async def models(self) -> tuple[ModelCard, ...]:
        """What takes part in answers now; components that are away are left out."""
        return await describe_models(self._backends)

    async def _try_out(self) -> None:
        """Asks a question that every part takes part in; raises what goes wrong with it."""

        async def ask(served: ServedBundle) -> RecommendationAnswer:
            text = "a" if served.text_settings.source == "encoder" else None
            if text is not None:
                self._backends.text_vectors.forget(text, served.manifest.text_encoder)
            reviews = tuple(Review.model_construct(asin=asin, text=text) for asin in served.asins[:1])
            return await self._ask(RecommendationRequest(reviews=reviews, limit=1), served, StepClock())

        await self._in_one_version(ask)

    async def _ask(
        self, request: RecommendationRequest, served: ServedBundle, clock: StepClock, *, as_tested: bool = False
    ) -> RecommendationAnswer:
        record = self._record(request, served)
        if as_tested and request.user_id is not None:
            _, before = served.users.before_test(request.user_id)
            record = OnRecord({}, record.forgotten, only=before)
        try:
            user = await prepare(self._backends, request, served, clock, record)
        except UnknownUserError as error:
            raise await self._backends.unknown(str(request.user_id), error) from error
        return await self._batcher.ask(user)

    def _record(self, request: RecommendationRequest, served: ServedBundle) -> OnRecord:
        return NOTHING_ON_RECORD if self._log is None else self._log.about(request.user_id, served)

    async def _bundle_at_hand(self) -> ServedBundle:
        """The bundle served; where the index is away, the one that a fallback would answer from."""
        try:
            return await self._backends.served()
        except ServingUnavailable:
            return await self._backends.any_bundle()

    async def _in_one_version(self, ask: Callable[[ServedBundle], Awaitable[Result]]) -> Result:
        """Asks again where another bundle was published on the way."""
        for _ in range(_TRIES):
            served = await self._backends.served()
            try:
                return await ask(served)
            except OtherBundleError:
                continue
        raise ServingUnavailable(
            "bundles are published faster than they can be asked",
            component="index",
            where="the index",
            remedy="ask again",
            retry_after=self._settings.retry_after_seconds,
        )

    async def _answer_popular(
        self, request: RecommendationRequest, clock: StepClock, away: ServingUnavailable
    ) -> RecommendationAnswer:
        try:
            served = await self._backends.any_bundle()
        except InputError:
            raise away from None  # without any bundle nothing is known of popularity either
        reviews = read_user(request, served, self._settings, self._record(request, served))
        return answer_popular(served, request, reviews, answers_seen(request, self._settings), away.what, clock)
