"""From reviews to a tuned encoder, and what the content baseline gains by it."""

import logging
from typing import Final

from rich.table import Table

from rec_sys.baselines.content import content_figures
from rec_sys.console import print_table, say
from rec_sys.contracts import InputError
from rec_sys.data.prepare import prepare
from rec_sys.data.splits import Split, split_reviews
from rec_sys.graph.build import build_graph, list_texts
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.ready_command import argument, path_to_copy
from rec_sys.text.finetune.learning import finetune, project_stored
from rec_sys.text.finetune.pairs import draw_pairs
from rec_sys.text.finetune.settings import FinetuneRun
from rec_sys.text.model_folder import learned_folder

_LOG: Final = logging.getLogger(__name__)


def run(settings: FinetuneRun) -> None:
    """Fine-tunes, shows what the content baseline gains, and prints the settings that use the result."""
    if settings.text.source != "encoder" or settings.text.encoder == "static":
        raise InputError(
            "there is no transformer to fine-tune", where="setting text", remedy="leave text out, or give another model"
        )
    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    text = settings.text
    graph, encoder = build_graph(dataset, settings.graph, text, settings.seed, settings.output_dir, settings.engine)
    split = split_reviews(graph.interactions, settings.evaluation, settings.seed)
    learned = dataset.summary.fingerprint, encoder, settings.seed, settings.finetune.model_dump_json()
    part = settings.evaluation.model_dump_json(), settings.graph.model_dump_json()
    name = f"{dataset.summary.name}-{settings.finetune.layers}"
    folder = learned_folder(settings.output_dir, name, *learned, *part)
    if not folder.is_dir():
        pairs = draw_pairs(dataset, graph, split, settings.finetune.max_pairs, settings.seed)
        _LOG.info(f"finetune: {pairs.height:,} pairs of texts")
        finetune(settings, pairs, folder)
    tuned = text.model_copy(update={"encoder": "sentence_transformer", "model": str(folder), "precision": "fp32"})
    if settings.finetune.layers == "projection":
        project_stored(list_texts(dataset), text, tuned, settings.output_dir / "text")
    after, _ = build_graph(dataset, settings.graph, tuned, settings.seed, settings.output_dir, settings.engine)
    print_table(_compare({"as it was": graph, "fine-tuned": after}, split, settings))
    say(f"model: text=sentence_transformer {argument('text.model', path_to_copy(folder))}")


def _compare(graphs: dict[str, ReviewGraph], split: Split, settings: FinetuneRun) -> Table:
    """What the vectors are worth without anything else: the content baseline on the validation questions."""
    table = Table("content alone, validation", *graphs, title="fine-tuned text", title_justify="left")
    figures = [content_figures(graph, split, split.validation, settings.evaluation) for graph in graphs.values()]
    for name in ("recall_at_10_masked", "ndcg_at_10_masked"):
        table.add_row(name, *(f"{one[name]:.4f}" for one in figures))
    return table
