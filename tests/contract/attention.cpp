#include "tests/contract/attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "worker/format/dequantize.h"

namespace bessemer {
namespace {

float rounded(float value, float largest, DType dtype) {
  switch (dtype) {
    case DType::f16:
      return half_to_float(float_to_half(value));
    case DType::bf16:
      return bfloat_to_float(float_to_bfloat(value));
    case DType::i8:
      return std::nearbyint(value * (127.0f / largest)) * (largest / 127.0f);
    default:
      return value;
  }
}

// Rows of `width` as a pool keeps them.
std::vector<float> kept(const std::vector<float>& rows, int32_t width, DType dtype) {
  std::vector<float> out;
  for (auto row = rows.begin(); row != rows.end(); row += width) {
    float largest = 0;
    for (auto at = row; at != row + width; ++at) largest = std::max(largest, std::abs(*at));
    for (auto at = row; at != row + width; ++at) out.push_back(rounded(*at, largest, dtype));
  }
  return out;
}

void put_row(const Matrix& to, int32_t row, const std::vector<float>& from, int32_t position) {
  for (int32_t c = 0; c < to.cols(); ++c)
    to.at(row, c) = from[static_cast<size_t>(position * to.cols() + c)];
}

}  // namespace

Schedule whole(const AttentionCase& c) {
  return {c.lengths};
}

Schedule one_by_one(const AttentionCase& c) {
  Schedule schedule;
  for (int32_t i = 0; i < *std::max_element(c.lengths.begin(), c.lengths.end()); ++i) {
    std::vector<int32_t>& rows = schedule.emplace_back();
    for (const int32_t length : c.lengths) rows.push_back(i < length ? 1 : 0);
  }
  return schedule;
}

Schedule drawn(const AttentionCase& c, Random& random) {
  Schedule schedule;
  std::vector<int32_t> left = c.lengths;
  while (std::accumulate(left.begin(), left.end(), 0) > 0) {
    std::vector<int32_t>& rows = schedule.emplace_back();
    for (int32_t& rest : left) {
      const auto take = static_cast<int32_t>(random.between(0, std::min(rest, 60)));
      rows.push_back(take);
      rest -= take;
    }
  }
  return schedule;
}

AttentionWorld::AttentionWorld(const AttentionCase& c, uint64_t seed) : case_(c) {
  Random random(seed);
  for (const int32_t length : c.lengths) {
    Sequence& sequence = sequences_.emplace_back();
    for (int32_t i = 0; i < length * c.query_heads * c.key_width; ++i)
      sequence.q.push_back(normal(random));
    for (int32_t i = 0; i < length * c.kv_heads * c.key_width; ++i)
      sequence.k.push_back(normal(random));
    for (int32_t i = 0; i < length * c.kv_heads * c.value_width; ++i)
      sequence.v.push_back(normal(random));
    sequence.k_kept = kept(sequence.k, c.key_width, c.dtype);
    sequence.v_kept = kept(sequence.v, c.value_width, c.dtype);
    sequence.blocks.resize(static_cast<size_t>((length + c.block_tokens - 1) / c.block_tokens));
    pool_blocks_ += static_cast<int32_t>(sequence.blocks.size()) + 1;
  }
  // Blocks are dealt in random order; one for each sequence stays free.
  std::vector<int32_t> ids(static_cast<size_t>(pool_blocks_));
  std::iota(ids.begin(), ids.end(), 0);
  for (size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random.below(i)]);
  for (Sequence& sequence : sequences_) {
    for (int32_t& block : sequence.blocks) {
      block = ids.back();
      ids.pop_back();
    }
  }
}

KvLayout AttentionWorld::layout() const {
  return {.block_tokens = case_.block_tokens,
          .dtype = case_.dtype,
          .layers = {{.group = 0,
                      .heads = case_.kv_heads,
                      .key_width = case_.key_width,
                      .value_width = case_.value_width}},
          .group_blocks = {pool_blocks_}};
}

KvPoolPtr AttentionWorld::poisoned_pool(Backend& backend) const {
  StatusOr<KvPoolPtr> pool = backend.make_kv(layout());
  EXPECT_TRUE(pool.ok()) << pool.status();
  const int32_t slots = pool_blocks_ * case_.block_tokens;
  StepInputs inputs = plain_step(slots);
  inputs.groups.push_back(
      {.store_at = inputs.positions, .table = {0}, .table_stride = 1, .kv_len = {slots}});
  Batch batch;
  backend.begin_step(inputs, batch);
  Matrix k(backend, slots, case_.kv_heads * case_.key_width),
      v(backend, slots, case_.kv_heads * case_.value_width);
  k.fill(*std::make_unique<Random>(1), NAN);
  v.fill(*std::make_unique<Random>(1), NAN);
  bessemer::run(backend, [&] { backend.store_kv(**pool, 0, k.mat(), v.mat(), batch); });
  return *std::move(pool);
}

