#!/usr/bin/env python3
"""Makes dequantize.bin, the expected results of worker/format/dequantize.h, with the `gguf` package's dequantisers.

The file is a row of records of little-endian values:
    u32 kind, u32 input bytes, u32 output bytes, input, output
kind: a ggml_type (input: blocks, output: float32), FLOAT_TO_HALF or FLOAT_TO_BFLOAT (input: float32, output: uint16).

    dequantize.py            writes dequantize.bin beside this script
    dequantize.py --check    exits 1 if the committed file differs from what the installed packages give
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type, dequantize, quantize

FLOAT_TO_HALF, FLOAT_TO_BFLOAT = 1000, 1001
BLOCKS = {32: 16, 256: 4, 1: 1024}  # of a type, by its block size
# Byte offsets of the half-precision fields of a block; random bits there would be NaN now and then.
HALVES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}
# What a scale may be: ordinary, negative, either zero, subnormal, the least normal, the largest.
SPECIAL_HALVES = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF], dtype=np.uint16)


def finite_halves(random, count):
    ordinary = random.normal(0, 0.05, count).astype(np.float16).view(np.uint16)
    special = random.choice(SPECIAL_HALVES, count)
    return np.where(random.random(count) < 0.25, special, ordinary)


def blocks_of(kind, random):
    values, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (BLOCKS[values], size), dtype=np.uint8)
    for offset in HALVES.get(kind, []):
        blocks[:, offset : offset + 2] = finite_halves(random, len(blocks)).view(np.uint8).reshape(-1, 2)
    if kind == Type.F16:  # all but NaN, whose payload is nobody's promise
        bits = blocks.view(np.uint16)
        bits[(bits & 0x7C00 == 0x7C00) & (bits & 0x3FF != 0)] = 0x7C00
    return blocks


def floats(random):
    """Bit patterns of every exponent, and those around the borders of half precision."""
    bits = random.integers(0, 1 << 32, 2048, dtype=np.uint64).astype(np.uint32)
    small = random.uniform(-7e4, 7e4, 1024).astype(np.float32)
    tiny = (random.uniform(-1, 1, 1024) * 2.0**-14).astype(np.float32)
    ties = (random.integers(0, 4096, 1024) * 2.0**-25).astype(np.float32)
    borders = np.array([0, -0.0, 65504, 65519.996, 65520, 2.0**-14, 2.0**-24, 2.0**-25, 2.9802326e-08, np.inf, -np.inf],
                       dtype=np.float32)
    values = np.concatenate([bits.view(np.float32), small, tiny, ties, borders])
    return values[~np.isnan(values)]


def record(kind, source, result):
    source, result = source.tobytes(), result.tobytes()
    return struct.pack("<III", kind, len(source), len(result)) + source + result


def golden():
    random = np.random.default_rng(20240917)
    kinds = [Type.F32, Type.F16, Type.BF16, *HALVES]
    out = []
    for kind in kinds:
        blocks = blocks_of(kind, random)
        out.append(record(kind.value, blocks, dequantize(blocks, kind).astype(np.float32, copy=False)))
    values = floats(random)
    with np.errstate(over="ignore"):
        out.append(record(FLOAT_TO_HALF, values, values.astype(np.float16)))
    out.append(record(FLOAT_TO_BFLOAT, values, quantize(values, Type.BF16)))
    return b"".join(out)


def main():
    path = Path(__file__).with_name("dequantize.bin")
    data = golden()
    if "--check" in sys.argv[1:]:
        if path.read_bytes() != data:
            sys.exit(f"{path} differs from what the gguf package gives; run {Path(__file__).name} and look at the change")
        print(f"{path.name}: as the gguf package gives it, {len(data)} bytes")
    else:
        path.write_bytes(data)


if __name__ == "__main__":
    main()
