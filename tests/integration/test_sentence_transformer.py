"""Any model of sentence-transformers is an encoder: its own vectors, of its own width, stored and served."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import InputError, TextEncoderTensor
from rec_sys.modules.tower_parity import answer_by_onnxruntime, open_session
from rec_sys.settings import TextSettings
from rec_sys.text.embedding import embed_texts
from rec_sys.text.encoder import NotExportableError
from rec_sys.text.opening import identify_encoder, open_encoder
from tests.tiny_transformers import PROMPT, TINY_DIM, TINY_TOKENS, write_tiny_transformer

TEXTS = [
    "Bright strings, great tone.",
    "",
    "It broke.",
    "the cable is bad and the amp is good " * 10,
    "🎸 guitar",
    "half a pair \ud83d",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_transformer(tmp_path_factory.mktemp("model") / "tiny")


def settings(model: Path | str, **others: object) -> TextSettings:
    given = {"encoder": "sentence_transformer", "model": str(model), "num_threads": 1, "device": "cpu"}
    return TextSettings.model_validate(given | others)


def library_vectors(model: Path, texts: list[str], prompt: str = PROMPT) -> np.ndarray:
    """What the library says, a text at a time."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), device="cpu")
    readable = [text.encode("utf-8", "replace").decode() for text in texts]
    return np.concatenate([loaded.encode([text], prompt=prompt) for text in readable])


def test_vectors_are_the_librarys_with_the_models_pooling_prompt_length_and_width(model: Path, tmp_path: Path) -> None:
    encoder = open_encoder(settings(model), tmp_path)
    assert (encoder.dim, encoder.max_tokens) == (TINY_DIM, TINY_TOKENS)
    np.testing.assert_allclose(encoder.encode(TEXTS), library_vectors(model, TEXTS), atol=1e-6)
    assert encoder.count(TEXTS).tolist()[3] == TINY_TOKENS
    assert encoder.encode([]).shape == (0, TINY_DIM)


def test_a_model_without_normalisation_keeps_its_lengths(tmp_path: Path) -> None:
    plain = write_tiny_transformer(tmp_path / "plain", pooling="mean", normalised=False)
    vectors = open_encoder(settings(plain), tmp_path).encode(TEXTS)
    np.testing.assert_allclose(vectors, library_vectors(plain, TEXTS), atol=1e-5)
    assert np.ptp(np.linalg.norm(vectors, axis=1)) > 0.1


def test_another_of_the_models_prompts_is_other_vectors_under_another_name(model: Path, tmp_path: Path) -> None:
    own, bare = settings(model), settings(model, prompt="bare")
    assert identify_encoder(own) != identify_encoder(bare)
    np.testing.assert_allclose(open_encoder(bare, tmp_path).encode(TEXTS), library_vectors(model, TEXTS, ""), atol=1e-6)
    with pytest.raises(InputError, match="no prompt question") as refusal:
        open_encoder(settings(model, prompt="question"), tmp_path)
    assert refusal.value.remedy.startswith("choose one of ")


def test_changing_the_model_embeds_again_and_changing_back_embeds_nothing(model: Path, tmp_path: Path) -> None:
    other = write_tiny_transformer(tmp_path / "other", seed=1)
    counts = []
    for chosen in (model, other, model):
        embedded = embed_texts(TEXTS, settings(chosen), tmp_path / "cache")
        assert embedded.vectors.shape == (len(TEXTS), TINY_DIM)
        counts.append((embedded.num_embedded, embedded.num_reused))
    assert counts == [(6, 0), (6, 0), (0, 6)]
    np.testing.assert_allclose(embedded.vectors, library_vectors(model, TEXTS), atol=1e-3)


