"""The computation of one batch, as OpenVINO's graph over the weights of a file.

A batch is the new tokens of several sequences, one after the other, without padding:

    token_ids, positions    [tokens]      of every new token
    last_indices            [rows]        tokens whose logits are wanted
    past_lens               [sequences]   tokens of each that are computed already
    subsequence_begins      [sequences+1] where each one's new tokens begin
    block_indices           [blocks]      the block tables, one after the other
    block_indices_begins    [sequences+1] where each one's table begins
    max_context_len         []            the longest, new tokens included
    key_cache.i, value_cache.i            [blocks, kv heads, tokens of a block, head size] of layer i; written to

    logits                  [rows, vocabulary]

The order of tensors in a layer is that of the models' own implementations; nothing here depends on the batch's shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seekd.engine.openvino.binding import PagedAttention, ops, ov
from seekd.engine.openvino.shape import ModelShape
from seekd.engine.openvino.weights import GroupedMatrix, Matrix, PlainMatrix, WeightsFile


def build_graph(weights: WeightsFile, shape: ModelShape) -> ov.Model:
    """The graph of a model, with its weights as constants.

    Args:
        weights: open. Its matrices must live as long as the graph and what is compiled from it: they are not copied.
        shape: of the model.

    Raises:
        ConfigError: a tensor is missing, or of a type that is not read.
    """
    return _Builder(weights, shape).build()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rotation:
    """Cosines and sines of the batch's positions, shape `(tokens, 1, head_size / 2)`."""

    cos: ov.Output
    sin: ov.Output