std::vector<float> AttentionWorld::run(Backend& backend, const Schedule& schedule) const {
  const int32_t out_width = case_.query_heads * case_.value_width;
  std::vector<std::vector<float>> results(sequences_.size());
  std::vector<int32_t> done(sequences_.size(), 0);
  const KvPoolPtr pool = poisoned_pool(backend);
  for (const std::vector<int32_t>& rows : schedule) {
    StepInputs inputs;
    inputs.query_start = {0};
    StepInputs::Group& group = inputs.groups.emplace_back();
    for (const Sequence& s : sequences_)
      group.table_stride = std::max(group.table_stride, static_cast<int32_t>(s.blocks.size()));
    std::vector<std::pair<size_t, int32_t>> where;  // sequence and position of each row
    for (size_t s = 0; s < sequences_.size(); ++s) {
      if (rows[s] == 0) continue;
      for (int32_t p = done[s]; p < done[s] + rows[s]; ++p) where.emplace_back(s, p);
      done[s] += rows[s];
      inputs.query_start.push_back(static_cast<int32_t>(where.size()));
      group.kv_len.push_back(done[s]);
      std::vector<int32_t> table = sequences_[s].blocks;
      table.resize(static_cast<size_t>(group.table_stride), -1);
      group.table.insert(group.table.end(), table.begin(), table.end());
    }
    if (where.empty()) continue;
    const auto count = static_cast<int32_t>(where.size()) + 1;  // and one row of padding
    Matrix q(backend, count, case_.query_heads * case_.key_width, 2),
        k(backend, count, case_.kv_heads * case_.key_width, 1);
    Matrix v(backend, count, case_.kv_heads * case_.value_width), out(backend, count, out_width, 3);
    for (int32_t r = 0; r + 1 < count; ++r) {
      const auto [s, p] = where[static_cast<size_t>(r)];
      inputs.ids.push_back(0);
      inputs.positions.push_back(p);
      group.store_at.push_back(sequences_[s].blocks[static_cast<size_t>(p / case_.block_tokens)] *
                                   case_.block_tokens +
                               p % case_.block_tokens);
      put_row(q, r, sequences_[s].q, p);
      put_row(k, r, sequences_[s].k, p);
      put_row(v, r, sequences_[s].v, p);
    }
    inputs.ids.push_back(0);
    inputs.positions.push_back(0);
    group.store_at.push_back(-1);
    Batch batch;
    backend.begin_step(inputs, batch);
    const AttentionParams params{.query_heads = case_.query_heads,
                                 .kv_heads = case_.kv_heads,
                                 .key_width = case_.key_width,
                                 .value_width = case_.value_width,
                                 .scale = 1 / std::sqrt(static_cast<float>(case_.key_width)),
                                 .causal = case_.causal};
    bessemer::run(backend, [&] {
      backend.store_kv(*pool, 0, k.mat(), v.mat(), batch);
      backend.attend(out.mat(), q.mat(), *pool, 0, batch, params);
    });
    EXPECT_TRUE(out.gap_untouched());
    for (int32_t r = 0; r + 1 < count; ++r) {
      std::vector<float>& result = results[where[static_cast<size_t>(r)].first];
      for (int32_t c = 0; c < out_width; ++c) result.push_back(out.at(r, c));
    }
  }
  std::vector<float> all;
  for (const std::vector<float>& result : results)
    all.insert(all.end(), result.begin(), result.end());
  return all;
}

// softmax(q K^T / sqrt(width)) V of one head at one position. Errors: a score's product makes at
// most key_width + 3 roundings of its terms' magnitude (one of int8's scale); a weight is off by twice the largest
// score's error (its own and the maximum's) and the exponential's 5e-7; weights and values are
// summed with as many roundings as there are positions.
void AttentionWorld::expect_head(const Sequence& sequence, int32_t length, int32_t position,
                                 int32_t head, Expected& out) const {
  const AttentionCase& c = case_;
  const int32_t kv_head = head / (c.query_heads / c.kv_heads),
                visible = c.causal ? position + 1 : length;
  const float* q =
      &sequence.q[static_cast<size_t>((position * c.query_heads + head) * c.key_width)];
  std::vector<double> scores;
  double score_error = 0;
  for (int32_t j = 0; j < visible; ++j) {
    const float* k =
        &sequence.k_kept[static_cast<size_t>((j * c.kv_heads + kv_head) * c.key_width)];
    double dot = 0, magnitude = 0;
    for (int32_t d = 0; d < c.key_width; ++d) {
      const double term = static_cast<double>(q[d]) * k[d];
      dot += term;
      magnitude += std::abs(term);
    }
    scores.push_back(dot / std::sqrt(static_cast<double>(c.key_width)));
    score_error =
        std::max(score_error, (c.key_width + 3) * kUnit * magnitude / std::sqrt(c.key_width));
  }
  const double top = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - top);
  for (int32_t d = 0; d < c.value_width; ++d) {
    double value = 0, largest = 0;
    for (int32_t j = 0; j < visible; ++j) {
      const float v =
          sequence.v_kept[static_cast<size_t>((j * c.kv_heads + kv_head) * c.value_width + d)];
      value += scores[static_cast<size_t>(j)] / total * v;
      largest = std::max(largest, std::abs(static_cast<double>(v)));
    }
    out.values.push_back(value);
    out.tolerances.push_back((2 * (2 * score_error + 5e-7) + 2 * (visible + 4) * kUnit) * largest +
                             1e-30);
  }
}

AttentionWorld::Expected AttentionWorld::expected() const {
  Expected out;
  for (size_t s = 0; s < sequences_.size(); ++s) {
    for (int32_t p = 0; p < case_.lengths[s]; ++p) {
      for (int32_t h = 0; h < case_.query_heads; ++h)
        expect_head(sequences_[s], case_.lengths[s], p, h, out);
    }
  }
  return out;
}

}  // namespace bessemer
