// From metadata and tensors to a model: what is refused, how it is sharded, and that sharing and
// scaling do what they say.
#include <algorithm>
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/random_llama.h"
#include "worker/backend/registry.h"
#include "worker/model/config.h"
#include "worker/model/loader.h"
#include "worker/model/registry.h"

namespace bessemer::testing {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;

// A file in memory that stays alive as long as what reads it.
struct File {
  std::vector<std::byte> bytes;
  std::shared_ptr<const GgufFile> gguf;
};
File parse(std::vector<std::byte> bytes) {
  File file{std::move(bytes), nullptr};
  auto parsed = GgufFile::parse(file.bytes, "test.gguf");
  CHECK(parsed.ok());
  file.gguf = std::move(*parsed);
  return file;
}
File parse(const GgufWriter& writer) {
  return parse(writer.build());
}

size_t find(const std::vector<std::byte>& bytes, std::string_view text) {
  const auto pattern = std::as_bytes(std::span(text));
  const auto at = std::search(bytes.begin(), bytes.end(), pattern.begin(), pattern.end());
  CHECK(at != bytes.end());
  return static_cast<size_t>(at - bytes.begin());
}
// Overwrites the four-byte value of a key.
template <typename T>
std::vector<std::byte> with_value(std::vector<std::byte> bytes, std::string_view key, T value) {
  static_assert(sizeof value == 4);
  constexpr size_t kType = 4;  // stands between key and value
  std::memcpy(bytes.data() + find(bytes, key) + key.size() + kType, &value, sizeof value);
  return bytes;
}
// Overwrites a text with another of the same length.
std::vector<std::byte> with_text(std::vector<std::byte> bytes, std::string_view text,
                                 std::string_view other) {
  CHECK(text.size() == other.size());
  std::memcpy(bytes.data() + find(bytes, text), other.data(), other.size());
  return bytes;
}

std::unique_ptr<Backend> reference() {
  auto backend = make_backend("reference", {});
  CHECK(backend.ok());
  return std::move(*backend);
}

TEST(Config, ReadsShapeAndDefaults) {
  const File file = parse(random_llama({}));
  const auto config = read_decoder_config(*file.gguf, "llama");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->layers, 2);
  EXPECT_EQ(config->width, 64);
  EXPECT_EQ(config->heads, 4);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->key_width, 16);
  EXPECT_EQ(config->value_width, 16);
  EXPECT_EQ(config->vocab, 320);
  EXPECT_EQ(config->context, 256);
  EXPECT_FLOAT_EQ(config->attention_scale, 0.25f);
  EXPECT_EQ(config->rotary_width, 16);
  ASSERT_EQ(config->inverse_frequencies.size(), 8u);
  EXPECT_THAT(config->inverse_frequencies[0], DoubleNear(1.0, 1e-15));
  EXPECT_THAT(config->inverse_frequencies[4], DoubleNear(0.01, 1e-15));
}

TEST(Config, LinearScalingAndFactorsDivideTheFrequencies) {
  RandomLlama options;
  options.rope_linear_factor = 4;
  const File linear = parse(random_llama(options));
  EXPECT_THAT(read_decoder_config(*linear.gguf, "llama")->inverse_frequencies[4],
              DoubleNear(0.0025, 1e-15));
  options.rope_linear_factor = 0;
  options.rope_frequency_factors = {1, 1, 1, 1, 8, 8, 8, 8};
  const File llama3 = parse(random_llama(options));
  const auto config = read_decoder_config(*llama3.gguf, "llama");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->inverse_frequencies[0], DoubleNear(1.0, 1e-15));
  EXPECT_THAT(config->inverse_frequencies[4], DoubleNear(0.00125, 1e-15));
}

Status config_error(const File& file) {
  return read_decoder_config(*file.gguf, "llama").status();
}

template <typename T>
Status config_error_with(const std::string& added_key, T value) {
  return config_error(parse(random_llama({}).set(added_key, value)));
}

TEST(Config, RefusesAbsurdShapes) {
  const std::vector<std::byte> bytes = random_llama({}).build();
  const auto error = [&](const char* key, uint32_t value) {
    return std::string(config_error(parse(with_value(bytes, key, value))).message());
  };
  EXPECT_THAT(error("llama.attention.head_count", 1u << 19), HasSubstr("1 to 4096 is supported"));
  EXPECT_THAT(error("llama.context_length", 1), HasSubstr("2 to "));
  EXPECT_THAT(error("llama.attention.key_length", 1u << 20), HasSubstr("1 to 1024 is supported"));
}

