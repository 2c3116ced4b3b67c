#include <cmath>

#include "bench/gpu/cases.h"

namespace bessemer::bench {
namespace {

// Twice what an H100's cache holds.
constexpr double kColdBytes = 128e6;
constexpr int32_t kFirstProgram = 1000;

struct Shape {
  const char* name;
  int32_t outputs, inputs;
};

Figure measure(Backend& backend, int32_t program, const std::string& name, TensorType type,
               const Shape& shape, int32_t rows) {
  Random random(1);
  const std::vector<std::byte> bytes = random_weight(type, shape.outputs, shape.inputs, random);
  const WeightPart part{.name = name,
                        .type = type,
                        .bytes = bytes,
                        .rows = shape.outputs,
                        .cols = shape.inputs,
                        .bias = {}};
  std::vector<WeightPtr> weights;
  weights.push_back(*backend.pack({&part, 1}));
  const auto packed = static_cast<double>(weights.front()->size_bytes());
  const auto copies = static_cast<size_t>(std::ceil(kColdBytes / packed)) + 1;
  while (weights.size() < copies) weights.push_back(*backend.pack({&part, 1}));
  // Enough products that the step's start does not show.
  const size_t calls = std::max<size_t>(copies, 16) / copies * copies;
  const Operand x(backend, rows, shape.inputs, random), out(backend, rows, shape.outputs, random);
  StepInputs inputs;
  inputs.query_start = {0};
  const double seconds = time_step(backend, program, inputs, [&](const Batch&) {
    for (size_t i = 0; i < calls; ++i) backend.linear(out.mat, x.mat, *weights[i % weights.size()]);
  });
  return {.name = name,
          .seconds = seconds / static_cast<double>(calls),
          .bytes = packed + 4.0 * rows * (shape.inputs + shape.outputs),
          .operations = 2.0 * rows * shape.outputs * shape.inputs};
}

}  // namespace

std::vector<Figure> measure_products(Backend& backend, const std::string& filter) {
  const LlamaShape llama;
  const Shape shapes[] = {
      {"qkv", (llama.heads + 2 * llama.kv_heads) * llama.head_width, llama.width},
      {"o", llama.width, llama.heads * llama.head_width},
      {"gate_up", 2 * llama.ff, llama.width},
      {"down", llama.width, llama.ff},
      {"head", llama.vocab, llama.width}};
  std::vector<Figure> figures;
  int32_t program = kFirstProgram;
  for (const TensorType type :
       {TensorType::bf16, TensorType::q4_0, TensorType::q4_1, TensorType::q4_k, TensorType::q5_k,
        TensorType::q6_k, TensorType::q8_0}) {
    for (const Shape& shape : shapes) {
      for (const int32_t rows : {1, 8, 32, 512}) {
        const std::string name = "linear " + std::string(traits_of(type).name) + " " + shape.name +
                                 " rows " + std::to_string(rows);
        ++program;
        if (name.find(filter) == std::string::npos) continue;
        figures.push_back(measure(backend, program, name, type, shape, rows));
      }
    }
  }
  return figures;
}

}  // namespace bessemer::bench
