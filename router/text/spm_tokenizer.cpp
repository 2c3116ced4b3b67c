#include "router/text/spm_tokenizer.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "router/text/unicode.h"

namespace bessemer {
namespace {

// Files written before the keys existed rely on LLaMA's ids.
constexpr int32_t kLlamaUnk = 0, kLlamaBos = 1, kLlamaEos = 2;

int32_t id_or_default(const TokenizerVocabulary& vocabulary, int32_t id, int32_t fallback) {
  if (id >= 0 || fallback >= vocabulary.size()) return id;
  const TokenKind kind = vocabulary.kind(fallback);
  return kind == TokenKind::control || kind == TokenKind::unknown ? fallback : -1;
}

// Plain text never becomes a control token, and "<0x41>" typed out is six characters.
bool may_come_of_text(TokenKind kind) {
  return kind != TokenKind::control && kind != TokenKind::unknown && kind != TokenKind::byte;
}

// Where the first word of `text` ends: in front of a space that follows another character.
size_t word_end(std::string_view text) {
  size_t at = 0;
  while (text.substr(at).starts_with(kSpaceMark)) at += kSpaceMark.size();
  return std::min(text.find(kSpaceMark, at), text.size());
}

bool has_inner_space(std::string_view spelling) {
  return word_end(spelling) < spelling.size();
}

std::string mark_to_space(std::string_view spelling) {
  std::string text;
  while (!spelling.empty()) {
    const size_t mark = std::min(spelling.find(kSpaceMark), spelling.size());
    text.append(spelling.substr(0, mark));
    spelling.remove_prefix(mark);
    if (spelling.empty()) break;
    text.push_back(' ');
    spelling.remove_prefix(kSpaceMark.size());
  }
  return text;
}

}  // namespace

StatusOr<std::shared_ptr<const Tokenizer>> SpmTokenizer::create(const v1::Vocabulary& vocabulary) {
  if (vocabulary.scores().empty()) {
    return absl::InvalidArgumentError(
        "tokenizer.ggml.scores is missing; tokenizer.ggml.model \"llama\" needs it");
  }
  ASSIGN_OR_RETURN(TokenizerVocabulary checked, check_vocabulary(vocabulary));
  checked.bos_id = id_or_default(checked, checked.bos_id, kLlamaBos);
  checked.eos_id = id_or_default(checked, checked.eos_id, kLlamaEos);
  checked.unk_id = id_or_default(checked, checked.unk_id, kLlamaUnk);
  Frame frame;
  ASSIGN_OR_RETURN(frame.first, frame_id(checked.add_bos, true, checked.bos_id, "add_bos_token",
                                         "bos_token_id"));
  ASSIGN_OR_RETURN(frame.last, frame_id(checked.add_eos, false, checked.eos_id, "add_eos_token",
                                        "eos_token_id"));
  const bool space_prefix = checked.add_space_prefix.value_or(true);
  ASSIGN_OR_RETURN(SpmNormalizer normalizer,
                   SpmNormalizer::create(vocabulary.precompiled_charsmap(),
                                         {space_prefix, checked.remove_extra_whitespaces}));
  return std::shared_ptr<const Tokenizer>(
      new SpmTokenizer(std::move(checked), frame, std::move(normalizer), space_prefix));
}

SpmTokenizer::SpmTokenizer(TokenizerVocabulary checked, Frame frame, SpmNormalizer normalizer,
                           bool space_prefix)
    : VocabularyTokenizer(std::move(checked), frame),
      normalizer_(std::move(normalizer)),
      space_prefix_(space_prefix),
      whole_(vocabulary().size()) {
  byte_tokens_.fill(-1);
  index_tokens();
  rank_tokens();
}

void SpmTokenizer::index_tokens() {
  for (int32_t id = 0; id < vocabulary().size(); ++id) {
    const std::string_view spelling = vocabulary().spellings[id];
    const TokenKind kind = vocabulary().kind(id);
    longest_spelling_ = std::max(longest_spelling_, spelling.size());
    if (kind == TokenKind::byte) {
      const int byte = parse_byte_token(spelling);
      if (byte >= 0) byte_tokens_[static_cast<size_t>(byte)] = id;
    }
    // The mark of Phi-3's vocabulary, whose special tokens were declared with rstrip; GGUF has no
    // key for that.
    if (spelling == "<|placeholder1|>" && kind == TokenKind::control) phi3_ = true;
    if (!may_come_of_text(kind)) continue;
    longest_token_ = std::max(longest_token_, spelling.size());
    words_are_apart_ = words_are_apart_ && !has_inner_space(spelling);
  }
}

void SpmTokenizer::rank_tokens() {
  std::vector<float> scores = vocabulary().scores;
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  ranks_.reserve(vocabulary().scores.size());
  for (const float score : vocabulary().scores) {
    const auto at = std::lower_bound(scores.begin(), scores.end(), score, std::greater<>());
    ranks_.push_back(static_cast<uint32_t>(at - scores.begin()));
  }
}

int32_t SpmTokenizer::find_text(std::string_view text) const {
  if (text.size() > longest_token_) return -1;
  const int32_t id = find(text);
  return id >= 0 && may_come_of_text(vocabulary().kind(id)) ? id : -1;
}

void SpmTokenizer::encode_text(std::string_view text, std::vector<int32_t>& ids) const {
  const std::string normal = normalizer_.normalize(text);
  BpeMerger merger;
  for (std::string_view rest = normal; !rest.empty();) {
    const size_t end = words_are_apart_ ? word_end(rest) : rest.size();
    encode_word(rest.substr(0, end), merger, ids);
    rest.remove_prefix(end);
  }
}

void SpmTokenizer::encode_word(std::string_view word, BpeMerger& merger,
                               std::vector<int32_t>& ids) const {
  const int32_t id = find_text(word);
  const auto merge = [&](std::vector<int32_t>& into) { merge_word(word, merger, into); };
  if (id >= 0 && whole_.test(id, merge)) {
    ids.push_back(id);
  } else {
    merge(ids);
  }
}

void SpmTokenizer::merge_word(std::string_view word, BpeMerger& merger,
                              std::vector<int32_t>& ids) const {
  merger.symbols.clear();
  for (uint32_t at = 0; at < word.size();) {
    const uint32_t end = at + decode_utf8(word, at).length;
    merger.symbols.push_back({find_text(word.substr(at, end - at)), at, end});
    at = end;
  }
  merger.merge([&](const BpeSymbol& left, const BpeSymbol& right) {
    const int32_t product = find_text(word.substr(left.begin, right.end - left.begin));
    return product < 0 ? BpePair{} : BpePair{ranks_[static_cast<size_t>(product)], product};
  });
  for (const BpeSymbol& symbol : merger.symbols) {
    if (symbol.id >= 0) {
      ids.push_back(symbol.id);
    } else {
      append_bytes(word.substr(symbol.begin, symbol.end - symbol.begin), ids);
    }
  }
}

void SpmTokenizer::append_bytes(std::string_view character, std::vector<int32_t>& ids) const {
  const auto token = [&](char byte) { return byte_tokens_[static_cast<uint8_t>(byte)]; };
  if (std::all_of(character.begin(), character.end(),
                  [&](char byte) { return token(byte) >= 0; })) {
    for (const char byte : character) ids.push_back(token(byte));
  } else if (vocabulary().unk_id >= 0) {
    ids.push_back(vocabulary().unk_id);
  }
}

// The unknown token stands for one character, of four bytes at most.
size_t SpmTokenizer::least_tokens(std::string_view text) const {
  const bool all_bytes = std::all_of(byte_tokens_.begin(), byte_tokens_.end(),
                                     [](int32_t token) { return token >= 0; });
  const bool may_drop = normalizer_.shortens() || phi3_ || (vocabulary().unk_id < 0 && !all_bytes);
  const size_t longest = std::max(longest_spelling_, size_t{4});
  return may_drop ? 0 : (text.size() + longest - 1) / longest;
}

std::string SpmTokenizer::text_of(int32_t id) const {
  const std::string_view spelling = vocabulary().spellings[id];
  if (vocabulary().kind(id) == TokenKind::byte) {
    const int byte = parse_byte_token(spelling);
    if (byte >= 0) return std::string(1, static_cast<char>(byte));
  }
  return mark_to_space(spelling);
}

bool SpmTokenizer::swallows_space_behind(int32_t id) const {
  if (!phi3_) return false;
  const std::string_view spelling = vocabulary().spellings[id];
  return spelling != "<unk>" && spelling != "<s>" && spelling != "<|endoftext|>";
}

}  // namespace bessemer