TEST(Config, NamesFileAndKeyOfWhatIsNotBuilt) {
  const Status yarn = config_error_with("llama.rope.scaling.type", "yarn");
  EXPECT_TRUE(absl::IsUnimplemented(yarn));
  EXPECT_THAT(std::string(yarn.message()),
              HasSubstr("test.gguf: llama.rope.scaling.type: \"yarn\""));
  EXPECT_THAT(std::string(config_error_with("llama.expert_count", uint32_t{8}).message()),
              HasSubstr("llama.expert_count: 8"));
  EXPECT_THAT(
      std::string(config_error_with("llama.attention.sliding_window", uint32_t{64}).message()),
      HasSubstr("sliding_window"));
  EXPECT_THAT(std::string(config_error_with("llama.attention.causal", false).message()),
              HasSubstr("causal"));
  EXPECT_TRUE(config_error_with("llama.attention.causal", true).ok());
  EXPECT_TRUE(config_error_with("llama.logit_scale", 1.0f).ok());
}

TEST(Config, NamesFileAndKeyOfWhatIsWrong) {
  const std::vector<std::byte> good = random_llama({}).build();
  const auto message = [](std::vector<std::byte> bytes) {
    return std::string(config_error(parse(std::move(bytes))).message());
  };
  EXPECT_THAT(message(with_value(good, "llama.attention.head_count_kv", uint32_t{3})),
              HasSubstr("test.gguf: llama.attention.head_count_kv: 3 does not divide the 4"));
  EXPECT_THAT(message(with_value(good, "llama.block_count", uint32_t{0})),
              HasSubstr("llama.block_count: 0"));
  EXPECT_THAT(message(with_value(good, "llama.attention.layer_norm_rms_epsilon", -1.0f)),
              HasSubstr("epsilon"));
  EXPECT_THAT(message(with_text(good, "llama.context_length", "llama.context_lengtx")),
              HasSubstr("llama.context_length"));
  EXPECT_THAT(message(with_text(good, "token_embd.weight", "token_embx.weight")),
              HasSubstr("token_embd.weight is missing"));
}

Status load_error(const File& file) {
  const auto backend = reference();
  return load_model(*file.gguf, *backend, Rank{}).status();
}

TEST(Registry, ListsWhatItKnows) {
  const File file = parse(with_text(random_llama({}).build(), "llama", "mamba"));
  const Status error = load_error(file);
  EXPECT_TRUE(absl::IsNotFound(error));
  EXPECT_THAT(std::string(error.message()), HasSubstr("\"mamba\" is not known; known are: llama"));
}

TEST(Registry, NamesTensorsThatMissOrDoNotFitOrNobodyAskedFor) {
  const std::vector<std::byte> good = random_llama({}).build();
  EXPECT_THAT(
      std::string(load_error(parse(with_text(good, "blk.1.ffn_up.weight", "blk.1.ffn_ux.weight")))
                      .message()),
      HasSubstr("test.gguf: tensor blk.1.ffn_up.weight is missing"));
  EXPECT_THAT(
      std::string(load_error(parse(with_value(good, "llama.feed_forward_length", uint32_t{128})))
                      .message()),
      HasSubstr("blk.0.ffn_gate.weight has 96 rows of 64, but the metadata calls for 128 rows"));
  GgufWriter extra = random_llama({});
  extra.tensor("blk.0.attn_q_norm.weight", TensorType::f32, {16}, std::vector<std::byte>(64));
  EXPECT_THAT(std::string(load_error(parse(extra)).message()),
              HasSubstr("blk.0.attn_q_norm.weight belongs to no part"));
}

TEST(Registry, CountsParametersOnceWhereEmbeddingAndHeadAreOne) {
  RandomLlama options;
  const File tied = parse(random_llama(options));
  options.tied = false;
  const File untied = parse(random_llama(options));
  const auto backend = reference();
  const auto a = load_model(*tied.gguf, *backend, Rank{}),
             b = load_model(*untied.gguf, *backend, Rank{});
  ASSERT_TRUE(a.ok() && b.ok());
  const uint64_t head = 320 * 64;
  EXPECT_EQ((*b)->parameters() - (*a)->parameters(), head);
  EXPECT_EQ((*b)->weight_bytes() - (*a)->weight_bytes(), head * sizeof(float));
}

// A norm or an embedding has no use for one: the file describes another model.
TEST(Loading, RefusesABiasThatWouldBeDropped) {
  const std::vector<std::byte> ones(64 * sizeof(float));
  for (const char* name : {"blk.0.attn_norm.bias", "token_embd.bias", "output_norm.bias"}) {
    const File file = parse(random_llama({}).tensor(name, TensorType::f32, {64}, ones));
    const auto backend = reference();
    const auto model = load_model(*file.gguf, *backend, Rank{});
    EXPECT_THAT(std::string(model.status().message()), HasSubstr(name));
  }
}

