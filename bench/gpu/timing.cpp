#include "bench/gpu/timing.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace bessemer::bench {
namespace {

// Two upload slots, each seen, recorded and replayed once.
constexpr int kWarmUps = 6;

double once(Backend& backend, const StepKey& key, const StepInputs& inputs,
            const std::function<void(const Batch&)>& body) {
  Batch batch;
  backend.begin_step(inputs, batch);
  const TimePoint start = SteadyClock().now();
  const Ticket ticket = backend.run(key, [&] { body(batch); });
  const Status status = backend.wait(ticket, TimePoint::max());
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    std::exit(1);
  }
  return std::chrono::duration<double>(SteadyClock().now() - start).count();
}

}  // namespace

double time_step(Backend& backend, int32_t program, const StepInputs& inputs,
                 const std::function<void(const Batch&)>& body, int rounds) {
  const StepKey key{.program = program,
                    .rows = static_cast<int32_t>(inputs.ids.size()),
                    .flags = StepKey::kReplayable};
  for (int i = 0; i < kWarmUps; ++i) once(backend, key, inputs, body);
  std::vector<double> seconds;
  for (int i = 0; i < rounds; ++i) seconds.push_back(once(backend, key, inputs, body));
  std::ranges::nth_element(seconds, seconds.begin() + rounds / 2);
  return seconds[static_cast<size_t>(rounds / 2)];
}

Operand::Operand(Backend& backend, int32_t rows, int32_t cols, Random& random) {
  std::vector<float> values(static_cast<size_t>(rows) * static_cast<size_t>(cols));
  for (float& value : values) value = static_cast<float>(random.uniform() - 0.5);
  buffer = *backend.allocate(values.size() * sizeof(float));
  buffer->write(0, std::as_bytes(std::span(values)));
  mat = {.buffer = buffer.get(), .rows = rows, .cols = cols, .row_stride = cols};
}

std::vector<std::byte> random_weight(TensorType type, int32_t rows, int32_t cols, Random& random) {
  std::vector<std::byte> bytes(row_bytes(type, cols) * static_cast<size_t>(rows));
  // Quantised: 0x2 in the top nibble of every 16 bits makes halves near 0.01 wherever scales are. Floats: sign and mantissa
  // are random.
  const bool floats = traits_of(type).block_values == 1;
  const uint64_t keep = floats ? 0x80ff80ff80ff80ffu : 0x0fff0fff0fff0fffu,
                 set = floats ? 0x3c003c003c003c00u : 0x2000200020002000u;
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t value = (random.next() & keep) | set;
    std::memcpy(bytes.data() + i, &value, sizeof value);
  }
  return bytes;
}

int32_t decode_blocks(int32_t sequences, int32_t context, int32_t block_tokens) {
  return sequences * ((context + block_tokens - 1) / block_tokens);
}

StepInputs decode_inputs(int32_t sequences, int32_t context, int32_t block_tokens, Random& random) {
  StepInputs inputs;
  inputs.query_start = {0};
  StepInputs::Group& group = inputs.groups.emplace_back();
  group.table.resize(static_cast<size_t>(decode_blocks(sequences, context, block_tokens)));
  group.table_stride = static_cast<int32_t>(group.table.size()) / sequences;
  std::iota(group.table.begin(), group.table.end(), 0);
  for (size_t i = group.table.size(); i > 1; --i)
    std::swap(group.table[i - 1], group.table[random.below(i)]);
  for (int32_t s = 0; s < sequences; ++s) {
    inputs.ids.push_back(s);
    inputs.positions.push_back(context - 1);
    inputs.query_start.push_back(s + 1);
    inputs.out_rows.push_back(s);
    group.kv_len.push_back(context);
    const int32_t last = group.table[static_cast<size_t>((s + 1) * group.table_stride - 1)];
    group.store_at.push_back(last * block_tokens + (context - 1) % block_tokens);
  }
  return inputs;
}

}  // namespace bessemer::bench
