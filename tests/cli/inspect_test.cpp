// bessemer inspect: the tables, the JSON document, and what hostile names do to either.
#include "cli/inspect.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/inspect/document.h"
#include "cli/inspect/table.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/random_llama.h"

namespace bessemer {
namespace {

using testing::GgufWriter;
using ::testing::HasSubstr;
using ::testing::Not;

GgufWriter example() {
  GgufWriter writer;
  writer.set("general.name", "tiny \"model\"")
      .set<float>("llama.eps", 1e-5f)
      .set<uint32_t>("n", 7)
      .set("yes", true);
  writer.set_array<int32_t>("numbers", {1, 2, 3, 4, 5, 6, 7, 8}).set_array<float>("none", {});
  writer.set_strings("words", {"a", std::string(100, 'w')}).set("long", std::string(5000, 'x'));
  writer.tensor("small", TensorType::f32, {2, 3}, std::vector<std::byte>(24));
  writer.tensor("token_embd.weight", TensorType::q4_1, {64, 1000}, std::vector<std::byte>(40000));
  return writer;
}

template <typename Use>
void with_file(const GgufWriter& writer, Use use) {
  const std::vector<std::byte> bytes = writer.build();
  const auto file = GgufFile::parse(bytes, "tiny.gguf");
  ASSERT_TRUE(file.ok()) << file.status();
  use(**file);
}

TEST(Inspect, TablesAreAligned) {
  with_file(example(), [](const GgufFile& file) {
    const std::string text = inspect_table(file);
    EXPECT_THAT(text, HasSubstr("tiny.gguf: GGUF v3, "));
    EXPECT_THAT(text, HasSubstr("\n  general.name  string     \"tiny \"model\"\"\n"));
    EXPECT_THAT(text, HasSubstr("\n  llama.eps     f32        1e-05\n"));
    EXPECT_THAT(text, HasSubstr("\n  yes           bool       true\n"));
    EXPECT_THAT(text, HasSubstr("\n  numbers       i32[8]     [1, 2, 3, 4, 5, 6, …]\n"));
    EXPECT_THAT(text, HasSubstr("\n  none          f32[0]     []\n"));
    EXPECT_THAT(text, HasSubstr("\n  words         string[2]  [\"a\", \"" + std::string(24, 'w') +
                                "…\"]\n"));
    EXPECT_THAT(text,
                HasSubstr("\n  long          string     \"" + std::string(60, 'x') + "…\"\n"));
    EXPECT_THAT(text,
                HasSubstr("\n  name               type  shape      values     size  at byte\n"));
    EXPECT_THAT(text, HasSubstr("\n  small              F32   2 x 3           6     24 B  "));
    EXPECT_THAT(text, HasSubstr("\n  token_embd.weight  Q4_1  64 x 1000   64.0K  40.0 kB  "));
    EXPECT_THAT(text, HasSubstr("\nParameters: 64006\n"));
    EXPECT_THAT(text, HasSubstr("\n  F32          1           6     24 B      32.00\n"));
    EXPECT_THAT(text, HasSubstr("\n  total        2       64.0K  40.0 kB       5.00\n"));
  });
}

TEST(Inspect, VocabularyOnlyFilesSaySo) {
  with_file(GgufWriter().set("a", "b"), [](const GgufFile& file) {
    EXPECT_THAT(inspect_table(file), HasSubstr("Tensors: none; a vocabulary-only file\n"));
    EXPECT_EQ(inspect_document(file).at("parameters").to_number<uint64_t>(), 0u);
  });
}

TEST(Inspect, HostileNamesMoveNoCursor) {
  GgufWriter writer;
  writer.set("key\x1b[2J\n", "value\r\n\x1b]0;title\a\xff").set_strings("list", {"\x1b[31m"});
  writer.tensor("t\x1b\n", TensorType::f32, {1}, std::vector<std::byte>(4));
  with_file(writer, [](const GgufFile& file) {
    const std::string text = inspect_table(file);
    for (const char c : text)
      EXPECT_TRUE(c == '\n' || (c >= 0x20 && c != 0x7f) || c < 0) << static_cast<int>(c);
    EXPECT_THAT(text, HasSubstr("key\\x1b[2J\\n  string"));
    EXPECT_THAT(text, HasSubstr("\"value\\r\\n\\x1b]0;title\\x07\\xff\""));
    EXPECT_THAT(text, HasSubstr("  t\\x1b\\n  F32"));
  });
}

TEST(Inspect, TheDocumentIsWhole) {
  GgufWriter writer = example();
  writer.set<uint64_t>("big", UINT64_MAX)
      .set<int64_t>("low", INT64_MIN)
      .set<double>("pi", 3.141592653589793);
  writer.set<float>("not", NAN).set<double>("far", -INFINITY).set("bytes", "a\xff\xfez");
  with_file(writer, [](const GgufFile& file) {
    const StatusOr<json::value> document = parse_json(json::serialize(inspect_document(file)));
    ASSERT_TRUE(document.ok()) << document.status();
    const json::object& metadata = document->at("metadata").as_object();
    const auto value = [&](const char* key) { return metadata.at(key).at("value"); };
    EXPECT_EQ(metadata.size(), 14u);
    EXPECT_EQ(metadata.at("numbers").at("type").as_string(), "i32 array");
    EXPECT_EQ(value("numbers").as_array().size(), 8u);
    EXPECT_EQ(value("long").as_string().size(), 5000u);
    EXPECT_EQ(value("llama.eps").as_double(), 1e-5);
    EXPECT_EQ(value("pi").as_double(), 3.141592653589793);
    EXPECT_EQ(value("big").as_uint64(), UINT64_MAX);
    EXPECT_EQ(value("low").as_int64(), INT64_MIN);
    EXPECT_EQ(value("not").as_string(), "nan");
    EXPECT_EQ(value("far").as_string(), "-inf");
    EXPECT_EQ(value("bytes").as_string(), "a\ufffd\ufffdz");
    EXPECT_TRUE(value("yes").as_bool());
    const json::value& tensor = document->at("tensors").at(1);
    EXPECT_EQ(tensor.at("name").as_string(), "token_embd.weight");
    EXPECT_EQ(tensor.at("type").as_string(), "Q4_1");
    EXPECT_EQ(tensor.at("shape"), (json::array{64, 1000}));
    EXPECT_EQ(tensor.at("size_bytes").to_number<int64_t>(), 40000);
    EXPECT_EQ(document->at("parameters").to_number<int64_t>(), 64006);
    EXPECT_EQ(document->at("tensor_bytes").to_number<int64_t>(), 40024);
  });
}

TEST(Inspect, Humanizes) {
  EXPECT_EQ(humanize_bytes(0), "0 B");
  EXPECT_EQ(humanize_bytes(999), "999 B");
  EXPECT_EQ(humanize_bytes(1000), "1.00 kB");
  EXPECT_EQ(humanize_bytes(98362432), "98.4 MB");
  EXPECT_EQ(humanize_bytes(999'499), "999 kB");
  EXPECT_EQ(humanize_bytes(999'500), "1.00 MB");
  EXPECT_EQ(humanize_bytes(UINT64_MAX), "18447 PB");
  EXPECT_EQ(humanize_count(134515008), "135M");
  EXPECT_EQ(humanize_count(9'999), "10.0K");
}

TEST(Inspect, TheCommandSaysWhatIsWrong) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(inspect_command({.path = "no/such.gguf"}), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "bessemer: no/such.gguf: cannot be opened: No such file or directory\n");
}

TEST(Inspect, TheCommandPrints) {
  const std::string path = ::testing::TempDir() + "/inspect_test.gguf";
  testing::random_llama({}).write(path);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(inspect_command({.path = path, .json = false}), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("blk.1.ffn_down.weight"));
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(inspect_command({.path = path, .json = true}), 0);
  EXPECT_TRUE(parse_json(::testing::internal::GetCapturedStdout()).ok());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace bessemer
