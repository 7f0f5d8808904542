"""The exported encoder against torch's own, on texts as people write them."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from rec_sys.checksums import note_file
from rec_sys.contracts import InputError
from rec_sys.settings import TextSettings
from rec_sys.text.encoder import TextEncoder
from rec_sys.text.opening import open_encoder
from rec_sys.text.weights import locate_weights
from tests.text_width import MINILM_DIM

REVIEWS = [
    "Great strings. They stay in tune for weeks and the tone is warm, not shrill like the last set I bought.",
    "Broke after two days!!! The tuning peg came off in my hand. Sent it back, still waiting for my money :(",
    "ok",
    "",
    "🎸🔥🎸 love it",
    "Für meine Ukulele genau richtig; der Klang ist klar, ça marche aussi très bien avec la guitare.",
    "I play in a wedding band about twice a month, so reliability matters more to me than anything else. " * 3,
    "The pedal hums. I tried three power supplies, two cables and another amp before I gave up on it. " * 12,
    "5 stars",
    "Bought this capo for my son's first guitar. It clamps well on nylon strings and does not buzz at the 5th fret.",
    "word " * 400,
]


def _settings(**values: object) -> TextSettings:
    return TextSettings.model_validate({"num_threads": 2, "device": "cpu"} | values)


@pytest.fixture(scope="module")
def encoder(text_cache_dir: Path) -> TextEncoder:
    return open_encoder(_settings(), text_cache_dir)


@pytest.fixture(scope="module")
def int8_encoder(text_cache_dir: Path) -> TextEncoder:
    return open_encoder(_settings(precision="int8"), text_cache_dir)


def _reference(texts: list[str]) -> npt.NDArray[np.float32]:
    """Transformers' own BERT and tokenizer, one text at a time, averaged over the tokens, at unit length."""
    import torch
    from transformers import AutoTokenizer, BertModel

    folder = locate_weights(TextSettings()).model.parent
    bert = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        vectors = [
            bert(**tokenizer(text, truncation=True, max_length=256, return_tensors="pt"))
            .last_hidden_state[0]
            .mean(dim=0)
            for text in texts
        ]
    return torch.nn.functional.normalize(torch.stack(vectors), dim=1).numpy()


@pytest.fixture(scope="module")
def reference() -> npt.NDArray[np.float32]:
    return _reference(REVIEWS)


def test_vectors_equal_torch(encoder: TextEncoder, reference: npt.NDArray[np.float32]) -> None:
    vectors = encoder.encode(REVIEWS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(REVIEWS), MINILM_DIM)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * reference).sum(axis=1).min() > 0.9999


def test_int8_is_close_to_torch_and_not_the_same(
    int8_encoder: TextEncoder, encoder: TextEncoder, reference: npt.NDArray[np.float32]
) -> None:
    cosine = (int8_encoder.encode(REVIEWS) * reference).sum(axis=1)
    assert cosine.mean() > 0.98
    assert cosine.min() < 0.9999
    assert int8_encoder.encoder_id != encoder.encoder_id
    assert int8_encoder.export().stat().st_size < 0.3 * encoder.export().stat().st_size


def _library_vectors(texts: list[str]) -> npt.NDArray[np.float32]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(locate_weights(TextSettings()).model.parent), device="cpu")
    vectors: npt.NDArray[np.float32] = model.encode(texts, show_progress_bar=False)
    return vectors


def test_vectors_are_those_of_sentence_transformers(encoder: TextEncoder) -> None:
    assert (encoder.encode(REVIEWS) * _library_vectors(REVIEWS)).sum(axis=1).min() >= 0.999999


def test_both_precisions_hold_on_real_reviews(encoder: TextEncoder, int8_encoder: TextEncoder, real_2014: Path) -> None:
    with gzip.open(real_2014, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["reviewText"] for _, line in zip(range(120), lines, strict=False)]
    expected = _library_vectors(texts)
    assert (encoder.encode(texts) * expected).sum(axis=1).min() >= 0.999999
    assert (int8_encoder.encode(texts[:40]) * expected[:40]).sum(axis=1).mean() > 0.98


def test_a_vector_does_not_depend_on_place_or_company(encoder: TextEncoder) -> None:
    order = np.random.default_rng(0).permutation(len(REVIEWS))
    together = encoder.encode(REVIEWS)
    shuffled = encoder.encode([REVIEWS[place] for place in order])
    alone = np.concatenate([encoder.encode([text]) for text in REVIEWS])
    assert np.abs(shuffled - together[order]).max() < 1e-3
    assert np.abs(alone - together).max() < 1e-3


