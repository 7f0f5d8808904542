"""Secrets planted in every setting that can carry one: `uv run -m tests.chaos.secrets --seed 0 --cases 200`.

Commands are run with them in drawn ways; a training is recorded, and a gateway answers. All that is printed, written,
recorded and answered is searched.
"""

import ast
import base64
import gzip
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.served_house import lone_gateway
from tests.training_runs import SMALL
from tests.warm_processes import REPOSITORY, run

SECONDS: Final = 300
GROUPS: Final = {  # what is planted in a group of settings
    "index": ("index=server", "index.url=http://ada:{}@127.0.0.1:1", "index.api_key={}"),
    "serving": ("serving.token={}", "serving.tokens=[{{name:shop,token:{}}}]"),
    "store": ("store.url='postgresql://ada:{}@127.0.0.1:1/shop?sslpassword={}'",),
    "tracking": ("tracking.enabled=true", "tracking.uri='postgresql://ada:{}@127.0.0.1:1/runs?sslkey={}'"),
    "data": ("data=instruments_2014", "data.reviews_download.url='https://ada:{}@127.0.0.1:1/r.gz?signature={}'"),
}
# These end by themselves, whatever they are given; the others are asked what they would do.
RUN: Final = ("data.prepare", "train.train", "modules.model_export", "vector_database.create_vectorbase")
WAYS: Final = (
    *(["--cfg", "job"], ["--cfg", "job", "--resolve"], ["--cfg", "all"], ["--cfg", "hydra"], ["--help"]),
    *(["--info", "all"], ["--info", "config"], ["--info", "defaults"], ["--multirun"], ["--hydra-help"]),
)
PAGES: Final = (
    "/",
    "/docs",
    "/openapi.json",
    "/metrics",
    "/health/ready",
    "/v1/models",
    "/v1/users/u/reviews",
    "/none",
)


def entries() -> dict[str, str]:
    """The modules that are commands, with the source of their settings' groups."""
    found = {}
    for path in sorted(path for folder in ("rec_sys", "triton_utils") for path in (REPOSITORY / folder).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for call in ast.walk(ast.parse(source)) if "run_entry(" in source else ():
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "run_entry":
                config = REPOSITORY / "config" / f"{ast.literal_eval(call.args[2])}.yaml"
                found[".".join(path.relative_to(REPOSITORY).with_suffix("").parts)] = config.read_text()
    return found


def attack(campaign: Campaign, cases: int) -> None:
    """Runs so many commands, one training and one gateway."""
    planted = f"xq7-{secrets.token_hex(8)}"
    commands = entries()
    with TemporaryDirectory() as scratch:
        for number in range(cases):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            module = campaign.random.choice(sorted(commands))
            way = campaign.random.choice(([], *WAYS) if module.endswith(RUN) else WAYS)
            settings = list(_plant(commands[module], planted))
            if campaign.random.random() < 0.3 and settings:  # a mistake beside a secret, or in it
                settings += [campaign.random.choice(settings).replace("=", campaign.random.choice(["x=", "=[", "=1,"]))]
            if campaign.random.random() < 0.5:
                campaign.random.shuffle(settings)
            arguments = [*settings, *way] if campaign.random.random() < 0.5 else [*way, *settings]
            with campaign.case(f"{module} {' '.join(way)}", folder):
                _run(folder, planted, module, *arguments, f"output_dir={folder / 'out'}")
        folder = Path(scratch) / "training"
        folder.mkdir()
        with campaign.case("a training that is recorded", folder):
            ended = _run(folder, planted, "rec_sys.train.train", *_training(folder, planted))
            assert ended == 0, f"exit code {ended}"
            assert (folder / "out" / "mlflow.db").is_file()
    with campaign.case("a gateway"):
        _ask_gateway(planted)


def refuse_secret(planted: str, said: str | bytes, where: str) -> None:
    """Raises where it is, as it is or as a header carries it."""
    found = said.encode(errors="replace") if isinstance(said, str) else said
    coded = base64.b64encode(f"ada:{planted}".encode())
    assert planted.encode() not in found, f"the secret is in {where}"
    assert coded not in found, f"the secret is in {where}, coded"


def _plant(config: str, planted: str) -> Iterator[str]:
    for group, settings in GROUPS.items():
        if f"- {group}:" in config or f"/{group}:" in config:
            yield from (setting.format(*[planted] * 2) for setting in settings)


def _run(folder: Path, planted: str, module: str, *arguments: str) -> int:
    ended = run("-m", module, *arguments, timeout=SECONDS, folder=folder)
    said = ended.stdout + ended.stderr
    assert said or ended.returncode == 0, "it fails without a word"
    refuse_secret(planted, said, "what it prints")
    for path in folder.rglob("*"):
        if path.is_file():
            refuse_secret(planted, path.read_bytes(), str(path.relative_to(folder)))
    return ended.returncode


def _training(folder: Path, planted: str) -> list[str]:
    reviews = [
        {"reviewerID": f"U{user}", "asin": f"P{(user + step * step) % 12}", "overall": 1 + (user + step) % 5}
        | {"reviewText": "Fine", "unixReviewTime": 1_393_545_600 + 86_400 * (7 * user + step)}
        for user in range(40)
        for step in range(6)
    ]
    path = folder / "reviews.json.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, reviews)).encode()))
    small = [setting for setting in SMALL if not setting.startswith(("tracking", "trainer.max_epochs"))]
    plain = ["text=none", "trainer.max_epochs=1", f"data.reviews_path={path}", f"output_dir={folder / 'out'}"]
    tracked = ["tracking.enabled=true", "tracking.system_metrics=false"]
    data = [setting.format(planted, planted) for setting in GROUPS["data"]]
    return [*data, *small, *plain, *tracked]


def _ask_gateway(planted: str) -> None:
    with lone_gateway(token=planted, tokens=[]) as (url, gateway):
        for bearer in (planted, f"{planted}-2", ""):
            for page in PAGES:
                header = {"Authorization": f"Bearer {bearer}"} if bearer else {}
                for answer in (
                    httpx.get(url + page, headers=header),
                    httpx.post(url + page, headers=header, json={"reviews": [{"asin": "p1", "text": "a"}]}),
                ):
                    refuse_secret(planted, answer.text + str(answer.headers), f"the answer of {page}")
        refuse_secret(planted, gateway.log.read_bytes() if gateway.log.exists() else b"", "the log")


if __name__ == "__main__":
    run_by_hand("secrets", attack, "cases", 200)
