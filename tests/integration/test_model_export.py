"""From a bundle to answers of the real Triton, and nothing published that disagrees with torch."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.grpc
from safetensors.numpy import load_file, save_file

from rec_sys.bundle import Bundle
from rec_sys.contracts import (
    BundleFile,
    InputError,
    ServedModel,
    TextEncoderTensor,
    TowerFile,
    TowerTensor,
)
from rec_sys.modules.bundled_model import load_model
from rec_sys.modules.publication import publish_bundle
from rec_sys.modules.tower_export import INPUTS, OUTPUTS, export_modules
from rec_sys.modules.tower_parity import ParityCase, answer, example_inputs, parity_cases, refuse_difference
from rec_sys.settings import ExportSettings, TextSettings, TritonSettings
from rec_sys.text.opening import open_encoder
from rec_sys.text.weights import locate_weights
from tests import warm_processes
from tests.changed_bundles import note_anew
from tests.served_models import candidate, write_sums
from tests.text_width import TEXT_DIM
from tests.tower_bundles import PRODUCT_REVIEWS, USER_REVIEWS, write_tower_bundle
from tests.triton_servers import needs_core
from triton_utils.client import TritonClient
from triton_utils.model_config import MODEL_FILE
from triton_utils.repository import ModelRepository, Published
from triton_utils.server import TritonServer

TEXT = TextSettings(num_threads=2, device="cpu")
LENGTHS = (8, 16, 32, 64)
SERVED = {TowerFile.USER: ServedModel.USER_TOWER, TowerFile.PRODUCT: ServedModel.PRODUCT_TOWER}


def triton_settings(folder: Path) -> TritonSettings:
    return TritonSettings(model_repository=folder, grpc_port=0, http_port=0, metrics_port=0, poll_seconds=0)


def publish(bundle: Bundle, folder: Path, text_dir: Path, **export: Any) -> list[Published]:
    settings = ExportSettings.model_validate({"text_threads": 2} | export)
    return publish_bundle(bundle, settings, triton_settings(folder), text_dir)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[Published]:
    """Towers published from the weights of a bundle that holds none and reads no text."""
    folder = tmp_path_factory.mktemp("exported")
    bundle = write_tower_bundle(folder / "bundle", TextSettings(source="none"), "none", {})
    with pytest.raises(InputError, match="the bundle has no exported tower"):
        publish(bundle, folder / "models", folder, check="onnxruntime", lengths=[8])
    assert ModelRepository(folder / "models").models() == {}
    return publish(bundle, folder / "models", folder, check="onnxruntime", lengths=[8], towers="weights")


@pytest.fixture(scope="module")
def bundle(exported: list[Published], tmp_path_factory: pytest.TempPathFactory, text_cache_dir: Path) -> Bundle:
    """One with an encoder and with towers, which are exported once for all tests because that takes seconds."""
    content = {one.name: (one.folder / MODEL_FILE).read_bytes() for one in exported}
    towers: dict[str, bytes] = {file: content[name] for file, name in SERVED.items()}
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    return write_tower_bundle(folder, TEXT, open_encoder(TEXT, text_cache_dir).encoder_id, towers)


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle that a test may break."""
    shutil.copytree(bundle.folder, tmp_path / "copied")
    return Bundle(tmp_path / "copied")


@pytest.fixture
def textless(copied: Bundle) -> Bundle:
    """One whose model reads no text, so that there is no encoder to publish."""
    path = copied.folder / BundleFile.SETTINGS
    path.write_text(path.read_text().replace('"source": "encoder"', '"source": "none"'))
    note_anew(copied.folder)
    return Bundle(copied.folder)


@pytest.fixture(scope="module")
def published(bundle: Bundle, text_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Published]:
    return publish(bundle, tmp_path_factory.mktemp("triton") / "models", text_cache_dir)


@pytest.fixture(scope="module")
def server(published: list[Published]) -> Iterator[TritonServer]:
    with TritonServer(triton_settings(published[0].folder.parents[1])) as started:
        yield started


