#include "router/endpoints/token_report.h"

#include <algorithm>

namespace bessemer {

int32_t characters(std::string_view bytes) {
  return static_cast<int32_t>(std::count_if(bytes.begin(), bytes.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
  }));
}

TokenReport bare_report(int32_t id, const Tokenizer& tokenizer, int32_t text_offset) {
  TokenReport report;
  report.chosen.id = id;
  report.chosen.bytes = tokenizer.piece(id, true);
  report.text_offset = text_offset;
  return report;
}

TokenReport make_report(const v1::Logprobs& logprobs, const Tokenizer& tokenizer, int32_t top,
                        int32_t text_offset) {
  TokenReport report = bare_report(static_cast<int32_t>(logprobs.ids(0)), tokenizer, text_offset);
  report.chosen.logprob = logprobs.values(0);
  report.chosen.rank = static_cast<int32_t>(logprobs.rank());
  report.logprob = logprobs.values(0);
  const int count = std::min(logprobs.ids_size() - 1, top);
  for (int i = 1; i <= count; i++) {
    const auto id = static_cast<int32_t>(logprobs.ids(i));
    report.top.push_back({id, tokenizer.piece(id, true), logprobs.values(i), i});
  }
  return report;
}

}  // namespace bessemer
