// Where the tests' vocabularies are, and their tokenizers.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "router/text/tokenizer.h"

namespace bessemer::test {

// ../shared/data/tokenizers/NAME beside the checkout.
std::string shared_tokenizer_path(const std::string& name);
// The sets there with both vectors and a vocabulary, and their names for GoogleTest. llama-bpe has
// vectors alone: pre_tokenizer_test covers its expressions.
inline constexpr const char* kSharedSets[] = {"gpt-2", "deepseek-coder", "llama-spm", "phi-3",
                                              "bert-bge"};
std::string set_name(const testing::TestParamInfo<const char*>& set);
bool exists(const std::string& path);
std::optional<std::string> read_file(const std::string& path);

// The vocabulary of a GGUF file; fails the test if it cannot be read.
v1::Vocabulary load_vocabulary(const std::string& path);
std::shared_ptr<const Tokenizer> load_tokenizer(const std::string& path);

}  // namespace bessemer::test

// Ends the test with a message where the file is not there.
#define SKIP_WITHOUT(path) \
  if (!::bessemer::test::exists(path)) GTEST_SKIP() << (path) << " is missing"
