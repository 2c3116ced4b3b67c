#include <cmath>

#include "bench/gpu/cases.h"

namespace bessemer::bench {
namespace {

constexpr int32_t kFirstProgram = 2000;
constexpr int32_t kLayers = 4;  // different ones in turn, so that little of the KV is in the cache

// `rows` of each of `sequences`, at the end of contexts of `context` positions.
struct Shape {
  int32_t sequences, rows, context;
};

StepInputs prompt_inputs(const Shape& shape, const KvLayout& layout, Random& random) {
  StepInputs inputs = decode_inputs(shape.sequences, shape.context, layout.block_tokens, random);
  inputs.ids.clear();
  inputs.positions.clear();
  inputs.query_start = {0};
  inputs.groups[0].store_at.clear();
  for (int32_t s = 0; s < shape.sequences; ++s) {
    for (int32_t r = 0; r < shape.rows; ++r) {
      inputs.ids.push_back(0);
      inputs.positions.push_back(shape.context - shape.rows + r);
      inputs.groups[0].store_at.push_back(-1);
    }
    inputs.query_start.push_back(static_cast<int32_t>(inputs.ids.size()));
  }
  return inputs;
}

// Every position of the pool gets random keys and values.
void fill(Backend& backend, KvPool& pool, const KvLayout& layout, Random& random) {
  constexpr int32_t kRows = 1024;
  const int32_t slots = layout.group_blocks[0] * layout.block_tokens,
                width = layout.layers[0].heads * layout.layers[0].key_width;
  const Operand k(backend, kRows, width, random), v(backend, kRows, width, random);
  for (int32_t first = 0; first < slots; first += kRows) {
    StepInputs inputs;
    inputs.query_start = {0};
    StepInputs::Group& group = inputs.groups.emplace_back();
    for (int32_t r = 0; r < kRows; ++r) {
      inputs.ids.push_back(0);
      inputs.positions.push_back(0);
      group.store_at.push_back(first + r < slots ? first + r : -1);
    }
    Batch batch;
    backend.begin_step(inputs, batch);
    const Ticket ticket = backend.run({}, [&] {
      for (int32_t layer = 0; layer < kLayers; ++layer)
        backend.store_kv(pool, layer, k.mat, v.mat, batch);
    });
    (void)backend.wait(ticket, TimePoint::max());
  }
}

Figure measure(Backend& backend, int32_t program, const std::string& name, const Shape& shape,
               DType dtype) {
  Random random(2);
  const LlamaShape llama;
  const KvLayer layer{
      .heads = llama.kv_heads, .key_width = llama.head_width, .value_width = llama.head_width};
  const KvLayout layout{.dtype = dtype,
                        .layers = std::vector<KvLayer>(kLayers, layer),
                        .group_blocks = {decode_blocks(shape.sequences, shape.context, 16)}};
  const KvPoolPtr pool = *backend.make_kv(layout);
  fill(backend, *pool, layout, random);
  const int32_t rows = shape.sequences * shape.rows, width = llama.heads * llama.head_width;
  const Operand q(backend, rows, width, random), out(backend, rows, width, random);
  const AttentionParams params{.query_heads = llama.heads,
                               .kv_heads = llama.kv_heads,
                               .key_width = llama.head_width,
                               .value_width = llama.head_width,
                               .scale = 1 / std::sqrt(static_cast<float>(llama.head_width))};
  const double seconds =
      time_step(backend, program, prompt_inputs(shape, layout, random), [&](const Batch& batch) {
        for (int32_t i = 0; i < kLayers; ++i)
          backend.attend(out.mat, q.mat, *pool, i, batch, params);
      });
  const double kv =
      2.0 * static_cast<double>(kv_row_bytes(dtype, llama.head_width)) * llama.kv_heads;
  // A row sees what lies before it: on average the context less half of the rows.
  const double seen = shape.context - (shape.rows - 1) / 2.0;
  return {.name = name,
          .seconds = seconds / kLayers,
          .bytes = kv * shape.context * shape.sequences + 8.0 * rows * width,
          .operations = 4.0 * rows * width * seen};
}

}  // namespace

std::vector<Figure> measure_attention(Backend& backend, const std::string& filter) {
  std::vector<Figure> figures;
  int32_t program = kFirstProgram;
  for (const auto& [name, dtype] :
       {std::pair{"f16", DType::f16}, {"bf16", DType::bf16}, {"int8", DType::i8}}) {
    for (const Shape& shape : {Shape{1, 1, 1024},
                               {1, 1, 8192},
                               {8, 1, 8192},
                               {32, 1, 2048},
                               {1, 512, 512},
                               {1, 512, 4096}}) {
      const std::string title =
          std::string("attend ") + name + " " + std::to_string(shape.sequences) + " x " +
          std::to_string(shape.rows) + " rows, context " + std::to_string(shape.context);
      ++program;
      if (title.find(filter) == std::string::npos) continue;
      figures.push_back(measure(backend, program, title, shape, dtype));
    }
  }
  return figures;
}

}  // namespace bessemer::bench
