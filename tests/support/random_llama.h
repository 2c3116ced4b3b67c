// Small Llama models with random weights, and random quantised blocks that hold sensible numbers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/random.h"
#include "common/tensor_type.h"
#include "tests/support/gguf_writer.h"

namespace bessemer::testing {

// `values` values of `type` whose root mean square per block is about `rms` (exact up to the
// rounding of the block's half scales). values is a multiple of the block.
std::vector<std::byte> random_blocks(TensorType type, int64_t values, double rms, Random& random);

struct RandomLlama {
  int32_t layers = 2, width = 64, heads = 4, kv_heads = 2, ff = 96, vocab = 320, context = 256;
  int32_t head_width = 0;  // 0: width / heads
  TensorType embedding = TensorType::f32, attention = TensorType::f32, mlp = TensorType::f32,
             output = TensorType::f32;
  // Of attn_v and ffn_down in the layers that llama-quantize gives more bits in its _M mixtures.
  std::optional<TensorType> finer = std::nullopt;
  bool tied = true;  // no output.weight: the embedding is the head
  bool attention_bias = false, mlp_bias = false;
  double rope_base = 10000;
  double rope_linear_factor = 0;  // > 0: llama.rope.scaling.type = linear
  std::vector<float> rope_frequency_factors =
      {};  // not empty: rope_freqs.weight, as Llama 3.1 has it
  float norm_eps = 1e-5f;
  bool vocabulary = true;  // byte-level BPE over all bytes, ChatML marks and template; needs vocab
                           // >= kMinVocabulary; further tokens are unused
  bool words = false;      // further tokens are words that no text becomes, but answers may have
  uint64_t seed = 1;
};
constexpr int32_t kMinVocabulary = 256 + 3;  // bytes, <|endoftext|>, <|im_start|>, <|im_end|>

// The same options give the same bytes.
GgufWriter random_llama(const RandomLlama& options);

}  // namespace bessemer::testing
