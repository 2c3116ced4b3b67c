#include "bench/micro/cases.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/check.h"
#include "common/random.h"

namespace bessemer::bench {
namespace {

// Enough different weights that the next call's have left every cache.
constexpr double kColdBytes = 512e6;

struct Operand {
  std::unique_ptr<Buffer> buffer;
  Mat mat;

  Operand(Backend& backend, int32_t rows, int32_t cols, Random& random)
      : buffer(*backend.allocate(sizeof(float) * static_cast<size_t>(rows) *
                                 static_cast<size_t>(cols))) {
    mat = {.buffer = buffer.get(), .rows = rows, .cols = cols, .row_stride = cols};
    for (int32_t r = 0; r < rows; ++r) {
      for (int32_t c = 0; c < cols; ++c)
        mat.row<float>(r)[c] = static_cast<float>(random.uniform() - 0.5);
    }
  }
};

// Random bytes make valid weights of any format; their values do not matter, but f16 scales are
// kept small lest products become infinite or subnormal and slow.
std::vector<std::byte> random_bytes(TensorType type, int32_t rows, int32_t cols, Random& random) {
  std::vector<std::byte> bytes(row_bytes(type, cols) * static_cast<size_t>(rows));
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    // 0x2 in the top nibble of every 16 bits: halves near 0.01, floats near 1e-18
    const uint64_t value = (random.next() & 0x0fff0fff0fff0fffu) | 0x2000200020002000u;
    std::memcpy(bytes.data() + i, &value, sizeof value);
  }
  return bytes;
}

struct Products {
  std::vector<WeightPtr> weights;
  std::unique_ptr<Operand> x, out;
  size_t next = 0;
};

Case product_case(Backend& backend, const std::string& name, TensorType type, int32_t outputs,
                  int32_t inputs, int32_t rows) {
  Random random(1);
  auto state = std::make_shared<Products>();
  const std::vector<std::byte> bytes = random_bytes(type, outputs, inputs, random);
  const WeightPart part{
      .name = "bench", .type = type, .bytes = bytes, .rows = outputs, .cols = inputs, .bias = {}};
  // Many rows reuse their weights, so those need not come from memory to be honest.
  const bool cold = rows <= 8;
  const auto packed = static_cast<double>((*backend.pack({&part, 1}))->size_bytes());
  const double copies = cold ? std::ceil(kColdBytes / packed) : 1;
  while (static_cast<double>(state->weights.size()) < copies)
    state->weights.push_back(*backend.pack({&part, 1}));
  state->x = std::make_unique<Operand>(backend, rows, inputs, random);
  state->out = std::make_unique<Operand>(backend, rows, outputs, random);
  const bool quantised = traits_of(type).block_values > 1;
  return {.name = name,
          .bytes = packed + 4.0 * rows * (inputs + outputs),
          .operations = 2.0 * rows * outputs * inputs,
          .bound = quantised ? Bound::int8 : Bound::f32,
          .cold = cold,
          .call = [&backend, state] {
            backend.linear(state->out->mat, state->x->mat,
                           *state->weights[state->next++ % state->weights.size()]);
          }};
}

// `sequences` of `length` positions each, the last `rows` of which are queries.
struct AttentionShape {
  int32_t sequences = 1, length = 0, rows = 1, query_heads = 0, kv_heads = 0, width = 0;
  DType dtype = DType::f16;
};

// Enough layers that the next call's keys and values have left every cache: between two of a
// model's layers the weights of a whole token pass through them. A prompt reads its chunks many
// times over.
struct Attention {
  KvPoolPtr pool;
  int32_t layers = 1, next = 0;
  Batch batch;
  std::unique_ptr<Operand> q, k, v, out;
};

// Rows [length - rows, length) of each sequence.
StepInputs last_rows(const AttentionShape& c, int32_t rows) {
  const int32_t blocks = (c.length + 15) / 16;
  StepInputs inputs;
  inputs.query_start = {0};
  StepInputs::Group& group = inputs.groups.emplace_back();
  group.table_stride = blocks;
  for (int32_t s = 0; s < c.sequences; ++s) {
    for (int32_t b = 0; b < blocks; ++b) group.table.push_back(s * blocks + b);
    for (int32_t position = c.length - rows; position < c.length; ++position) {
      inputs.ids.push_back(0);
      inputs.positions.push_back(position);
      group.store_at.push_back(s * blocks * 16 + position);
    }
    group.kv_len.push_back(c.length);
    inputs.query_start.push_back((s + 1) * rows);
  }
  return inputs;
}

Case attention_case(Backend& backend, const std::string& name, const AttentionShape& c) {
  Random random(2);
  auto state = std::make_shared<Attention>();
  KvLayout layout{.dtype = c.dtype,
                  .layers = {{.heads = c.kv_heads, .key_width = c.width, .value_width = c.width}},
                  .group_blocks = {c.sequences * ((c.length + 15) / 16)}};
  const double bytes = static_cast<double>(kv_block_bytes(layout, 0)) * layout.group_blocks[0];
  const bool cold = c.rows == 1;
  if (cold) state->layers = static_cast<int32_t>(std::ceil(kColdBytes / bytes));
  layout.layers.resize(static_cast<size_t>(state->layers), layout.layers[0]);
  state->pool = *backend.make_kv(layout);
  backend.begin_step(last_rows(c, c.length), state->batch);
  const Operand keys(backend, state->batch.rows, c.kv_heads * c.width, random),
      values(backend, state->batch.rows, c.kv_heads * c.width, random);
  for (int32_t layer = 0; layer < state->layers; ++layer)
    backend.store_kv(*state->pool, layer, keys.mat, values.mat, state->batch);
  backend.begin_step(last_rows(c, c.rows), state->batch);
  const int32_t total = c.sequences * c.rows;
  state->q = std::make_unique<Operand>(backend, total, c.query_heads * c.width, random);
  state->out = std::make_unique<Operand>(backend, total, c.query_heads * c.width, random);
  const AttentionParams params{.query_heads = c.query_heads,
                               .kv_heads = c.kv_heads,
                               .key_width = c.width,
                               .value_width = c.width,
                               .scale = 1 / std::sqrt(static_cast<float>(c.width))};
  const double visible = c.length - (c.rows - 1) / 2.0;  // on average
  return {.name = name,
          .bytes = bytes + 8.0 * total * c.query_heads * c.width,
          .operations = 4.0 * total * c.query_heads * visible * c.width,
          .bound = Bound::f32,
          .cold = cold,
          .call = [&backend, state, params] {
            const int32_t layer = state->next++ % state->layers;
            backend.attend(state->out->mat, state->q->mat, *state->pool, layer, state->batch,
                           params);
          }};
}

// Rows as a step of many sequences stores them: each at the begin of a block of its own.
Case store_case(Backend& backend, const std::string& name, int32_t rows, int32_t query_heads,
                int32_t kv_heads, int32_t width) {
  Random random(5);
  auto state = std::make_shared<Attention>();
  state->pool =
      *backend.make_kv({.layers = {{.heads = kv_heads, .key_width = width, .value_width = width}},
                        .group_blocks = {rows}});
  StepInputs inputs;
  inputs.query_start = {0, rows};
  StepInputs::Group& group = inputs.groups.emplace_back();
  group.kv_len = {1};
  for (int32_t r = 0; r < rows; ++r) {
    inputs.ids.push_back(0);
    inputs.positions.push_back(r);
    group.store_at.push_back(16 * r);
  }
  backend.begin_step(inputs, state->batch);
  state->q = std::make_unique<Operand>(backend, rows, query_heads * width, random);
  state->k = std::make_unique<Operand>(backend, rows, kv_heads * width, random);
  state->v = std::make_unique<Operand>(backend, rows, kv_heads * width, random);
  const std::vector<double> frequencies(static_cast<size_t>(width / 2), 0.01);
  const std::shared_ptr table = *backend.make_rope_table(frequencies, rows, 1.0f);
  const RopeParams params{.head_dim = width, .rotary_dim = width, .interleaved = true};
  const double rotated = 1.0 * rows * (query_heads + kv_heads) * width;
  return {.name = name,
          .bytes = 8.0 * rotated + rows * 4.0 * kv_heads * width * 2,
          .operations = 3.0 * rotated,
          .bound = Bound::f32,
          .call = [&backend, state, table, params] {
            backend.rope_store_kv(state->q->mat, state->k->mat, state->v->mat, *state->pool, 0,
                                  state->batch, *table, params);
          }};
}

struct Rows {
  std::unique_ptr<Operand> x, residual, out;
  WeightPtr weight;
};

Case norm_case(Backend& backend, const std::string& name, int32_t rows, int32_t width) {
  Random random(3);
  auto state = std::make_shared<Rows>();
  const std::vector<std::byte> bytes = random_bytes(TensorType::f32, 1, width, random);
  const WeightPart part{.name = "bench",
                        .type = TensorType::f32,
                        .bytes = bytes,
                        .rows = 1,
                        .cols = width,
                        .bias = {}};
  state->weight = *backend.pack({&part, 1});
  state->x = std::make_unique<Operand>(backend, rows, width, random);
  state->residual = std::make_unique<Operand>(backend, rows, width, random);
  state->out = std::make_unique<Operand>(backend, rows, width, random);
  return {.name = name,
          .bytes = 16.0 * rows * width,
          .operations = 5.0 * rows * width,
          .bound = Bound::f32,
          .call = [&backend, state] {
            backend.add_rms_norm(state->out->mat, state->residual->mat, state->x->mat,
                                 *state->weight, 1e-5f);
          }};
}

Case gate_case(Backend& backend, const std::string& name, int32_t rows, int32_t width) {
  Random random(4);
  auto state = std::make_shared<Rows>();
  state->x = std::make_unique<Operand>(backend, rows, 2 * width, random);
  state->out = std::make_unique<Operand>(backend, rows, width, random);
  // exp: a dozen multiply-adds
  return {.name = name,
          .bytes = 12.0 * rows * width,
          .operations = 30.0 * rows * width,
          .bound = Bound::f32,
          .call = [&backend, state] {
            backend.gated_act(state->out->mat, state->x->mat, Activation::silu);
          }};
}

}  // namespace

