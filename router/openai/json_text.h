// JSON written by hand, for the few shapes that are sent once per token.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bessemer {

// Appends `text` as a JSON string with its quotes. Always valid: each maximal invalid UTF-8
// sequence becomes U+FFFD (Unicode 15, section 3.9, "maximal subpart").
void append_json_string(std::string& out, std::string_view text);
// The same without the quotes, for strings that are put together piece by piece.
void append_json_escaped(std::string& out, std::string_view text);
// [1,2,3]: the bytes of `text`.
void append_json_bytes(std::string& out, std::string_view text);
void append_json_integer(std::string& out, int64_t value);
// The shortest decimal that reads back as `value`; JSON knows neither infinity nor NaN: -9999,
// which is what OpenAI sends for "too unlikely to say".
void append_json_logprob(std::string& out, float value);
// True when `text` is whole, valid UTF-8.
bool is_valid_utf8(std::string_view text);

}  // namespace bessemer
