"""What each text encoder costs and what it gives, in one table.

Costs are the time and the bytes of a text. What it gives is measured twice: by the content baseline, which knows
nothing but the vectors, and by the whole model.
"""

import hashlib
import json
import logging
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from rec_sys.baselines.content import content_figures
from rec_sys.console import say, say_error
from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset, embedded_review_text
from rec_sys.data.prepare import prepare
from rec_sys.data.splits import split_reviews
from rec_sys.experiments.kept_training import compose, trained_figures, write_json
from rec_sys.experiments.text_benchmark.settings import EncoderRow, TextBenchmarkSettings
from rec_sys.experiments.text_benchmark.speed import (
    count_operations,
    mean_and_least_cosine,
    measure_peak,
    measure_speed,
)
from rec_sys.experiments.text_benchmark.table import TABLE, Measured, write_table
from rec_sys.experiments.training_command import run_command, typed_for_training, untracked
from rec_sys.graph.build import build_graph
from rec_sys.locks import locked_folder
from rec_sys.processes import quote
from rec_sys.settings import Settings, TextSettings
from rec_sys.text.model_folder import load_model
from rec_sys.text.opening import open_encoder
from rec_sys.text.static import teacher_folder

_OWN: Final = frozenset({"measurement", "seed", "run_dir"})
_COMMANDS: Final = {"finetune": "rec_sys.text.finetune", "distil_text": "rec_sys.train.distil_text"}
_RIVAL: Final = "the first one by sentence-transformers' encode"
_FIGURE: Final = "ndcg_at_10_masked"
_LOG: Final = logging.getLogger(__name__)


def run(settings: TextBenchmarkSettings) -> None:
    """Measures what is missing; the last line printed is the table's path."""
    say(f"text_benchmark: {compare_encoders(settings, typed_for_training(_OWN))}")


def compare_encoders(settings: TextBenchmarkSettings, typed: list[str]) -> Path:
    """Measures every encoder and writes the table; the figures stand beside it as JSON.

    Speeds are measured in every call; figures of seeds that are finished are kept.

    Args:
        settings: All settings of the command.
        typed: Those of the command line that every row is given.

    Raises:
        InputError: A row's setting does not exist, reads no text, or a command failed.
    """
    wanted, base = settings.measurement, untracked(typed)
    models = [
        EncoderRow(name=model, changes=("text=sentence_transformer", f"text.model={quote(model)}"))
        for model in wanted.models
    ]
    rows = {row.name: row for row in (*wanted.rows, *models)}
    for row in rows.values():
        _refuse_without_encoder(row, compose(f"row {row.name!r}", [*base, *row.changes]))
    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    folder = settings.output_dir.absolute() / "text_benchmark" / dataset.folder.name
    with locked_folder(folder, "another benchmark of texts is at work in this folder", "wait for it to end"):
        encoders = _Encoders(folder, base, dataset.summary.fingerprint)
        first_seed = wanted.seeds[0] if wanted.seeds else settings.seed
        chosen = {name: encoders.settings_of(row, first_seed)[0].text for name, row in rows.items()}
        table = _measure_costs(settings, dataset, chosen)
        write_table(folder, table, wanted.seeds[:0])
        for place, seed in enumerate(wanted.seeds, 1):
            for name, row in rows.items():
                found = _measure_gains(folder, dataset, name, *encoders.settings_of(row, seed))
                for figure, value in found.items():
                    table[name].figures.setdefault(figure, []).append(value)
                write_table(folder, table, wanted.seeds[:place])
    say_error((folder / TABLE).read_text())
    return folder / TABLE


@dataclass(frozen=True)
class _Encoders:
    """The settings of each row and seed, with the encoder that was learned for it."""

    folder: Path
    base: list[str]
    fingerprint: str

    def settings_of(self, row: EncoderRow, seed: int) -> tuple[Settings, list[str]]:
        """Composed, and as they are typed."""
        arguments = [*self.base, *row.changes, f"seed={seed}"]
        if row.learn is not None:
            arguments += self._learn(row.learn, arguments)
        return compose(f"row {row.name!r}", arguments), arguments

    def _learn(self, command: str, arguments: list[str]) -> list[str]:
        """The settings that a learning command prints; it runs once for the same arguments, data and code."""
        from rec_sys.bundle import hash_code

        digest = hashlib.sha256(" ".join((command, *arguments, self.fingerprint, hash_code())).encode())
        kept = self.folder / "learned" / f"{digest.hexdigest()[:16]}.json"
        if kept.is_file():
            learned: list[str] = json.loads(kept.read_text())
            if Path(compose(command, [*self.base, *learned]).text.model or "").is_dir():
                return learned
        _LOG.info(f"{command}: {' '.join(arguments)}")
        learned = shlex.split(run_command(_COMMANDS[command], arguments, "model: "))
        write_json(kept, learned)
        return learned


