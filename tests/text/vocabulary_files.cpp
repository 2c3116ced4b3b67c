#include "tests/text/vocabulary_files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "worker/format/gguf.h"
#include "worker/format/vocabulary.h"

namespace bessemer::test {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string cache_folder() {
  if (const std::string cache = environment("BESSEMER_CACHE"); !cache.empty()) return cache;
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/bessemer";
  return environment("HOME") + "/.cache/bessemer";
}

}  // namespace

std::string shared_tokenizer_path(const std::string& name) {
  return "../shared/data/tokenizers/" + name;
}

std::string set_name(const testing::TestParamInfo<const char*>& set) {
  std::string name = set.param;
  std::erase(name, '-');
  return name;
}

std::string default_model_path() {
  return cache_folder() + "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

bool exists(const std::string& path) {
  return std::filesystem::exists(path);
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

v1::Vocabulary load_vocabulary(const std::string& path) {
  const auto file = GgufFile::open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  auto vocabulary = read_vocabulary(**file);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status();
  return vocabulary.ok() ? *std::move(vocabulary) : v1::Vocabulary();
}

std::shared_ptr<const Tokenizer> load_tokenizer(const std::string& path) {
  auto tokenizer = Tokenizer::create(load_vocabulary(path));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

}  // namespace bessemer::test
