"""The DVC pipeline without DVC: every command of every shop composes, and each stage waits for what it reads."""

import shlex
from typing import Any

import pytest
import yaml

from rec_sys.data.generated import SCHEMAS
from rec_sys.inference.submissions import FORMATS
from tests.pipeline_stages import FOLDER, commands, paths, stages
from tests.readmes import check_command, compose_all

REPOSITORY = FOLDER.parents[1]
STAGES = stages()
ROAD = ["prepare", "embed", "train", "benchmark", "export", "publish"]


def stages_of(shop: str) -> list[str]:
    return [name.partition("@")[0] for name in STAGES if name.endswith(f"@{shop}")]


def test_every_shop_goes_the_whole_road() -> None:
    shops = yaml.safe_load((FOLDER / "params.yaml").read_text())["shops"]
    assert {"shop_events", "kion"} <= shops.keys() <= SCHEMAS.keys()
    for shop in shops:
        *road, last = stages_of(shop)
        assert road == ROAD
        assert last == ("predictions" if shop in FORMATS else "answers")


def test_every_command_composes() -> None:
    runs = []
    for stage in STAGES.values():
        for line in commands(stage):
            program, *words = shlex.split(line.partition(" > ")[0])
            if program != "mkdir":
                assert (program, words[0]) == ("python", "-m")
                runs += check_command(["uv", "run", *words])
    assert len(runs) >= len(STAGES)
    assert list(compose_all(runs)) == []


def raw_of(shop: str) -> str:
    raw: str = yaml.safe_load((FOLDER / "params.yaml").read_text())["shops"][shop]["raw"]
    return raw


@pytest.mark.parametrize("name", [name for name in STAGES if name.startswith(("predictions@", "answers@"))])
def test_what_is_handed_in_waits_for_the_raw_files_that_it_reads(name: str) -> None:
    shop, stage = name.partition("@")[2], STAGES[name]
    given = dict(word.split("=", 1) for word in " ".join(commands(stage)).split() if "=" in word)
    read = [given[name] for name in ("truth", "liked", "users") if name in given]
    assert read
    assert raw_of(shop) in paths(stage, "deps")
    assert all(path.startswith(f"{raw_of(shop)}/") for path in read)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_waits_for_files_that_are_there_or_that_another_one_writes(name: str) -> None:
    stage, shop = STAGES[name], name.partition("@")[2]
    written = {path for one in STAGES.values() for kind in ("outs", "metrics") for path in paths(one, kind)}
    for path in paths(stage, "deps"):
        assert path in written or path == raw_of(shop) or (REPOSITORY / path).exists(), path
    before = stages_of(shop)[: stages_of(shop).index(name.partition("@")[0])]
    earlier = {path for one in before for kind in ("outs", "metrics") for path in paths(STAGES[f"{one}@{shop}"], kind)}
    assert not before or earlier & set(paths(stage, "deps"))


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_promises_stands_in_its_command(name: str) -> None:
    stage: dict[str, Any] = STAGES[name]
    line = " ".join(commands(stage))
    for path in [*paths(stage, "outs"), *paths(stage, "metrics")]:
        # Beside a submission its figures.
        assert path.replace(".metrics.json", ".csv") in line
    assert stage["wdir"] == "../.."
