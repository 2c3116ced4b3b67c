// The reader on malformed files: each kind is refused with a message that names file, thing and
// byte.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/random_llama.h"
#include "worker/format/gguf.h"

namespace bessemer {
namespace {

using testing::ByteWriter;
using testing::GgufWriter;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TensorEntry;

constexpr uint32_t kU32 = 4, kBool = 7, kString = 8, kArray = 9, kF32 = 0;

std::string refusal(const std::vector<std::byte>& bytes) {
  const auto file = GgufFile::parse(bytes, "bad.gguf");
  EXPECT_FALSE(file.ok()) << "was accepted";
  if (file.ok()) return "";
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}

ByteWriter header(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
  return ByteWriter().raw("GGUF").number(version).number(tensors).number(entries);
}

TEST(GgufMalformed, Magic) {
  EXPECT_EQ(refusal(ByteWriter().raw("GGML plus more bytes").bytes()),
            "bad.gguf: header: not a GGUF file: it begins with 'GGML', not 'GGUF' (at byte 0)");
  EXPECT_THAT(refusal(ByteWriter().raw("version https://git-lfs").bytes()),
              HasSubstr("Git LFS pointer"));
  EXPECT_THAT(refusal(ByteWriter().raw("\x1b[2J").bytes()), HasSubstr("begins with '\\x1b[2J'"));
  EXPECT_THAT(refusal({}), HasSubstr("begins with ''"));
}

TEST(GgufMalformed, Version) {
  EXPECT_EQ(refusal(header(0, 0, 1).bytes()),
            "bad.gguf: header: GGUF version 1 is not supported, only 2 and 3; convert the model "
            "again with a "
            "current tool (at byte 4)");
  EXPECT_THAT(refusal(header(0, 0, 4).bytes()), HasSubstr("version 4 is not supported"));
  EXPECT_THAT(refusal(header(0, 0, 0x03000000).bytes()), HasSubstr("big-endian"));
}

TEST(GgufMalformed, EveryTruncationOfAFileIsRefused) {
  testing::RandomLlama options;
  options.layers = 1;
  options.width = 8;
  options.heads = 2;
  options.kv_heads = 1;
  options.ff = 8;
  options.vocab = testing::kMinVocabulary;
  const std::vector<std::byte> whole = testing::random_llama(options).build();
  ASSERT_TRUE(GgufFile::parse(whole, "bad.gguf").ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    // A copy of its own, so that the address sanitizer sees a read past the end.
    const std::vector<std::byte> cut(whole.begin(),
                                     whole.begin() + static_cast<std::ptrdiff_t>(size));
    const std::string message = refusal(cut);
    ASSERT_THAT(message, StartsWith("bad.gguf: ")) << size;
    ASSERT_THAT(message, HasSubstr("(at byte ")) << size;
  }
}

TEST(GgufMalformed, CountsThatTheFileCannotHold) {
  EXPECT_EQ(refusal(header(0, UINT64_MAX).bytes()),
            "bad.gguf: header: 18446744073709551615 metadata entries need at least 14 bytes each, "
            "but 0 bytes "
            "are left in the file (at byte 16)");
  EXPECT_THAT(refusal(header(1ull << 60, 0).bytes()),
              HasSubstr("1152921504606846976 tensors need at least 25 bytes each"));
}

TEST(GgufMalformed, Keys) {
  EXPECT_EQ(refusal(header(0, 1).number(UINT64_MAX).number(uint64_t{0}).bytes()),
            "bad.gguf: metadata entry 1 of 1: its key is said to have 18446744073709551615 bytes, "
            "but 8 are left "
            "in the file (at byte 24)");
  EXPECT_THAT(refusal(GgufWriter().set<uint64_t>("", 1).build()),
              HasSubstr("metadata entry 1 of 1: its key is empty"));
  EXPECT_THAT(refusal(GgufWriter().set<uint32_t>(std::string(65536, 'k'), 1).build()),
              HasSubstr("its key has 65536 bytes, more than the 65535 allowed"));
  EXPECT_EQ(
      refusal(GgufWriter().set<uint32_t>("a.b", 1).set("x", "y").set<uint32_t>("a.b", 2).build()),
      "bad.gguf: key 'a.b': appears twice (at bytes 32 and 73)");
}

TEST(GgufMalformed, ControlCharactersInNamesAreEscaped) {
  const std::string message =
      refusal(GgufWriter().entry("a\n\x1b[31m\xff", 13, ByteWriter().number(0).bytes()).build());
  EXPECT_THAT(message, HasSubstr("key 'a\\n\\x1b[31m\\xff': unknown value type 13"));
}

TEST(GgufMalformed, ValueTypes) {
  EXPECT_EQ(refusal(GgufWriter().entry("k", 13, ByteWriter().number(0).bytes()).build()),
            "bad.gguf: key 'k': unknown value type 13 (at byte 33)");
  EXPECT_THAT(
      refusal(GgufWriter().entry("k", kBool, ByteWriter().number<uint8_t>(2).bytes()).build()),
      HasSubstr("key 'k': a boolean must be 0 or 1, not 2 (at byte 37)"));
  EXPECT_EQ(
      refusal(GgufWriter().entry("k", kU32, ByteWriter().number<uint16_t>(2).bytes()).build()),
      "bad.gguf: key 'k': the file ends at byte 39, inside its value; is it a partial download? "
      "(at byte 37)");
}

TEST(GgufMalformed, Strings) {
  const auto text = ByteWriter().number<uint64_t>(5).raw("four").bytes();
  EXPECT_EQ(refusal(GgufWriter().entry("k", kString, text).build()),
            "bad.gguf: key 'k': its value is said to have 5 bytes, but 4 are left in the file (at "
            "byte 37)");
}

TEST(GgufMalformed, Arrays) {
  const auto array = [](uint32_t element, uint64_t count) {
    return ByteWriter().number(element).number(count).number(uint64_t{0}).bytes();
  };
  EXPECT_THAT(refusal(GgufWriter().entry("k", kArray, array(kArray, 1)).build()),
              HasSubstr("key 'k': an array of arrays is not supported (at byte 37)"));
  EXPECT_THAT(refusal(GgufWriter().entry("k", kArray, array(77, 1)).build()),
              HasSubstr("key 'k': unknown array element type 77"));
  EXPECT_THAT(
      refusal(GgufWriter().entry("k", kArray, array(kU32, 3)).build()),
      HasSubstr("key 'k': 3 array elements need at least 4 bytes each, but 8 bytes are left"));
  // count x size would wrap to 0.
  EXPECT_THAT(refusal(GgufWriter().entry("k", kArray, array(kU32, 1ull << 62)).build()),
              HasSubstr("4611686018427387904 array elements need at least 4 bytes each"));
  EXPECT_THAT(refusal(GgufWriter().entry("k", kArray, array(kString, 1ull << 61)).build()),
              HasSubstr("2305843009213693952 array elements need at least 8 bytes each"));
  const auto booleans =
      ByteWriter().number(kBool).number<uint64_t>(2).raw(std::string_view("\1\3", 2)).bytes();
  EXPECT_THAT(refusal(GgufWriter().entry("k", kArray, booleans).build()),
              HasSubstr("a boolean must be 0 or 1, not 3 (element 1) (at byte 50)"));
  const auto strings =
      ByteWriter().number(kString).number<uint64_t>(2).string("a").number<uint64_t>(9).bytes();
  EXPECT_THAT(refusal(GgufWriter().entry("k", kArray, strings).build()),
              HasSubstr("key 'k': one of its elements is said to have 9 bytes, but 0 are left"));
}

TEST(GgufMalformed, Alignment) {
  EXPECT_EQ(refusal(GgufWriter().set<uint64_t>("general.alignment", 32).build()),
            "bad.gguf: key 'general.alignment': must be a u32, not u64 (at byte 32)");
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u}) {
    EXPECT_THAT(refusal(GgufWriter().set("general.alignment", alignment).build()),
                HasSubstr("must be a power of two from 8 up, not " + std::to_string(alignment)));
  }
}