def test_a_copy_of_the_folder_is_the_same_model_and_one_changed_file_is_another(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(model, copy)
    (copy / "README.md").write_text("says nothing of the vectors")
    assert identify_encoder(settings(copy)) == identify_encoder(settings(model))
    config = copy / "1_Pooling" / "config.json"
    config.write_text(config.read_text().replace("cls", "max"))
    assert identify_encoder(settings(copy)) != identify_encoder(settings(model))


def test_what_is_known_of_a_model_is_noted_so_that_it_need_not_be_loaded(model: Path, tmp_path: Path) -> None:
    embed_texts(TEXTS, settings(model), tmp_path)
    script = (
        "import sys; sys.modules.update(torch=None, sentence_transformers=None)\n"
        "from pathlib import Path; from rec_sys.settings import TextSettings\n"
        "from rec_sys.text.embedding import embed_texts\n"
        f"settings = TextSettings.model_validate_json({settings(model).model_dump_json()!r})\n"
        f"print(embed_texts(['It broke.'], settings, Path({str(tmp_path)!r})).num_embedded)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_exported_model_answers_as_the_library_does(pooling: str, tmp_path: Path) -> None:
    model = write_tiny_transformer(tmp_path / "tiny", pooling=pooling)
    encoder = open_encoder(settings(model), tmp_path)
    assert encoder.tokenizer is None
    session = open_session(encoder.export().read_bytes())
    for reader in (encoder, open_encoder(settings(model), tmp_path)):
        assert reader.tokenizer is not None
        for texts in (TEXTS, TEXTS[:1], TEXTS[2:4]):
            token_ids, mask = reader.tokenizer.pad(texts)
            inputs = {TextEncoderTensor.INPUT_IDS: token_ids, TextEncoderTensor.ATTENTION_MASK: mask}
            [found] = answer_by_onnxruntime(session, inputs)
            np.testing.assert_allclose(found, library_vectors(model, texts), atol=1e-4)


def test_a_model_that_cannot_be_exported_says_why_and_is_not_tried_twice(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = write_tiny_transformer(tmp_path / "tiny")
    loaded = SentenceTransformer(str(folder), device="cpu")
    loaded.set_pooling_include_prompt(False)
    loaded.save(str(folder))
    for _ in range(2):
        encoder = open_encoder(settings(folder), tmp_path)
        with pytest.raises(NotExportableError, match="the pooling leaves the prompt out"):
            encoder.export()
        assert encoder.tokenizer is None
    notes = tmp_path / "models" / f"{encoder.encoder_id}.json"
    notes.write_text(json.dumps(json.loads(notes.read_text()) | {"unexportable": "noted"}))
    with pytest.raises(NotExportableError, match="noted"):
        open_encoder(settings(folder), tmp_path).export()


def test_half_precision_is_computed_in_full_on_a_cpu_under_the_same_name(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        half = open_encoder(settings(model, precision="bf16"), tmp_path)
        np.testing.assert_allclose(half.encode(TEXTS), library_vectors(model, TEXTS), atol=1e-6)
    assert half.encoder_id != identify_encoder(settings(model))
    assert "vectors of bf16 are computed in fp32 on a CPU" in caplog.text


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("modules.json config.json", r"this is no model: it has no modules\.json"),
        ("tokenizer.json", "the model has no tokenizer"),
        ("model.safetensors", "sentence-transformers cannot load this model"),
        ("model.safetensors 2_Dense/model.safetensors", "the model has no weights"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused(model: Path, tmp_path: Path, missing: str, said: str) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(model, folder)
    for name in missing.split():
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match=said) as refusal:
        open_encoder(settings(folder), tmp_path / "cache")
    assert refusal.value.where == str(folder)
    assert not (tmp_path / "cache").exists()


def test_a_name_that_is_nowhere_is_one_clear_message(tmp_path: Path) -> None:
    for name in ("nobody/nothing", "no/such/folder", str(tmp_path / "nothing")):
        with pytest.raises(InputError, match="is no folder, and no model of this name") as refusal:
            identify_encoder(settings(name))
        assert refusal.value.where == "setting text.model"


def test_a_name_in_the_local_cache_is_found(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--somebody--tiny"
    shutil.copytree(model, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    assert identify_encoder(settings("somebody/tiny")) == identify_encoder(settings(model))