def infer(server: TritonServer, model: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    async def ask() -> dict[str, np.ndarray]:
        async with TritonClient(server.endpoints.grpc, deadline_seconds=100) as client:
            return await client.infer(model, inputs)

    return asyncio.run(ask())


@needs_core
def test_towers_and_encoder_are_published_once(
    bundle: Bundle, published: list[Published], text_cache_dir: Path
) -> None:
    names = [ServedModel.USER_TOWER, ServedModel.PRODUCT_TOWER, ServedModel.TEXT_ENCODER]
    assert [(one.name, one.version, one.is_new) for one in published] == [(name, 1, True) for name in names]
    folder = published[0].folder.parents[1]
    before = files_of(folder)
    again = publish(bundle, folder, text_cache_dir, check="onnxruntime")
    assert [(one.version, one.is_new) for one in again] == [(1, False)] * 3
    assert files_of(folder) == before


@needs_core
@pytest.mark.parametrize("file", [TowerFile.USER, TowerFile.PRODUCT])
def test_triton_and_torch_agree_for_every_length_batch_and_missing_part(
    bundle: Bundle, server: TritonServer, file: str
) -> None:
    model = load_model(bundle)
    module = export_modules(model, PRODUCT_REVIEWS)[file]
    cases = list(parity_cases(LENGTHS))
    assert {(case.batch, case.length) for case in cases} == {(b, n) for b in (1, 3, 64) for n in LENGTHS}

    async def ask() -> None:
        async with TritonClient(server.endpoints.grpc, deadline_seconds=100) as client:
            for case in cases:
                inputs = example_inputs(INPUTS[file], case, model.settings.dim, model.text_dim)
                found = await client.infer(SERVED[file], inputs)
                answers = [found[name] for name in OUTPUTS[file]]
                refuse_difference(file, case, "Triton", answer(module, inputs), answers)

    asyncio.run(ask())


@needs_core
def test_an_empty_history_and_a_full_one_are_answered_with_what_they_must_be(server: TritonServer) -> None:
    case = ParityCase(3, 64)
    inputs = example_inputs(INPUTS[TowerFile.USER], case, 16, TEXT_DIM)
    found = infer(server, ServedModel.USER_TOWER, inputs)
    np.testing.assert_allclose(np.linalg.norm(found[TowerTensor.USER_VECTOR], axis=1), 1, atol=1e-5)
    weights = found[TowerTensor.REVIEW_WEIGHTS]
    np.testing.assert_allclose(weights.sum(axis=1), [1, float(inputs[TowerTensor.MASK][1].any()), 0], atol=1e-5)
    # Whoever has more reviews than training read is known by the newest.
    assert (weights[:, USER_REVIEWS:] == 0).all()
    newest = infer(server, ServedModel.USER_TOWER, {name: array[:, :USER_REVIEWS] for name, array in inputs.items()})
    np.testing.assert_allclose(found[TowerTensor.USER_VECTOR], newest[TowerTensor.USER_VECTOR], atol=1e-5)


@needs_core
def test_a_plain_client_of_triton_gets_a_user_vector(bundle: Bundle, server: TritonServer) -> None:
    inputs = example_inputs(INPUTS[TowerFile.USER], ParityCase(1, 8), 16, TEXT_DIM)
    with tritonclient.grpc.InferenceServerClient(server.endpoints.grpc) as client:
        tensors = []
        for name, array in inputs.items():
            tensors.append(tritonclient.grpc.InferInput(name, list(array.shape), "FP32"))
            tensors[-1].set_data_from_numpy(array)
        vector = client.infer(ServedModel.USER_TOWER, tensors).as_numpy(TowerTensor.USER_VECTOR)
    module = export_modules(load_model(bundle), PRODUCT_REVIEWS)[TowerFile.USER]
    np.testing.assert_allclose(vector, answer(module, inputs).answers[0], atol=1e-4)


@needs_core
def test_triton_reads_texts_as_torch_does(server: TritonServer) -> None:
    from safetensors.torch import load_file as load_torch
    from transformers import BertConfig, BertModel

    from rec_sys.text.tokens import TextTokenizer

    files = locate_weights(TEXT)
    texts = ["Bright strings that stay in tune.", "Too quiet.", "🎸", "word " * 400, ""]
    token_ids, mask = TextTokenizer(files.tokenizer, max_tokens=256).pad(texts)
    bert = BertModel(BertConfig.from_json_file(files.config), add_pooling_layer=False).eval()
    bert.load_state_dict(load_torch(files.model), strict=False)
    with torch.inference_mode():
        hidden = bert(torch.from_numpy(token_ids), attention_mask=torch.from_numpy(mask)).last_hidden_state
    weight = torch.from_numpy(mask)[..., None].float()
    mean = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
    expected = torch.nn.functional.normalize(mean, dim=1).numpy()
    inputs = {TextEncoderTensor.INPUT_IDS: token_ids, TextEncoderTensor.ATTENTION_MASK: mask}
    found = infer(server, ServedModel.TEXT_ENCODER, inputs)[TextEncoderTensor.VECTOR]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # One by one they are padded to other lengths.
    for row, count in enumerate(mask.sum(axis=1)):
        alone = infer(
            server, ServedModel.TEXT_ENCODER, {name: array[row : row + 1, :count] for name, array in inputs.items()}
        )
        np.testing.assert_allclose(alone[TextEncoderTensor.VECTOR][0], expected[row], atol=1e-4)


@needs_core
def test_the_served_version_names_its_bundle(bundle: Bundle, server: TritonServer) -> None:
    async def ask() -> list[str | None]:
        async with TritonClient(server.endpoints.grpc) as client:
            return [
                await client.find_version(ServedModel.USER_TOWER, bundle.identity),
                await client.find_version(ServedModel.PRODUCT_TOWER, "another bundle"),
                await client.find_version(ServedModel.TEXT_ENCODER, bundle.manifest.text_encoder),
            ]

    assert asyncio.run(ask()) == ["1", None, "1"]


@pytest.mark.parametrize("tower", ["user_tower", "product_tower"])
def test_a_tower_that_is_not_the_bundles_is_not_published(textless: Bundle, tmp_path: Path, tower: str) -> None:
    folder = tmp_path / "models"
    ModelRepository(folder).publish(candidate(write_sums(tmp_path / "sums.onnx"), name=tower))
    before = files_of(folder)
    path = textless.folder / BundleFile.WEIGHTS
    weights = load_file(path)
    changed = [
        name for name in weights if name.startswith(tower) and name.endswith("attention.convolution.lin_value.weight")
    ]
    assert len(changed) == 1
    save_file({name: value * 1.5 if name in changed else value for name, value in weights.items()}, path)
    with pytest.raises(InputError, match=f"nothing is published: {tower}: onnxruntime differs from torch") as caught:
        publish(textless, folder, tmp_path, check="onnxruntime", lengths=[8])
    assert "export.towers=weights" in caught.value.remedy
    assert files_of(folder) == before


def test_towers_that_a_bundle_lacks_can_be_exported_from_its_weights(exported: list[Published]) -> None:
    folder = exported[0].folder.parents[1]
    assert ModelRepository(folder).models() == {"product_tower": (1,), "user_tower": (1,)}


def test_weights_of_another_model_are_named(copied: Bundle, tmp_path: Path, text_cache_dir: Path) -> None:
    save_file({"something": np.zeros(3, dtype=np.float32)}, copied.folder / BundleFile.WEIGHTS)
    with pytest.raises(InputError, match="weights are not this version's") as caught:
        publish(copied, tmp_path / "models", text_cache_dir)
    assert caught.value.where == str(copied.folder / BundleFile.WEIGHTS)


def test_an_encoder_that_did_not_read_the_bundles_texts_is_not_published(
    copied: Bundle, tmp_path: Path, text_cache_dir: Path
) -> None:
    path = copied.folder / BundleFile.SETTINGS
    path.write_text(path.read_text().replace('"max_tokens": null', '"max_tokens": 128'))
    with pytest.raises(InputError, match="the bundle's texts were read by the encoder fp32-256-"):
        publish(copied, tmp_path / "models", text_cache_dir, check="onnxruntime")
    assert ModelRepository(tmp_path / "models").models() == {}


def test_the_command_publishes_the_newest_bundle_without_an_encoder_where_it_reads_no_text(
    textless: Bundle, tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"

    def run() -> subprocess.CompletedProcess[str]:
        command = ["-m", "rec_sys.modules.model_export", f"output_dir={outputs}"]
        command += [f"triton.model_repository={tmp_path / 'models'}", "export.check=onnxruntime", "export.lengths=[8]"]
        return warm_processes.run(*command, timeout=600)

    refused = run()
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: there is no bundle yet")
    assert not (tmp_path / "models").exists()
    (outputs / "bundles").mkdir(parents=True)
    textless.folder.rename(outputs / "bundles" / "first")
    done = run()
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "model: user_tower, version 1 (published)",
            "model: product_tower, version 1 (published)",
            f"repository: {tmp_path / 'models'}",
        ],
    ), done.stderr