std::vector<std::byte> zeros(size_t size) {
  return std::vector<std::byte>(size);
}

TEST(GgufMalformed, TensorNames) {
  EXPECT_THAT(refusal(GgufWriter().tensor("", TensorType::f32, {1}, zeros(4)).build()),
              HasSubstr("tensor 1 of 1: its name is empty"));
  EXPECT_THAT(
      refusal(GgufWriter().tensor(std::string(65, 't'), TensorType::f32, {1}, zeros(4)).build()),
      HasSubstr("tensor 1 of 1: its name has 65 bytes, more than the 64 allowed"));
  GgufWriter twice;
  twice.tensor("t", TensorType::f32, {1}, zeros(4)).tensor("t", TensorType::f32, {1}, zeros(4));
  EXPECT_EQ(refusal(twice.build()), "bad.gguf: tensor 't': appears twice (at bytes 32 and 65)");
}

TEST(GgufMalformed, TensorShapes) {
  const auto shaped = [](std::vector<uint64_t> shape) {
    return refusal(GgufWriter().tensor({"t", kF32, std::move(shape), zeros(64), {}}).build());
  };
  EXPECT_EQ(shaped({1, 1, 1, 1, 1}),
            "bad.gguf: tensor 't': 5 dimensions, more than the 4 allowed (at byte 33)");
  EXPECT_THAT(shaped({4, 0}),
              HasSubstr("tensor 't': dimension 1 is 0, not between 1 and 2147483647"));
  EXPECT_THAT(shaped({1ull << 31}), HasSubstr("dimension 0 is 2147483648"));
  EXPECT_THAT(shaped({1u << 30, 1u << 30, 1u << 30, 1u << 30}),
              HasSubstr("tensor 't': its shape has more values than a file of 160 bytes can hold"));
  EXPECT_THAT(shaped({17}),
              HasSubstr("tensor 't': its 68 bytes at offset 0 of the data reach past the end"));
}

