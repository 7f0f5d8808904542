"""Trees as an ONNX model for Triton and onnxruntime.

Written node by node: the libraries' converters round thresholds to the nearest float32, so that a feature between the
two goes the other way, and make a classifier of XGBoost's rankers.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from rec_sys.contracts import RankerTensor
from rec_sys.ranker.trees import LEAF, Trees

_OPSETS: Final = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION: Final = 8


def write_onnx(trees: Trees, num_features: int) -> bytes:
    """A model of `contracts.RankerTensor`: float32 features to float32 values, any number of rows."""
    num_nodes = len(trees.feature)
    tree = np.searchsorted(trees.roots, np.arange(num_nodes), side="right") - 1
    place = np.arange(num_nodes) - trees.roots[tree]
    leaf = trees.feature == LEAF
    start = trees.roots[tree]

    def child(nodes: npt.NDArray[np.int32]) -> list[int]:
        places: list[int] = np.where(leaf, 0, nodes - start).tolist()
        return places

    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        [RankerTensor.FEATURES],
        [RankerTensor.VALUE],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=tree.tolist(),
        nodes_nodeids=place.tolist(),
        nodes_featureids=np.where(leaf, 0, trees.feature).tolist(),
        nodes_values=trees.threshold.tolist(),
        nodes_modes=["LEAF" if one else "BRANCH_LEQ" for one in leaf.tolist()],
        nodes_truenodeids=child(trees.left),
        nodes_falsenodeids=child(trees.right),
        nodes_missing_value_tracks_true=trees.missing_left.astype(int).tolist(),
        target_treeids=tree[leaf].tolist(),
        target_nodeids=place[leaf].tolist(),
        target_ids=[0] * int(leaf.sum()),
        target_weights=trees.value[leaf].tolist(),
    )
    graph = helper.make_graph(
        [ensemble],
        "ranker",
        [helper.make_tensor_value_info(RankerTensor.FEATURES, TensorProto.FLOAT, ["batch", num_features])],
        [helper.make_tensor_value_info(RankerTensor.VALUE, TensorProto.FLOAT, ["batch", 1])],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="rec_sys")
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