class _Builder:
    def __init__(self, weights: WeightsFile, shape: ModelShape) -> None:
        self._weights = weights
        self._shape = shape
        self._parameters: list[ov.op.Parameter] = []
        self._pages: list[ov.Output] = []

    def build(self) -> ov.Model:
        shape = self._shape
        token_ids = self._input("token_ids", ov.Type.i64, [-1])
        rotation = self._rotation(self._input("positions", ov.Type.i64, [-1]))
        last_indices = self._input("last_indices", ov.Type.i64, [-1])
        names = ("past_lens", "subsequence_begins", "block_indices", "block_indices_begins")
        self._pages = [self._input(name, ov.Type.i32, [-1]) for name in names]
        self._pages.append(self._input("max_context_len", ov.Type.i32, []))
        embedding = self._weights.matrix("token_embd.weight")
        hidden = _rows_of(embedding, token_ids)
        for layer in range(shape.num_layers):
            prefix = f"blk.{layer}."
            hidden = ops.add(hidden, self._attention(layer, self._norm(hidden, f"{prefix}attn_norm.weight"), rotation))
            hidden = ops.add(hidden, self._feed_forward(prefix, self._norm(hidden, f"{prefix}ffn_norm.weight")))
        last = ops.gather(hidden, last_indices, _number(0))
        output = self._weights.matrix("output.weight") if "output.weight" in self._weights else embedding
        logits = _product(self._norm(last, "output_norm.weight"), output)
        logits.output(0).set_names({"logits"})
        return ov.Model([ops.result(logits)], self._parameters, "seekd")

    # -- parts of a layer ---------------------------------------------------------------------------------------------

    def _attention(self, layer: int, hidden: ov.Output, rotation: _Rotation) -> ov.Output:
        shape, prefix = self._shape, f"blk.{layer}."
        query = self._heads(f"{prefix}attn_q", hidden, shape.num_heads)
        key = self._heads(f"{prefix}attn_k", hidden, shape.num_kv_heads)
        value = self._projection(f"{prefix}attn_v", hidden)
        page = ov.PartialShape.dynamic(4)  # like its type, decided when the graph is compiled
        attended = PagedAttention(
            [
                _flat(_rotate(query, rotation)),
                _flat(_rotate(key, rotation)),
                value.output(0),
                self._input(f"key_cache.{layer}", ov.Type.dynamic, page),
                self._input(f"value_cache.{layer}", ov.Type.dynamic, page),
                *self._pages[:4],
                ops.constant(np.float32(shape.head_size**-0.5)).output(0),
                _number(0),  # no sliding window
                _nothing(np.float32),  # no linear biases
                self._pages[4],
                *_unused_inputs(),
            ]
        )
        notes = attended.get_rt_info()  # the kernel does not read them off the shapes
        notes["num_k_heads"] = notes["num_v_heads"] = shape.num_kv_heads
        notes["k_head_size"] = notes["v_head_size"] = shape.head_size
        return self._projection(f"{prefix}attn_output", attended.output(0))

    def _heads(self, name: str, hidden: ov.Output, num_heads: int) -> ov.Output:
        """A projection to queries or keys, cut into heads: shape `(tokens, heads, head_size)`."""
        order = _halves_first(num_heads, self._shape.head_size) if self._shape.rotates_pairs else None
        projected = self._projection(name, hidden, order)
        heads = ops.reshape(projected, np.array([0, num_heads, self._shape.head_size], np.int64), special_zero=True)
        norm = f"{name}_norm.weight"
        return self._norm(heads, norm) if norm in self._weights else heads

    def _feed_forward(self, prefix: str, hidden: ov.Output) -> ov.Output:
        gate = ops.swish(self._projection(f"{prefix}ffn_gate", hidden))
        return self._projection(f"{prefix}ffn_down", ops.multiply(gate, self._projection(f"{prefix}ffn_up", hidden)))

    def _projection(self, name: str, hidden: ov.Output, order: npt.NDArray[np.intp] | None = None) -> ov.Output:
        product = _product(hidden, self._weights.matrix(f"{name}.weight", order))
        if f"{name}.bias" not in self._weights:
            return product
        bias = self._weights.vector(f"{name}.bias")
        return ops.add(product, ops.constant((bias if order is None else bias[order])[None, :]))

    def _norm(self, hidden: ov.Output, name: str) -> ov.Output:
        mean_square = ops.reduce_mean(ops.power(hidden, np.float32(2)), np.array([-1], np.int64), keep_dims=True)
        root = ops.sqrt(ops.add(mean_square, np.float32(self._shape.norm_epsilon)))
        return ops.multiply(
            ops.multiply(hidden, ops.divide(np.float32(1), root)), ops.constant(self._weights.vector(name))
        )

    # -- positions ----------------------------------------------------------------------------------------------------

    def _rotation(self, positions: ov.Output) -> _Rotation:
        half = self._shape.head_size // 2
        wavelengths = self._shape.rope_base ** (np.arange(half, dtype=np.float64) / half)
        if "rope_freqs.weight" in self._weights:  # Llama 3.1 and later
            wavelengths = wavelengths * self._weights.vector("rope_freqs.weight")
        angles = ops.multiply(
            ops.reshape(ops.convert(positions, "f32"), np.array([-1, 1, 1], np.int64), special_zero=False),
            ops.constant((1 / wavelengths).astype(np.float32)[None, None, :]),
        )
        return _Rotation(cos=ops.cos(angles), sin=ops.sin(angles))

    def _input(self, name: str, kind: ov.Type, dimensions: list[int]) -> ov.Output:
        parameter = ops.parameter(dimensions, kind, name)
        parameter.output(0).set_names({name})
        self._parameters.append(parameter)
        return parameter.output(0)


