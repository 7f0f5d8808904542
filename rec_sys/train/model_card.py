"""The model card: what a bundle is, what it was made from, how good it is and where it is not to be trusted."""

from collections.abc import Mapping
from typing import Any, Final

from rec_sys.data.dataset import RATING_SCALE, DatasetSummary
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import EvaluationSettings, GraphSettings, Section, Settings

_RANKING: Final = ("ndcg_at_10_masked", "recall_at_10_masked", "ndcg_at_10", "recall_at_10", "coverage_at_10")
_RATING: Final = ("rmse", "mae", "auc", "balanced_accuracy")
_SPLITS: Final = {
    "leave_last_out": "Each user's last review is the test question, the one before it validates, the others train. "
    "Other users' later reviews stand in the train split: the figures are better than those of a true future.",
    "user_share": "The last share of every user's reviews is asked for: of some users in validation, else in test.",
    "random_split": "Some users are never trained on; the last review of each is asked for.",
    "global_time": "Training ends at one moment; what was written later is asked for.",
    "time_folds": "Windows of days, one after the other: training ends where the validation window begins.",
    "next_days": "The newest days are asked for, the days before them validate, all before that trains.",
}


def write_card(
    summary: DatasetSummary,
    metrics: Mapping[str, Any],
    settings: Settings,
    memory_term: MemoryTerm | None,
    run_name: str,
    text_encoder: str,
) -> str:
    """The card as Markdown, of figures as in `metrics.json`; without a memory term the towers rank alone."""
    shown = {"model": settings.model, "graph": settings.graph, "trainer": settings.trainer, "text": settings.text}
    parts = [
        f"# {run_name}",
        "Recommends products from reviews and predicts how many stars a review will give. Two towers over the graph of"
        " reviews (users are read from their reviews, never from an id)"
        + (" and a linear co-review memory, summed." if memory_term else "; no memory."),
        "## Data",
        *_describe_data(summary, text_encoder),
        "## Split",
        *_describe_split(metrics, settings.evaluation, settings.graph, settings.seed),
        "## Figures",
        *_tables(metrics),
        *_describe_ranker(metrics),
        *_describe_towers(metrics),
        "## Settings",
        *_describe_settings(shown, memory_term),
        "## For what, and for what not",
        *_describe_limits(summary, settings.evaluation),
    ]
    return "\n\n".join(parts) + "\n"


def _describe_data(summary: DatasetSummary, text_encoder: str) -> list[str]:
    parts = {
        "times (an order instead)": summary.has_time,
        "stars": summary.has_rating,
        "texts of reviews": summary.has_text,
        "texts of products": summary.has_product_text,
    }
    lacks = [name for name, there in parts.items() if not there]
    scale = f" Ratings: {summary.found[RATING_SCALE]}." if RATING_SCALE in summary.found else ""
    return [
        f"{summary.name}: {summary.num_reviews:,} reviews, {summary.num_users:,} users,"
        f" {summary.num_products:,} products; {summary.duplicates_merged:,} duplicates were merged and"
        f" {summary.rows_set_aside:,} rows set aside. Missing: {', '.join(lacks) or 'nothing'}.{scale}",
        f"Fingerprint `{summary.fingerprint}`; text encoder `{text_encoder}`.",
    ]


def _describe_split(
    metrics: Mapping[str, Any], evaluation: EvaluationSettings, graph: GraphSettings, seed: int
) -> list[str]:
    protocol = evaluation.protocol
    asked = {split: metrics[split].get("num_queries", 0) for split in ("validation", "test")}
    ties = "a seeded hash" if graph.tie_break == "hash" else "the file's order"
    refit = "trained again on train and validation split" if evaluation.refit else "trained on the train split"
    kinds = ", ".join(evaluation.target_events)
    only = f" Only events of the kind {kinds} are asked for." if kinds else ""
    return [
        f"`{protocol}`, seed {seed}, reviews of one moment ordered by {ties}. {_SPLITS[protocol]}{only}",
        f"{asked['validation']:,.0f} validation and {asked['test']:,.0f} test questions. Epoch, memory and its weight"
        f" were chosen on validation; the bundle's model was {refit}. This run asked the test split once, at its end.",
    ]


def _tables(metrics: Mapping[str, Any]) -> list[str]:
    rankings = _table(metrics, _RANKING, "Every product competes; masked = the user's own products left out.")
    return [table for table in (rankings, _table(metrics, _RATING, "Stars of the test reviews.")) if table]


