"""From a bundle to Triton's repository: nothing is published before torch, onnxruntime and Triton agree."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from torch import nn

from rec_sys.bundle import Bundle
from rec_sys.contracts import InputError, RankerTensor, ServedModel, TextEncoderTensor, TowerFile
from rec_sys.modules.bundled_model import load_model
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.modules.tower_export import INPUTS, OUTPUTS, export_modules, export_towers
from rec_sys.modules.tower_parity import (
    Expected,
    ParityCase,
    ParityError,
    answer,
    answer_by_onnxruntime,
    example_inputs,
    open_session,
    parity_cases,
    refuse_difference,
)
from rec_sys.ranker.onnx_export import write_onnx
from rec_sys.ranker.trees import Trees, example_rows
from rec_sys.settings import ExportSettings, TritonSettings
from rec_sys.text.encoder import NotExportableError, TextEncoder
from rec_sys.text.opening import open_encoder
from triton_utils.client import TritonClient
from triton_utils.connection import TritonError
from triton_utils.core import find_core
from triton_utils.model_config import ranker_options, text_options, tower_options
from triton_utils.onnx_signature import read_signature
from triton_utils.repository import Candidate, ModelRepository, Published
from triton_utils.server import TritonServer

_LOG: Final = logging.getLogger(__name__)

_NAMES: Final = {TowerFile.USER: ServedModel.USER_TOWER, TowerFile.PRODUCT: ServedModel.PRODUCT_TOWER}
_PARITY_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Question:
    """One request of the parity check, with the answers that Triton must give too."""

    model: str
    case: ParityCase
    inputs: Mapping[str, npt.NDArray[Any]]
    outputs: tuple[str, ...]
    expected: Expected


def publish_bundle(bundle: Bundle, export: ExportSettings, triton: TritonSettings, text_dir: Path) -> list[Published]:
    """Publishes both towers and, where the bundle's texts have an encoder, the text encoder.

    Raises:
        InputError: A part is missing, does not fit, or differs from torch; the repository is left as it was.
    """
    with checked_models(bundle, export, triton, text_dir) as publish:
        return publish()


@contextmanager
def checked_models(
    bundle: Bundle, export: ExportSettings, triton: TritonSettings, text_dir: Path
) -> Iterator[Callable[[], list[Published]]]:
    """What publishes a bundle's models, when all that takes long is done and they are known to agree with torch.

    Raises:
        InputError: See `publish_bundle`.
    """
    if export.check == "triton":
        _require_core()
    repository = ModelRepository(triton.model_repository)
    repository.prove_writable()
    with TemporaryDirectory(prefix="model-export-") as scratch:
        model = load_model(bundle)
        try:
            towers = _towers_of(bundle, model, export, Path(scratch))
            encoder = _encoder_of(bundle, text_dir)
            text = _export_encoder(encoder, export) if encoder else None
            ranker = _ranker_of(bundle, export, Path(scratch))
            candidates = [*towers.values(), *([text] if text else []), *([ranker[0]] if ranker else [])]
            for candidate in candidates:
                read_signature(candidate.onnx)
            _LOG.info("check: torch = onnxruntime")
            modules = export_modules(model, bundle.manifest.product_reviews)
            questions = [
                question
                for file, candidate in towers.items()
                for question in _compare_tower(candidate, file, modules[file], model)
            ]
            if text and encoder and encoder.tokenizer:
                questions += _ask_encoder(text, encoder.tokenizer.vocabulary_size)
            if ranker:
                questions += ranker[1]
            if export.check == "triton":
                _LOG.info("check: torch = Triton")
                difference = _compare_with_triton(candidates, questions, triton, Path(scratch) / "repository")
                _LOG.info(f"check: {len(questions)} requests, the largest difference is {difference:.1e}")
        except (ParityError, TritonError) as error:
            raise InputError(
                f"nothing is published: {error}",
                where=str(bundle.folder),
                remedy="export the towers anew with export.towers=weights; if they differ still, train again",
            ) from error
        yield lambda: [repository.publish(candidate) for candidate in candidates]


def _require_core() -> None:
    try:
        find_core()
    except InputError as error:
        raise InputError(
            error.what, where=error.where, remedy="publish without asking Triton first: export.check=onnxruntime"
        ) from error


def _towers_of(bundle: Bundle, model: ReviewGraphModel, export: ExportSettings, scratch: Path) -> dict[str, Candidate]:
    """The towers by their file names: the bundle's own, or exported anew into a scratch folder."""
    manifest = bundle.manifest
    reads = {TowerFile.USER: manifest.user_reviews, TowerFile.PRODUCT: manifest.product_reviews}
    paths = {file: bundle.tower(file) for file in _NAMES}
    if export.towers == "weights":
        _LOG.info("export: towers to ONNX, anew")
        for file, content in export_towers(model, manifest.user_reviews, manifest.product_reviews).items():
            paths[file] = scratch / file
            paths[file].write_bytes(content)
    for path in paths.values():
        if not path.is_file():
            raise InputError(
                "the bundle has no exported tower",
                where=str(path),
                remedy="export it from the bundle's weights with export.towers=weights",
            )
    return {
        file: Candidate(name, paths[file], bundle.identity, tower_options(export, reads[file]))
        for file, name in _NAMES.items()
    }


