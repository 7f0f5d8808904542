"""The recommender for Python: the commands' own training, index and answers, with data frames in and out."""

import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from rec_sys.call_arguments import one_of, read_filter, true_or_false, whole_number
from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.frame_ids import text_ids
from rec_sys.frames import check_id_columns, is_pandas, read_frame, reviews_by_user, written_frames
from rec_sys.python_settings import FRAMES, OF_ANSWERS, check_training, compose_serving, compose_training, in_python

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender
    from rec_sys.inference.recommender_thread import RecommenderThread
    from rec_sys.vector_database.contract import IndexVersion

Result = TypeVar("Result")

_LOG: Final = logging.getLogger(__name__)
_OPENING: Final = threading.Lock()  # a model may be asked by several threads
_MOST_PRODUCTS: Final = 10_000  # for one user


class ReviewGraphRecommender:
    """A review graph model with its index.

    ```python
    model = ReviewGraphRecommender().fit(reviews, products)    # or .load("outputs") of the class
    model.recommend(users=["A1", "A2"], k=10)
    ```

    Frames may be of any library that narwhals reads. An answer is a frame of pandas where the frame, or the series of
    ids, that it answers is one of pandas, and of Polars where it is one of another library. To a plain list the answer
    is of pandas where the model was fitted on a frame of pandas, else of Polars.

    Ids are texts; whole numbers become their digits. A process that is forked from one with a model cannot use it; one
    that is started otherwise can, and a model that is pickled to it opens there by itself.

    Args:
        settings: Of training, as on the command line, such as `"trainer.max_epochs=10"`.
        serving: Of answers, as on `infer`'s command line, such as `"index=server"`.
        output_dir: Where everything that is written goes.

    Raises:
        InputError: A setting is wrong.
    """

    def __init__(self, *settings: str, serving: Iterable[str] = (), output_dir: str | Path = "outputs") -> None:
        self._settings = settings
        self._serving = (serving,) if isinstance(serving, str) else tuple(serving)
        self._output_dir = Path(output_dir).absolute()
        self._is_open = False
        self._thread: RecommenderThread | None = None
        self._was_pandas = False  # what the model was fitted on
        check_training(settings, self._output_dir)
        if self._serving:
            compose_serving(self._serving, self._output_dir)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: another process opens the index and the bundle by itself, at its first question."""
        return self.__dict__ | {"_thread": None}

    def fit(
        self,
        reviews: Any = None,
        products: Any = None,
        *,
        columns: Mapping[str, str | None] | None = None,
        product_columns: Mapping[str, str | None] | None = None,
    ) -> Self:
        """Trains, and puts the products into the index.

        Args:
            reviews: A frame, whose columns are found as those of a file are; None for the data that the settings
                choose, the sample by default.
            products: A frame of what is known of products.
            columns: Our name -> the reviews' name of a column, where it is not to be found; see `data.columns`.
            product_columns: The same for the products.

        Raises:
            InputError: It is open which column is what, a setting is wrong, or the data cannot be trained on.
        """
        from rec_sys.bundle import Bundle
        from rec_sys.data.prepare import with_columns_found
        from rec_sys.inference.recommender_thread import claim_process
        from rec_sys.train.run_folder import RunFolder
        from rec_sys.train.train import train
        from rec_sys.vector_database.create_vectorbase import publish
        from rec_sys.vector_database.opening import open_publisher

        claim_process()
        given = {"reviews": reviews, "products": products}
        maps = {"reviews": columns, "products": product_columns}
        with in_python(self._output_dir), written_frames(given, maps, self._output_dir / FRAMES) as (frames, written):
            settings = compose_training(self._settings, self._output_dir, written)
            if frames:
                settings = settings.model_copy(update={"data": with_columns_found(settings.data)})
                check_id_columns(frames, settings.data)
            folder = RunFolder(settings)
            with folder.locked():
                bundle = train(settings, folder)
            if bundle is not None:
                publish(Bundle(bundle), open_publisher(compose_serving(self._serving, self._output_dir).index))
        self.close()
        self._is_open, self._was_pandas = True, is_pandas(reviews)
        return self

    @classmethod
    def load(cls, output_dir: str | Path = "outputs", *serving: str) -> Self:
        """What the commands or `fit` have left in a folder; without an index, its newest bundle is put into one.

        An index that serves an older bundle is left as it is, with a warning.

        Args:
            output_dir: The folder.
            serving: As the class has it.

        Raises:
            InputError: There is no bundle.
        """
        from rec_sys.bundle import find_bundle
        from rec_sys.inference.recommender_thread import claim_process
        from rec_sys.vector_database.create_vectorbase import publish
        from rec_sys.vector_database.opening import open_publisher

        claim_process()
        model = cls(serving=serving, output_dir=output_dir)
        settings = compose_serving(serving, model._output_dir)
        with in_python(model._output_dir):
            publisher = open_publisher(settings.index)
            served = publisher.status().served
            if served is None:
                publish(find_bundle(settings.bundle, model._output_dir), publisher)
            elif settings.bundle is None:
                _warn_of_newer(served, model._output_dir)
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
            users: Their ids: a list, an array or a column of a frame; each is answered once, in this order.
            k: Products a user.
            filter_viewed: Leave out what the user has reviewed.
            filter: As the service's `filter`, such as `{"max_price": 40}`.
            on_unknown: What becomes of users whom the model does not know, since none of their reviews was trained on:
                an error, or what suits somebody unknown.

        Returns:
            A frame: user_id, asin, rank (from 1), score, source.

        Raises:
            InputError: A user is not known, or nothing has been fitted or loaded.
        """
        one_of(on_unknown, "on_unknown", ("raise", "popular"))
        asked: dict[str, list[dict[str, Any]]] = {user: [] for user in text_ids(users, "users")}
        return self._recommend(users, asked, k, filter_viewed, filter, on_unknown)

    def recommend_for_reviews(
        self, reviews: Any, k: int = 10, *, filter_viewed: bool = True, filter: Mapping[str, Any] | None = None
    ) -> Any:
        """Products for whoever wrote these reviews, known or not; nothing is trained.

        Args:
            reviews: A frame with `user_id`, `asin` and any of `rating` (on the scale of the training data), `timestamp`
                (milliseconds, or a time), `title`, `text`; or with the columns of the table that was trained on, which
                are read as they were then. The newest review of a user stands last. What a known user wrote before
                counts too.
            k: Products a user.
            filter_viewed: As `recommend`.
            filter: As `recommend`.

        Returns:
            As `recommend`.

        Raises:
            InputError: A column is missing, or a value cannot be meant.
        """
        from rec_sys.inference.contract import Review

        read = read_frame(reviews, "reviews")
        trained_on = self._ask(lambda recommender: recommender.table_settings())
        asked = reviews_by_user(read, tuple(Review.model_fields), trained_on)
        return self._recommend(reviews, asked, k, filter_viewed, filter, "raise")

    def similar(self, asins: Iterable[object], k: int = 10, *, by: Literal["graph", "text"] = "graph") -> Any:
        """Products like each of some products.

        Args:
            asins: Their ids, as `recommend` takes those of users.
            k: Products each.
            by: graph: what reviews made of them; text: what is written about them.

        Returns:
            A frame: asin, similar_asin, rank, score, source.

        Raises:
            InputError: A product is not in the index, or nothing has been fitted or loaded.
        """
        from rec_sys.inference.frame_answers import similar_products

        one_of(by, "by", ("graph", "text"))
        k = whole_number(k, "k", _MOST_PRODUCTS)
        names = list(dict.fromkeys(text_ids(asins, "asins")))
        found = self._ask(lambda recommender: similar_products(recommender, names, k, by))
        return self._as_given(asins, found, (ReviewColumn.ASIN, "similar_asin"))

    def close(self) -> None:
        """Lets go of the index and its files."""
        if self._thread is not None:
            self._thread.close()
        self._thread, self._is_open = None, False

    def _recommend(
        self,
        given: Any,
        asked: Mapping[str, list[dict[str, Any]]],
        k: int,
        filter_viewed: bool,
        filter: Mapping[str, Any] | None,
        on_unknown: str,
    ) -> Any:
        from rec_sys.inference.frame_answers import recommend_products

        k, seen_too = whole_number(k, "k", _MOST_PRODUCTS), not true_or_false(filter_viewed, "filter_viewed")
        common = {"include_seen": seen_too, "explain": False, "filter": read_filter(filter)}
        popular = on_unknown == "popular"
        found = self._ask(lambda recommender: recommend_products(recommender, asked, k, common, popular))
        return self._as_given(given, found, (ReviewColumn.USER_ID, ReviewColumn.ASIN))

    def _as_given(self, given: Any, rows: list[tuple[str, str, int, float, str]], names: tuple[str, str]) -> Any:
        """An answer in the library of what it answers."""
        import polars as pl

        kinds = dict.fromkeys(names, pl.String) | {"rank": pl.Int32, "score": pl.Float32, "source": pl.String}
        frame = pl.DataFrame(rows, schema=kinds, orient="row")
        is_plain = type(given).__module__ in ("builtins", "numpy")
        return frame.to_pandas() if is_pandas(given) or (is_plain and self._was_pandas) else frame

    def _ask(self, question: "Callable[[Recommender], Coroutine[Any, Any, Result]]") -> Result:
        from rec_sys.inference.recommender_thread import RecommenderThread, claim_process

        claim_process()  # before a lock that a thread of another process may have held
        if not self._is_open:
            raise InputError(
                "nothing has been fitted or loaded", where="ReviewGraphRecommender", remedy="call fit or load first"
            )
        with in_python(self._output_dir, OF_ANSWERS):
            with _OPENING:
                if self._thread is None:
                    settings = compose_serving(self._serving, self._output_dir)
                    self._thread = RecommenderThread(
                        settings.index, settings.inference, self._output_dir, settings.bundle
                    )
            return self._thread.ask(question)


def _warn_of_newer(served: "IndexVersion", output_dir: Path) -> None:
    from rec_sys.bundle import newest_bundle

    try:
        folder, newest = newest_bundle(output_dir)
    except InputError:  # they may be elsewhere, with an index on a server
        return
    if newest.created > served.created:
        _LOG.warning(
            f"the index serves bundle {served.bundle} of {served.created}, and {folder.name} of"
            f" {newest.created} is newer; rec-sys create_vectorbase publishes it"
        )