def _describe_ranker(metrics: Mapping[str, Any]) -> list[str]:
    """What was measured of a second stage, whether it is in the bundle or not."""
    told = metrics.get("ranker")
    if told is None:
        return []
    stages = []
    for stage, name in (("earlier", "an earlier stage"), ("validation", "validation")):
        found = told[stage]
        asked = f"{found['num_queries']:,.0f} questions of {name}"
        stages.append(f"{found['before']:.4f} -> {found['after']:.4f} on {asked}")
    verdict = "orders the best products" if told["adopted"] else "was left out, as it gained too little"
    return [f"A ranker ({told['library']}) {verdict}: masked NDCG@10 {', '.join(stages)}."]


def _describe_towers(metrics: Mapping[str, Any]) -> list[str]:
    """What `model.tower=auto` found."""
    if "towers" not in metrics:
        return []
    found = metrics["towers"]
    became = "the towers were trained" if found["trained"] else "no tower was trained, and the memory ranks alone"
    return [
        f"Towers and memory {found['fused']:.4f} against the memory alone {found['memory']:.4f} (NDCG@10 masked on"
        f" validation, paired error {found['error']:.4f}): {became}."
    ]


def _table(metrics: Mapping[str, Any], keys: tuple[str, ...], title: str) -> str:
    shown = [key for key in keys if key in metrics["test"]]
    if not shown:
        return ""
    baselines = {
        name: figures for name, figures in metrics["baselines"].items() if any(key in figures for key in shown)
    }
    columns = {"test": metrics["test"], **baselines, "validation": metrics["validation"]}
    heads = ["", "**this model**, test", *baselines, "this model, validation"]
    lines = [title, "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for key in shown:
        cells = []
        for name, figures in columns.items():
            error = metrics["standard_error"].get(name, {}).get(key)
            value = f"{figures[key]:.4f}" if key in figures else "-"
            cells.append(value if error is None else f"{value} ± {error:.4f}")
        lines.append(f"| {key} | {' | '.join(cells)} |")
    if any("±" in line for line in lines):
        lines += ["", "± standard error over the questions; training again with another seed adds to it."]
    return "\n".join(lines)


def _describe_settings(sections: Mapping[str, Section], memory_term: MemoryTerm | None) -> list[str]:
    lines = [
        f"- {name}: " + ", ".join(f"{key}={value}" for key, value in section.model_dump(mode="json").items())
        for name, section in sections.items()
    ]
    if memory_term:
        size, formula = memory_term.memory.matrix, memory_term.formula
        lines.append(
            f"- memory: {size.nnz:,} weights between {size.shape[0]:,} products, counted"
            f" {formula.memory_weight:g} times against the towers' cosine,"
            f" each review {formula.recency:g} times the next newer one"
        )
        if memory_term.rare:
            lines.append("- rarely reviewed products: known to the memory by others of such texts too")
        lines += _describe_terms(formula)
    return ["\n".join(lines), "All of them stand in `settings.json`, the code's version in `manifest.json`."]


def _describe_terms(formula: ScoreFormula) -> list[str]:
    """What validation added to towers and memory."""
    lines = []
    if formula.popularity_weight > 0:
        days = formula.popularity_half_life
        fades = "every review alike" if days is None else f"a review halving its weight in {days:g} days"
        lines.append(f"- popularity before the cut, 1 at most: {formula.popularity_weight:g} times, {fades}")
    if formula.repeats is not None:
        lines.append(
            "- repeats: how often such a product of a history was the next one again, counted"
            f" {formula.repeats.weight:g} times"
        )
    for length, short in enumerate(formula.short, start=1):
        lines.append(
            f"- histories of {length}: the memory {short.memory:g} times as much, popularity {short.popularity:g} more"
        )
    return lines


def _describe_limits(summary: DatasetSummary, evaluation: EvaluationSettings) -> list[str]:
    limits = [
        "It was measured on this data alone: other shops, languages and years need a training of their own.",
        "It predicts what is *reviewed* next. What is bought and never reviewed is unknown to it.",
        "Somebody without any review gets about what is popular. How many reviews it takes to do better,"
        " `rec_sys.experiments.cold_start` measures; on the 2014 instruments it took one.",
        "A product that arrives after training is placed by its text, its first reviews and the products most like it;"
        " next to those that the memory knows it rarely comes first.",
        "`coverage_at_10` says which share of the catalogue stands in somebody's ten best; the rest never does.",
    ]
    if summary.has_rating:
        limits.append(
            "Most stars are four or five: read AUC and balanced accuracy, not accuracy. Much of the rating is the"
            " user's and the product's mean."
        )
    if evaluation.protocol == "leave_last_out":
        limits.append("For a figure without other users' future, train with `evaluation=global_time`.")
    limits.append("`histories.parquet` holds what users wrote, by user id: treat the bundle as personal data.")
    return ["\n".join(f"- {limit}" for limit in limits)]
