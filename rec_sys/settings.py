"""Every setting with its default, range and reason, hence longer than most modules; config/ composes them."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # pathlib makes one slash of two


class Section(BaseModel):
    """A part of the settings: frozen, and closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), coerce_numbers_to_str=True)

    @field_validator("*")
    @classmethod
    def _paths_are_no_addresses(cls, value: object) -> object:
        """`s3://...` as a path would be a folder called `s3:`, and `~/...` one called `~`, as no shell expands it."""
        if isinstance(value, Path) and (found := _ADDRESS.match(str(value))):
            raise PydanticCustomError(
                "address",
                "{scheme}:// is an address, and a path on this machine is needed: download or mount it first",
                {"scheme": found.group(1)},
            )
        return value.expanduser() if isinstance(value, Path) and value.parts[:1] == ("~",) else value


_READER = "Which kind of file is read; the choice of data says it."


class CommandSettings(Section):
    """What every command has that reads or writes results."""

    output_dir: Path = Field(Path("outputs"), description="Prepared data, runs, bundles, index and results live here.")


class DataCommon(Section):
    """What every data set has."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Names the prepared folder.")
    max_bad_share: float = Field(0.01, ge=0, le=1, description="Preparation fails above this share of bad rows.")
    keep_unreviewed_products: bool = Field(False, description="Keep products that only the metadata knows.")
    max_reviews: int | None = Field(None, ge=200, description="Only so many are read, the first ones; empty: all.")


AUTO: Final = "auto"  # in the place of a column: it is found by its name and content
# What pandas, databases and spreadsheets write where nothing is; spelled as they do, since "Nan" may be a name.
MISSING_VALUES = ("nan", "NaN", "None", "NULL", "null", "\\N", "NaT", "<NA>", "N/A")


class FileData(DataCommon):
    """What every data set has that is read from files."""

    encoding: str = Field(
        "auto", description="What the files are written in; auto: UTF-8, or what their byte order mark says."
    )
    missing_values: tuple[str, ...] = Field(
        MISSING_VALUES, description="Words that mean a value is missing: in ids of any file, in any column of a table."
    )

    @field_validator("encoding")
    @classmethod
    def _encoding_is_one(cls, encoding: str) -> str:
        try:
            "".encode("utf-8" if encoding == "auto" else encoding)
        except LookupError as error:
            raise ValueError(f"{error}; auto, utf-8, utf-16, cp1252 and many others are known") from error
        return encoding


class SampleData(DataCommon):
    """The built-in generated sample."""

    reader: Literal["sample"] = Field(description=_READER)
    num_users: int = Field(600, ge=20, description="Users generated.")
    num_products: int = Field(240, ge=24, description="Products generated.")
    num_reviews: int = Field(6_000, ge=200, description="Reviews generated.")
    seed: int = Field(7, ge=0, description="Another seed generates other people and products.")
    keep_unreviewed_products: bool = Field(True, description="Keep products that nobody has reviewed yet.")


class RawFile(Section):
    """A raw file: a local path wins over the download."""

    url: str | None = Field(None, pattern=r"^https://", description="Where it is fetched.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="What is fetched must match; empty: any.")


class AmazonData(FileData):
    """Amazon reviews in one of the three published schemas."""

    reader: Literal["amazon_2014", "amazon_2018", "amazon_2023"] = Field(description=_READER)
    reviews_path: Path | None = Field(None, description="A local file of reviews; it wins over the download.")
    metadata_path: Path | None = Field(None, description="The same for the metadata of the products.")
    reviews_download: RawFile | None = Field(None, description="Fetched where reviews_path is empty.")
    metadata_download: RawFile | None = Field(None, description="Fetched only where use_metadata is true.")
    use_metadata: bool = Field(False, description="Download the metadata too when no metadata_path is given.")


class ReviewColumnMap(Section):
    """Which column of a table is what: its name, auto to find it by name and content, null where there is none."""

    user_id: str = Field(AUTO, description="Who wrote it.")
    asin: str = Field(AUTO, description="The product.")
    rating: str | None = Field(AUTO, description="Stars, 1 to 5; see rating_scale.")
    timestamp: str | None = Field(AUTO, description="When it was written; see timestamp_unit.")
    title: str | None = Field(AUTO, description="The headline.")
    text: str | None = Field(AUTO, description="The body.")
    style: str | None = Field(AUTO, description="The variant that was bought.")
    helpful_votes: str | None = Field(AUTO, description="How many found it helpful.")
    verified: str | None = Field(AUTO, description="Whether the purchase is known.")


class ProductColumnMap(Section):
    """Which column of a product table is what: its name, auto to find it, null where there is none."""

    asin: str = Field(AUTO, description="The product.")
    title: str | None = Field(AUTO, description="Its name.")
    brand: str | None = Field(AUTO, description="Its maker.")
    categories: str | None = Field(AUTO, description="Its categories; see category_separator.")
    price: str | None = Field(AUTO, description="Its price.")
    features: str | None = Field(AUTO, description="Its features, in words.")
    description: str | None = Field(AUTO, description="Its description.")


class EventSettings(Section):
    """Rows as events of several kinds, such as views, baskets and orders: how much each says of a user."""

    column: str | None = Field(None, description="Names the kind of event; empty: all rows are of one kind.")
    weights: dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="Kind -> weight; rows of other kinds are left out and counted. Empty: every kind weighs 1."
    )
    amount: str | None = Field(
        None,
        description="A column that multiplies it, such as a quantity or a watched share; rows of 0 are left out.",
    )
    full_amount: float = Field(1.0, gt=0, description="The amount that counts once: 100 where it is in percent.")
    half_life_days: float | None = Field(None, gt=0, description="Days in which a weight halves; empty: it stays.")

    @model_validator(mode="after")
    def _weights_have_a_column(self) -> "EventSettings":
        if self.weights and self.column is None:
            raise ValueError("data.events.weights needs data.events.column, the column that names the kinds")
        return self


class TableData(FileData):
    """Any table (CSV, JSON objects or Parquet), by a map of its columns."""

    reader: Literal["table"] = Field(description=_READER)
    reviews_path: Path = Field(description="The table of reviews: CSV, JSON objects or Parquet.")
    metadata_path: Path | None = Field(None, description="The table of products, where there is one.")
    map_path: Path | None = Field(
        None, description="A map that rec_sys.data.inspect wrote; what is said here comes before what it says."
    )
    separator: str = Field(
        "auto",
        min_length=1,
        description="Stands between the fields of a CSV, one character or several, or the word tab.",
    )
    quoting: Literal["auto", "standard", "none"] = Field(
        "auto", description="Whether a quotation mark encloses a field (standard) or is a letter (none) in a CSV."
    )
    header: bool = Field(True, description="Whether a CSV names its columns; without names they are 1, 2, 3.")
    comment: str | None = Field(None, min_length=1, description="Lines of a CSV that begin with it are skipped.")
    columns: ReviewColumnMap = Field(ReviewColumnMap(), description="Which column of the reviews is what.")
    product_columns: ProductColumnMap | None = Field(
        ProductColumnMap(), description="Which column of the products is what."
    )
    timestamp_unit: Literal["auto", "s", "ms", "us", "ns", "iso"] = Field(
        "auto", description="Unit of a numeric time; iso = a date text; auto = what the first rows show."
    )
    timestamp_format: str | None = Field(
        None, pattern="%", description="Of other date texts, such as %d/%m/%Y; it wins over timestamp_unit."
    )
    rating_scale: tuple[float, float] = Field((1, 5), description="Lowest and highest rating; mapped to 1 to 5 stars.")
    rating_words: dict[str, Annotated[float, Field(ge=1, le=5)]] | None = Field(
        None, description="Word -> stars, where ratings are words."
    )
    category_separator: str = Field("|", min_length=1, description="Stands between the categories of a product.")
    events: EventSettings = Field(EventSettings(), description="How much each row says of its user.")
    equal_rows: Literal["merge", "quantity"] = Field(
        "merge", description="Rows that are equal: one review, or as many as there are in its weight."
    )

    @field_validator("separator")
    @classmethod
    def _tab_is_a_word(cls, separator: str) -> str:
        # A command line hands on neither the key nor its escape.
        return "\t" if separator in ("tab", "\\t") else separator

    @field_validator("rating_scale")
    @classmethod
    def _scale_rises(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not scale[0] < scale[1]:
            raise ValueError("the lowest rating comes first: [low, high]")
        return scale


class SequencesData(FileData):
    """Bare sequences, `{"user": ..., "items": [...]}` a line: order instead of time."""

    reader: Literal["sequences"] = Field(description=_READER)
    path: Path = Field(description="The file of sequences.")


DataSettings = Annotated[SampleData | AmazonData | TableData | SequencesData, Field(discriminator="reader")]


_PRECISIONS: Final = {
    "minilm": ("fp32", "int8"),
    "sentence_transformer": ("fp32", "fp16", "bf16"),
    "static": ("fp32",),
}


class TextSettings(Section):
    """The text encoder and where its weights come from."""

    source: Literal["encoder", "given", "none"] = Field("encoder", description="none: the model reads no text.")
    vectors_path: Path | None = Field(
        None, validate_default=True, description="source=given: float .npy [raw review rows, any width]."
    )
    encoder: Literal["minilm", "sentence_transformer", "static"] = Field(
        "minilm", description="What reads texts: all-MiniLM-L6-v2, any other model, or its tokens' vectors alone."
    )
    model: str | None = Field(
        None,
        validate_default=True,
        description="A folder that sentence-transformers has written, or a name in the local cache or on the hub;"
        " encoder=static: what it is distilled from, or a static model; empty = MiniLM.",
    )
    prompt: str | None = Field(None, description="Which of the model's prompts goes before a text; empty: its default.")
    static_dim: int = Field(256, ge=8, le=4096, description="encoder=static: width of its vectors.")
    weights: Literal["package", "folder", "hub"] = Field("package", description="Where MiniLM's weights are.")
    weights_folder: Path | None = Field(None, validate_default=True, description="weights=folder: that folder.")
    hub_name: str = Field("sentence-transformers/all-MiniLM-L6-v2", description="weights=hub: the model's name.")
    precision: Literal["fp32", "int8", "fp16", "bf16"] = Field(
        "fp32", description="Of the encoder. MiniLM: int8 is faster and less exact; other models on CUDA: fp16, bf16."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the encoder runs.")
    max_tokens: int | None = Field(
        None, ge=8, le=1_000_000, description="Tokens read of a text; empty: what the model says, MiniLM 256."
    )
    token_budget: int = Field(0, ge=0, description="Padded tokens a batch; 0 = what suits the device.")
    num_threads: int = Field(0, ge=0, description="0 = every core.")

    @field_validator("vectors_path", "weights_folder", "model")
    @classmethod
    def _sources_are_complete(cls, value: Path | str | None, info: ValidationInfo) -> Path | str | None:
        needed = {
            "vectors_path": ("source", "given"),
            "weights_folder": ("weights", "folder"),
            "model": ("encoder", "sentence_transformer"),
        }
        chooser, choice = needed[info.field_name or ""]
        if value is None and info.data.get(chooser) == choice:
            raise PydanticCustomError("missing", "it has no value")
        return value

    @field_validator("precision")
    @classmethod
    def _encoder_has_the_precision(cls, precision: str, info: ValidationInfo) -> str:
        known = _PRECISIONS.get(info.data.get("encoder", ""), (precision,))
        if precision not in known:
            raise ValueError(f"encoder={info.data['encoder']} is computed in {' or '.join(known)}")
        return precision


class GraphSettings(Section):
    """How far the sampler looks back, and how ties in time are broken."""

    user_reviews: int = Field(50, ge=1, le=512, description="L: the newest reviews a user vector attends over.")
    product_reviews: int = Field(16, ge=0, le=512, description="M: the newest reviews a product vector attends over.")
    product_transitions: int = Field(
        64, ge=1, le=4096, description="The newest transitions to and from other products that a product vector reads."
    )
    tie_break: Literal["hash", "file"] = Field("hash", description="Order of reviews with equal time.")


class MemorySettings(Section):
    """The co-review memory: a sparse linear model between products."""

    method: Literal["ridge", "counts"] = Field(
        "ridge", description="ridge: regressions; counts: weighted counts, for some thousand reviews."
    )
    l2: tuple[float, ...] = Field((30.0, 100.0, 300.0), min_length=1, description="Validation chooses one.")
    candidates: int = Field(100, ge=1, le=1000, description="Products that a product is predicted from.")
    weights: tuple[float, ...] = Field(
        (0, 5, 10, 20, 40, 60, 80, 120, 160, 200, 300, 500),
        min_length=1,
        description="Of the memory against the tower's logits; validation chooses one.",
    )
    neighbours: int = Field(100, ge=1, le=1000, description="Weights kept a product.")
    recency: float = Field(0.9, gt=0, le=1, description="Weight of a review against the next newer one.")
    directed: float = Field(0.5, ge=0, description="Weight of the part that knows the order; 0 = leave it out.")
    past: float = Field(0.5, gt=0, lt=1, description="Decay of the history a step back, in fitting that part.")
    future: float = Field(0.3, gt=0, lt=1, description="Decay of the future a step ahead.")
    session: float = Field(
        0.0, ge=0, description="How much more reviews of one session weigh: of a history's newest days, and as counts."
    )
    session_days: float = Field(7.0, gt=0, description="Days in which that fades to a third.")
    author_power: float = Field(0.5, ge=0, description="counts: a user of n reviews counts n to minus this.")
    product_power: float = Field(0.25, ge=0, description="counts: the same for the product that was reviewed.")
    text: float = Field(0.0, ge=0, description="counts: weight of the likeness of two products' reviews.")


class ModelSettings(Section):
    """The towers, the memory, and the two objectives."""

    memory: Literal["co_review", "none"] = Field("co_review", description="none: the towers rank alone.")
    co_review: MemorySettings = Field(MemorySettings(), description="The co-review memory.")

    tower: Literal["attention", "none"] = Field("attention", description="none: the memory ranks alone.")
    convolution: Literal["transformer_conv", "gat"] = Field(
        "transformer_conv", description="What attends over a product's reviews."
    )
    dim: int = Field(128, ge=8, le=1024, description="Width of the user and product vectors.")
    num_heads: int = Field(2, ge=1, le=16, description="Heads of the attention.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of the numbers set to zero in a step.")
    product_ids: bool = Field(True, description="Learned vectors a product, beside its text and reviews.")
    id_dropout: float = Field(
        0.1, ge=0, lt=1, description="Share of products whose learned vector is hidden in a step."
    )
    product_hop: bool = Field(True, description="A product vector reads the products that followed or preceded it.")
    reversal: float = Field(
        0.33, ge=0, lt=1, description="Share of batches read backwards, where reviews are only an order of products."
    )
    mask_history: bool = Field(True, description="The products of a history do not compete in its softmax.")
    temperature: float = Field(0.07, ge=0.01, le=1, description="Divides the cosine in the softmax.")
    fit_temperature: bool = Field(False, description="Learn it, beginning there.")
    ranking_weight: float = Field(1.0, ge=0, description="Of the ranking loss.")
    rating_weight: float = Field(0.1, ge=0, description="Of the error of predicted stars.")
    rating_error: Literal["absolute", "squared"] = Field("squared", description="Which error that is.")
    rating_offsets: bool = Field(True, description="Global, user and product offsets inside the predicted rating.")
    offset_pseudo_counts: float = Field(5.0, ge=0, description="Shrinkage of the offsets.")

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> "ModelSettings":
        if self.dim % self.num_heads:
            raise ValueError(f"model.dim={self.dim} must be a multiple of model.num_heads={self.num_heads}")
        if self.ranking_weight == 0 and self.rating_weight == 0:
            raise ValueError("model.ranking_weight and model.rating_weight are both 0: nothing to learn")
        if self.tower == "none" and self.memory == "none":
            raise ValueError("model.tower and model.memory are both none: nothing is left to rank by")
        return self


class TrainerSettings(Section):
    """The loop; most of it is handed to Lightning."""

    max_epochs: int = Field(40, ge=1, description="Epochs at most.")
    patience: int = Field(6, ge=1, description="Epochs without a better validation before it stops.")
    batch_size: int = Field(256, ge=1, description="Reviews predicted a step.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Of AdamW.")
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    num_candidates: int = Field(0, ge=0, description="Products drawn beside the batch's targets, with logQ; 0 = all.")
    gradient_clip: float = Field(1.0, gt=0, description="Longest gradient of a step.")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where training runs.")
    devices: int | Literal["auto"] = Field("auto", description="How many of them.")
    strategy: str = Field("auto", description="Lightning's strategy for several devices.")
    # YAML and the command line read a bare 32 as a number.
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = Field(
        "auto", description="auto: bf16 on CUDA, fp32 on a CPU."
    )
    num_threads: int = Field(0, ge=0, description="0 = every core.")
    progress: bool = Field(True, description="Show a progress bar.")


class EvaluationSettings(Section):
    """The split and what is measured on it."""

    protocol: Literal["leave_last_out", "random_split", "global_time", "time_folds", "next_days"] = Field(
        "leave_last_out", description="Which reviews are for test; the choice of evaluation says it."
    )
    validation_fraction: float = Field(0.1, gt=0, lt=0.5, description="Users (random) or time (global) for validation.")
    test_fraction: float = Field(0.1, gt=0, lt=0.5, description="The same for test.")
    window_days: int = Field(
        60, ge=1, description="time_folds, next_days: length of a window; the one before validates."
    )
    num_folds: int = Field(4, ge=1, le=50, description="time_folds: windows, one after the other up to the newest day.")
    fold: int = Field(0, ge=0, description="time_folds: which window is for test, counted from the oldest.")
    ks: tuple[int, ...] = Field((5, 10, 20), min_length=1, description="Lengths of the lists that are measured.")
    target_events: tuple[str, ...] = Field(
        (), description="Kinds of events that are predicted, in training too (data.events.column); empty: all."
    )
    refit: bool = Field(False, description="Train once more on train + validation, for as many epochs as were best.")
    query_batch: int = Field(1024, ge=1, description="Users scored at once.")

    @model_validator(mode="after")
    def _fold_exists(self) -> "EvaluationSettings":
        if self.fold >= self.num_folds:
            raise ValueError(f"evaluation.fold={self.fold} must be below evaluation.num_folds={self.num_folds}")
        return self

    @model_validator(mode="after")
    def _ten_is_measured(self) -> "EvaluationSettings":
        if 10 not in self.ks or min(self.ks) < 1:
            raise ValueError("evaluation.ks needs 10 (training watches NDCG@10) and no number below 1")
        return self


class TrackingSettings(Section):
    """MLflow."""

    enabled: bool = Field(True, description="Record runs.")
    experiment: str = Field("rec_sys", description="The experiment's name in MLflow.")
    uri: str | None = Field(None, description="MLflow's server; empty: a SQLite file in output_dir.")
    system_metrics: bool = Field(True, description="Record CPU, memory and GPU too.")


class TritonSettings(Section):
    """Triton's server on this machine: where it listens and what it serves."""

    model_repository: Path = Field(
        Path("triton_utils/model_repository"), description="rec_sys.modules.model_export fills it."
    )
    host: str = Field("127.0.0.1", min_length=1, description="The address to listen at; 0.0.0.0 = every one.")
    grpc_port: int = Field(8001, ge=0, le=65535, description="Of gRPC; 0 = any free one, as for the others.")
    http_port: int = Field(8000, ge=0, le=65535, description="Of the HTTP protocol.")
    metrics_port: int = Field(8002, ge=0, le=65535, description="Of the Prometheus metrics.")
    poll_seconds: int = Field(2, ge=0, description="Looks for newly published versions this often; 0 = never.")
    start_timeout_seconds: float = Field(120.0, gt=0, description="Time to load every model.")
    stop_timeout_seconds: float = Field(10.0, gt=0, description="Time to finish what is under way.")
    log_path: Path | None = Field(None, description="The server's log; empty: one that is gone when the server is.")

    @model_validator(mode="after")
    def _ports_differ(self) -> "TritonSettings":
        ports = [port for port in (self.grpc_port, self.http_port, self.metrics_port) if port]
        if len(ports) != len(set(ports)):
            raise ValueError("triton.grpc_port, triton.http_port and triton.metrics_port must differ")
        return self


