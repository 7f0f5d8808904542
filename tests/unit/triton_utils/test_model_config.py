"""config.pbtxt says what the ONNX file says, in Triton's own format."""

from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import ExportSettings
from tests.served_models import options, write_lookup, write_sums
from triton_utils.model_config import identities_of, make_config, read_config, same_tensors, text_options, write_config
from triton_utils.onnx_signature import read_signature


def test_a_configuration_survives_being_written_and_read(tmp_path: Path) -> None:
    signature = read_signature(write_sums(tmp_path / "sums.onnx"))
    config = make_config("sums", signature, options(kept_versions=3), {1: "first", 2: "second"})
    write_config(config, tmp_path / "config.pbtxt")
    assert read_config(tmp_path / "config.pbtxt") == config
    assert identities_of(config) == {1: "first", 2: "second"}


def test_names_types_and_dims_are_those_of_the_file(tmp_path: Path) -> None:
    config = make_config("sums", read_signature(write_sums(tmp_path / "sums.onnx", width=7)), options(), {})
    assert (config.backend, config.default_model_filename, config.max_batch_size) == ("onnxruntime", "model.onnx", 64)
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [
        ("entries", [-1, 7]),
        ("mask", [-1]),
        ("flag", [1]),
    ]
    assert [(tensor.name, list(tensor.dims)) for tensor in config.output] == [("total", [7]), ("shares", [-1])]
    types = config.input[0].DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_name
    assert {tensor.data_type for tensor in [*config.input, *config.output]} == {types["TYPE_FP32"].number}
    # The added axis of a tensor with a batch axis alone never reaches the model.
    assert [tensor.HasField("reshape") for tensor in config.input] == [False, False, True]


def test_requests_are_batched_and_versions_kept_as_the_settings_say(tmp_path: Path) -> None:
    signature = read_signature(write_sums(tmp_path / "sums.onnx"))
    changes = {"queue_delay_microseconds": 700, "kept_versions": 3, "device": "gpu", "tower_instances": 2}
    config = make_config("sums", signature, options(max_batch_size=16, tower_threads=3, **changes), {})
    assert config.max_batch_size == 16
    assert config.dynamic_batching.max_queue_delay_microseconds == 700
    assert not config.dynamic_batching.HasField("default_queue_policy")
    assert config.version_policy.latest.num_versions == 3
    group = config.instance_group[0]
    assert (group.count, group.Kind.Name(group.kind)) == (2, "KIND_GPU")
    assert config.parameters["intra_op_thread_count"].string_value == "3"


def test_every_length_is_warmed_up_with_requests_of_its_shape(tmp_path: Path) -> None:
    config = make_config(
        "sums", read_signature(write_sums(tmp_path / "sums.onnx")), options(lengths=[4, 12], reads=9), {}
    )
    shapes = {
        warm_up.name: {name: list(tensor.dims) for name, tensor in warm_up.inputs.items()}
        for warm_up in config.model_warmup
    }
    assert shapes == {
        "length_4": {"entries": [4, 4], "mask": [4], "flag": [1]},
        "length_12": {"entries": [12, 4], "mask": [12], "flag": [1]},
    }
    assert all(tensor.zero_data for warm_up in config.model_warmup for tensor in warm_up.inputs.values())


@pytest.mark.parametrize(
    ("reads", "lengths"),
    [(5, (8, 16, 32, 64)), (64, (8, 16, 32, 64)), (65, (8, 16, 32, 64, 128)), (512, (8, 16, 32, 64, 128, 256, 512))],
)
def test_lengths_are_doubled_until_the_longest_history_fits(reads: int, lengths: tuple[int, ...]) -> None:
    assert options(reads).lengths == lengths


def test_texts_have_lengths_and_threads_of_their_own() -> None:
    settings = ExportSettings(token_lengths=(10, 30), text_threads=2, text_instances=4)
    found = text_options(settings, 40)
    assert (found.lengths, found.reads, found.threads, found.instances) == ((10, 30, 40), 40, 2, 4)
    # Nothing is padded beyond what is read: the encoder may have no place for more tokens.
    assert [text_options(settings, reads).lengths for reads in (8, 30)] == [(8,), (10, 30)]


def test_models_of_other_tensors_are_told_apart(tmp_path: Path) -> None:
    narrow, wide, lookup = (
        make_config("sums", read_signature(path), options(), {})
        for path in (
            write_sums(tmp_path / "a.onnx", factor=2),
            write_sums(tmp_path / "b.onnx", width=5),
            write_lookup(tmp_path / "c.onnx"),
        )
    )
    other = make_config("sums", read_signature(tmp_path / "a.onnx"), options(max_batch_size=3), {7: "x"})
    assert same_tensors(narrow, other)
    assert not same_tensors(narrow, wide)
    assert not same_tensors(narrow, lookup)


def test_a_broken_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text('nonsense: "x"')
    with pytest.raises(InputError, match="this is no configuration of a model") as caught:
        read_config(tmp_path / "config.pbtxt")
    assert caught.value.where == str(tmp_path / "config.pbtxt")
