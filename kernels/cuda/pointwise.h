// Ops on rows of f32; what each computes is worker/backend/backend.h's.
#pragma once
#include "kernels/cuda/rows.h"

namespace bessemer::cuda {

enum class GateKind : uint8_t { silu, gelu, gelu_tanh, relu };

// How heads are rotated: cosines and sines [position][pairs].
struct Rotation {
  const float *cosines = nullptr, *sines = nullptr;
  int32_t pairs = 0, head_dim = 0;
  bool interleaved = false;
};

// out = x / sqrt(mean(x^2) + eps) * w. `out` may be `x`.
void rms_norm(Rows out, const ConstRows& x, const float* w, float eps, cudaStream_t stream);
// residual += x, then out = rms_norm(residual): the bits of add() and rms_norm().
void add_rms_norm(Rows out, Rows residual, const ConstRows& x, const float* w, float eps,
                  cudaStream_t stream);
void add(Rows inout, const ConstRows& x, cudaStream_t stream);
// gate_up = [gate | up]; `out` may be the gate half.
void gated_act(Rows out, const ConstRows& gate_up, GateKind kind, cudaStream_t stream);
// Rotates every head of `inout` by positions[row].
void rope(Rows inout, const int32_t* positions, const Rotation& rotation, cudaStream_t stream);
// out[i] = x[at[i]], i < out.rows
void get_rows(Rows out, const ConstRows& x, const int32_t* at, cudaStream_t stream);
void copy_rows(Rows out, const ConstRows& x, cudaStream_t stream);

}  // namespace bessemer::cuda
