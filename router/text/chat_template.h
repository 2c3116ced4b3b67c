// A model's Jinja chat template, compiled once and rendered per request.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/json.h"
#include "common/status.h"

namespace bessemer {

struct ChatTemplateInput {
  json::array messages;  // as the API got them, content parts already joined to text
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the last message is left open
  json::value tools;                    // null: the template sees none
  json::value documents;                // null: the template sees none
  json::object extra;                   // chat_template_kwargs; cannot replace the names above
  std::string bos_token, eos_token;
  // What strftime_now() shows: seconds since 1970, already moved to the time zone to be shown.
  int64_t now_s = 0;
};

// Immutable once made; any thread.
class ChatTemplate {
 public:
  // InvalidArgument names line and column.
  static StatusOr<std::shared_ptr<const ChatTemplate>> compile(std::string_view source);
  virtual ~ChatTemplate() = default;
  // The prompt. With continue_final_message it ends where the text of the last message ends,
  // wherever else that text occurs; white space at its end stays as far as the template leaves it. InvalidArgument: the template raised an exception (its own
  // words) or met an undefined thing, or the last message cannot be continued; ResourceExhausted: a
  // step, memory or output limit was reached.
  virtual StatusOr<std::string> render(const ChatTemplateInput& input) const = 0;
};

}  // namespace bessemer