class ExportSettings(Section):
    """How the towers and the text encoder are published for Triton."""

    towers: Literal["bundle", "weights"] = Field(
        "bundle", description="bundle: the files training wrote; weights: exported anew from the bundle's weights."
    )
    check: Literal["triton", "onnxruntime"] = Field(
        "triton",
        description="What must agree with torch before anything is published: also Triton, or only onnxruntime.",
    )
    lengths: tuple[int, ...] = Field(
        (8, 16, 32, 64),
        min_length=1,
        description="Reviews that a history is padded to; doubled on where it can be longer.",
    )
    token_lengths: tuple[int, ...] = Field(
        (16, 32, 64, 128, 256), min_length=1, description="The same for the tokens of a text."
    )
    max_batch_size: int = Field(64, ge=1, le=4096, description="Most rows that Triton computes at once.")
    queue_delay_microseconds: int = Field(100, ge=0, description="How long a request waits for others to join.")
    kept_versions: int = Field(2, ge=1, description="Versions that are served and kept, the newest first.")
    device: Literal["cpu", "gpu"] = Field("cpu", description="Where Triton computes.")
    tower_instances: int = Field(1, ge=1, description="Copies of each tower that work at once.")
    text_instances: int = Field(1, ge=1, description="The same for the text encoder.")
    tower_threads: int = Field(1, ge=0, description="Threads of one copy on a CPU; 0 = every core.")
    text_threads: int = Field(0, ge=0, description="The same for the text encoder.")

    @field_validator("lengths", "token_lengths")
    @classmethod
    def _lengths_rise(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        if lengths[0] < 1 or any(later <= earlier for earlier, later in pairwise(lengths)):
            raise ValueError("lengths must be positive and rise")
        return lengths


class IndexCommon(Section):
    """What both back ends of the product index have."""

    candidates: int = Field(
        100, ge=1, le=10_000, description="Products fetched beyond the page, by vector and by memory, before both sum."
    )
    exact_below: int = Field(
        50_000, ge=0, description="Catalogues up to this size are searched whole, larger ones by an HNSW graph."
    )
    hnsw_links: int = Field(16, ge=4, le=128, description="Links of a product in that graph (m).")
    hnsw_build_width: int = Field(128, ge=4, le=4096, description="Products weighed while it is built (ef_construct).")
    hnsw_search_width: int = Field(256, ge=16, le=4096, description="Products weighed in a search (ef).")
    batch_bytes: int = Field(4_000_000, ge=10_000, le=5_000_000, description="Largest upload at once.")
    check_queries: int = Field(64, ge=1, le=10_000, description="Asked of a new version before it is served.")
    min_recall: float = Field(
        0.99, ge=0, le=1, description="Share of the exact ten best that those answers must hold on average."
    )
    progress: bool = Field(True, description="Show a progress bar.")


class EdgeIndex(IndexCommon):
    """Qdrant Edge inside this process, on a folder of versions."""

    backend: Literal["edge"] = Field(description="The choice of index says it.")
    folder: Path = Field(description="Readers need to write there too, to open it.")
    lock_timeout: float = Field(30.0, ge=0, description="Seconds to wait for another writer of the folder.")


class ServerIndex(IndexCommon):
    """A Qdrant server."""

    backend: Literal["server"] = Field(description="The choice of index says it.")
    url: str = Field("http://localhost:6333", pattern=r"^https?://", description="The server's address.")
    api_key: str | None = Field(None, repr=False, description="Taken from QDRANT_API_KEY unless given.")
    collection: str = Field(
        "products", pattern=r"^[A-Za-z0-9_.-]+$", description="The alias that is served; versions are named after it."
    )
    timeout: int = Field(10, ge=1, description="Seconds to wait for an answer.")
    upload_attempts: int = Field(6, ge=1, le=100, description="Tries of a batch, ever longer apart, before giving up.")
    build_timeout: float = Field(3600.0, gt=0, description="Seconds the server may take to index what was uploaded.")


IndexSettings = Annotated[EdgeIndex | ServerIndex, Field(discriminator="backend")]


class InferenceSettings(Section):
    """How reviews become recommendations."""

    runtime: Literal["in_process", "triton"] = Field(
        "in_process", description="Where the user tower and the text encoder run."
    )
    triton_url: str = Field("127.0.0.1:8001", pattern=r"^[^/]+:\d+$", description="host:port of Triton's gRPC.")
    deadline_seconds: float = Field(5.0, gt=0, description="Longest time for a request to Triton, all tries together.")
    attempts: int = Field(3, ge=1, le=20, description="Tries of a request that finds Triton unavailable.")
    fallback: Literal["none", "in_process", "popular"] = Field(
        "none",
        description="Where Triton is away: the same towers in this process; where it or the index is: what is popular.",
    )
    retry_after_seconds: float = Field(2.0, ge=0, description="Told to those who are turned away.")
    empty_history: Literal["tower", "popular"] = Field(
        "tower", description="Whoever has no reviews gets the tower's answer for somebody unknown, or what is popular."
    )
    max_reviews: int = Field(1_000, ge=1, le=100_000, description="Most reviews of a request.")
    max_text_characters: int = Field(20_000, ge=1, description="Longest headline and body of a review together.")
    max_reasons: int = Field(3, ge=0, le=100, description="Reviews named with a recommendation.")
    cached_texts: int = Field(50_000, ge=0, description="Text vectors kept, the latest used; 1.5 kB each.")
    num_threads: int = Field(1, ge=0, description="Of the user tower in this process; 0 = every core.")


class AccessToken(Section):
    """A token that lets its bearer in."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Who bears it; stands in the log in its place.")
    token: str = Field(min_length=8, repr=False, description="What is sent as bearer token.")
    expires: AwareDatetime | None = Field(None, description="ISO 8601 with a zone; empty: never.")


class ServingSettings(Section):
    """The HTTP service: where it listens, whom it lets in, and how much it takes."""

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen at; 0.0.0.0 = every one.")
    port: int = Field(8080, ge=0, le=65535, description="0 = any free one.")
    token: str | None = Field(None, repr=False, description="Taken from GATEWAY_TOKEN unless given.")
    tokens: tuple[AccessToken, ...] = Field((), description="More of them; without any, everybody is let in.")
    max_body_bytes: int = Field(1_048_576, ge=1_000, description="Largest body of a request.")
    max_in_progress: int = Field(256, ge=1, description="Requests at once; those beyond are told to come again.")
    retry_after_seconds: int = Field(1, ge=1, description="What they are told.")
    stop_timeout_seconds: int = Field(10, ge=1, description="Time to finish what is under way.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged from there on.")
    log_format: Literal["json", "console"] = Field("json", description="A line of JSON for each event, or for people.")

    @field_validator("token")
    @classmethod
    def _empty_is_none(cls, token: str | None) -> str | None:
        # An environment variable that is set to nothing, as compose files do.
        if not token:
            return None
        if len(token) < 8:
            raise ValueError("a token has at least 8 characters")
        return token

    @model_validator(mode="after")
    def _token_names_differ(self) -> "ServingSettings":
        names = [token.name for token in self.tokens]
        if len(names) != len(set(names)):
            raise ValueError("serving.tokens must have different names")
        return self


class Settings(CommandSettings):
    """Everything config/config.yaml composes."""

    seed: int = Field(0, ge=0, lt=2**31, description="Of every draw: weights, batches, the split.")
    run_dir: Path | None = Field(
        None, description="Folder of this run; empty: one under output_dir, named by settings."
    )
    data: DataSettings
    text: TextSettings
    graph: GraphSettings
    model: ModelSettings
    trainer: TrainerSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
