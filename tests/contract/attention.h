// Sequences with random queries, keys and values, run through a backend in steps of any shape.
#pragma once
#include <cstdint>
#include <vector>

#include "tests/contract/harness.h"

namespace bessemer {

struct AttentionCase {
  int32_t query_heads = 4, kv_heads = 2, key_width = 32, value_width = 32;
  int32_t block_tokens = 16;
  DType dtype = DType::f16;
  bool causal = true;
  std::vector<int32_t> lengths;  // positions of each sequence
};

// rows[s]: how many more positions of sequence s a step takes; 0: the sequence is not in it.
using Schedule = std::vector<std::vector<int32_t>>;
Schedule whole(const AttentionCase& c);       // everything in one step
Schedule one_by_one(const AttentionCase& c);  // a token of each unfinished sequence a step
Schedule drawn(const AttentionCase& c, Random& random);

class AttentionWorld {
 public:
  AttentionWorld(const AttentionCase& c, uint64_t seed);

  // Attention of every position of every sequence, [sequence][position][query_heads * value_width].
  // Free memory of the pool holds NaN, and each step carries a padding row that belongs to no
  // sequence.
  std::vector<float> run(Backend& backend, const Schedule& schedule) const;

  // The same in double, and how far a backend may be from it.
  struct Expected {
    std::vector<double> values, tolerances;
  };
  Expected expected() const;

 private:
  struct Sequence {
    std::vector<float> q, k, v;         // [position][heads * width]
    std::vector<float> k_kept, v_kept;  // k and v as the pool keeps them
    std::vector<int32_t> blocks;
  };
  void expect_head(const Sequence& sequence, int32_t length, int32_t position, int32_t head,
                   Expected& out) const;
  KvPoolPtr poisoned_pool(Backend& backend) const;
  KvLayout layout() const;

  AttentionCase case_;
  int32_t pool_blocks_ = 0;
  std::vector<Sequence> sequences_;
};

}  // namespace bessemer
