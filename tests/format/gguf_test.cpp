// The reader on well-formed files.
#include "worker/format/gguf.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/gguf_writer.h"
#include "tests/support/random_llama.h"

namespace bessemer {
namespace {

using testing::ByteWriter;
using ::testing::ElementsAre;
using testing::GgufWriter;
using ::testing::HasSubstr;

std::shared_ptr<const GgufFile> parse(const std::vector<std::byte>& bytes) {
  StatusOr<std::shared_ptr<const GgufFile>> file = GgufFile::parse(bytes, "test.gguf");
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *file : nullptr;
}

GgufWriter every_type() {
  GgufWriter writer;
  writer.set<uint8_t>("u8", 255)
      .set<int8_t>("i8", -128)
      .set<uint16_t>("u16", 65535)
      .set<int16_t>("i16", -32768);
  writer.set<uint32_t>("u32", 4294967295u).set<int32_t>("i32", -2147483647).set<float>("f32", 0.5f);
  writer.set("true", true)
      .set("false", false)
      .set("string", "text")
      .set<uint64_t>("u64", UINT64_MAX);
  writer.set<int64_t>("i64", INT64_MIN).set<double>("f64", 0.1).set("empty", "");
  return writer;
}

TEST(Gguf, ReadsEveryScalarType) {
  const std::vector<std::byte> bytes = every_type().build();
  const auto file = parse(bytes);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->size_bytes(), bytes.size());
  EXPECT_EQ(file->metadata().size(), 14u);
  EXPECT_EQ(std::get<uint8_t>(*file->find("u8")), 255);
  EXPECT_EQ(std::get<int8_t>(*file->find("i8")), -128);
  EXPECT_EQ(std::get<uint16_t>(*file->find("u16")), 65535);
  EXPECT_EQ(std::get<int16_t>(*file->find("i16")), -32768);
  EXPECT_EQ(std::get<uint32_t>(*file->find("u32")), 4294967295u);
  EXPECT_EQ(std::get<int32_t>(*file->find("i32")), -2147483647);
  EXPECT_EQ(std::get<float>(*file->find("f32")), 0.5f);
  EXPECT_TRUE(std::get<bool>(*file->find("true")));
  EXPECT_FALSE(std::get<bool>(*file->find("false")));
  EXPECT_EQ(std::get<std::string_view>(*file->find("string")), "text");
  EXPECT_EQ(std::get<std::string_view>(*file->find("empty")), "");
  EXPECT_EQ(std::get<uint64_t>(*file->find("u64")), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(*file->find("i64")), INT64_MIN);
  EXPECT_EQ(std::get<double>(*file->find("f64")), 0.1);
  EXPECT_EQ(file->find("missing"), nullptr);
  EXPECT_EQ(file->metadata()[0].first, "u8");  // file order, not sorted
}

TEST(Gguf, ReadsVersionTwo) {
  const std::vector<std::byte> bytes = GgufWriter(2).set<uint32_t>("key", 7).build();
  const auto file = parse(bytes);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->version(), 2u);
  EXPECT_EQ(file->get_int("key").value(), 7);
}

TEST(Gguf, TypedLookUpsTakeAnyTypeThatHoldsTheValue) {
  const std::vector<std::byte> bytes = every_type().build();
  const auto file = parse(bytes);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->get_int("u8").value(), 255);
  EXPECT_EQ(file->get_int("i8").value(), -128);
  EXPECT_EQ(file->get_int("u16").value(), 65535);
  EXPECT_EQ(file->get_int("u32").value(), 4294967295);
  EXPECT_EQ(file->get_int("i64").value(), INT64_MIN);
  EXPECT_EQ(file->get_float("f32").value(), 0.5);
  EXPECT_EQ(file->get_float("f64").value(), 0.1);
  EXPECT_TRUE(file->get_bool("true").value());
  EXPECT_EQ(file->get_string("string").value(), "text");
}

void expect_error(const Status& status, absl::StatusCode code, const std::string& message) {
  EXPECT_EQ(status.code(), code);
  EXPECT_EQ(std::string(status.message()), message);
}

TEST(Gguf, TypedLookUpsNameFileAndKeyInErrors) {
  const std::vector<std::byte> bytes = every_type().set_array<float>("floats", {1}).build();
  const auto file = parse(bytes);
  ASSERT_NE(file, nullptr);
  const auto wrong = absl::StatusCode::kInvalidArgument;
  expect_error(file->get_int("none").status(), absl::StatusCode::kNotFound,
               "test.gguf: key 'none' is missing");
  expect_error(file->get_int("u64").status(), wrong,
               "test.gguf: key 'u64' is larger than an int64");
  expect_error(file->get_int("f32").status(), wrong,
               "test.gguf: key 'f32' must be an integer, not f32");
  expect_error(file->get_int("true").status(), wrong,
               "test.gguf: key 'true' must be an integer, not bool");
  expect_error(file->get_float("u8").status(), wrong,
               "test.gguf: key 'u8' must be a float, not u8");
  expect_error(file->get_bool("u8").status(), wrong,
               "test.gguf: key 'u8' must be a boolean, not u8");
  expect_error(file->get_string("floats").status(), wrong,
               "test.gguf: key 'floats' must be a string, not f32 array");
  expect_error(file->get_array("string").status(), wrong,
               "test.gguf: key 'string' must be an array, not string");
  expect_error(file->get_ints("floats").status(), wrong,
               "test.gguf: key 'floats' must be an array of integers, not f32 array");
}

