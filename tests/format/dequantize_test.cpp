// Bit for bit against the public reference; tests/golden/dequantize.py made the expected values and
// describes the file.
#include "worker/format/dequantize.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bessemer {
namespace {

constexpr uint32_t kFloatToHalf = 1000, kFloatToBfloat = 1001;

struct Golden {
  std::vector<std::byte> input, output;
};

template <typename T>
std::vector<T> values_of(const std::vector<std::byte>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

std::map<uint32_t, Golden> read_golden() {
  std::ifstream file("tests/golden/dequantize.bin", std::ios::binary);
  std::map<uint32_t, Golden> records;
  uint32_t head[3];  // kind, input bytes, output bytes
  while (file.read(reinterpret_cast<char*>(head), sizeof head)) {
    Golden& record = records[head[0]];
    record.input.resize(head[1]);
    record.output.resize(head[2]);
    file.read(reinterpret_cast<char*>(record.input.data()), head[1]);
    file.read(reinterpret_cast<char*>(record.output.data()), head[2]);
  }
  return records;
}

TEST(Dequantize, EveryTypeEqualsTheReferenceBitForBit) {
  const std::map<uint32_t, Golden> records = read_golden();
  size_t types = 0;
  for (const auto& [kind, golden] : records) {
    const std::optional<TensorTypeTraits> traits = tensor_type_traits(kind);
    if (!traits) continue;
    ++types;
    const std::vector<uint32_t> expected = values_of<uint32_t>(golden.output);
    ASSERT_GE(expected.size(), 512u);
    std::vector<float> out(expected.size());
    dequantize(traits->type, golden.input, out);
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), expected[i]) << traits->name << " value " << i;
    }
  }
  EXPECT_EQ(types, 13u);  // all of TensorType
}

TEST(Dequantize, FloatToHalfEqualsTheReference) {
  const std::map<uint32_t, Golden> records = read_golden();
  ASSERT_TRUE(records.contains(kFloatToHalf));
  const auto values = values_of<float>(records.at(kFloatToHalf).input);
  const auto expected = values_of<uint16_t>(records.at(kFloatToHalf).output);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(float_to_half(values[i]), expected[i]) << values[i];
}

TEST(Dequantize, FloatToBfloatEqualsTheReference) {
  const std::map<uint32_t, Golden> records = read_golden();
  ASSERT_TRUE(records.contains(kFloatToBfloat));
  const auto values = values_of<float>(records.at(kFloatToBfloat).input);
  const auto expected = values_of<uint16_t>(records.at(kFloatToBfloat).output);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(float_to_bfloat(values[i]), expected[i]) << values[i];
}

TEST(Dequantize, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const float value = half_to_float(half);
    if ((bits & 0x7fff) > 0x7c00) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(half_to_float(float_to_half(value)))) << bits;
    } else {
      ASSERT_EQ(float_to_half(value), half) << bits;
    }
  }
}

TEST(Dequantize, NotANumberStaysNotANumber) {
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(half_to_float(float_to_half(nan)))) << bits;
    EXPECT_TRUE(std::isnan(bfloat_to_float(float_to_bfloat(nan)))) << bits;
  }
}

TEST(DequantizeDeathTest, RefusesBytesThatDoNotFit) {
  const std::vector<std::byte> bytes(18);
  std::vector<float> out(64);
  EXPECT_DEATH(dequantize(TensorType::q4_0, bytes, out), "invariant broken");
}

}  // namespace
}  // namespace bessemer
