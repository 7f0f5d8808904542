"""What answers: Triton, the index, the recommender and the service."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from rec_sys.settings.base import Address, Section


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
    restarts: int = Field(
        5, ge=0, description="Most restarts in an hour where Triton or a model's process dies; 0 = ends with the error."
    )
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
    kept_versions: int = Field(3, ge=1, description="Versions that are served and kept, the newest first.")
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
    hnsw_links: int = Field(48, ge=4, le=128, description="Links of a product in that graph (m).")
    hnsw_build_width: int = Field(128, ge=4, le=4096, description="Products weighed while it is built (ef_construct).")
    hnsw_search_width: int = Field(256, ge=16, le=4096, description="Products weighed in a search (ef).")
    batch_bytes: int = Field(4_000_000, ge=10_000, le=5_000_000, description="Largest upload at once.")
    check_queries: int = Field(64, ge=1, le=10_000, description="Asked of a new version before it is served.")
    min_recall: float = Field(
        0.99, ge=0, le=1, description="Share of the exact ten best that those answers must hold on average."
    )
    kept_versions: int = Field(
        3, ge=2, le=100, description="The version served and those that a rollback can go to, one step each."
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
    url: Address = Field(Address("http://localhost:6333"), description="The server's address.")
    api_key: SecretStr | None = Field(None, description="Taken from QDRANT_API_KEY unless given.")
    collection: str = Field(
        "products", pattern=r"^[A-Za-z0-9_.-]+$", description="The alias that is served; versions are named after it."
    )
    shards: int = Field(1, ge=1, le=1_000, description="Parts of a version, spread over the nodes of a cluster.")
    replicas: int = Field(1, ge=1, le=100, description="Nodes that hold each part; 2 survive the loss of one.")
    write_consistency: int = Field(
        1, ge=1, le=100, description="Replicas that must have taken a write before it counts as written."
    )
    timeout: int = Field(10, ge=1, description="Seconds to wait for an answer.")
    upload_attempts: int = Field(6, ge=1, le=100, description="Tries of a batch, ever longer apart, before giving up.")
    build_timeout: float = Field(3600.0, gt=0, description="Seconds the server may take to index what was uploaded.")

    @field_validator("url")
    @classmethod
    def _url_is_of_http(cls, url: Address) -> Address:
        if not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("index.url takes an address that begins with http:// or https://")
        return url

    @model_validator(mode="after")
    def _replicas_can_agree(self) -> "ServerIndex":
        if self.write_consistency > self.replicas:
            raise ValueError(
                f"index.write_consistency={self.write_consistency} asks for more replicas than the"
                f" {self.replicas} of index.replicas"
            )
        return self


IndexSettings = Annotated[EdgeIndex | ServerIndex, Field(discriminator="backend")]


class StoreSettings(Section):
    """Where what is written while the service runs is kept."""

    enabled: bool = Field(True, description="False: nothing is taken.")
    url: Address | None = Field(
        None,
        description="postgresql://user@host/database or sqlite:///path, taken from STORE_URL unless given; empty:"
        " store.db in output_dir.",
    )
    timeout_seconds: float = Field(5.0, gt=0, description="Longest time for a request to the store.")
    poll_seconds: float = Field(0.25, gt=0, le=60, description="Looks for what others have written this often.")


class InferenceSettings(Section):
    """How reviews become recommendations."""

    runtime: Literal["in_process", "triton"] = Field(
        "in_process", description="Where the user tower and the text encoder run."
    )
    triton_url: str = Field(
        "127.0.0.1:8001", description="host:port of Triton's gRPC; a list of several that take turns."
    )
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
    repeats: Literal["hide", "show"] = Field(
        "hide", description="show: products that the user has reviewed are answered too, as include_seen asks for."
    )
    max_reviews: int = Field(1_000, ge=1, le=100_000, description="Most reviews of a request.")
    max_text_characters: int = Field(20_000, ge=1, description="Longest headline and body of a review together.")
    max_reasons: int = Field(3, ge=0, le=100, description="Reviews named with a recommendation.")
    cached_texts: int = Field(50_000, ge=0, description="Text vectors kept, the latest used; 1.5 kB each.")
    num_threads: int = Field(1, ge=0, description="Of the user tower in this process; 0 = every core.")

    @field_validator("triton_url", mode="before")
    @classmethod
    def _several_are_one_text(cls, url: object) -> object:
        return ",".join(map(str, url)) if isinstance(url, list | tuple) else url

    @field_validator("triton_url")
    @classmethod
    def _each_is_one_server(cls, url: str) -> str:
        several = url.split(",")
        ports = [re.fullmatch(r"[^/@,]+:(\d+)", one) for one in several]
        if not all(port and 0 < int(port[1]) <= 65535 for port in ports):
            raise ValueError(
                "each Triton is host:port, without http:// in front, and a port is a number from 1 to 65535"
            )
        if len({*several}) < len(several):
            raise ValueError("each Triton is named once: a second connection to one takes no load from it")
        return url


AccessScope = Literal["read", "write", "admin"]


class AccessToken(Section):
    """A token that lets its bearer in."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Who bears it; stands in the log in its place.")
    token: SecretStr = Field(min_length=8, description="What is sent as bearer token.")
    expires: AwareDatetime | None = Field(None, description="ISO 8601 with a zone; empty: never.")
    scopes: tuple[AccessScope, ...] = Field(
        ("read",), min_length=1, description="read: ask; write: send, change and remove; admin: decide what is served."
    )


class ServingSettings(Section):
    """The HTTP service: where it listens, whom it lets in, and how much it takes."""

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen at; 0.0.0.0 = every one.")
    port: int = Field(8080, ge=0, le=65535, description="0 = any free one.")
    workers: int = Field(1, ge=1, le=64, description="Processes that answer there, one for each core that is free.")
    token: SecretStr | None = Field(None, description="May all; taken from GATEWAY_TOKEN unless given.")
    tokens: tuple[AccessToken, ...] = Field((), description="More of them; without any, everybody is let in.")
    token_rate: float | None = Field(
        None, gt=0, description="Requests a second of each token, a second's worth at once; empty: as many as it likes."
    )
    max_body_bytes: int = Field(1_048_576, ge=1_000, description="Largest body of a request.")
    max_upload_bytes: int = Field(33_554_432, ge=1_000, description="Largest file that the page takes.")
    max_in_progress: int = Field(
        256, ge=1, description="Requests of a worker at once; those beyond are told to come again."
    )
    retry_after_seconds: int = Field(1, ge=1, description="What they are told.")
    max_connections: int = Field(
        1_000,
        ge=1,
        description="Connections of a worker at once; one more ends the one whose client is waited for longest.",
    )
    receive_timeout_seconds: float = Field(10.0, gt=0, description="Time for a request's head, and for its body.")
    idle_timeout_seconds: int = Field(
        75, ge=1, description="How long a connection waits for the next request; more than the proxy before it does."
    )
    stop_timeout_seconds: int = Field(10, ge=1, description="Time to finish what is under way.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged from there on.")
    log_format: Literal["json", "console"] = Field("json", description="A line of JSON for each event, or for people.")

    @field_validator("token")
    @classmethod
    def _empty_is_none(cls, token: SecretStr | None) -> SecretStr | None:
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