TEST(GgufMalformed, TensorTypes) {
  const auto typed = [](uint32_t type, uint64_t cols) {
    return refusal(GgufWriter().tensor({"t", type, {cols}, zeros(512), {}}).build());
  };
  EXPECT_THAT(typed(23, 256),
              HasSubstr("tensor 't': tensor type 23 (IQ4_XS) is not supported; use a file with"));
  EXPECT_THAT(typed(4, 256), HasSubstr("tensor type 4 (unknown) is not supported"));
  EXPECT_THAT(typed(3, 48),
              HasSubstr("tensor 't': rows of 48 values are no multiple of Q4_1's block of 32"));
  EXPECT_THAT(typed(14, 128),
              HasSubstr("rows of 128 values are no multiple of Q6_K's block of 256"));
}

TEST(GgufMalformed, TensorOffsets) {
  const auto placed = [](uint64_t offset) {
    GgufWriter writer;
    writer.tensor("first", TensorType::f32, {8}, zeros(32));
    writer.tensor({"second", kF32, {8}, zeros(32), offset});
    return refusal(writer.build());
  };
  EXPECT_THAT(
      placed(33),
      HasSubstr("tensor 'second': its data offset 33 is no multiple of the file's alignment 32"));
  EXPECT_THAT(placed(0), HasSubstr("tensor 'second': its data overlaps that of 'first'"));
  EXPECT_THAT(
      placed(64),
      HasSubstr("tensor 'second': its 32 bytes at offset 64 of the data reach past the end"));
  EXPECT_THAT(placed(UINT64_MAX - 31),
              HasSubstr("tensor 'second': its 32 bytes at offset 18446744073709551584"));
}

// Any single changed byte: read or refused, never a crash (the sanitizers watch).
TEST(GgufMalformed, RandomDamageNeverCrashes) {
  testing::RandomLlama options;
  options.layers = 1;
  options.width = 32;
  options.ff = 32;
  options.attention = TensorType::q4_1;
  const std::vector<std::byte> whole = testing::random_llama(options).build();
  const size_t structure =
      std::min<size_t>(whole.size(), 12000);  // most of it metadata and tensor entries
  Random random(7);
  size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> damaged = whole;
    for (int i = 0; i < 3; ++i)
      damaged[random.below(structure)] = static_cast<std::byte>(random.below(256));
    if (!GgufFile::parse(damaged, "bad.gguf").ok()) ++refused;
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace bessemer
