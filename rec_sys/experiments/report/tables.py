"""Tables of the report, with a bar behind each figure so that the eye can run down a column."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from rec_sys.experiments.benchmark.results import stand_ins
from rec_sys.experiments.report.view import Model, View

_LOWER_IS_BETTER = ("rmse", "mae", "popularity", "loss", "ranking_loss", "rating_loss")


def metric_table(models: Sequence[Model], names: Sequence[str], costs: bool = True) -> str:
    """One line a model.

    Args:
        models: In the order to show.
        names: Keys of the metrics; those that no model has are left out.
        costs: Also show time, memory and size.
    """
    names = [name for name in names if any(name in model.metrics for model in models)]
    if not models or not names:
        return ""
    heads = "".join(f"<th>{escape(readable(name)).replace(', ', '<br>')}</th>" for name in names)
    heads += "<th>learn</th><th>answer</th><th>peak<br>memory</th><th>param-<br>eters</th>" if costs else ""
    lines = []
    for model in models:
        cells = "".join(_cell(model, name, models) for name in names)
        cells += _cost_cells(model) if costs else ""
        kind = ' class="own"' if model.is_own else ""
        chip = f'<i style="background:{model.colour}"></i>'
        lines.append(f'<tr{kind} data-model="{escape(model.name)}"><th>{chip}{escape(model.name)}</th>{cells}</tr>')
    table = (
        f"<table class=sortable><thead><tr><th>model</th>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
    return f'<div class="scroll">{table}</div>'


def band_table(models: Sequence[Model], k: int) -> str:
    """Unseen products and unknown users apart from the others."""
    parts = {
        "warm_products": "products of the train part",
        "cold_products": "unseen products",
        "cold_users": "unknown users",
    }
    name = f"ndcg_at_{k}_masked"
    there = [key for key in parts if any(name in row.get(key, {}) for model in models for row in model.rows)]
    if not there:
        return ""
    lines = []
    for model in models:
        cells = []
        for key in there:
            found = [row[key] for row in model.rows if name in row.get(key, {})]
            values = [part[name] for part in found]
            cells.append(_number(sum(values) / len(values)) if values else "-")
        kind = ' class="own"' if model.is_own else ""
        chip = f'<i style="background:{model.colour}"></i>'
        figures = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f"<tr{kind}><th>{chip}{escape(model.name)}</th>{figures}</tr>")
    counts = []
    for key in there:
        row = next(row for model in models for row in model.rows if name in row.get(key, {}))
        counts.append(f"<th>{parts[key]}<br><small>{row[key]['num_queries']:,.0f} questions</small></th>")
    head = f"<tr><th>{escape(readable(name))}</th>{''.join(counts)}</tr>"
    return (
        f'<div class="scroll"><table class=sortable><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def missing_list(view: View) -> str:
    """Who could not be measured, and why; and for whom popularity stood in."""
    rows = [row for model in view.ranking for row in model.rows]
    items = "".join(f"<li>{escape(note.removeprefix('- '))}</li>" for note in stand_ins(rows))
    items += "".join(
        f"<li><b>{escape(row['model'])}</b>{_fold(row)} {escape(row['status'])}: {escape(row['reason'])}</li>"
        for row in view.missing
    )
    return f"<ul class=missing>{items}</ul>" if items else ""


def settings_list(models: Sequence[Model]) -> str:
    """What each model ran with."""
    items = []
    for model in models:
        row = model.rows[-1]
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        items.append(
            f"<dt>{escape(model.name)}</dt><dd><code>{escape(_flat(row['settings']) or 'no settings')}</code>"
            f"<small>{escape(versions)}</small></dd>"
        )
    return f"<dl>{''.join(items)}</dl>"


def readable(name: str) -> str:
    """`ndcg_at_10_masked` as NDCG@10, masked."""
    masked = name.endswith("_masked")
    base, _, k = name.removesuffix("_masked").partition("_at_")
    short = {"ndcg": "NDCG", "mrr": "MRR", "map": "MAP", "rmse": "RMSE", "mae": "MAE", "auc": "AUC", "f1": "F1"}
    label = short.get(base, base.replace("_", " ").capitalize()) + (f"@{k}" if k else "")
    return f"{label}, masked" if masked else label


def _cell(model: Model, name: str, models: Sequence[Model]) -> str:
    if name not in model.metrics:
        return "<td>-</td>"
    value = model.metrics[name]
    values = [other.metrics[name] for other in models if name in other.metrics]
    best = min(values) if name.startswith(_LOWER_IS_BETTER) else max(values)
    share = value / max(values) if max(values) > 0 else 0.0
    error = model.errors.get(name)
    decimals = _decimals(values)
    shown = f"{value:,.{decimals}f}" + (f"<small> ± {error:,.{decimals}f}</small>" if error is not None else "")
    kind = ' class="best"' if value == best and not name.startswith("popularity") else ""
    return f'<td{kind} data-value="{value}" style="--share:{max(0.0, share):.3f}">{shown}</td>'


def _cost_cells(model: Model) -> str:
    cells = []
    for key, write in (
        ("fit_seconds", _seconds),
        ("recommend_seconds", _seconds),
        ("peak_memory_mb", lambda value: f"{value:,.0f} MB"),
        ("parameters", _count),
    ):
        value = model.mean_of(key)
        cells.append("<td>-</td>" if value is None else f'<td class=cost data-value="{value}">{write(value)}</td>')
    return "".join(cells)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _count(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f}"


def _number(value: float) -> str:
    return f"{value:.{_decimals([value])}f}"


def _decimals(values: Sequence[float]) -> int:
    """How many a column takes: four, fewer for large figures, and for tiny ones three that are not zero."""
    largest = max(map(abs, values))
    if largest >= 10:
        return 1
    return 4 if largest >= 0.01 or largest == 0 else 2 - math.floor(math.log10(largest))


def _fold(row: dict[str, Any]) -> str:
    return f", fold {row['fold']}" if "fold" in row else ""


def _flat(settings: dict[str, Any], prefix: str = "") -> str:
    pieces = []
    for name, value in settings.items():
        if isinstance(value, dict):
            pieces.append(_flat(value, f"{prefix}{name}."))
        else:
            pieces.append(f"{prefix}{name}={value}")
    return "  ".join(pieces)
