#include "router/text/tokenizer_vocabulary.h"

#include <utility>

namespace bessemer {
namespace {

Status error(const std::string& key, const std::string& what) {
  return absl::InvalidArgumentError("tokenizer.ggml." + key + " " + what);
}

Status check_length(const std::string& key, int entries, int tokens) {
  if (entries == 0 || entries == tokens) return absl::OkStatus();
  return error(key, "has " + std::to_string(entries) + " entries for " + std::to_string(tokens) +
                        " tokens; convert the file again");
}

Status check_id(const std::string& key, bool present, uint32_t value, int tokens, int32_t& id) {
  if (!present) return absl::OkStatus();
  if (value >= static_cast<uint32_t>(tokens)) {
    return error(key, "is " + std::to_string(value) + ", but the last token is " +
                          std::to_string(tokens - 1));
  }
  id = static_cast<int32_t>(value);
  return absl::OkStatus();
}

Status check_ids(const v1::Vocabulary& from, TokenizerVocabulary& to) {
  const int tokens = from.tokens_size();
  RETURN_IF_ERROR(check_id("bos_token_id", from.has_bos_id(), from.bos_id(), tokens, to.bos_id));
  RETURN_IF_ERROR(check_id("eos_token_id", from.has_eos_id(), from.eos_id(), tokens, to.eos_id));
  RETURN_IF_ERROR(
      check_id("unknown_token_id", from.has_unk_id(), from.unk_id(), tokens, to.unk_id));
  RETURN_IF_ERROR(
      check_id("seperator_token_id", from.has_sep_id(), from.sep_id(), tokens, to.sep_id));
  return check_id("cls_token_id", from.has_cls_id(), from.cls_id(), tokens, to.cls_id);
}

TokenKind kind_of(int type) {
  const bool known = type >= v1::TOKEN_UNDEFINED && type <= v1::TOKEN_BYTE;
  return known ? static_cast<TokenKind>(type) : TokenKind::undefined;
}

StringIndex index_spellings(const v1::Vocabulary& vocabulary) {
  size_t bytes = 0;
  for (const std::string& token : vocabulary.tokens()) bytes += token.size();
  StringIndex index(static_cast<size_t>(vocabulary.tokens_size()), bytes);
  for (const std::string& token : vocabulary.tokens()) index.add(token, !token.empty());
  return index;
}

std::optional<bool> optional_flag(bool present, bool value) {
  return present ? std::optional<bool>(value) : std::nullopt;
}

}  // namespace

StatusOr<TokenizerVocabulary> check_vocabulary(const v1::Vocabulary& vocabulary) {
  const int tokens = vocabulary.tokens_size();
  if (tokens == 0) return error("tokens", "is missing or empty: the file has no vocabulary");
  RETURN_IF_ERROR(check_length("token_type", vocabulary.types_size(), tokens));
  RETURN_IF_ERROR(check_length("scores", vocabulary.scores_size(), tokens));
  TokenizerVocabulary checked{
      index_spellings(vocabulary),
      std::vector<TokenKind>(static_cast<size_t>(tokens), TokenKind::normal),
      {vocabulary.scores().begin(), vocabulary.scores().end()}};
  for (int i = 0; i < vocabulary.types_size(); ++i) {
    checked.kinds[static_cast<size_t>(i)] = kind_of(vocabulary.types(i));
  }
  RETURN_IF_ERROR(check_ids(vocabulary, checked));
  checked.add_bos = optional_flag(vocabulary.has_add_bos(), vocabulary.add_bos());
  checked.add_eos = optional_flag(vocabulary.has_add_eos(), vocabulary.add_eos());
  checked.add_space_prefix =
      optional_flag(vocabulary.has_add_space_prefix(), vocabulary.add_space_prefix());
  checked.remove_extra_whitespaces = vocabulary.remove_extra_whitespaces();
  return checked;
}

int parse_byte_token(std::string_view spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') return -1;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  const int high = digit(spelling[3]), low = digit(spelling[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace bessemer
