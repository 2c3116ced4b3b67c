#include "bench/mock_worker/mock_model.h"

#include "common/block_hash.h"

namespace bessemer {
namespace {

// GPT-2's byte alphabet: printable Latin-1 stands for itself, the other 68 bytes for U+0100
// onwards, in order.
std::string byte_spelling(int byte) {
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; b++) code += printable(b) ? 0 : 1;
  }
  if (code < 128) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

constexpr const char* kTemplate =
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] "
    "}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

}  // namespace

v1::Vocabulary MockModel::vocabulary() const {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("gpt2");
  vocabulary.set_pre("gpt-2");
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    vocabulary.add_tokens(special);
    vocabulary.add_types(v1::TOKEN_CONTROL);
  }
  for (int byte = 0; byte < 256; byte++) {
    vocabulary.add_tokens(byte_spelling(byte));
    vocabulary.add_types(v1::TOKEN_NORMAL);
  }
  const int32_t numbers = output == MockOutput::timed ? kTimedWindowUs : kNumbers;
  for (int32_t i = 0; i < numbers; i++) {
    vocabulary.add_tokens(std::to_string(i) + ",");
    vocabulary.add_types(v1::TOKEN_NORMAL);
  }
  vocabulary.add_merges("e r");  // a real BPE has some; this one is in no test's way
  vocabulary.add_tokens("er");
  vocabulary.add_types(v1::TOKEN_NORMAL);
  vocabulary.set_bos_id(kEnd);
  vocabulary.set_eos_id(kTurnEnd);
  vocabulary.set_add_bos(false);
  vocabulary.add_end_of_generation_ids(kEnd);
  vocabulary.add_end_of_generation_ids(kTurnEnd);
  vocabulary.set_chat_template(kTemplate);
  return vocabulary;
}

v1::ModelCard MockModel::card(const std::string& serialised) const {
  v1::ModelCard card;
  card.set_name(name);
  card.set_architecture("mock");
  card.set_quantization("F32");
  card.set_parameters(1);
  card.set_max_model_len(max_model_len);
  card.set_block_tokens(kBlockTokens);
  card.set_numerics(numerics);
  card.set_tokenizer_hash(content_hash_hex(serialised));
  card.set_tokenizer_bytes(serialised.size());
  card.set_vocab_size(static_cast<uint32_t>(vocabulary().tokens_size()));
  card.set_created(1'700'000'000);
  card.set_card_hash(
      content_hash_hex(name + card.tokenizer_hash() + script + std::to_string(end_every)));
  card.set_hash_domain(content_hash("mock chain of 16 tokens, " + card.card_hash()).low);
  return card;
}

}  // namespace bessemer
