"""Texts as vectors and the review graph over them, before anything is trained: `uv run -m rec_sys.train.embed`.

Training does the same by itself and reuses what is stored; alone it is a step of a pipeline. `engine=ray` embeds on a
cluster.
"""

from rec_sys.console import say
from rec_sys.entry import run_entry
from rec_sys.settings import Settings


def run(settings: Settings) -> None:
    """Prepares, embeds and builds; the last line printed names the vectors."""
    from rec_sys.data.prepare import prepare
    from rec_sys.graph.build import build_graph
    from rec_sys.train.fitted_text import fit_text

    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    text = fit_text(settings, dataset)
    graph, vectors = build_graph(dataset, settings.graph, text, settings.seed, settings.output_dir, settings.engine)
    say(f"reviews with text: {int((graph.text_row >= 0).sum()):,} of {len(graph.text_row):,}")
    products = graph.product_text_vectors
    say(f"products with text: {int(products.any(axis=1).sum()):,} of {len(products):,}")
    say(f"vectors: {vectors}")


if __name__ == "__main__":
    run_entry(run, Settings, "config")
