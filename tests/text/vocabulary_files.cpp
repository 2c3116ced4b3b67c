#include "tests/text/vocabulary_files.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "worker/format/gguf.h"
#include "worker/format/vocabulary.h"

namespace bessemer::test {
std::string shared_tokenizer_path(const std::string& name) {
  return "../shared/data/tokenizers/" + name;
}

std::string set_name(const testing::TestParamInfo<const char*>& set) {
  std::string name = set.param;
  std::erase(name, '-');
  return name;
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
