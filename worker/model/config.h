// What a file says of a decoder's shape and arithmetic: GGUF's "<architecture>.*" keys, checked and
// with the field's defaults.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/format/gguf.h"

namespace bessemer {

struct DecoderConfig {
  int32_t layers = 0, width = 0, ff = 0;  // ff: rows of gate and of up
  int32_t heads = 0, kv_heads = 0;
  int32_t key_width = 0, value_width = 0;  // per head
  int32_t vocab = 0;                       // rows of the embedding
  int32_t context = 0;                     // trained context, tokens
  float norm_eps = 0;
  float attention_scale = 0;                // 1 / sqrt(key_width) unless the file says otherwise
  int32_t rotary_width = 0;                 // leading values of a head that are rotated; even
  std::vector<double> inverse_frequencies;  // rotary_width / 2
};

// Reads the keys of `architecture` ("llama" -> "llama.block_count"...). InvalidArgument names key
// and file: a key that is missing, out of range or at odds with another; Unimplemented: one that
// asks for arithmetic which is not built.
StatusOr<DecoderConfig> read_decoder_config(const GgufFile& file, const std::string& architecture);

// 1 / base^(2i / width), over `linear_factor` and, where the file has them, over per-frequency
// `factors` (llama3 scaling as GGUF's rope_freqs.weight carries it). Computed in double.
std::vector<double> inverse_frequencies(double base, int32_t width, double linear_factor,
                                        std::span<const float> factors);

}  // namespace bessemer
