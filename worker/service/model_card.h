// What the worker tells of its model: the card and the vocabulary. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/format/gguf.h"
#include "worker/model/model.h"
#include "worker/service/facts.h"

namespace bessemer {

// XXH3-128 of the whole file, as hex: weights, vocabulary and template are all in it. Reads every
// byte once, at the speed of memory or, for a cold file, of the disk; loading reads them anyway.
std::string hash_model_file(const GgufFile& file);

struct CardSource {
  const GgufFile& file;
  const Model& model;
  std::string file_hash;  // hash_model_file()
  std::string name;       // empty: general.name, else the file's stem
  std::vector<std::string> aliases;
  std::string numerics;  // backend, kernel path, KV dtype
  int32_t max_len = 0;   // tokens of one sequence
  int32_t block_tokens = 0;
};

// Fills card, vocabulary, end_of_generation and max_len of `facts`.
//   hash_domain  XXH3 of (chain algorithm, block_tokens, file hash)
//   card_hash    XXH3-128 of (file hash, hash_domain)
// InvalidArgument: the file's tokenizer keys are malformed, or its vocabulary is larger than its
// output head.
Status describe_model(const CardSource& source, WorkerFacts& facts);

}  // namespace bessemer
