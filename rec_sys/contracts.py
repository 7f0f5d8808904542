"""Every column, file and payload name, once, so that no two rooms spell one thing in two ways."""

from typing import Any, Final

from rec_sys.shown_text import strip_secrets


class InputError(Exception):
    """What the user gave cannot be used; the entry points print it and exit with code 2.

    It stands in logs and in answers to anonymous callers, so passwords and tokens in its texts are left out.

    Args:
        what: What is wrong, in the user's words.
        where: The file and line, or the setting, that is at fault.
        remedy: What to do about it.
    """

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        what, where, remedy = map(strip_secrets, (what, where, remedy))
        super().__init__(f"{what}\n  where: {where}\n  what to do: {remedy}")
        self.what = what
        self.where = where
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets it whole: by default an exception is made again from its text alone."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[InputError], texts: tuple[str, ...], attributes: dict[str, Any]) -> InputError:
    error = kind.__new__(kind, *texts)
    error.args = texts
    error.__dict__.update(attributes)
    return error


class ReviewColumn:
    """Columns of `reviews.parquet`, one row a review, sorted by time."""

    USER_ID: Final = "user_id"  # str
    ASIN: Final = "asin"  # str
    RATING: Final = "rating"  # float32, 1 to 5 stars; null where the data has none
    TIMESTAMP: Final = "timestamp"  # int64, milliseconds since 1970-01-01 UTC; a position where the data has no time
    TITLE: Final = "title"  # str, the review's headline; null where missing
    TEXT: Final = "text"  # str, the review's body; null where missing
    STYLE: Final = "style"  # str, JSON object of the variant bought; null where missing
    HELPFUL_VOTES: Final = "helpful_votes"  # int32; null where missing
    VERIFIED: Final = "verified"  # bool; null where missing
    EVENT: Final = "event"  # str, its kind, such as a view or an order; null where all rows are of one kind
    WEIGHT: Final = "weight"  # float32 > 0, how much it says beside others; 1 where the settings say nothing
    SOURCE_ROW: Final = "source_row"  # int64, row number in the raw file, counted from 0; see rec_sys.data.written


# The order of the rows of `reviews.parquet`; reviews of one moment stand by user, product and raw row.
TIME_ORDER: Final = [ReviewColumn.TIMESTAMP, ReviewColumn.USER_ID, ReviewColumn.ASIN, ReviewColumn.SOURCE_ROW]


class ProductColumn:
    """Columns of `products.parquet`; the row number is the product index everywhere inside."""

    ASIN: Final = "asin"  # str
    TITLE: Final = "title"  # str or null
    BRAND: Final = "brand"  # str or null
    CATEGORIES: Final = "categories"  # list[str], from the widest to the narrowest
    PRICE: Final = "price"  # float32 or null, in the data's currency
    TEXT: Final = "text"  # str or null: title, brand, categories, features, description in one text
    RATING_MEAN: Final = "rating_mean"  # float32 or null
    KNOWN_RATING: Final = "known_rating"  # float32 or null: mean stars as the metadata has it, from others
    REVIEW_COUNT: Final = "review_count"  # int64
    FIRST_REVIEW: Final = "first_review"  # int64 or null, a review's timestamp
    LAST_REVIEW: Final = "last_review"  # int64 or null


class UserColumn:
    """Columns of `users.parquet`, one row a user with reviews of whom something is known; the rest are the facts.

    A fact is float32 under the name that the settings give it, null where missing.
    """

    USER_ID: Final = "user_id"  # str


class QuarantineColumn:
    """Columns of `quarantine.parquet`, one row for every raw row that was set aside."""

    FILE: Final = "file"
    LINE: Final = "line"  # int64, counted from 1
    REASON: Final = "reason"
    RAW: Final = "raw"  # the first 500 characters


class PreparedFile:
    """Files of a prepared data set's folder."""

    REVIEWS: Final = "reviews.parquet"
    PRODUCTS: Final = "products.parquet"
    QUARANTINE: Final = "quarantine.parquet"
    SUMMARY: Final = "summary.json"
    USERS: Final = "users.parquet"  # absent where nothing is known of users beside their reviews
    TITLES: Final = "titles.csv"  # what each title was taken for, where reviews name products by title


