// bessemer_random_model: writes a GGUF file of a real model's shape with random weights, which are
// as fast as the real ones.
//
//   bessemer_random_model --shape llama-3.2-1b --format q4_k_m --out FILE.gguf
//
// The architecture is llama, whatever the shape's own is: what differs (norms of queries and keys,
// scaled positions) costs next to nothing. Text is one token a byte; answers are words.
#include <cstdio>
#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include "tests/support/random_llama.h"

namespace bessemer {
namespace {

using testing::RandomLlama;

struct Shape {
  int32_t layers, width, heads, kv_heads, head_width, ff, vocab, context;
  double rope_base;
};
const std::map<std::string, Shape>& shapes() {
  static const std::map<std::string, Shape> all = {
      {"llama-3.2-1b", {16, 2048, 32, 8, 64, 8192, 128256, 131072, 5e5}},
      {"qwen3-0.6b", {28, 1024, 16, 8, 128, 3072, 151936, 40960, 1e6}},
      {"smollm2-135m", {30, 576, 9, 3, 64, 1536, 49152, 8192, 1e5}},
  };
  return all;
}

RandomLlama model_of(const Shape& shape) {
  return {.layers = shape.layers,
          .width = shape.width,
          .heads = shape.heads,
          .kv_heads = shape.kv_heads,
          .ff = shape.ff,
          .vocab = shape.vocab,
          .context = shape.context,
          .head_width = shape.head_width,
          .rope_base = shape.rope_base};
}

// As llama-quantize mixes them: the embedding, which is the head too, has more bits.
struct Mixture {
  TensorType most, embedding;
  std::optional<TensorType> finer = std::nullopt;
};
const std::map<std::string, Mixture>& mixtures() {
  static const std::map<std::string, Mixture> all = {
      {"q4_0", {TensorType::q4_0, TensorType::q6_k}},
      {"q4_1", {TensorType::q4_1, TensorType::q6_k}},
      {"q5_0", {TensorType::q5_0, TensorType::q6_k}},
      {"q8_0", {TensorType::q8_0, TensorType::q8_0}},
      {"q4_k_m", {TensorType::q4_k, TensorType::q6_k, TensorType::q6_k}},
      {"q6_k", {TensorType::q6_k, TensorType::q6_k}},
      {"bf16", {TensorType::bf16, TensorType::bf16}},
      {"f16", {TensorType::f16, TensorType::f16}}};
  return all;
}

template <typename Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, value] : map) names.push_back(name);
  return names;
}

}  // namespace
}  // namespace bessemer

int main(int argc, char** argv) {
  using namespace bessemer;  // NOLINT(google-build-using-namespace)
  std::string shape = "llama-3.2-1b", format = "q4_k_m", out;
  uint64_t seed = 1;
  CLI::App app("Writes a model of a real shape with random weights.");
  app.add_option("--shape", shape)->check(CLI::IsMember(names_of(shapes())))->capture_default_str();
  app.add_option("--format", format, "as llama-quantize mixes tensor types")
      ->check(CLI::IsMember(names_of(mixtures())))
      ->capture_default_str();
  app.add_option("--seed", seed)->capture_default_str();
  app.add_option("--out", out, "file to write; replaced")->required();
  CLI11_PARSE(app, argc, argv);
  RandomLlama model = model_of(shapes().at(shape));
  const Mixture& mixture = mixtures().at(format);
  const bool whole_super_blocks = model.width % 256 == 0;
  model.attention = model.mlp = mixture.most;
  model.embedding = whole_super_blocks ? mixture.embedding : bessemer::TensorType::q8_0;
  model.finer = mixture.finer;
  model.words = true;
  model.seed = seed;
  random_llama(model).write(out);
  std::fprintf(stderr, "wrote %s\n", out.c_str());
  return 0;
}
