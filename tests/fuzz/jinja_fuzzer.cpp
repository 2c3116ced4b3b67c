// Any template over fixed variables: compiles or is refused with a message; renders the same text
// twice, valid UTF-8, within its limits, or is refused with a place.
#include <cstdint>
#include <string_view>

#include "common/check.h"
#include "router/text/jinja/template.h"
#include "router/text/jinja/unicode.h"

namespace bessemer {
namespace {

constexpr std::string_view kVariables = R"({
  "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hé 日本 😀\n"},
               {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
  "tools": [{"function": {"name": "f", "parameters": {"properties": {"a": {"type": "number"}}}}}],
  "add_generation_prompt": true, "bos_token": "<s>", "s": "Hello, World", "i": 42, "f": -0.5, "n": null,
  "l": [3, 1, 2], "d": {"b": 1, "a": [1, 2]}, "big": 18446744073709551615})";

const json::object& variables() {
  static const json::value parsed = *parse_json(kVariables);
  return parsed.get_object();
}

void run(std::string_view source) {
  const auto compiled = jinja::Template::compile(source);
  if (!compiled.ok()) {
    CHECK(!compiled.status().message().empty());
    return;
  }
  // Small enough that no input takes long.
  const jinja::RenderOptions options{
      .limits = {.steps = 50'000, .memory_bytes = size_t{8} << 20, .output_bytes = size_t{1} << 20},
      .now_s = 1'700'000'000};
  const auto first = compiled->render(variables(), options);
  const auto second = compiled->render(variables(), options);
  CHECK(first.ok() == second.ok());
  if (first.ok()) {
    CHECK(*first == *second && first->size() <= options.limits.output_bytes);
    CHECK(jinja::unicode::find_invalid(*first) == std::string_view::npos);
  } else {
    CHECK(first.status() == second.status() && first.status().message().substr(0, 5) == "line ");
  }
}

}  // namespace
}  // namespace bessemer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bessemer::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
