"""The ablation on a small table: what is finished when it breaks off is kept, and only figures are left."""

import json
from pathlib import Path
from typing import Any

import pytest

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments import ablation, kept_training
from rec_sys.experiments.ablation import AblationSettings
from rec_sys.settings import Settings
from rec_sys.train.run_folder import RunFolder
from rec_sys.train.train import train
from tests.training_runs import SMALL, write_table
from tests.warm_processes import run

QUICK = ("trainer.max_epochs=1",)


def test_a_broken_off_table_is_finished_by_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(tmp_path)
    training = [*SMALL, f"output_dir={tmp_path}", *table, *QUICK]
    rows = 'ablation.rows=[{name:whole},{name:without,changes:["model.memory=none"]}]'
    typed = [*training, "ablation.seeds=[3]", rows]
    settings = compose_settings(typed, AblationSettings, "ablation")

    def fail_without(arguments: list[str]) -> Any:
        if "model.memory=none" in arguments:
            raise InputError("the power went", where="here", remedy="go on")
        asked = compose_settings(arguments, Settings)  # here and not in a process, which takes seconds to start
        folder = RunFolder(asked)
        with folder.locked():
            return train(asked, folder)

    monkeypatch.setattr(kept_training, "train", fail_without)
    with pytest.raises(InputError, match="the power went"):
        ablation.compare_components(settings, training)
    (partial,) = tmp_path.glob(f"ablation/*/{ablation.RESULTS}")
    assert [row["name"] for row in json.loads(partial.read_text())["rows"]] == ["whole"]

    done = run("-m", "rec_sys.experiments.ablation", *typed, timeout=600)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"ablation: {partial.with_name(ablation.TABLE)}"
    assert done.stderr.count("kept from before") == 1
    found = json.loads(partial.read_text())["rows"]
    assert [(row["name"], row["seeds"]) for row in found] == [("whole", [3]), ("without", [3])]
    assert found[0]["mean"].keys() == found[1]["mean"].keys() >= {"test ndcg_at_10_masked", "test rmse"}
    assert partial.with_name(ablation.TABLE).read_text().count("| without |") == 1
    assert not list(tmp_path.glob("bundles/*"))
    assert not list(partial.parent.glob("runs/*"))
