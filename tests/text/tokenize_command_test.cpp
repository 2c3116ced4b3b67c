#include <sstream>

#include <gtest/gtest.h>

#include "cli/tokenize.h"
#include "tests/text/vocabulary_files.h"

namespace bessemer {
namespace {

class TokenizeCommand : public testing::Test {
 protected:
  void SetUp() override {
    options_.model = test::shared_tokenizer_path("gpt-2.gguf");
    SKIP_WITHOUT(options_.model);
  }
  std::string run(const std::string& input) {
    std::istringstream in(input);
    std::ostringstream out;
    const Status status = tokenize_stream(options_, in, out);
    EXPECT_TRUE(status.ok()) << status;
    return out.str();
  }
  std::string error(const std::string& input) {
    std::istringstream in(input);
    std::ostringstream out;
    const Status status = tokenize_stream(options_, in, out);
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }
  TokenizeOptions options_;
};

TEST_F(TokenizeCommand, WritesIdsInALine) {
  EXPECT_EQ(run("Hello world"), "15496 995\n");
  EXPECT_EQ(run("Hello world\n"), "15496 995 198\n");  // the newline is part of the text
  EXPECT_EQ(run(""), "\n");
  EXPECT_EQ(run("<|endoftext|>"), "50256\n");
}

TEST_F(TokenizeCommand, Json) {
  options_.json = true;
  EXPECT_EQ(run("Hello é"), "{\"ids\":[15496,38251],\"tokens\":[\"Hello\",\" é\"]}\n");
}

TEST_F(TokenizeCommand, NoSpecialLeavesBosOut) {
  options_.model = test::shared_tokenizer_path("llama-spm.gguf");
  EXPECT_EQ(run("Hello"), "1 15043\n");
  options_.no_special = true;
  EXPECT_EQ(run("Hello"), "15043\n");
}

TEST_F(TokenizeCommand, Decode) {
  options_.decode = true;
  EXPECT_EQ(run(" 15496\n995 50256 "), "Hello world<|endoftext|>");
  options_.no_special = true;
  EXPECT_EQ(run("15496 995 50256"), "Hello world");
  EXPECT_NE(error("15496 x").find("\"x\" is no token id"), std::string::npos);
  EXPECT_NE(error("50257").find("id 50257 is not in the vocabulary of 50257 tokens"),
            std::string::npos);
  EXPECT_NE(error("-1").find("id -1"), std::string::npos);
}

TEST_F(TokenizeCommand, LinesOfJson) {
  options_.lines = true;
  EXPECT_EQ(run("\"Hello world\"\n\"a\\nb\"\n"), "[15496,995]\n[64,198,65]\n");
  EXPECT_NE(error("\"a\"\n{}\n").find("line 2"), std::string::npos);
  options_.decode = true;
  EXPECT_EQ(run("[15496,995]\n[]\n"), "\"Hello world\"\n\"\"\n");
  EXPECT_NE(error("[50257]\n").find("50257"), std::string::npos);
}

TEST_F(TokenizeCommand, NamesTheFileThatCannotBeRead) {
  options_.model = "no-such.gguf";
  EXPECT_NE(error("").find("no-such.gguf"), std::string::npos);
}

}  // namespace
}  // namespace bessemer