class BundleFile:
    """Files of a bundle."""

    MANIFEST: Final = "manifest.json"
    WEIGHTS: Final = "weights.safetensors"
    SETTINGS: Final = "settings.json"
    PRODUCTS: Final = "products.parquet"
    PRODUCT_VECTORS: Final = "product_vectors.safetensors"
    METRICS: Final = "metrics.json"
    TOWERS: Final = "towers"
    PICTURES: Final = "pictures"
    HISTORIES: Final = "histories.parquet"
    HISTORY_TEXT: Final = "history_text.npy"
    MEMORY: Final = "memory.safetensors"
    RANKER: Final = "ranker.safetensors"
    USER_FACTS: Final = "user_facts.parquet"  # as PreparedFile.USERS; where a ranker reads it
    PLACING: Final = "placing.safetensors"
    CARD: Final = "MODEL_CARD.md"


class HistoryColumn:
    """Columns of a bundle's `histories.parquet`: the known users' reviews, by user, then oldest first."""

    USER_ID: Final = "user_id"  # str
    PRODUCT_INDEX: Final = "product_index"  # int32
    RATING: Final = "rating"  # float32, null where missing
    TIMESTAMP: Final = "timestamp"  # int64, as in ReviewColumn
    TEXT_ROW: Final = "text_row"  # int32, row of `history_text.npy`, -1 where missing
    WEIGHT: Final = "weight"  # float32, as in ReviewColumn
    EVENT: Final = "event"  # str, as in ReviewColumn; the column is absent where all rows are of one kind
    KNOWN: Final = "known"  # bool: of a kind that is predicted, so that answers leave its product out
    HELD_OUT: Final = "held_out"  # bool: asked for by the test split; the column is absent in bundles of before
    SNIPPET: Final = "snippet"  # str, the first characters of headline and body; null where missing
    # int64, the review's place in the store's log, null where the raw data has it; absent where no store was read
    SEQUENCE: Final = "sequence"


class ProductVector:
    """Tensors of a bundle's `product_vectors.safetensors`; the row is the product index."""

    OUTPUT: Final = "output"  # float32 [num_products, dim], unit length: what the index holds
    INPUT: Final = "input"  # float32 [num_products, dim]: what the user tower reads of a reviewed product
    RATING: Final = "rating"  # float32 [num_products, dim], unit length: for predicted stars
    RATING_OFFSET: Final = "rating_offset"  # float32 [num_products], stars
    MEAN_STARS: Final = "mean_stars"  # float32 [num_products], for predicted stars; absent where nobody gave any
    TEXT: Final = "text"  # float32 [num_products, text_dim], of the product's text, zero where missing


class MemoryTensor:
    """Tensors of a bundle's `memory.safetensors`: each product's strongest co-reviewed products, as sparse rows.

    There is a row for each product; where the score has further terms, `score_terms` says which rows follow.
    """

    OFFSETS: Final = "offsets"  # int64 [num_rows + 1]
    NEIGHBOURS: Final = "neighbours"  # int32 [num_entries], product indices
    WEIGHTS: Final = "weights"  # float32 [num_entries]; row i, column j: what a review of i adds to the score of j


class PlacingTensor:
    """Tensors of a bundle's `placing.safetensors`: what new products are placed by, see `rec_sys.newcomers`."""

    REVIEWS: Final = "reviews"  # float32 [num_products], reviews in the train split
    REVIEW_TEXT: Final = "review_text"  # float16 [num_products, text_dim], unit length; zero where nothing is written
    COMMON_TEXT: Final = "common_text"  # float32 [text_dim], the mean review


class ModelWeight:
    """Parameters in a bundle's `weights.safetensors` that serving reads beside the exported towers."""

    # float32 [dim]: what the user tower reads of a product that training has not seen and whose text is not known
    UNKNOWN_PRODUCT_INPUT: Final = "product_tower.input_text.missing"


class TowerFile:
    """Exported towers in a bundle."""

    USER: Final = "user_tower.onnx"
    PRODUCT: Final = "product_tower.onnx"


class TowerTensor:
    """Inputs and outputs of the exported towers; batch and length are free, reviews stand newest first."""

    PRODUCT_INPUTS: Final = "product_inputs"  # float32 [batch, length, dim]
    REVIEW_TEXT: Final = "review_text"  # float32 [batch, length, text_dim], zero where missing
    HAS_TEXT: Final = "has_text"  # float32 0/1 [batch, length]
    RATING: Final = "rating"  # float32 [batch, length], stars, 0 where missing
    AGE: Final = "age"  # float32 [batch, length], days before the newest review, -1 where there is no time
    MASK: Final = "mask"  # float32 [batch, length], each review's ReviewColumn.WEIGHT, 0 where there is none
    PRODUCT_TEXT: Final = "product_text"  # float32 [batch, text_dim], zero where missing
    HAS_PRODUCT_TEXT: Final = "has_product_text"  # float32 0/1 [batch]
    ACTIVITY: Final = "activity"  # float32 [batch, 4]
    USER_VECTOR: Final = "user_vector"  # float32 [batch, dim], unit length
    PRODUCT_VECTOR: Final = "product_vector"  # float32 [batch, dim], unit length
    REVIEW_WEIGHTS: Final = "review_weights"  # float32 [batch, length], sums to 1 where there is any review