def test_the_number_of_threads_changes_no_bit(text_cache_dir: Path) -> None:
    texts = REVIEWS * 4
    batches = [np.arange(start, start + 4) for start in range(0, len(texts), 4)]
    runs = [
        list(open_encoder(_settings(num_threads=threads), text_cache_dir).encode_batches(texts, batches))
        for threads in (1, 3)
    ]
    for (few_places, few), (many_places, many) in zip(*runs, strict=True):
        assert np.array_equal(few_places, many_places)
        assert np.array_equal(few, many)


def test_only_the_first_tokens_are_read(tmp_path: Path, encoder: TextEncoder) -> None:
    short = open_encoder(_settings(max_tokens=16), tmp_path)
    # The graph is the same for every length.
    short.model_path.parent.mkdir()
    short.model_path.symlink_to(encoder.export())
    beginning = "these strings sound bright and stay in tune for a very long time on my old guitar"
    vectors = short.encode([beginning, beginning + " but the box was dirty", beginning + " again" * 20_000])
    assert np.abs(vectors - vectors[0]).max() < 1e-6
    assert short.encoder_id != encoder.encoder_id
    assert np.abs(encoder.encode([beginning]) - vectors[0]).max() > 1e-3


def test_no_texts_have_no_vectors_and_odd_texts_have_some(encoder: TextEncoder) -> None:
    assert encoder.encode([]).shape == (0, MINILM_DIM)
    odd = encoder.encode(["x" * 100_000, "🎸" * 1_000, "\ud83d", "\0"])
    assert np.allclose(np.linalg.norm(odd, axis=1), 1, atol=1e-5)


def test_meaning_decides_nearness(encoder: TextEncoder) -> None:
    vectors = encoder.encode(
        ["the strings broke at once", "these strings snapped on the first day", "a fine warm tone"]
    )
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_an_exported_encoder_works_without_torch(text_cache_dir: Path, encoder: TextEncoder) -> None:
    encoder.export()
    script = (
        "import sys; sys.modules.update(torch=None, transformers=None, onnx=None)\n"
        "from pathlib import Path; from rec_sys.settings import TextSettings\n"
        "from rec_sys.text.opening import open_encoder\n"
        f"encoder = open_encoder(TextSettings(num_threads=1, device='cpu'), Path({str(text_cache_dir)!r}))\n"
        "print(encoder.encode(['a fine warm tone']).shape)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stdout) == (0, "(1, 384)\n"), result.stderr


def test_exporting_without_torch_is_a_clear_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="not exported yet, and torch"):
        open_encoder(_settings(), tmp_path).encode(["a"])


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this onnxruntime can use CUDA"
)
def test_cuda_where_onnxruntime_has_none_is_a_clear_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot use CUDA") as caught:
        open_encoder(_settings(device="cuda"), tmp_path)
    assert "text.device=cpu" in caught.value.remedy


@pytest.mark.parametrize("damage", ["no safetensors", "another model's tensors", "a giant's config", "an odd config"])
def test_weights_that_do_not_fit_are_refused_and_leave_no_model(tmp_path: Path, damage: str) -> None:
    import torch
    from safetensors.torch import save_file

    source = locate_weights(TextSettings())
    for path in (source.config, source.tokenizer):
        shutil.copy(path, tmp_path)
    if damage == "no safetensors":
        (tmp_path / "model.safetensors").write_bytes(source.model.read_bytes()[:-1_000])
    elif damage == "another model's tensors":
        save_file({"weight": torch.zeros(10_000_000)}, tmp_path / "model.safetensors")
    else:
        shutil.copy(source.model, tmp_path)
        changes = {"num_hidden_layers": 10**7} if damage == "a giant's config" else {"num_attention_heads": 7}
        config = json.loads(source.config.read_text()) | changes
        (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = open_encoder(_settings(weights="folder", weights_folder=tmp_path), tmp_path / "cache")
    with pytest.raises(InputError, match=r"do not fit their config\.json"):
        encoder.encode(["a"])
    assert not list((tmp_path / "cache").rglob("*.onnx*"))


@pytest.mark.parametrize("change", ["bit", "tail", "tail, unnoted"])
def test_an_exported_encoder_that_was_changed_is_named(change: str, text_cache_dir: Path, tmp_path: Path) -> None:
    settings = TextSettings(device="cpu", num_threads=1)
    source = open_encoder(settings, text_cache_dir).export()
    path = tmp_path / "models" / source.name
    path.parent.mkdir()
    shutil.copy(source, path)
    if "unnoted" not in change:
        note_file(path)
    if change == "bit":
        with path.open("r+b") as file:
            file.seek(-1000, os.SEEK_END)
            file.write(b"changed")
    else:
        os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"missing or was changed|cannot open") as refused:
        open_encoder(settings, tmp_path).encode(["a text"])
    assert refused.value.where == str(path)
