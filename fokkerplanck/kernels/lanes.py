"""Numbers of several chains side by side, in the vector registers of the processor.

``load``, ``gather`` and ``fill`` give a vector of LANES numbers, ``store`` writes one. Operators (+ − × ÷ of numbers in double
precision; + ^ | << >> of words of 64 bits) act on each lane alone: it has bitwise what it would have by itself, whatever is in
the others. LLVM cuts vectors into as many registers as the processor needs.

Numba's cache of ``draws`` and ``counts`` does not notice changes here: touch those files after one.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

LANES = 16  # two registers of 512 bits: one waits for its additions while the other adds

I32, I64 = ir.IntType(32), ir.IntType(64)
VECTORS = {types.float64: ir.VectorType(ir.DoubleType(), LANES), types.uint64: ir.VectorType(I64, LANES)}
HALVES = ir.VectorType(I32, LANES)


class Lanes(types.Type):  # type: ignore[misc]
    """Numba's type of a vector of numbers of one type."""

    def __init__(self, number: Any) -> None:
        self.number = number
        super().__init__(name=f"Lanes({number}, {LANES})")


numbers, words = Lanes(types.float64), Lanes(types.uint64)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    """In LLVM's terms."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTORS[kind.number])


def entry(context, builder, kind, array, at):
    """Pointer to an entry of a contiguous array, counted from its first."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


@intrinsic
def load(typing, array, at):
    """The entries ``at``, ``at + 1``, … of a contiguous array."""

    def code(context, builder, signature, args):
        place = entry(context, builder, signature.args[0], args[0], args[1])
        vector = builder.load(builder.bitcast(place, VECTORS[signature.args[0].dtype].as_pointer()))
        vector.align = 8
        return vector

    return Lanes(array.dtype)(array, types.int64), code


@intrinsic
def store(typing, array, at, vector):
    """Write the entries ``at``, ``at + 1``, … of a contiguous array; into one of half words, the lower halves."""

    def code(context, builder, signature, args):
        place, vector = entry(context, builder, signature.args[0], args[0], args[1]), args[2]
        if signature.args[0].dtype == types.uint32:
            vector = builder.trunc(vector, HALVES)
        builder.store(vector, builder.bitcast(place, vector.type.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), code


@intrinsic
def gather(typing, table, width, column, indices, at):
    """Entries ``column`` of the rows ``indices[at]``, ``indices[at + 1]``, … of a table with rows of ``width`` numbers.

    The indices are not negative, and the table never changes: what is read once need not be read again.
    """

    def code(context, builder, signature, args):
        first = entry(context, builder, signature.args[0], args[0], args[2])
        rows = entry(context, builder, signature.args[3], args[3], args[4])
        constant, vector = builder.module.add_metadata([]), ir.Constant(VECTORS[types.float64], ir.Undefined)
        for lane in range(LANES):
            row = builder.zext(builder.load(builder.gep(rows, [I64(lane)])), I64)
            number = builder.load(builder.gep(first, [builder.mul(row, args[1])]))
            number.set_metadata("invariant.load", constant)
            vector = builder.insert_element(vector, number, I32(lane))
        return vector

    return numbers(table, types.int64, types.int64, indices, types.int64), code


@intrinsic
def fill(typing, number):
    """A number in every lane."""

    def code(context, builder, signature, args):
        nothing = ir.Constant(VECTORS[signature.args[0]], ir.Undefined)
        one = builder.insert_element(nothing, args[0], I32(0))
        return builder.shuffle_vector(one, nothing, ir.Constant(HALVES, [0] * LANES))

    return Lanes(number)(number), code


@intrinsic
def exponential(typing, vector):
    """That of the mathematical library, lane by lane."""

    def code(context, builder, signature, args):
        function, result = builder.module.declare_intrinsic("llvm.exp", [ir.DoubleType()]), args[0]
        for lane in range(LANES):
            number = builder.call(function, [builder.extract_element(args[0], I32(lane))])
            result = builder.insert_element(result, number, I32(lane))
        return result

    return numbers(numbers), code


def define(symbol: Any, kind: Lanes, name: str) -> None:
    """Let a symbol of Python act on vectors of one kind by an instruction of LLVM."""

    @intrinsic
    def instruction(typing, a, b):
        return kind(kind, kind), lambda context, builder, signature, args: getattr(builder, name)(*args)

    @overload(symbol)
    def act(a, b):
        return (lambda a, b: instruction(a, b)) if a == kind and b == kind else None


for symbol, name in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    define(getattr(operator, symbol), numbers, name)
for symbol, name in (("add", "add"), ("xor", "xor"), ("or_", "or_"), ("lshift", "shl"), ("rshift", "lshr")):
    define(getattr(operator, symbol), words, name)