std::vector<CaseSource> all_cases() {
  std::vector<CaseSource> cases;
  const auto add = [&](const std::string& name, auto make) {
    cases.push_back({name, [name, make](Backend& backend) { return make(backend, name); }});
  };
  constexpr TensorType kTypes[] = {
      TensorType::q4_0, TensorType::q4_1, TensorType::q5_0, TensorType::q5_1, TensorType::q8_0,
      TensorType::q2_k, TensorType::q3_k, TensorType::q4_k, TensorType::q5_k, TensorType::q6_k,
      TensorType::f16,  TensorType::bf16, TensorType::f32};
  // 8192 x 2048: the wide products of a 1B Llama; 3072 x 576: SmolLM2-135M's.
  for (const auto& [outputs, inputs] : {std::pair{8192, 2048}, {3072, 576}}) {
    for (const int32_t rows : {1, 4, 16, 512}) {
      for (const TensorType type : kTypes) {
        if (rows == 512 && outputs == 8192 && type == TensorType::f32) continue;
        const int32_t o = outputs, i = inputs;
        if (i % traits_of(type).block_values != 0) continue;
        const std::string name = "linear " + std::string(traits_of(type).name) + " " +
                                 std::to_string(o) + "x" + std::to_string(i) + ", " +
                                 std::to_string(rows) + " rows";
        add(name, [=](Backend& backend, const std::string& n) {
          return product_case(backend, n, type, o, i, rows);
        });
      }
    }
  }
  // 9 query heads on 3 KV heads of 64: SmolLM2-135M; 32 on 8: Llama 1B
  for (const auto& [query_heads, kv_heads] : {std::pair{9, 3}, {32, 8}}) {
    const auto attend = [&, q = query_heads, kv = kv_heads](const std::string& what,
                                                            AttentionShape shape) {
      shape.query_heads = q, shape.kv_heads = kv, shape.width = 64;
      const std::string type = shape.dtype == DType::i8 ? " int8" : "";
      add("attend " + std::to_string(q) + "/" + std::to_string(kv) + "x64" + type + ", " + what,
          [=](Backend& b, const std::string& n) { return attention_case(b, n, shape); });
    };
    for (const int32_t length : {200, 2048, 8192}) {
      attend("1 row at " + std::to_string(length), {.length = length});
    }
    attend("16 sequences at 512", {.sequences = 16, .length = 512});
    for (const int32_t before : {0, 2048, 8192}) {
      attend("512 rows at " + std::to_string(before), {.length = before + 512, .rows = 512});
    }
    attend("1 row at 8192", {.length = 8192, .dtype = DType::i8});
    attend("512 rows at 2048", {.length = 2048 + 512, .rows = 512, .dtype = DType::i8});
  }
  for (const int32_t rows : {1, 512}) {
    const std::string suffix = ", " + std::to_string(rows) + " rows";
    add("add_rms_norm 576" + suffix,
        [=](Backend& b, const std::string& n) { return norm_case(b, n, rows, 576); });
    add("rope_store_kv 9/3x64" + suffix,
        [=](Backend& b, const std::string& n) { return store_case(b, n, rows, 9, 3, 64); });
    add("gated silu 1536" + suffix,
        [=](Backend& b, const std::string& n) { return gate_case(b, n, rows, 1536); });
  }
  return cases;
}

}  // namespace bessemer::bench
