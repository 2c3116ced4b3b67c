// A model's Jinja chat template, compiled once and rendered per request.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "common/json.h"
#include "common/status.h"

namespace bessemer {

struct ChatTemplateInput {
  json::array messages;                 // as the API got them, content parts already joined to text
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the last message is left open
  json::object extra;                   // chat_template_kwargs; cannot replace the names above
  std::string bos_token, eos_token;
};

// Immutable once made; any thread.
class ChatTemplate {
 public:
  // InvalidArgument names line and column.
  static StatusOr<std::shared_ptr<const ChatTemplate>> compile(std::string_view source);
  virtual ~ChatTemplate() = default;
  // InvalidArgument: the template raised an exception (its own words) or met an undefined thing; ResourceExhausted: a step or
  // output limit was reached.
  virtual StatusOr<std::string> render(const ChatTemplateInput& input) const = 0;
};

}  // namespace bessemer
