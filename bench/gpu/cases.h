// What bench_gpu measures, for the shape of Llama-3.1-8B.
#pragma once
#include <string>
#include <vector>

#include "bench/gpu/timing.h"

namespace bessemer::bench {

// Bytes read and written a second by a copy of 1 GiB on device 0, the best of several.
double copy_bandwidth();
std::string device_name();

struct LlamaShape {
  int32_t layers = 32, width = 4096, heads = 32, kv_heads = 8, head_width = 128, ff = 14336,
          vocab = 128256;
};

// Each product of a layer and the head in each format, for few rows (weights from memory: more of them than the cache
// holds) and for many.
std::vector<Figure> measure_products(Backend& backend, const std::string& filter);
// Decode over long contexts, and a prompt's chunk.
std::vector<Figure> measure_attention(Backend& backend, const std::string& filter);
// The forward pass of a whole step, op for op as worker/model/llama.cpp issues it, with random weights of one format; the
// head is q6_k beside quantised layers. No sampling.
std::vector<Figure> measure_decode(Backend& backend, const std::string& filter);

}  // namespace bessemer::bench