def _halves_first(num_heads: int, head_size: int) -> npt.NDArray[np.intp]:
    """Rows of heads whose neighbours are rotated, in the order in which their halves are."""
    rows = np.arange(num_heads * head_size, dtype=np.intp).reshape(num_heads, head_size // 2, 2)
    return rows.swapaxes(1, 2).reshape(-1)


def _rotate(heads: ov.Output, rotation: _Rotation) -> ov.Output:
    first, second = ops.split(heads, _number(2), 2).outputs()
    turned_first = ops.subtract(ops.multiply(first, rotation.cos), ops.multiply(second, rotation.sin))
    turned_second = ops.add(ops.multiply(second, rotation.cos), ops.multiply(first, rotation.sin))
    return ops.concat([turned_first, turned_second], 2)


def _flat(heads: ov.Output) -> ov.Output:
    return ops.reshape(heads, np.array([0, -1], np.int64), special_zero=True).output(0)


def _product(hidden: ov.Output, matrix: Matrix) -> ov.Output:
    """Each token's state times the matrix; its decompression belongs to the kernel and is not folded."""
    if isinstance(matrix, GroupedMatrix):
        rows = matrix.scales.shape[0]
        values = _decompressed(*_grouped_constants(matrix))
        weights = ops.reshape(values, np.array([rows, -1], np.int64), special_zero=False)
    else:
        weights = _plain_constant(matrix)
    return ops.matmul(hidden, weights, transpose_a=False, transpose_b=True)


def _rows_of(matrix: Matrix, row_ids: ov.Output) -> ov.Output:
    """Rows by number. The codes are gathered before they are multiplied: so the matrix stays small."""
    if not isinstance(matrix, GroupedMatrix):
        return ops.convert(ops.gather(_plain_constant(matrix, converted=False), row_ids, _number(0)), "f32")
    found = [None if one is None else ops.gather(one, row_ids, _number(0)) for one in _grouped_constants(matrix)]
    return ops.reshape(_decompressed(*found), np.array([0, -1], np.int64), special_zero=True)


def _decompressed(codes: ov.Node, scales: ov.Node, zero_points: ov.Node | None) -> ov.Node:
    values = ops.convert(codes, "f32")
    if zero_points is not None:
        values = ops.subtract(values, zero_points)
    return ops.multiply(values, scales if scales.get_element_type() == ov.Type.f32 else ops.convert(scales, "f32"))


def _grouped_constants(matrix: GroupedMatrix) -> tuple[ov.Node, ov.Node, ov.Node | None]:
    """Codes, scales and zero points, shape `(rows, groups, columns of a group or 1)`."""
    kinds = {(4, True): ov.Type.i4, (8, True): ov.Type.i8, (4, False): ov.Type.u4, (8, False): ov.Type.u8}
    kind = kinds[matrix.bits, matrix.zero_points is None]
    groups = list(matrix.scales.shape)
    scale_kind = ov.Type.f16 if matrix.scales.dtype == np.float16 else ov.Type.f32
    zero_points = matrix.zero_points
    return (
        _borrowed(matrix.codes, [*groups, matrix.group_size], kind),
        _borrowed(matrix.scales, [*groups, 1], scale_kind),
        None if zero_points is None else _borrowed(zero_points, [*groups, 1], ov.Type.f32),
    )


def _plain_constant(matrix: PlainMatrix, *, converted: bool = True) -> ov.Node:
    values = matrix.values
    kind = {np.dtype(np.float32): ov.Type.f32, np.dtype(np.float16): ov.Type.f16}.get(values.dtype, ov.Type.bf16)
    constant = _borrowed(values, list(values.shape), kind)
    return ops.convert(constant, "f32") if converted and kind != ov.Type.f32 else constant


def _borrowed(array: npt.NDArray[Any], shape: list[int], kind: ov.Type) -> ov.Node:
    """A constant over an array of any type, which is not copied."""
    assert array.flags.c_contiguous
    return ops.constant(ov.Tensor(array, ov.Shape(shape), kind), shared_memory=True)


def _number(value: int) -> ov.Output:
    return ops.constant(np.int32(value)).output(0)


def _nothing(kind: npt.DTypeLike) -> ov.Output:
    return ops.constant(np.zeros(0, kind)).output(0)


def _unused_inputs() -> list[ov.Output]:
    """What paged attention can do besides, turned off; the order is that of the operation's inputs from the 14th on."""
    return [
        _nothing(np.int32),  # score_aggregation_window
        _nothing(np.int32),  # rotated_block_indices
        _nothing(np.int32),  # rotation_deltas
        _nothing(np.float32),  # rotation_trig_lut
        _nothing(np.float32),  # xattention_threshold
        _number(0),  # xattention_block_size
        _number(0),  # xattention_stride
        _nothing(np.float32),  # sinks
        _number(0),  # adaptive_rkv_start_size
        _nothing(np.int32),  # adaptive_rkv_evictable_sizes
        _nothing(np.int32),  # adaptive_rkv_diversity_block_set_indices
        _nothing(np.int32),  # adaptive_rkv_diversity_block_set_indices_begins
        _nothing(np.int32),  # token_type_ids
        _nothing(np.uint8),  # qq_bias
        _nothing(np.int32),  # qq_bias_begins
    ]