// out = x w^T over the ranks' shares must be what one rank computes: concatenated for columns,
// summed for rows.
class Sharding : public ::testing::Test {
 protected:
  static constexpr int32_t kIn = 64, kOut = 96, kRanks = 2;
  Sharding() {
    RandomLlama options;
    options.mlp = TensorType::q8_0;
    options.mlp_bias = true;
    file_ = parse(random_llama(options));
    backend_ = reference();
    CHECK(backend_->reserve_workspace(1, 1, 320).ok());
    StatusOr<std::unique_ptr<Buffer>> buffer = backend_->allocate(4096);
    CHECK(buffer.ok());
    buffer_ = std::move(*buffer);
    for (int32_t i = 0; i < kOut; ++i) x_.push_back(std::sin(static_cast<float>(i)));
  }
  // w applied to columns [at, at + in_features) of x.
  std::vector<float> apply(const Weight& w, int32_t at) {
    Mat in{buffer_.get(), 0, 1, w.in_features(), w.in_features(), DType::f32};
    Mat out{buffer_.get(), 2048, 1, w.out_features(), w.out_features(), DType::f32};
    std::copy_n(x_.begin() + at, w.in_features(), in.row<float>(0));
    const Ticket ticket = backend_->run({}, [&] { backend_->linear(out, in, w); });
    CHECK(backend_->wait(ticket, TimePoint::max()).ok());
    return {out.row<float>(0), out.row<float>(0) + w.out_features()};
  }
  Loader loader(int32_t index, int32_t count) {
    return Loader(*file_.gguf, *backend_, Rank{index, count}, {});
  }

  File file_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Buffer> buffer_;
  std::vector<float> x_;
};

TEST_F(Sharding, ColumnsAreConcatenated) {
  const Tensor up[] = {{"blk.0.ffn_up", kOut, kIn}};
  const auto whole = loader(0, 1).columns(up);
  ASSERT_TRUE(whole.ok()) << whole.status();
  std::vector<float> joined;
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    const auto share = loader(rank, kRanks).columns(up);
    ASSERT_TRUE(share.ok()) << share.status();
    EXPECT_EQ((*share)->out_features(), kOut / kRanks);
    const auto part = apply(**share, 0);
    joined.insert(joined.end(), part.begin(), part.end());
  }
  EXPECT_EQ(joined, apply(**whole, 0));
}

TEST_F(Sharding, StackedTensorsAreShardedOneByOne) {
  const Tensor gate_up[] = {{"blk.0.ffn_gate", kOut, kIn}, {"blk.0.ffn_up", kOut, kIn}};
  const auto gate = apply(**loader(0, 1).columns(std::span(gate_up, 1)), 0);
  const auto up = apply(**loader(0, 1).columns(std::span(gate_up + 1, 1)), 0);
  const auto share = loader(1, kRanks).columns(gate_up);
  ASSERT_TRUE(share.ok()) << share.status();
  const auto part = apply(**share, 0);
  EXPECT_TRUE(std::equal(part.begin(), part.begin() + kOut / 2, gate.begin() + kOut / 2));
  EXPECT_TRUE(std::equal(part.begin() + kOut / 2, part.end(), up.begin() + kOut / 2));
}

TEST_F(Sharding, RowsAreSummedAndTheBiasEntersOnce) {
  RandomLlama options;
  options.ff = 128;
  options.mlp = TensorType::q8_0;
  options.mlp_bias = true;
  file_ = parse(random_llama(options));
  for (int32_t i = kOut; i < 128; ++i) x_.push_back(0.5f);
  const Tensor down{"blk.0.ffn_down", 64, 128};
  const auto whole = apply(**loader(0, 1).rows(down), 0);
  std::vector<float> sum(64);
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    const auto share = loader(rank, kRanks).rows(down);
    ASSERT_TRUE(share.ok()) << share.status();
    const auto part = apply(**share, rank * 64);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  for (size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], whole[i], 1e-4) << i;
}

TEST_F(Sharding, RefusesWhatDoesNotDivide) {
  const Tensor heads[] = {{"blk.0.ffn_up", kOut, kIn, 32}};
  EXPECT_THAT(std::string(loader(0, 2).columns(heads).status().message()),
              HasSubstr("96 rows in units of 32 do not divide over 2 ranks"));
  EXPECT_THAT(std::string(loader(0, 4).rows({"blk.0.ffn_down", kIn, kOut}).status().message()),
              HasSubstr("96 columns in blocks of 32 do not divide over 4 ranks"));
}

}  // namespace
}  // namespace bessemer::testing
