// tokenizer.* keys -> Vocabulary: what is read, what is refused, what ends generation.
#include "worker/format/vocabulary.h"

#include <filesystem>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/gguf_writer.h"
#include "tests/support/random_llama.h"

namespace bessemer {
namespace {

using ::testing::ElementsAre;
using testing::GgufWriter;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

StatusOr<v1::Vocabulary> read(const GgufWriter& writer) {
  const std::vector<std::byte> bytes = writer.build();
  const auto file = GgufFile::parse(bytes, "v.gguf");
  if (!file.ok()) return file.status();
  return read_vocabulary(**file);
}

std::string refusal(const GgufWriter& writer) {
  const auto vocabulary = read(writer);
  EXPECT_FALSE(vocabulary.ok()) << "was accepted";
  return vocabulary.ok() ? "" : std::string(vocabulary.status().message());
}

// A byte-level BPE vocabulary of these tokens.
GgufWriter bpe(const std::vector<std::string>& tokens) {
  GgufWriter writer;
  writer.set("tokenizer.ggml.model", "gpt2").set("tokenizer.ggml.pre", "smollm");
  writer.set_strings("tokenizer.ggml.tokens", tokens).set_strings("tokenizer.ggml.merges", {});
  return writer;
}

v1::Vocabulary read_ok(const GgufWriter& writer) {
  const auto vocabulary = read(writer);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status();
  return vocabulary.value_or(v1::Vocabulary());
}

TEST(Vocabulary, ReadsEveryField) {
  GgufWriter writer = bpe({"<unk>", "<s>", "</s>", "a", "b", "ab", "\xff"});
  writer.set_array<float>("tokenizer.ggml.scores", {0, 0, 0, -1, -2, -3, -4});
  writer.set_array<int32_t>("tokenizer.ggml.token_type", {2, 3, 3, 1, 4, 5, 6});
  writer.set<uint32_t>("tokenizer.ggml.bos_token_id", 1)
      .set<uint32_t>("tokenizer.ggml.eos_token_id", 2);
  writer.set<int32_t>("tokenizer.ggml.unknown_token_id", 0)
      .set<uint64_t>("tokenizer.ggml.seperator_token_id", 3);
  writer.set<uint16_t>("tokenizer.ggml.padding_token_id", 4)
      .set<uint8_t>("tokenizer.ggml.cls_token_id", 5);
  writer.set<uint32_t>("tokenizer.ggml.mask_token_id", 6)
      .set<uint32_t>("tokenizer.ggml.eot_token_id", 4);
  writer.set("tokenizer.ggml.add_bos_token", true).set("tokenizer.ggml.add_eos_token", false);
  writer.set("tokenizer.ggml.add_space_prefix", true)
      .set("tokenizer.ggml.remove_extra_whitespaces", false);
  writer.set_array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {1, 0, 255});
  writer.set("tokenizer.chat_template", "main").set("tokenizer.chat_template.tool_use", "tools");
  const v1::Vocabulary v = read_ok(writer);
  EXPECT_EQ(v.model(), "gpt2");
  EXPECT_EQ(v.pre(), "smollm");
  EXPECT_EQ(v.tokens_size(), 7);
  EXPECT_EQ(v.tokens(6), "\xff");  // bytes, not text
  EXPECT_EQ(v.scores(4), -2);
  EXPECT_THAT(v.types(), ElementsAre(2, 3, 3, 1, 4, 5, 6));
  EXPECT_EQ(v.bos_id(), 1u);
  EXPECT_EQ(v.eos_id(), 2u);
  EXPECT_TRUE(v.has_unk_id());
  EXPECT_EQ(v.unk_id(), 0u);
  EXPECT_EQ(v.sep_id(), 3u);
  EXPECT_EQ(v.pad_id(), 4u);
  EXPECT_EQ(v.cls_id(), 5u);
  EXPECT_EQ(v.mask_id(), 6u);
  EXPECT_EQ(v.eot_id(), 4u);
  EXPECT_TRUE(v.add_bos());
  EXPECT_TRUE(v.has_add_eos());
  EXPECT_FALSE(v.add_eos());
  EXPECT_TRUE(v.add_space_prefix());
  EXPECT_TRUE(v.has_remove_extra_whitespaces());
  EXPECT_EQ(v.precompiled_charsmap(), std::string("\1\0\xff", 3));
  EXPECT_EQ(v.chat_template(), "main");
  EXPECT_EQ(v.named_chat_templates().at("tool_use"), "tools");
  EXPECT_THAT(v.end_of_generation_ids(), ElementsAre(2, 4));
}

TEST(Vocabulary, WhatTheFileDoesNotSayStaysAbsent) {
  const v1::Vocabulary v = read_ok(bpe({"a", "b"}));
  EXPECT_FALSE(v.has_bos_id() || v.has_eos_id() || v.has_unk_id() || v.has_add_bos() ||
               v.has_add_space_prefix());
  EXPECT_THAT(v.types(), IsEmpty());
  EXPECT_THAT(v.scores(), IsEmpty());
  EXPECT_EQ(v.chat_template(), "");
  EXPECT_THAT(v.end_of_generation_ids(), IsEmpty());
}

TEST(Vocabulary, MinusOneMeansNone) {
  GgufWriter writer = bpe({"a"});
  writer.set<uint32_t>("tokenizer.ggml.padding_token_id", UINT32_MAX);
  writer.set<int32_t>("tokenizer.ggml.unknown_token_id", -1);
  const v1::Vocabulary v = read_ok(writer);
  EXPECT_FALSE(v.has_pad_id());
  EXPECT_FALSE(v.has_unk_id());
}

TEST(Vocabulary, EndMarksAreFoundBySpellingAndMadeControl) {
  GgufWriter writer = bpe({"a", "<|im_end|>", "<|endoftext|>", "b", "<|eom_id|>"});
  writer.set_array<int32_t>("tokenizer.ggml.token_type", {1, 1, 3, 1, 4});
  writer.set<uint32_t>("tokenizer.ggml.eom_token_id", 3);
  const v1::Vocabulary v = read_ok(writer);
  EXPECT_THAT(v.end_of_generation_ids(), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(v.types(), ElementsAre(1, 3, 3, 1, 3));
}

TEST(Vocabulary, EndMarksGetTypesWhereTheFileHasNone) {
  EXPECT_THAT(read_ok(bpe({"a", "</s>"})).types(),
              ElementsAre(v1::TOKEN_NORMAL, v1::TOKEN_CONTROL));
}

TEST(Vocabulary, ChannelsDoNotEndGeneration) {
  EXPECT_THAT(read_ok(bpe({"<|return|>", "<|call|>", "<|end|>"})).end_of_generation_ids(),
              ElementsAre(0, 1));
  EXPECT_THAT(read_ok(bpe({"<|flush|>", "<|calls|>", "<|end|>"})).end_of_generation_ids(),
              ElementsAre(0, 1));
  EXPECT_THAT(read_ok(bpe({"<|user|>", "<|end|>"})).end_of_generation_ids(), ElementsAre(1));
}

TEST(Vocabulary, FileBordersEndGeneration) {
  // Only the first spelling of each kind counts; an empty token is none of them.
  EXPECT_THAT(
      read_ok(bpe({"", "<reponame>", "<|repo_name|>", "<|file_sep|>"})).end_of_generation_ids(),
      ElementsAre(2, 3));
}

struct Refused {
  const char* name;
  std::function<void(GgufWriter&)> add;  // to a sound vocabulary of two tokens without merges
  const char* message;
};
void PrintTo(const Refused& c, std::ostream* out) {
  *out << c.name;
}

class VocabularyRefused : public ::testing::TestWithParam<Refused> {};

TEST_P(VocabularyRefused, NamesTheKey) {
  GgufWriter writer;
  writer.set("tokenizer.ggml.model", "gpt2").set_strings("tokenizer.ggml.tokens", {"a", "b"});
  GetParam().add(writer);
  EXPECT_EQ(refusal(writer), std::string("v.gguf: key 'tokenizer.") + GetParam().message);
}

void add_merges(GgufWriter& w) {
  w.set_strings("tokenizer.ggml.merges", {});
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, VocabularyRefused,
    ::testing::Values(
        Refused{
            "no_merges", [](GgufWriter&) {},
            "ggml.merges': is missing; a byte-level BPE vocabulary cannot be used without merges"},
        Refused{"merge_without_space",
                [](GgufWriter& w) { w.set_strings("tokenizer.ggml.merges", {"a b", "ab"}); },
                "ggml.merges': merge 1 ('ab') is not two parts of UTF-8 with a space between"},
        Refused{"merge_half", [](GgufWriter& w) { w.set_strings("tokenizer.ggml.merges", {"a "}); },
                "ggml.merges': merge 0 ('a ') is not two parts of UTF-8 with a space between"},
        Refused{"merge_empty", [](GgufWriter& w) { w.set_strings("tokenizer.ggml.merges", {""}); },
                "ggml.merges': merge 0 ('') is not two parts of UTF-8 with a space between"},
        Refused{"merge_bytes",
                [](GgufWriter& w) { w.set_strings("tokenizer.ggml.merges", {"\xc0 b"}); },
                "ggml.merges': merge 0 ('\\xc0 b') is not two parts of UTF-8 with a space between"},
        Refused{"merges_of_numbers",
                [](GgufWriter& w) { w.set_array<int32_t>("tokenizer.ggml.merges", {1}); },
                "ggml.merges': must be an array of strings, not of i32"},
        Refused{"scores_length",
                [](GgufWriter& w) { w.set_array<float>("tokenizer.ggml.scores", {1}); },
                "ggml.scores': has 1 elements for 2 tokens"},
        Refused{"scores_infinite",
                [](GgufWriter& w) { w.set_array<float>("tokenizer.ggml.scores", {1, INFINITY}); },
                "ggml.scores': the score of token 1 is not finite"},
        Refused{"types_length",
                [](GgufWriter& w) { w.set_array<int32_t>("tokenizer.ggml.token_type", {1, 1, 1}); },
                "ggml.token_type': has 3 elements for 2 tokens"},
        Refused{"type_unknown",
                [](GgufWriter& w) { w.set_array<int32_t>("tokenizer.ggml.token_type", {1, 7}); },
                "ggml.token_type': token 1 has the unknown type 7"},
        Refused{"id_outside",
                [](GgufWriter& w) {
                  add_merges(w);
                  w.set<uint32_t>("tokenizer.ggml.eos_token_id", 2);
                },
                "ggml.eos_token_id': token id 2 is outside the vocabulary of 2 tokens"},
        Refused{"id_negative",
                [](GgufWriter& w) {
                  add_merges(w);
                  w.set<int32_t>("tokenizer.ggml.bos_token_id", -2);
                },
                "ggml.bos_token_id': token id -2 is outside the vocabulary of 2 tokens"},
        Refused{"eom_outside",
                [](GgufWriter& w) {
                  add_merges(w);
                  w.set<uint32_t>("tokenizer.ggml.eom_token_id", 9);
                },
                "ggml.eom_token_id': token id 9 is outside the vocabulary of 2 tokens"},
        Refused{"flag_type",
                [](GgufWriter& w) {
                  add_merges(w);
                  w.set<uint32_t>("tokenizer.ggml.add_bos_token", 1);
                },
                "ggml.add_bos_token' must be a boolean, not u32"},
        Refused{"charsmap_type",
                [](GgufWriter& w) {
                  add_merges(w);
                  w.set_array<float>("tokenizer.ggml.precompiled_charsmap", {1});
                },
                "ggml.precompiled_charsmap': must be an array of bytes, not of f32"},
        Refused{"template_bytes",
                [](GgufWriter& w) {
                  add_merges(w);
                  w.set("tokenizer.chat_template", "\xed\xa0\x80");
                },
                "chat_template': is not UTF-8"},
        Refused{"template_nameless",
                [](GgufWriter& w) {
                  add_merges(w);
                  w.set("tokenizer.chat_template.", "x");
                },
                "chat_template.': names no chat template in UTF-8"}),
    [](const auto& param) { return param.param.name; });

TEST(Vocabulary, RefusesFilesWithoutOne) {
  EXPECT_EQ(refusal(GgufWriter()), "v.gguf: key 'tokenizer.ggml.model' is missing");
  EXPECT_EQ(refusal(GgufWriter().set("tokenizer.ggml.model", "gpt2")),
            "v.gguf: key 'tokenizer.ggml.tokens' is missing");
  GgufWriter empty;
  empty.set("tokenizer.ggml.model", "gpt2").set_strings("tokenizer.ggml.tokens", {});
  EXPECT_EQ(refusal(empty), "v.gguf: key 'tokenizer.ggml.tokens': the vocabulary is empty");
  GgufWriter unscored;
  unscored.set("tokenizer.ggml.model", "llama").set_strings("tokenizer.ggml.tokens", {"a"});
  EXPECT_THAT(refusal(unscored),
              HasSubstr("a SentencePiece vocabulary cannot be used without scores"));
}

TEST(Vocabulary, RandomModelsHaveOne) {
  const v1::Vocabulary v = read_ok(testing::random_llama({}));
  EXPECT_EQ(v.tokens_size(), 320);
  EXPECT_EQ(v.tokens(3 + 'A'), "A");
  EXPECT_EQ(v.tokens(3 + ' '), "\u0120");
  EXPECT_EQ(v.tokens(3 + 0xad), "\u0143");
  EXPECT_THAT(v.end_of_generation_ids(), ElementsAre(0, 2));
}

TEST(Vocabulary, ReadsRealFiles) {
  const std::filesystem::path data = "../shared/data/tokenizers";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << data << " is not there";
  const auto vocabulary = [&](const std::string& name) {
    const auto file = GgufFile::open(data / (name + ".gguf"));
    EXPECT_TRUE(file.ok()) << file.status();
    const auto v = read_vocabulary(**file);
    EXPECT_TRUE(v.ok()) << v.status();
    return v.value_or(v1::Vocabulary());
  };
  const v1::Vocabulary gpt2 = vocabulary("gpt-2");
  EXPECT_EQ(gpt2.tokens_size(), 50257);
  EXPECT_EQ(gpt2.merges_size(), 50000);
  EXPECT_THAT(gpt2.end_of_generation_ids(), ElementsAre(50256));
  const v1::Vocabulary phi = vocabulary("phi-3");
  EXPECT_EQ(phi.scores_size(), 32064);
  EXPECT_FALSE(phi.chat_template().empty());
  EXPECT_THAT(phi.end_of_generation_ids(),
              ::testing::IsSupersetOf({32000u, 32007u}));  // endoftext, end
  EXPECT_EQ(vocabulary("bert-bge").cls_id(), 101u);
  EXPECT_TRUE(vocabulary("deepseek-coder").add_bos());
  EXPECT_EQ(vocabulary("llama-spm").types(3), v1::TOKEN_BYTE);
}

}  // namespace
}  // namespace bessemer
