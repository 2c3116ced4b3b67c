// Writes the seed corpus of gguf_fuzzer into a folder: small valid files that use every metadata
// and tensor type.
#include <cstdio>
#include <filesystem>
#include <string>

#include "tests/support/gguf_writer.h"
#include "tests/support/random_llama.h"

namespace bessemer::testing {
namespace {

GgufWriter metadata_of_every_type(uint32_t version) {
  GgufWriter out(version);
  out.set<uint8_t>("u8", 1).set<int8_t>("i8", -1).set<uint16_t>("u16", 2).set<int16_t>("i16", -2);
  out.set<uint32_t>("u32", 3).set<int32_t>("i32", -3).set<uint64_t>("u64", 4).set<int64_t>("i64",
                                                                                           -4);
  out.set<float>("f32", 0.5f).set<double>("f64", 0.25).set("bool", true).set("string", "text");
  out.set_array<uint8_t>("u8s", {1, 2})
      .set_array<float>("f32s", {1, 2})
      .set_array<bool>("bools", {true, false});
  out.set_array<int64_t>("i64s", {-1})
      .set_array<double>("f64s", {1})
      .set_strings("strings", {"a", "", "c"});
  return out;
}

GgufWriter tensors_of_every_type() {
  GgufWriter out;
  Random random(3);
  out.alignment(64);
  for (uint32_t number = 0; number < 64; ++number) {
    const auto traits = tensor_type_traits(number);
    if (!traits) continue;
    const int64_t cols = traits->block_values, rows = 2;
    out.tensor(std::string(traits->name), traits->type,
               {static_cast<uint64_t>(cols), static_cast<uint64_t>(rows)},
               random_blocks(traits->type, cols * rows, 1, random));
  }
  return out;
}

GgufWriter vocabulary(const char* model) {
  GgufWriter out;
  out.set("tokenizer.ggml.model", model).set("tokenizer.ggml.pre", "default");
  out.set_strings("tokenizer.ggml.tokens",
                  {"<unk>", "<s>", "</s>", "<0x41>", "a", "b", "ab", "<|im_end|>"});
  out.set_array<float>("tokenizer.ggml.scores", {0, 0, 0, 0, -1, -2, -3, 0});
  out.set_array<int32_t>("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1, 1, 3});
  out.set_strings("tokenizer.ggml.merges", {"a b"}).set<uint32_t>("tokenizer.ggml.bos_token_id", 1);
  out.set<uint32_t>("tokenizer.ggml.eos_token_id", 2)
      .set<uint32_t>("tokenizer.ggml.eot_token_id", 7);
  out.set<uint32_t>("tokenizer.ggml.unknown_token_id", 0).set("tokenizer.ggml.add_bos_token", true);
  out.set_array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {0, 1, 2, 3});
  out.set("tokenizer.chat_template", "{{ messages }}")
      .set("tokenizer.chat_template.tools", "{{ tools }}");
  return out;
}

RandomLlama smallest_llama() {
  RandomLlama options;
  options.layers = 1;
  options.width = options.ff = 8;
  options.heads = 2;
  options.kv_heads = 1;
  options.vocab = 4;
  options.vocabulary = false;
  return options;
}

void write_all(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const GgufWriter& file) { file.write(folder / name); };
  write("empty", GgufWriter());
  write("metadata_v2", metadata_of_every_type(2));
  write("metadata_v3", metadata_of_every_type(3));
  write("tensors", tensors_of_every_type());
  write("model", random_llama(smallest_llama()));
  for (const char* model : {"gpt2", "llama", "bert"}) write(model, vocabulary(model));
}

}  // namespace
}  // namespace bessemer::testing

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  bessemer::testing::write_all(argv[1]);
}