def _encoder_of(bundle: Bundle, text_dir: Path) -> TextEncoder | None:
    """The encoder that made the bundle's text vectors; None where they have none or come from elsewhere."""
    settings = bundle.text_settings()
    if settings.source != "encoder":
        return None
    encoder = open_encoder(settings.model_copy(update={"device": "cpu"}), text_dir)
    if encoder.encoder_id != bundle.manifest.text_encoder:
        raise InputError(
            f"the bundle's texts were read by the encoder {bundle.manifest.text_encoder}, here is {encoder.encoder_id}",
            where=str(bundle.folder),
            remedy="bring the weights that it was trained with, or train again",
        )
    return encoder


def _export_encoder(encoder: TextEncoder, export: ExportSettings) -> Candidate | None:
    """The encoder for Triton; None where it has no such form, and whoever serves the bundle runs it."""
    try:
        onnx = encoder.export()
    except NotExportableError as error:
        _LOG.info(f"text encoder: {error}; Triton does not get it, and the gateway embeds in its own process")
        return None
    options = text_options(export, encoder.max_tokens or export.token_lengths[-1])
    return Candidate(name=ServedModel.TEXT_ENCODER, onnx=onnx, identity=encoder.encoder_id, options=options)


def _ranker_of(bundle: Bundle, export: ExportSettings, scratch: Path) -> tuple[Candidate, list[Question]] | None:
    """The second stage for Triton, and what is asked of it; None where the bundle has none."""
    card = bundle.manifest.ranker
    if card is None:
        return None
    trees = Trees.of_tensors(bundle.ranker_trees())
    path = scratch / f"{ServedModel.RANKER}.onnx"
    path.write_bytes(write_onnx(trees, len(card.features)))
    candidate = Candidate(ServedModel.RANKER, path, bundle.identity, ranker_options(export))
    session, questions = open_session(path.read_bytes()), []
    for case in (ParityCase(1, 1), ParityCase(300, 1)):
        inputs = {RankerTensor.FEATURES: example_rows(trees, case.batch, len(card.features))}
        values = trees.predict(inputs[RankerTensor.FEATURES]).astype(np.float32)[:, None]
        expected = Expected.exactly([values])
        refuse_difference(candidate.name, case, "onnxruntime", expected, answer_by_onnxruntime(session, inputs))
        questions.append(Question(candidate.name, case, inputs, (RankerTensor.VALUE,), expected))
    return candidate, questions


def _compare_tower(candidate: Candidate, file: str, module: nn.Module, model: ReviewGraphModel) -> list[Question]:
    """Asks torch and onnxruntime every case of every length, and one length that requests must be padded from."""
    session = open_session(candidate.onnx.read_bytes())
    lengths = candidate.options.lengths
    questions = []
    for case in parity_cases((max(1, lengths[0] - 3), *lengths)):
        inputs = example_inputs(INPUTS[file], case, model.settings.dim, model.text_dim)
        expected = answer(module, inputs)
        refuse_difference(candidate.name, case, "onnxruntime", expected, answer_by_onnxruntime(session, inputs))
        questions.append(Question(candidate.name, case, inputs, OUTPUTS[file], expected))
    return questions


def _ask_encoder(candidate: Candidate, vocabulary: int) -> list[Question]:
    """What onnxruntime says to some token ids; that it agrees with torch was checked when it was exported."""
    session = open_session(candidate.onnx.read_bytes())
    lengths = [length for length in candidate.options.lengths if length <= candidate.options.reads]
    random = np.random.default_rng(0)
    questions = []
    # Few rows where they are long: the check is not to take longer than the publishing.
    for case in (ParityCase(1, lengths[-1]), ParityCase(3, lengths[len(lengths) // 2]), ParityCase(64, lengths[0])):
        count = random.integers(2, case.length + 1, size=case.batch)
        count[0] = case.length
        mask = (np.arange(case.length) < count[:, None]).astype(np.int64)
        inputs = {
            TextEncoderTensor.INPUT_IDS: random.integers(0, vocabulary, mask.shape) * mask,
            TextEncoderTensor.ATTENTION_MASK: mask,
        }
        expected = Expected.exactly(answer_by_onnxruntime(session, inputs))
        questions.append(Question(candidate.name, case, inputs, (TextEncoderTensor.VECTOR,), expected))
    return questions


def _compare_with_triton(
    candidates: list[Candidate], questions: list[Question], triton: TritonSettings, folder: Path
) -> float:
    """Serves the candidates from a repository of their own and asks every question; the largest difference."""
    for candidate in candidates:
        ModelRepository(folder).publish(candidate)
    own = {"model_repository": folder, "host": "127.0.0.1", "poll_seconds": 0, "log_path": None}
    ports = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}

    async def ask_all(url: str) -> float:
        largest = 0.0
        async with TritonClient(url, deadline_seconds=_PARITY_SECONDS) as client:
            for question in questions:
                found = await client.infer(question.model, question.inputs, outputs=question.outputs)
                answers = [found[name] for name in question.outputs]
                difference = refuse_difference(question.model, question.case, "Triton", question.expected, answers)
                largest = max(largest, difference)
        return largest

    with TritonServer(triton.model_copy(update=own | ports)) as server:
        return asyncio.run(ask_all(server.endpoints.grpc))
