#include "router/text/wordpiece_tokenizer.h"

#include <algorithm>
#include <utility>

#include "router/text/unicode.h"

namespace bessemer {
namespace {

// Converters put U+2581 in front of pieces that begin a word; BERT's own files put "##" in front of
// those that do not.
constexpr std::string_view kWordMark = "\xE2\x96\x81", kInnerMark = "##";

// Longer words are unknown, as in the implementations that the models were trained with.
// Characters.
constexpr size_t kMaxWordCharacters = 100;

bool has_inner_marks(const TokenizerVocabulary& vocabulary) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const bool normal = vocabulary.kind(id) == TokenKind::normal;
    if (normal && vocabulary.spellings[id].starts_with(kWordMark)) return false;
  }
  return true;
}

std::string canonical(std::string_view spelling, bool inner_marks) {
  if (!inner_marks) return std::string(spelling);
  const bool inner = spelling.starts_with(kInnerMark) && spelling.size() > kInnerMark.size();
  return inner ? std::string(spelling.substr(kInnerMark.size()))
               : std::string(kWordMark) + std::string(spelling);
}

StringIndex index_pieces(const TokenizerVocabulary& vocabulary) {
  const bool inner_marks = has_inner_marks(vocabulary);
  size_t bytes = 0;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    bytes += vocabulary.spellings[id].size() + kWordMark.size();
  }
  StringIndex pieces(static_cast<size_t>(vocabulary.size()), bytes);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    const bool plain = kind != TokenKind::control && kind != TokenKind::unknown;
    pieces.add(canonical(vocabulary.spellings[id], inner_marks),
               plain && !vocabulary.spellings[id].empty());
  }
  return pieces;
}

// `id`, or `fallback`, or the token of that spelling. InvalidArgument: none of them.
StatusOr<int32_t> required_id(const TokenizerVocabulary& vocabulary, int32_t id, int32_t fallback,
                              std::string_view spelling, const std::string& key) {
  if (id >= 0) return id;
  if (fallback >= 0) return fallback;
  const int32_t spelled = vocabulary.spellings.find(spelling);
  if (spelled >= 0) return spelled;
  return absl::InvalidArgumentError(
      "tokenizer.ggml." + key + " is missing, and no token is spelled " + std::string(spelling) +
      "; tokenizer.ggml.model \"bert\" needs it");
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

}  // namespace

StatusOr<std::shared_ptr<const Tokenizer>> WordpieceTokenizer::create(
    const v1::Vocabulary& vocabulary) {
  ASSIGN_OR_RETURN(TokenizerVocabulary checked, check_vocabulary(vocabulary));
  ASSIGN_OR_RETURN(checked.unk_id,
                   required_id(checked, checked.unk_id, -1, "[UNK]", "unknown_token_id"));
  Frame frame;
  ASSIGN_OR_RETURN(frame.first,
                   required_id(checked, checked.cls_id, checked.bos_id, "[CLS]", "cls_token_id"));
  ASSIGN_OR_RETURN(frame.last, required_id(checked, checked.sep_id, checked.eos_id, "[SEP]",
                                           "seperator_token_id"));
  return std::shared_ptr<const Tokenizer>(new WordpieceTokenizer(std::move(checked), frame));
}

WordpieceTokenizer::WordpieceTokenizer(TokenizerVocabulary checked, Frame frame)
    : VocabularyTokenizer(std::move(checked), frame), pieces_(index_pieces(vocabulary())) {
  for (int32_t id = 0; id < pieces_.size(); ++id) {
    longest_piece_ = std::max(longest_piece_, pieces_[id].size());
  }
}

void WordpieceTokenizer::encode_text(std::string_view text, std::vector<int32_t>& ids) const {
  for (const std::string& word : split_bert_words(text)) encode_word(word, ids);
}

void WordpieceTokenizer::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t before = ids.size();
  const std::string marked = std::string(kWordMark) + std::string(word);
  std::string_view rest = marked;
  if (count_characters(word) > kMaxWordCharacters) rest = {};
  for (bool first = true; !rest.empty(); first = false) {
    const int32_t id = longest_piece(rest, first);
    if (id < 0) {
      ids.resize(before);
      break;
    }
    ids.push_back(id);
    rest.remove_prefix(pieces_[id].size());
  }
  if (ids.size() == before) ids.push_back(vocabulary().unk_id);
}

int32_t WordpieceTokenizer::longest_piece(std::string_view text, bool begins_word) const {
  const size_t least = begins_word ? kWordMark.size() + 1 : 1;
  for (size_t length = std::min(text.size(), longest_piece_); length >= least; --length) {
    const int32_t id = pieces_.find(text.substr(0, length));
    // A mark that was typed inside of a word begins none.
    if (id >= 0 && pieces_[id].starts_with(kWordMark) == begins_word) return id;
  }
  return -1;
}

std::string WordpieceTokenizer::text_of(int32_t id) const {
  const std::string_view piece = pieces_[id];
  if (!piece.starts_with(kWordMark)) return std::string(piece);
  return " " + std::string(piece.substr(kWordMark.size()));
}

}  // namespace bessemer