def _refuse_without_encoder(row: EncoderRow, settings: Settings) -> None:
    if settings.text.source != "encoder":
        raise InputError(
            "this row has no encoder whose speed could be measured",
            where=f"row {row.name!r}: setting text",
            remedy="choose text=minilm, text=sentence_transformer or text=static",
        )


def _measure_costs(
    settings: TextBenchmarkSettings, dataset: PreparedDataset, chosen: Mapping[str, TextSettings]
) -> dict[str, Measured]:
    """The rows without figures, by name."""
    wanted, cache = settings.measurement, settings.output_dir / "text"
    distinct = dataset.reviews().select(text=embedded_review_text())["text"].drop_nulls().unique().sort()
    if distinct.is_empty():
        raise InputError("no review has a text", where=str(dataset.folder), remedy="choose data with texts")
    drawn = np.random.default_rng(settings.seed).permutation(len(distinct))[: wanted.num_texts]
    texts = distinct.gather(drawn).to_list()
    torch.set_num_threads(1)
    encoders = {name: open_encoder(_on_one_core(text), cache) for name, text in chosen.items()}
    for encoder in encoders.values():
        encoder.prepare()
    vectors = {name: encoder.encode(texts) for name, encoder in encoders.items()}
    first = next(iter(chosen))
    reads: dict[str, Callable[[], object]] = {name: partial(one.encode, texts) for name, one in encoders.items()}
    if chosen[first].encoder != "static":
        library = load_model(teacher_folder(chosen[first]), device="cpu")
        library.max_seq_length = encoders[first].max_tokens
        reads[_RIVAL] = partial(library.encode, texts, show_progress_bar=False)
    peak = measure_peak()
    speeds = measure_speed(reads, len(texts), wanted.rounds)
    peak = max(peak, measure_peak())
    _LOG.info(f"text: one core reaches {peak / 1e9:.0f} GFLOP/s in float32; {len(texts):,} texts, best of rounds")
    table = {}
    for name, encoder in encoders.items():
        text = chosen[name]
        share = None
        if text.encoder != "static":
            work = count_operations(teacher_folder(text), texts, encoder.count(texts)) / len(texts)
            share = work * speeds[name] / peak
        is_same_model = text.model_copy(update={"precision": chosen[first].precision}) == chosen[first]
        cosine = mean_and_least_cosine(vectors[name], vectors[first]) if is_same_model else None
        table[name] = Measured(name, speeds[name], share, encoder.dim * np.dtype(np.float16).itemsize, cosine)
    if _RIVAL in speeds:
        table[_RIVAL] = Measured(_RIVAL, speeds[_RIVAL])
    return table


def _on_one_core(text: TextSettings) -> TextSettings:
    return text.model_copy(update={"num_threads": 1, "device": "cpu"})


def _measure_gains(
    folder: Path, dataset: PreparedDataset, name: str, settings: Settings, arguments: list[str]
) -> dict[str, float]:
    """NDCG@10 masked by name of `table.Measured`, for one seed."""
    graph, _ = build_graph(dataset, settings.graph, settings.text, settings.seed, settings.output_dir, settings.engine)
    split = split_reviews(graph.interactions, settings.evaluation, settings.seed)
    found = {
        f"content {part}": content_figures(graph, split, queries, settings.evaluation)[_FIGURE]
        for part, queries in (("validation", split.validation), ("test", split.test))
    }
    label = f"{name}, seed {settings.seed}"
    whole = trained_figures(folder, settings, dataset.summary.fingerprint, label, arguments)
    return found | {f"whole {part}": whole[f"{part} {_FIGURE}"] for part in ("validation", "test")}
