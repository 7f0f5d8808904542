"""Token vectors distilled from an encoder: read without torch as the library reads them, and no text takes long."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import TextSettings
from rec_sys.text.distillation import _keep_components, _rarity
from rec_sys.text.encoder import NotExportableError
from rec_sys.text.opening import identify_encoder, open_encoder
from rec_sys.text.static import StaticEncoder
from rec_sys.text.token_regression import fit_tokens
from tests.tiny_transformers import TINY_DIM, write_tiny_transformer

TEXTS = ["Bright strings, great tone.", "", "It broke.", "the cable is bad " * 300, "🎸 guitar", "half a pair \ud83d"]
DIM = 12


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_transformer(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def settings(teacher: Path, dim: int = DIM, **others: object) -> TextSettings:
    return TextSettings.model_validate({"encoder": "static", "model": str(teacher), "static_dim": dim} | others)


@pytest.fixture(scope="module")
def encoder(teacher: Path, cache: Path) -> StaticEncoder:
    found = open_encoder(settings(teacher), cache)
    assert isinstance(found, StaticEncoder)
    found.prepare()
    return found


def test_vectors_are_those_of_the_library_on_the_same_folder(encoder: StaticEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    readable = [text.encode("utf-8", "replace").decode() for text in TEXTS]
    vectors = encoder.encode(TEXTS)
    expected = SentenceTransformer(str(encoder.folder), device="cpu").encode(readable, prompt="")
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert vectors.shape == (len(TEXTS), DIM)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1, 1, 1], atol=1e-6)


def test_a_distilled_encoder_works_without_torch(teacher: Path, cache: Path, encoder: StaticEncoder) -> None:
    script = (
        "import sys; sys.modules.update(torch=None, transformers=None, sentence_transformers=None)\n"
        "from pathlib import Path; from rec_sys.settings import TextSettings\n"
        "from rec_sys.text.opening import open_encoder\n"
        f"settings = TextSettings.model_validate_json({settings(teacher).model_dump_json()!r})\n"
        f"print(open_encoder(settings, Path({str(cache)!r})).encode(['a fine warm tone']).shape)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stdout) == (0, f"(1, {DIM})\n"), result.stderr


def test_distilling_without_the_library_is_a_clear_message(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="not distilled yet, and torch"):
        open_encoder(settings(teacher), tmp_path).prepare()


def test_what_is_distilled_and_how_wide_decides_the_name(teacher: Path, tmp_path: Path) -> None:
    other = write_tiny_transformer(tmp_path / "other", seed=1)
    chosen = [settings(teacher), settings(teacher, 16), settings(teacher, max_tokens=8), settings(other)]
    assert len({identify_encoder(one) for one in [*chosen, TextSettings(encoder="static")]}) == 5
    assert identify_encoder(settings(teacher, token_budget=77)) == identify_encoder(settings(teacher))


def test_a_width_beyond_the_teachers_is_refused_and_leaves_nothing(teacher: Path, tmp_path: Path) -> None:
    encoder = open_encoder(settings(teacher, TINY_DIM + 1), tmp_path)
    with pytest.raises(InputError, match=f"vectors have {TINY_DIM} numbers, {TINY_DIM + 1} are asked for"):
        encoder.prepare()
    assert not [path for path in (tmp_path / "models").iterdir() if path.suffix != ".lock"]


def test_triton_is_not_given_a_static_encoder(encoder: StaticEncoder) -> None:
    with pytest.raises(NotExportableError, match="less time here"):
        encoder.export()
    assert encoder.tokenizer is None


def test_every_component_keeps_all_distances_and_fewer_keep_the_largest() -> None:
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(200, 6)) * np.array([9, 5, 3, 1, 0.1, 0.01]) + 4).astype(np.float32)
    whole, few = _keep_components(vectors, 6), _keep_components(vectors, 3)
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(whole[:, None] - whole[None], axis=2), apart, atol=1e-3)
    assert few.var(axis=0) == pytest.approx(
        np.sort(np.linalg.eigvalsh(np.cov(vectors.T, bias=True)))[::-1][:3], rel=1e-3
    )


def test_later_tokens_of_the_vocabulary_weigh_more_and_none_more_than_one() -> None:
    weights = _rarity(30_000)
    assert (np.diff(weights) > 0).all()
    # 1e-4 / (1e-4 + 1 / (2 H)), with H the sum of 1/r from 2 to 30,001.
    assert weights[0] == pytest.approx(0.00197, abs=1e-5)
    assert 0.8 < weights[-1] < 1


def test_a_static_folder_is_read_as_it_is(encoder: StaticEncoder, tmp_path: Path) -> None:
    given = open_encoder(settings(encoder.folder, dim=99), tmp_path)
    np.testing.assert_array_equal(given.encode(TEXTS), encoder.encode(TEXTS))
    assert given.dim == DIM
    assert given.encoder_id != encoder.encoder_id
    assert not (tmp_path / "models").exists()


def test_a_static_folder_of_another_kind_is_left_to_the_library(encoder: StaticEncoder, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "other"
    shutil.copytree(encoder.folder, folder)
    [weights] = folder.rglob("model.safetensors")
    save_file({"embeddings": load_file(weights)["embedding.weight"]}, weights)
    with pytest.raises(InputError, match=r"no tensor embedding\.weight") as refusal:
        open_encoder(settings(folder), tmp_path)
    assert refusal.value.remedy == "read it with text=sentence_transformer"


def test_fitted_vectors_are_nearer_to_the_teacher_on_texts_that_they_have_not_seen(tmp_path: Path) -> None:
    """The teacher is a bag of words with vectors of its own, which the distilled start does not know."""
    random = np.random.default_rng(0)
    own, start = random.normal(size=(2, 40, 8)).astype(np.float32)
    rows = [random.integers(0, 40, random.integers(3, 9)).tolist() for _ in range(400)]
    said = np.array([own[row].mean(axis=0) for row in rows])
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    fitted = fit_tokens(start, rows[:300], said[:300], 8)
    assert fitted.shape == (40, 8)

    def likeness(tokens: np.ndarray) -> float:
        """Correlation of the cosines between texts."""
        found = np.array([tokens[row].mean(axis=0) for row in rows[300:]])
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return float(np.corrcoef((found @ found.T).ravel(), (said[300:] @ said[300:].T).ravel())[0, 1])

    assert likeness(fitted) > 0.8 > 0.2 > likeness(start)
    assert fit_tokens(start, rows, said, 3).shape == (40, 3)
