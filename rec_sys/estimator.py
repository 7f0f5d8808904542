"""The recommender for Python: the commands' own training, index and answers, with data frames in and out."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.frames import read_frame, reviews_by_user, text_ids, write_frame
from rec_sys.processes import quote

if TYPE_CHECKING:
    import polars as pl

    from rec_sys.inference.contract import ProductsAnswer
    from rec_sys.inference.infer import InferSettings
    from rec_sys.inference.recommender import Recommender
    from rec_sys.inference.recommender_thread import RecommenderThread

_LONGEST_PAGE: Final = 100  # products of one request
_MOST_PRODUCTS: Final = 10_000  # for one user
_AT_ONCE: Final = 1_024  # requests that wait for the recommender together, which asks in blocks


class ReviewGraphRecommender:
    """A review graph model with its index.

    ```python
    model = ReviewGraphRecommender().fit(reviews, products)    # or .load("outputs") of the class
    model.recommend(users=["A1", "A2"], k=10)
    ```

    Frames may be of any library that narwhals reads. Answers are frames of pandas where the last frame given was one,
    of Polars otherwise. Ids are texts; whole numbers become their digits.

    Args:
        settings: As on the command line, such as `"trainer.max_epochs=10"`; for `fit` alone.
        output_dir: Where everything that is written goes.
    """

    def __init__(self, *settings: str, output_dir: str | Path = "outputs") -> None:
        self._settings = settings
        self._output_dir = Path(output_dir).absolute()
        self._serving_settings: tuple[str, ...] = ()
        self._is_open = False
        self._thread: RecommenderThread | None = None
        self._is_pandas = False

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: another process opens the index and the bundle by itself, at its first question."""
        return self.__dict__ | {"_thread": None}

    def fit(
        self,
        reviews: Any = None,
        products: Any = None,
        *,
        columns: Mapping[str, str] | None = None,
        product_columns: Mapping[str, str] | None = None,
    ) -> Self:
        """Trains, and puts the products into the index.

        Args:
            reviews: A frame, whose columns are found as those of a file are; None for the data that the settings
                choose, the sample by default.
            products: A frame of what is known of products.
            columns: Our name -> the reviews' name of a column, where it is not to be found; see `data.columns`.
            product_columns: The same for the products.

        Raises:
            InputError: A frame's columns cannot be told, a setting is wrong, or the data cannot be trained on.
        """
        from rec_sys.bundle import Bundle
        from rec_sys.entry import compose_settings
        from rec_sys.inference.recommender_thread import claim_process
        from rec_sys.settings import Settings
        from rec_sys.train.run_folder import RunFolder
        from rec_sys.train.train import train
        from rec_sys.vector_database.create_vectorbase import publish
        from rec_sys.vector_database.opening import open_publisher

        claim_process()
        data: list[str] = []
        if reviews is not None:
            frames = self._output_dir / "frames"
            data = [
                "data=table",
                "data.name=frame",
                *write_frame(self._read(reviews), "reviews", columns or {}, frames),
            ]
            if products is not None:
                data += write_frame(self._read(products), "products", product_columns or {}, frames)
        settings = compose_settings([*data, *self._settings, f"output_dir={quote(self._output_dir)}"], Settings)
        folder = RunFolder(settings)
        with folder.locked():
            bundle = train(settings, folder)
        if bundle is not None:
            publish(Bundle(bundle), open_publisher(self._serving().index))
        self.close()
        self._is_open = True
        return self

    @classmethod
    def load(cls, output_dir: str | Path = "outputs", *settings: str) -> Self:
        """What the commands or `fit` have left in a folder; without an index, its newest bundle is put into one.

        Args:
            output_dir: The folder.
            settings: As on `infer`'s command line, such as `"index=server"`.

        Raises:
            InputError: There is no bundle.
        """
        from rec_sys.bundle import find_bundle
        from rec_sys.inference.recommender_thread import claim_process
        from rec_sys.vector_database.create_vectorbase import publish
        from rec_sys.vector_database.opening import open_publisher

        claim_process()
        model = cls(output_dir=output_dir)
        model._serving_settings = settings
        serving = model._serving()
        publisher = open_publisher(serving.index)
        if publisher.status().served is None:
            publish(find_bundle(serving.bundle, model._output_dir), publisher)
        model._is_open = True
        return model

    def recommend(
        self,
        users: Iterable[object],
        k: int = 10,
        *,
        filter_viewed: bool = True,
        filter: Mapping[str, Any] | None = None,
        on_unknown: Literal["raise", "popular"] = "raise",
    ) -> Any:
        """Products for users whom the model knows.

        Args:
            users: Their ids.
            k: Products a user.
            filter_viewed: Leave out what the user has reviewed.
            filter: As the service's `filter`, such as `{"max_price": 40}`.
            on_unknown: What becomes of users whom the model does not know: an error, or what suits somebody unknown.

        Returns:
            A frame: user_id, asin, rank (from 1), score, source.

        Raises:
            InputError: A user is not known, or nothing has been fitted or loaded.
        """
        return self._recommend({user: [] for user in text_ids(users, "users")}, k, filter_viewed, filter, on_unknown)

    def recommend_for_reviews(
        self, reviews: Any, k: int = 10, *, filter_viewed: bool = True, filter: Mapping[str, Any] | None = None
    ) -> Any:
        """Products for whoever wrote these reviews, known or not; nothing is trained.

        Args:
            reviews: A frame with `user_id`, `asin` and any of `rating`, `timestamp` (milliseconds, or a time), `title`,
                `text`; the newest review of a user stands last. What a known user wrote before counts too.
            k: Products a user.
            filter_viewed: As `recommend`.
            filter: As `recommend`.

        Returns:
            As `recommend`.

        Raises:
            InputError: A column is missing, or a value cannot be meant.
        """
        from rec_sys.inference.contract import Review

        asked = reviews_by_user(self._read(reviews), tuple(Review.model_fields))
        return self._recommend(asked, k, filter_viewed, filter, "raise")

    def similar(self, asins: Iterable[object], k: int = 10, *, by: Literal["graph", "text"] = "graph") -> Any:
        """Products like each of some products.

        Args:
            asins: Their ids.
            k: Products each.
            by: graph: what reviews made of them; text: what is written about them.

        Returns:
            A frame: asin, similar_asin, rank, score, source.

        Raises:
            InputError: A product is not in the index, or nothing has been fitted or loaded.
        """
        from rec_sys.inference.contract import Page, parse

        async def ask(recommender: "Recommender", asin: str, page: dict[str, int]) -> "ProductsAnswer":
            return await recommender.similar(asin, parse(Page, page), by)

        return self._ask_all(ask, dict.fromkeys(text_ids(asins, "asins")), k, (ReviewColumn.ASIN, "similar_asin"))

    def close(self) -> None:
        """Lets go of the index and its files."""
        if self._thread is not None:
            self._thread.close()
        self._thread, self._is_open = None, False

    def _recommend(
        self,
        users: Mapping[str, list[dict[str, Any]]],
        k: int,
        filter_viewed: bool,
        filter: Mapping[str, Any] | None,
        on_unknown: Literal["raise", "popular"],
    ) -> Any:
        from rec_sys.inference.contract import RecommendationRequest, UnknownUserError, parse

        unknown = set[str]()
        common = {"include_seen": not filter_viewed, "explain": False, "filter": dict(filter or {})}

        async def ask(recommender: "Recommender", user: str, page: dict[str, int]) -> "ProductsAnswer | None":
            content = common | page | {"reviews": users[user]}
            try:
                return await recommender.recommend(parse(RecommendationRequest, content | {"user_id": user}))
            except UnknownUserError:
                if on_unknown == "popular":
                    return await recommender.recommend(parse(RecommendationRequest, content))
                unknown.add(user)
                return None

        answers = self._ask_all(ask, users, k, (ReviewColumn.USER_ID, ReviewColumn.ASIN))
        if unknown:
            raise InputError(
                f"{len(unknown):,} of {len(users):,} users are not known, such as {', '.join(sorted(unknown)[:3])}",
                where="users",
                remedy='leave them out, ask with on_unknown="popular", or give their reviews to recommend_for_reviews',
            )
        return answers

    def _ask_all(
        self,
        ask: "Callable[[Recommender, str, dict[str, int]], Coroutine[Any, Any, ProductsAnswer | None]]",
        names: Iterable[str],
        k: int,
        columns: tuple[str, str],
    ) -> Any:
        """Asks in pages, many at a time, and puts the answers into one frame."""
        import polars as pl

        if not isinstance(k, int) or not 1 <= k <= _MOST_PRODUCTS:
            raise InputError(f"k is {k!r}", where="k", remedy=f"give a whole number from 1 to {_MOST_PRODUCTS:,}")
        pages = [
            (name, {"limit": min(_LONGEST_PAGE, k - offset), "offset": offset})
            for name in names
            for offset in range(0, k, _LONGEST_PAGE)
        ]
        rows: list[tuple[str, str, int, float, str]] = []

        thread = self._ready()
        for start in range(0, len(pages), _AT_ONCE):
            some = pages[start : start + _AT_ONCE]

            async def ask_some(
                recommender: "Recommender", some: list[tuple[str, dict[str, int]]] = some
            ) -> "list[ProductsAnswer | None]":
                return await asyncio.gather(*(ask(recommender, name, page) for name, page in some))

            for (name, _), answer in zip(some, thread.ask(ask_some), strict=True):
                found = () if answer is None else answer.products
                rows += [(name, product.asin, product.rank, product.score, product.source) for product in found]
        kinds = dict.fromkeys(columns, pl.String) | {"rank": pl.Int32, "score": pl.Float32, "source": pl.String}
        frame = pl.DataFrame(rows, schema=kinds, orient="row")
        return frame.to_pandas() if self._is_pandas else frame

    def _read(self, frame: Any) -> "pl.DataFrame":
        """A frame, whose library the answers are in from now on."""
        read, self._is_pandas = read_frame(frame)
        return read

    def _serving(self) -> "InferSettings":
        from rec_sys.entry import compose_settings
        from rec_sys.inference.infer import InferSettings

        overrides = [f"output_dir={quote(self._output_dir)}", *self._serving_settings]
        return compose_settings(overrides, InferSettings, "infer")

    def _ready(self) -> "RecommenderThread":
        from rec_sys.inference.recommender_thread import RecommenderThread

        if not self._is_open:
            raise InputError(
                "nothing has been fitted or loaded", where="ReviewGraphRecommender", remedy="call fit or load first"
            )
        if self._thread is None:
            serving = self._serving()
            self._thread = RecommenderThread(serving.index, serving.inference, self._output_dir, serving.bundle)
        return self._thread
