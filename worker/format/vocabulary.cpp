#include "worker/format/vocabulary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "worker/format/printable.h"
#include "worker/format/utf8.h"

namespace bessemer {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::string_view kCharsMap = "tokenizer.ggml.precompiled_charsmap";
constexpr std::string_view kTemplate = "tokenizer.chat_template";
constexpr std::string_view kNamedTemplate = "tokenizer.chat_template.";  // and the name
constexpr int64_t kMaxTokens = std::numeric_limits<int32_t>::max();  // ids are int32 in the worker

// Spellings that end a turn, a message to a tool, or the text, by model family.
constexpr std::array<std::string_view, 21> kEndMarks = {
    "<|im_end|>",          // ChatML: Qwen, SmolLM, Yi
    "<|eot_id|>",          // Llama 3
    "<|eom_id|>",          // Llama 3, message to a tool
    "<|end_of_text|>",     // Llama 3, Granite
    "<|end|>",             // Phi 3, harmony only where it does not close a channel
    "<|return|>",          // harmony
    "<|call|>",            // harmony
    "<|calls|>",           // Solar
    "<|flush|>",           // Solar
    "<end_of_turn>",       // Gemma 2 and 3
    "<turn|>",             // Gemma 4
    "<|tool_response>",    // Gemma 4
    "<eos>",               // Gemma
    "<|endoftext|>",       // GPT-2 and its heirs
    "</s>",                // SentencePiece
    "<end_of_utterance>",  // SmolVLM
    "<EOT>",               // Code Llama
    "_<EOT>",              // Code Llama
    "[EOT]",               // Kimi
    "[EOS]",               // Kimi
    "<|EOT|>",             // DeepSeek Coder
};

// Fill-in-the-middle padding and file borders: what follows belongs to another file. At most one of
// each row counts.
constexpr std::array<std::array<std::string_view, 5>, 3> kFileMarks = {{
    {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"},
    {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"},
    {"<|file_sep|>"},
}};

class VocabularyReader {
 public:
  explicit VocabularyReader(const GgufFile& file) : file_(file) {}

  StatusOr<v1::Vocabulary> read() {
    ASSIGN_OR_RETURN(*out_.mutable_model(), text("tokenizer.ggml.model"));
    RETURN_IF_ERROR(optional_text("tokenizer.ggml.pre", [&] { return out_.mutable_pre(); }));
    RETURN_IF_ERROR(read_tokens());
    RETURN_IF_ERROR(read_scores());
    RETURN_IF_ERROR(read_types());
    RETURN_IF_ERROR(read_merges());
    RETURN_IF_ERROR(read_ids());
    RETURN_IF_ERROR(read_flags());
    RETURN_IF_ERROR(read_chars_map());
    RETURN_IF_ERROR(read_templates());
    RETURN_IF_ERROR(find_ends());
    return std::move(out_);
  }

 private:
  Status error(std::string_view key, const std::string& what) const {
    return absl::InvalidArgumentError(file_.path() + ": key '" + printable(key, 80) + "': " + what);
  }
  bool has(std::string_view key) const { return file_.find(key) != nullptr; }
  int64_t size() const { return out_.tokens_size(); }

  // A string that a proto3 `string` field may hold.
  StatusOr<std::string> text(std::string_view key) const {
    ASSIGN_OR_RETURN(std::string value, file_.get_string(key));
    if (!is_utf8(value)) return error(key, "is not UTF-8");
    return value;
  }
  // `target` is called only when the key is there, so that absent fields stay absent.
  template <typename Target>
  Status optional_text(std::string_view key, Target target) const {
    if (!has(key)) return absl::OkStatus();
    ASSIGN_OR_RETURN(*target(), text(key));
    return absl::OkStatus();
  }
  template <typename Set>
  Status optional_flag(std::string_view key, Set set) const {
    if (!has(key)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool value, file_.get_bool(key));
    set(value);
    return absl::OkStatus();
  }
  // nullopt: the key is missing or says "none".
  StatusOr<std::optional<uint32_t>> optional_id(std::string_view key) const;
  StatusOr<const GgufArray*> strings(std::string_view key) const;
  // One element per token.
  Status check_length(std::string_view key, size_t length) const;

  Status read_tokens();
  Status read_scores();
  Status read_types();
  Status read_merges();
  Status read_ids();
  Status read_flags();
  Status read_chars_map();
  Status read_templates();
  Status find_ends();
  std::set<uint32_t> ends_by_spelling();
  void make_control(uint32_t id);

  const GgufFile& file_;
  v1::Vocabulary out_;
};

StatusOr<std::optional<uint32_t>> VocabularyReader::optional_id(std::string_view key) const {
  if (!has(key)) return std::optional<uint32_t>();
  ASSIGN_OR_RETURN(const int64_t id, file_.get_int(key));
  if (id == -1 || id == std::numeric_limits<uint32_t>::max()) return std::optional<uint32_t>();
  if (id < 0 || id >= size()) {
    return error(key,
                 fmt::format("token id {} is outside the vocabulary of {} tokens", id, size()));
  }
  return std::optional<uint32_t>(static_cast<uint32_t>(id));
}

StatusOr<const GgufArray*> VocabularyReader::strings(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufArray* array, file_.get_array(key));
  if (array->element == GgufType::string) return array;
  return error(key, "must be an array of strings, not of " + type_name(array->element));
}

Status VocabularyReader::check_length(std::string_view key, size_t length) const {
  if (length == static_cast<size_t>(size())) return absl::OkStatus();
  return error(key, fmt::format("has {} elements for {} tokens", length, size()));
}

Status VocabularyReader::read_tokens() {
  ASSIGN_OR_RETURN(const GgufArray* tokens, strings(kTokens));
  if (tokens->count == 0) return error(kTokens, "the vocabulary is empty");
  if (tokens->count > static_cast<uint64_t>(kMaxTokens)) {
    return error(kTokens,
                 fmt::format("{} tokens, more than the {} allowed", tokens->count, kMaxTokens));
  }
  out_.mutable_tokens()->Reserve(static_cast<int>(tokens->count));
  for (const std::string_view token : tokens->strings) out_.add_tokens(token.data(), token.size());
  return absl::OkStatus();
}

Status VocabularyReader::read_scores() {
  if (!has(kScores)) {
    if (out_.model() != "llama") return absl::OkStatus();
    return error(kScores, "is missing; a SentencePiece vocabulary cannot be used without scores");
  }
  ASSIGN_OR_RETURN(const std::vector<float> scores, file_.get_floats(kScores));
  RETURN_IF_ERROR(check_length(kScores, scores.size()));
  for (size_t id = 0; id < scores.size(); ++id) {
    if (!std::isfinite(scores[id]))
      return error(kScores, fmt::format("the score of token {} is not finite", id));
  }
  out_.mutable_scores()->Add(scores.begin(), scores.end());
  return absl::OkStatus();
}

Status VocabularyReader::read_types() {
  if (!has(kTypes)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<int64_t> types, file_.get_ints(kTypes));
  RETURN_IF_ERROR(check_length(kTypes, types.size()));
  out_.mutable_types()->Reserve(static_cast<int>(types.size()));
  for (size_t id = 0; id < types.size(); ++id) {
    if (types[id] < v1::TokenType_MIN || types[id] > v1::TokenType_MAX) {
      return error(kTypes, fmt::format("token {} has the unknown type {}", id, types[id]));
    }
    out_.add_types(static_cast<v1::TokenType>(types[id]));
  }
  return absl::OkStatus();
}

Status VocabularyReader::read_merges() {
  if (!has(kMerges)) {
    if (out_.model() != "gpt2") return absl::OkStatus();
    return error(kMerges, "is missing; a byte-level BPE vocabulary cannot be used without merges");
  }
  ASSIGN_OR_RETURN(const GgufArray* merges, strings(kMerges));
  out_.mutable_merges()->Reserve(static_cast<int>(std::min<uint64_t>(merges->count, kMaxTokens)));
  for (const std::string_view merge : merges->strings) {
    // The first part is never empty, so a space in front belongs to it.
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size() || !is_utf8(merge)) {
      return error(kMerges,
                   fmt::format("merge {} ('{}') is not two parts of UTF-8 with a space between",
                               out_.merges_size(), printable(merge, 80)));
    }
    out_.add_merges(merge.data(), merge.size());
  }
  return absl::OkStatus();
}

Status VocabularyReader::read_ids() {
  using Setter = void (v1::Vocabulary::*)(uint32_t);
  struct Id {
    std::string_view key;
    Setter set;
  };
  static constexpr Id kIds[] = {
      {"tokenizer.ggml.bos_token_id", &v1::Vocabulary::set_bos_id},
      {"tokenizer.ggml.eos_token_id", &v1::Vocabulary::set_eos_id},
      {"tokenizer.ggml.eot_token_id", &v1::Vocabulary::set_eot_id},
      {"tokenizer.ggml.unknown_token_id", &v1::Vocabulary::set_unk_id},
      {"tokenizer.ggml.separator_token_id", &v1::Vocabulary::set_sep_id},
      {"tokenizer.ggml.seperator_token_id",
       &v1::Vocabulary::set_sep_id},  // the specification's spelling
      {"tokenizer.ggml.padding_token_id", &v1::Vocabulary::set_pad_id},
      {"tokenizer.ggml.cls_token_id", &v1::Vocabulary::set_cls_id},
      {"tokenizer.ggml.mask_token_id", &v1::Vocabulary::set_mask_id},
  };
  for (const Id& id : kIds) {
    ASSIGN_OR_RETURN(const std::optional<uint32_t> value, optional_id(id.key));
    if (value) (out_.*id.set)(*value);
  }
  return absl::OkStatus();
}

Status VocabularyReader::read_flags() {
  using Setter = void (v1::Vocabulary::*)(bool);
  struct Flag {
    std::string_view key;
    Setter set;
  };
  static constexpr Flag kFlags[] = {
      {"tokenizer.ggml.add_bos_token", &v1::Vocabulary::set_add_bos},
      {"tokenizer.ggml.add_eos_token", &v1::Vocabulary::set_add_eos},
      {"tokenizer.ggml.add_space_prefix", &v1::Vocabulary::set_add_space_prefix},
      {"tokenizer.ggml.remove_extra_whitespaces", &v1::Vocabulary::set_remove_extra_whitespaces},
      {"tokenizer.ggml.clean_up_tokenization_spaces",
       &v1::Vocabulary::set_clean_up_tokenization_spaces},
  };
  for (const Flag& flag : kFlags) {
    RETURN_IF_ERROR(optional_flag(flag.key, [&](bool value) { (out_.*flag.set)(value); }));
  }
  return absl::OkStatus();
}

Status VocabularyReader::read_chars_map() {
  if (!has(kCharsMap)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const GgufArray* map, file_.get_array(kCharsMap));
  if (map->element != GgufType::u8 && map->element != GgufType::i8) {
    return error(kCharsMap, "must be an array of bytes, not of " + type_name(map->element));
  }
  out_.set_precompiled_charsmap(map->bytes.data(), map->bytes.size());
  return absl::OkStatus();
}

Status VocabularyReader::read_templates() {
  RETURN_IF_ERROR(optional_text(kTemplate, [&] { return out_.mutable_chat_template(); }));
  for (const auto& [key, value] : file_.metadata()) {
    if (!key.starts_with(kNamedTemplate)) continue;
    const std::string name(key.substr(kNamedTemplate.size()));
    if (name.empty() || !is_utf8(name)) return error(key, "names no chat template in UTF-8");
    ASSIGN_OR_RETURN((*out_.mutable_named_chat_templates())[name], text(key));
  }
  return absl::OkStatus();
}

// The type of a token that ends generation decides whether text may spell it and whether answers
// show it.
void VocabularyReader::make_control(uint32_t id) {
  while (out_.types_size() < out_.tokens_size()) out_.add_types(v1::TOKEN_NORMAL);
  out_.set_types(static_cast<int>(id), v1::TOKEN_CONTROL);
}

std::set<uint32_t> VocabularyReader::ends_by_spelling() {
  std::unordered_map<std::string_view, uint32_t> ids;
  for (int id = 0; id < out_.tokens_size(); ++id) {
    ids.emplace(std::string_view(out_.tokens(id)), static_cast<uint32_t>(id));
  }
  const auto has_token = [&](std::string_view token) {
    return !token.empty() && ids.contains(token);
  };
  // In these families <|end|> closes a part of the answer, and </s> is ordinary text.
  const bool channels =
      (has_token("<|return|>") && has_token("<|call|>")) ||
      (has_token("<|flush|>") && (has_token("<|call|>") || has_token("<|calls|>")));
  const bool gemma4 = has_token("<|tool_response>");
  std::set<uint32_t> ends;
  for (const std::string_view mark : kEndMarks) {
    if ((mark == "<|end|>" && channels) || (mark == "</s>" && gemma4)) continue;
    const auto found = ids.find(mark);
    if (found != ids.end()) ends.insert(found->second);
  }
  for (const auto& spellings : kFileMarks) {
    const auto mark = std::find_if(spellings.begin(), spellings.end(), has_token);
    if (mark != spellings.end()) ends.insert(ids.at(*mark));
  }
  return ends;
}

Status VocabularyReader::find_ends() {
  std::set<uint32_t> ends = ends_by_spelling();
  for (const uint32_t id : ends) {
    if (out_.types_size() == 0 || out_.types(static_cast<int>(id)) != v1::TOKEN_CONTROL)
      make_control(id);
  }
  for (const std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                     "tokenizer.ggml.eom_token_id"}) {
    ASSIGN_OR_RETURN(const std::optional<uint32_t> id, optional_id(key));
    if (id) ends.insert(*id);
  }
  out_.mutable_end_of_generation_ids()->Add(ends.begin(), ends.end());
  return absl::OkStatus();
}

}  // namespace

StatusOr<v1::Vocabulary> read_vocabulary(const GgufFile& file) {
  return VocabularyReader(file).read();
}

}  // namespace bessemer
