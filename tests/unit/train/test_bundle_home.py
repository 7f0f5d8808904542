"""Where a run leaves its bundle: what was only tried is not where publishing looks for the newest."""

from pathlib import Path

import pytest
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from rec_sys.entry import compose_settings
from rec_sys.settings import Settings
from rec_sys.train.results import home_of_bundles


def settings(tmp_path: Path, *overrides: str) -> Settings:
    return compose_settings([f"output_dir={tmp_path / 'outputs'}", *overrides], Settings)


def test_a_run_leaves_its_bundle_where_publishing_looks(tmp_path: Path) -> None:
    assert home_of_bundles(settings(tmp_path)) == tmp_path / "outputs" / "bundles"


def test_a_run_with_a_folder_of_its_own_leaves_it_there(tmp_path: Path) -> None:
    assert home_of_bundles(settings(tmp_path, f"run_dir={tmp_path / 'trial'}")) == tmp_path / "trial" / "bundles"


@pytest.mark.parametrize(("mode", "home"), [(RunMode.RUN, "outputs/bundles"), (RunMode.MULTIRUN, "job/bundles")])
def test_each_of_a_multirun_leaves_it_in_its_own(
    mode: RunMode, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings(tmp_path)
    hydra = OmegaConf.structured(HydraConf(mode=mode))
    hydra.runtime.output_dir = str(tmp_path / "job")
    monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.create({"hydra": hydra}))
    assert home_of_bundles(own) == tmp_path / home