class RankerTensor:
    """Input and output of the exported ranker; the number of candidates is free."""

    FEATURES: Final = "features"  # float32 [candidates, num_features], NaN where missing
    VALUE: Final = "value"  # float32 [candidates, 1], what is added to the first stage's score


class TextEncoderTensor:
    """Inputs and output of the exported text encoder; batch and tokens are free, texts are padded on the right."""

    INPUT_IDS: Final = "input_ids"  # int64 [batch, tokens]
    ATTENTION_MASK: Final = "attention_mask"  # int64 0/1 [batch, tokens]
    VECTOR: Final = "vector"  # float32 [batch, text_dim], unit length


class ServedModel:
    """Models in Triton's repository; each is a folder of numbered versions."""

    USER_TOWER: Final = "user_tower"  # TowerFile.USER
    PRODUCT_TOWER: Final = "product_tower"  # TowerFile.PRODUCT
    TEXT_ENCODER: Final = "text_encoder"  # TextEncoderTensor
    RANKER: Final = "ranker"  # RankerTensor


class ServedParameter:
    """Parameters in the config.pbtxt of a served model; every value is a text."""

    LENGTHS: Final = "lengths"  # "8,16,32,64": what requests are padded to, since only equal shapes share a batch
    READS: Final = "reads"  # "50": the newest reviews, or first tokens, that the model reads; others change nothing
    TAKES_MISSING: Final = "takes_missing"  # "true": its inputs may be NaN, for what is missing
    IDENTITY: Final = "identity_of_version_"  # and the version's number: the bundle or encoder that it came from


class IndexVector:
    """Named vectors of a point in the product index; a point is a product."""

    GRAPH: Final = "graph"  # float32 [dim], unit length, compared by dot product: ProductVector.OUTPUT
    MEMORY: Final = "memory"  # sparse, the product's column of the memory: dimension i = the product reviewed
    TEXT: Final = "text"  # float32 [text_dim], cosine: ProductVector.TEXT; absent where missing
    WORDS: Final = "words"  # sparse, the words of title and brand by their hashes; absent where there are none


class PayloadField:
    """What the product index knows of a product beside its vectors; null where missing."""

    ASIN: Final = "asin"  # str
    PRODUCT_INDEX: Final = "product_index"  # int; null where the product was added after training
    TITLE: Final = "title"  # str
    BRAND: Final = "brand"  # str
    CATEGORIES: Final = "categories"  # list[str], from the widest to the narrowest
    PRICE: Final = "price"  # float, in the data's currency
    RATING_MEAN: Final = "rating_mean"  # float, stars
    REVIEW_COUNT: Final = "review_count"  # int
    FIRST_REVIEW: Final = "first_review"  # int, a review's timestamp
    LAST_REVIEW: Final = "last_review"  # int
    UPSERTED: Final = "upserted"  # true for a product written after its version was published; absent otherwise


class SplitName:
    """The split that a review is in: what it is for under an evaluation protocol."""

    TRAIN: Final = 0
    VALIDATION: Final = 1
    TEST: Final = 2
    HISTORY: Final = 3  # earlier reviews of held-out users: read as their history, never trained on
    LATER: Final = 4  # written after the test split's window: used for nothing


MILLISECONDS_A_DAY: Final = 86_400_000

LONGEST_ID: Final = 512  # characters of a user's or a product's id, wherever it comes from


def tidy_id(given: str) -> str:
    """An id as the data, the store and the service know it: without NUL, and without blanks around it.

    Raises:
        ValueError: Nothing is left, or it is too long.
    """
    tidy = given.replace("\x00", "").strip()
    if not tidy:
        raise ValueError("an id is more than blanks")
    if len(tidy) > LONGEST_ID:
        raise ValueError(f"an id has {LONGEST_ID} characters at most, and this one {len(tidy)}")
    return tidy
