"""What the results say of models that had to fall back."""

from rec_sys.experiments.benchmark.results import fallback_notes, markdown_tables


def test_a_model_that_falls_back_for_a_tenth_of_the_queries_is_named() -> None:
    rows = [
        {"model": name, "fit_on": "train", "popular_share": share} for name, share in (("als", 0.09), ("ease", 0.1))
    ]
    note = "ease (train) has nothing to score 10% of the test queries by: popular products are the fallback"
    assert fallback_notes(rows) == [note]
    failed = {"model": "dssm", "fit_on": "train", "status": "failed", "reason": "no memory", "popular_share": 0.5}
    lines = markdown_tables([failed], 10).splitlines()
    assert [line for line in lines if line.startswith("- ")] == [f"- {fallback_notes([failed])[0]}", lines[-1]]
    assert lines[-1] == "- dssm (train): failed, no memory"