TEST(Gguf, ReadsArraysOfEveryType) {
  GgufWriter writer;
  writer.set("pad", "x");  // numbers behind it are unaligned
  writer.set_array<uint8_t>("u8", {1, 2})
      .set_array<int8_t>("i8", {-1})
      .set_array<uint16_t>("u16", {3, 4, 5});
  writer.set_array<int16_t>("i16", {-3})
      .set_array<uint32_t>("u32", {6})
      .set_array<int32_t>("i32", {-6, 7});
  writer.set_array<uint64_t>("u64", {8})
      .set_array<int64_t>("i64", {-8})
      .set_array<double>("f64", {0.25});
  writer.set_array<float>("f32", {0.5f, -2})
      .set_array<bool>("bool", {true, false})
      .set_array<float>("none", {});
  writer.set_strings("strings", {"a", "", "long text"});
  const std::vector<std::byte> bytes = writer.build();
  const auto file = parse(bytes);
  ASSERT_NE(file, nullptr);
  EXPECT_THAT(file->get_ints("u8").value(), ElementsAre(1, 2));
  EXPECT_THAT(file->get_ints("i8").value(), ElementsAre(-1));
  EXPECT_THAT(file->get_ints("u16").value(), ElementsAre(3, 4, 5));
  EXPECT_THAT(file->get_ints("i16").value(), ElementsAre(-3));
  EXPECT_THAT(file->get_ints("u32").value(), ElementsAre(6));
  EXPECT_THAT(file->get_ints("i32").value(), ElementsAre(-6, 7));
  EXPECT_THAT(file->get_ints("u64").value(), ElementsAre(8));
  EXPECT_THAT(file->get_ints("i64").value(), ElementsAre(-8));
  EXPECT_THAT(file->get_floats("f64").value(), ElementsAre(0.25f));
  EXPECT_THAT(file->get_floats("f32").value(), ElementsAre(0.5f, -2.0f));
  EXPECT_THAT(file->get_floats("none").value(), ElementsAre());
  const GgufArray* booleans = file->get_array("bool").value();
  EXPECT_TRUE(std::get<bool>(element_at(*booleans, 0)));
  EXPECT_FALSE(std::get<bool>(element_at(*booleans, 1)));
  EXPECT_THAT(file->get_array("strings").value()->strings, ElementsAre("a", "", "long text"));
}

TEST(Gguf, PlacesTensorsByAlignment) {
  GgufWriter writer;
  writer.alignment(64);
  writer.tensor("a", TensorType::f32, {3},
                ByteWriter().number(1.0f).number(2.0f).number(3.0f).bytes());
  writer.tensor("b.weight", TensorType::f16, {2, 3}, std::vector<std::byte>(12, std::byte{7}));
  writer.tensor("scalar", TensorType::f32, {}, ByteWriter().number(4.0f).bytes());
  const std::vector<std::byte> bytes = writer.build();
  const auto file = parse(bytes);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->alignment(), 64u);
  ASSERT_EQ(file->tensors().size(), 3u);
  const GgufTensor* b = file->tensor("b.weight");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->cols(), 2);
  EXPECT_EQ(b->rows(), 3);
  EXPECT_EQ(b->file_offset % 64, 0u);
  EXPECT_EQ(b->bytes.size(), 12u);
  EXPECT_EQ(b->bytes.data(), bytes.data() + b->file_offset);
  EXPECT_EQ(b->bytes[11], std::byte{7});
  EXPECT_EQ(file->tensor("a")->rows(), 1);
  EXPECT_EQ(file->tensor("scalar")->cols(), 1);
  EXPECT_EQ(file->tensor("missing"), nullptr);
}

TEST(Gguf, FilesWithoutTensorsNeedNoPadding) {
  const std::vector<std::byte> bytes = GgufWriter().set("key", "v").build();
  ASSERT_NE(bytes.size() % 32, 0u);
  EXPECT_NE(parse(bytes), nullptr);
}

TEST(Gguf, OpensFilesAndKeepsTheMapping) {
  const std::string path = ::testing::TempDir() + "/gguf_test_model.gguf";
  testing::random_llama({}).write(path);
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::remove(path);  // the mapping stays
  EXPECT_EQ((*file)->path(), path);
  EXPECT_EQ((*file)->get_string("general.architecture").value(), "llama");
  const GgufTensor* embedding = (*file)->tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->cols(), 64);
  EXPECT_EQ(embedding->rows(), 320);
}

TEST(Gguf, SaysWhyAFileCannotBeOpened) {
  const std::string folder = ::testing::TempDir();
  const Status missing = GgufFile::open(folder + "/no_such_file.gguf").status();
  expect_error(missing, absl::StatusCode::kNotFound,
               folder + "/no_such_file.gguf: cannot be opened: No such file or directory");
  expect_error(GgufFile::open(folder).status(), absl::StatusCode::kInvalidArgument,
               folder + ": is not a regular file");
  const std::string empty = folder + "/gguf_test_empty.gguf";
  std::ofstream(empty).close();
  expect_error(GgufFile::open(empty).status(), absl::StatusCode::kInvalidArgument,
               empty + ": is empty (at byte 0)");
  std::filesystem::remove(empty);
}

TEST(Gguf, OpensTheRealModels) {
  const std::filesystem::path data = "../shared/data";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << data << " is not there";
  const auto stories = GgufFile::open(data / "models/stories260K.gguf");
  ASSERT_TRUE(stories.ok()) << stories.status();
  EXPECT_EQ((*stories)->tensors().size(), 47u);
  EXPECT_EQ((*stories)->get_int("llama.block_count").value(), 5);
  for (const char* name : {"bert-bge", "deepseek-coder", "gpt-2", "llama-spm", "phi-3"}) {
    const auto file = GgufFile::open(data / "tokenizers" / (std::string(name) + ".gguf"));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE((*file)->tensors().empty());
  }
}

}  // namespace
}  // namespace bessemer
