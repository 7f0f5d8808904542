"""What reads texts, or which vectors of them are given."""

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from rec_sys.settings.base import Section

_PRECISIONS: Final = {
    "minilm": ("fp32", "int8"),
    "sentence_transformer": ("fp32", "fp16", "bf16"),
    "static": ("fp32",),
    "lsa": ("fp32",),
}


class TextSettings(Section):
    """The text encoder and where its weights come from."""

    source: Literal["encoder", "given", "none"] = Field("encoder", description="none: the model reads no text.")
    product_vectors_path: Path | None = Field(
        None, description="source=given: the products' texts as float vectors of any width, .npy or .npz of one array."
    )
    product_vector_map: Path | None = Field(
        None,
        validate_default=True,
        description="A table that says which row of product_vectors_path is whose: product_id, vector_id.",
    )
    vectors_path: Path | None = Field(
        None,
        validate_default=True,
        description="source=given: float .npy [raw review rows, any width]; empty where products alone have vectors.",
    )
    encoder: Literal["minilm", "sentence_transformer", "static", "lsa"] = Field(
        "minilm",
        description="What reads texts: all-MiniLM-L6-v2, any other model, its tokens' vectors alone, or vectors of"
        " words that are fitted on the train texts.",
    )
    model: str | None = Field(
        None,
        validate_default=True,
        description="A folder that sentence-transformers has written, or a name in the local cache or on the hub;"
        " encoder=static: what it is distilled from, or a static model; empty = MiniLM.",
    )
    prompt: str | None = Field(None, description="Which of the model's prompts goes before a text; empty: its default.")
    static_dim: int = Field(256, ge=8, le=4096, description="encoder=static, lsa: width of the vectors.")
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
        others = info.field_name == "vectors_path" and info.data.get("product_vectors_path") is not None
        if value is None and info.data.get(chooser) == choice and not others:
            raise PydanticCustomError("missing", "it has no value")
        return value

    @field_validator("product_vector_map")
    @classmethod
    def _vectors_have_owners(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("product_vectors_path") is not None:
            raise PydanticCustomError("missing", "it has no value")
        return value

    @field_validator("precision")
    @classmethod
    def _encoder_has_the_precision(cls, precision: str, info: ValidationInfo) -> str:
        known = _PRECISIONS.get(info.data.get("encoder", ""), (precision,))
        if precision not in known:
            raise ValueError(f"encoder={info.data['encoder']} is computed in {' or '.join(known)}")
        return precision
