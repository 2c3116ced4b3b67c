// The public test vectors of the llama.cpp family: 46 texts per vocabulary with their ids, no
// special tokens around them.
#include <sstream>

#include <gtest/gtest.h>

#include "tests/text/vocabulary_files.h"

namespace bessemer {
namespace {

using test::load_tokenizer;
using test::read_file;
using test::shared_tokenizer_path;

constexpr size_t kCases = 46;

std::vector<std::string> read_cases(const std::string& path) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string text = read_file(path).value_or("");
  std::vector<std::string> cases;
  for (size_t at = 0, end; at < text.size(); at = end + kSeparator.size()) {
    end = text.find(kSeparator, at);
    if (end == std::string::npos) break;
    cases.push_back(text.substr(at, end - at));
  }
  return cases;
}

std::vector<std::vector<int32_t>> read_ids(const std::string& path) {
  std::istringstream text(read_file(path).value_or(""));
  std::vector<std::vector<int32_t>> lines;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<int32_t>(words), std::istream_iterator<int32_t>());
  }
  return lines;
}

class Vectors : public testing::TestWithParam<const char*> {};

TEST_P(Vectors, EncodeToTheExpectedIds) {
  const std::string path = shared_tokenizer_path(std::string(GetParam()) + ".gguf");
  SKIP_WITHOUT(path);
  const auto tokenizer = load_tokenizer(path);
  ASSERT_NE(tokenizer, nullptr);
  const auto cases = read_cases(path + ".inp");
  const auto expected = read_ids(path + ".out");
  ASSERT_EQ(cases.size(), kCases);
  ASSERT_EQ(expected.size(), kCases);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(tokenizer->encode(cases[i], {.add_special = false}), expected[i])
        << "case " << i << ": " << cases[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Shared, Vectors, testing::ValuesIn(test::kSharedSets), test::set_name);

}  // namespace
}  // namespace bessemer
