"""Steps on eight float64 at a time, for kernels in which LLVM would find no vectors by itself.

In: arrays, and where in them to begin. Out: what lies within a bound, packed one after another, and
counts. They compile to what the processor has (AVX-512, AVX2, NEON); the results are the same. No
step looks at the length of an array: the caller sees to it that eight can be read and written.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

_step: Any = intrinsic  # its type would ask kernels for the typing context

LANES = 8
COUNTED = 32

_F32, _F64, _I32, _I64 = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
_F64S, _I32S = ir.VectorType(_F64, LANES), ir.VectorType(_I32, LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)


def _pointer(context: Any, builder: Any, typ: Any, array: Any, index: Any, vector: Any) -> Any:
    data = context.make_array(typ)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(context: Any, builder: Any, typ: Any, array: Any, index: Any, vector: Any) -> Any:
    size = 8 if vector.element is _F64 else 4
    return builder.load(_pointer(context, builder, typ, array, index, vector), align=size)


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    none = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, none, zeros)


def _iota(builder: Any, first: Any) -> Any:
    steps = ir.Constant(_I32S, list(range(LANES)))
    return builder.add(_splat(builder, builder.trunc(first, _I32), _I32S), steps)


def _count(builder: Any, bits: Any, lanes: Any) -> Any:
    return builder.zext(builder.ctpop(builder.bitcast(bits, ir.IntType(lanes))), _I64)


def _append(
    context: Any, builder: Any, typ: Any, array: Any, index: Any, values: Any, bits: Any
) -> Any:
    vector = values.type
    name = "llvm.experimental.vector.compress." + ("v8f64" if vector is _F64S else "v8i32")
    kind = ir.FunctionType(vector, [vector, _BITS, vector])
    module = builder.module
    pack = module.globals.get(name) or ir.Function(module, kind, name)
    packed = builder.call(pack, [values, bits, ir.Constant(vector, ir.Undefined)])
    to = _pointer(context, builder, typ, array, index, vector)
    builder.store(packed, to, align=8 if vector is _F64S else 4)


def _gap(builder: Any, low: Any, high: Any, other_low: Any, other_high: Any) -> Any:
    """Distance between intervals, 0 where they meet, NaN where `low` is."""
    one, two = builder.fsub(low, other_high), builder.fsub(other_low, high)
    more = builder.select(builder.fcmp_ordered("<", one, two), two, one)
    zero = ir.Constant(_F64S, [0.0] * LANES)
    return builder.select(builder.fcmp_ordered("<", more, zero), zero, more)


def _d2(builder: Any, dx: Any, dy: Any) -> Any:
    return builder.fadd(builder.fmul(dx, dx), builder.fmul(dy, dy))


@_step
def pack_children(typing, boxes, first, stop, box, reach2, nodes, m):  # type: ignore[no-untyped-def]
    """Append to nodes[m:] the ones of eight boxes before `stop` that come within `reach2` of `box`.

    Returns the new m; eight slots are overwritten.
    """
    signature = types.uintp(boxes, first, stop, box, reach2, nodes, m)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = builder.mul(args[1], ir.Constant(_I64, 4))
        whole = ir.VectorType(_F64, 4 * LANES)
        eight = _load(context, builder, sig.args[0], args[0], start, whole)
        none = ir.Constant(whole, ir.Undefined)
        lanes = ir.VectorType(_I32, LANES)
        border = [
            builder.shuffle_vector(
                eight, none, ir.Constant(lanes, [4 * lane + side for lane in range(LANES)])
            )
            for side in range(4)
        ]
        own = [_splat(builder, builder.extract_value(args[3], side), _F64S) for side in range(4)]
        dx = _gap(builder, border[0], border[1], own[0], own[1])
        dy = _gap(builder, border[2], border[3], own[2], own[3])
        node = _iota(builder, args[1])
        near = builder.fcmp_ordered("<=", _d2(builder, dx, dy), _splat(builder, args[4], _F64S))
        end = _splat(builder, builder.trunc(args[2], _I32), _I32S)
        near = builder.and_(near, builder.icmp_signed("<", node, end))
        _append(context, builder, sig.args[5], args[5], args[6], node, near)
        return builder.add(args[6], _count(builder, near, LANES))

    return signature, build


@_step
def pack_boxes(typing, sides, room, nodes, i, x, y, bound2, hits, m):  # type: ignore[no-untyped-def]
    """Append to hits[m:] the ones of nodes[i:i + 8] whose boxes come within `bound2` of (x, y).

    The four sides of box i stand in sides[i], sides[room + i] and so on. Returns the new m; eight
    slots are overwritten.
    """
    signature = types.uintp(sides, room, nodes, i, x, y, bound2, hits, m)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        border, at = [], args[3]
        for _ in range(4):
            border.append(_load(context, builder, sig.args[0], args[0], at, _F64S))
            at = builder.add(at, args[1])
        x, y = _splat(builder, args[4], _F64S), _splat(builder, args[5], _F64S)
        dx = _gap(builder, border[0], border[1], x, x)
        dy = _gap(builder, border[2], border[3], y, y)
        d2 = _d2(builder, dx, dy)
        near = builder.fcmp_ordered("<=", d2, _splat(builder, args[6], _F64S))
        node = _load(context, builder, sig.args[2], args[2], args[3], _I32S)
        _append(context, builder, sig.args[7], args[7], args[8], node, near)
        return builder.add(args[8], _count(builder, near, LANES))

    return signature, build


@_step
def pack_points(typing, east, north, first, x, y, q, bound2, d2, at, m):  # type: ignore[no-untyped-def]
    """Append the ones of eight points from `first` that lie within `bound2` of (x, y), but for q.

    Their squared distances go to d2[m:], their places to at[m:]; eight slots are overwritten.
    Returns the new m.
    """
    signature = types.uintp(east, north, first, x, y, q, bound2, d2, at, m)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        east = _load(context, builder, sig.args[0], args[0], args[2], _F64S)
        north = _load(context, builder, sig.args[1], args[1], args[2], _F64S)
        dx = builder.fsub(east, _splat(builder, args[3], _F64S))
        dy = builder.fsub(north, _splat(builder, args[4], _F64S))
        d2, place = _d2(builder, dx, dy), _iota(builder, args[2])
        near = builder.fcmp_ordered("<=", d2, _splat(builder, args[6], _F64S))
        me = _splat(builder, builder.trunc(args[5], _I32), _I32S)
        near = builder.and_(near, builder.icmp_signed("!=", place, me))
        _append(context, builder, sig.args[7], args[7], args[9], d2, near)
        _append(context, builder, sig.args[8], args[8], args[9], place, near)
        return builder.add(args[9], _count(builder, near, LANES))

    return signature, build


@_step
def count_below(typing, values, i, limit):  # type: ignore[no-untyped-def]
    """How many of the float32 values[i:i + 32] are less than `limit`."""
    signature = types.uintp(values, i, limit)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = ir.VectorType(_F32, COUNTED)
        some = _load(context, builder, sig.args[0], args[0], args[1], vector)
        below = builder.fcmp_ordered("<", some, _splat(builder, args[2], vector))
        return _count(builder, below, COUNTED)

    return signature, build
