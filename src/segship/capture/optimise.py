"""Make a translated graph small: fold constants, merge layers, drop what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_ir.passes import Sequential, common
from onnxscript.optimizer import fold_constants
from onnxscript.rewriter import RewriteRuleSet, rewrite
from onnxscript.rewriter.rules import common as rules

if TYPE_CHECKING:
    import onnx_ir

__all__ = ["optimise"]

_ROUNDS = 2  # what one rewrites, the other can fold

_RULES = RewriteRuleSet(
    [
        rules.fuse_batchnorm_into_conv_rule,
        rules.fuse_batchnorm_into_conv_transpose_rule,
        rules.fuse_batchnorm_into_gemm_rule,
        rules.normalize_pad_format_conv_rule,
        rules.fuse_pad_into_conv_rule,
        rules.remove_optional_bias_from_conv_rule,
        rules.remove_optional_bias_from_conv_transpose_rule,
        rules.remove_optional_bias_from_gemm_rule,
        rules.materialize_reshape_shape_rule,
        rules.reshape_reshape_rule,
        rules.squeeze_reshape_1d_rule,
        rules.unsqueeze_unsqueeze_rule,
        rules.no_op_transpose_rule,
        rules.transpose_transpose_rule,
        rules.no_op_expand_rule,
        rules.no_op_cast_rule,
        rules.cast_cast_rule,
        rules.cast_constant_of_shape_rule,
        rules.cast_constant_of_shape_without_value_rule,
        rules.collapse_slice_rule,
        rules.collapse_slice2_rule,
        rules.add_0_rule,
        rules.sub_0_rule,
        rules.mul_by_1_rule,
        rules.div_by_1_rule,
        rules.dropout_inference_rule,
        rules.dropout_zero_rule,
        rules.min_max_rule,
        rules.max_min_rule,
        rules.successive_relu_rule,
        rules.successive_clip_rule,
        rules.successive_clip_relu_rule,
        rules.successive_relu_clip_rule,
    ]
)


_FINISH = Sequential(
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    common.DeduplicateInitializersPass(),
    common.CommonSubexpressionEliminationPass(),
    common.RemoveUnusedNodesPass(),
    common.OutputFixPass(),
    common.NameFixPass(),
)


def optimise(model: onnx_ir.Model) -> None:
    """Make ``model`` smaller, in place.

    onnxscript's own optimiser does the same with one rule more, for pairs of slices, which compares every node with
    every other: in graphs of some thousand nodes that takes longer than all else together.
    """
    common.InlinePass()(model)
    for _ in range(_ROUNDS):
        fold_constants(model, onnx_shape_inference=True)  # types tell which casts do nothing
        rewrite(model, _RULES)
    _FINISH(model)
