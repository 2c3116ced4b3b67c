#include "router/text/chat_template.h"

#include <utility>
#include <vector>

#include "router/text/jinja/template.h"
#include "router/text/jinja/unicode.h"

namespace bessemer {
namespace {

using jinja::unicode::Side;
using jinja::unicode::strip;

Status refuse_continuation(const std::string& why) {
  return absl::InvalidArgumentError("continue_final_message: " + why);
}

// The text of a message: its content, or the last part of it that is text.
StatusOr<std::string_view> final_text(const json::array& messages) {
  const auto* const message = messages.empty() ? nullptr : messages.back().if_object();
  const json::value* content = message == nullptr ? nullptr : message->if_contains("content");
  if (content != nullptr && content->is_array()) {
    const json::value* text = nullptr;
    for (const json::value& part : content->get_array()) {
      const json::value* const found =
          part.is_object() ? part.get_object().if_contains("text") : nullptr;
      if (found != nullptr) text = found;
    }
    content = text;
  }
  if (content == nullptr || !content->is_string()) {
    return refuse_continuation("the last message has no text to be continued");
  }
  return std::string_view(content->get_string().data(), content->get_string().size());
}

// Cuts the prompt behind the last message's text; white space at its end stays if the template left
// it there.
StatusOr<std::string> cut_behind(std::string prompt, std::string_view text) {
  const std::string_view core = strip(text);
  const size_t at = prompt.rfind(core);
  if (at == std::string::npos) {
    return refuse_continuation(
        "the chat template changes the text of the last message, which cannot be continued then");
  }
  const std::string_view kept = strip(text, std::nullopt, Side::left);
  const bool preserved = std::string_view(prompt).substr(at, kept.size()) == text;
  prompt.resize(at + (preserved ? kept.size() : core.size()));
  return prompt;
}

class JinjaChatTemplate final : public ChatTemplate {
 public:
  explicit JinjaChatTemplate(jinja::Template compiled) : template_(std::move(compiled)) {}

  StatusOr<std::string> render(const ChatTemplateInput& input) const override {
    if (input.continue_final_message && input.add_generation_prompt) {
      return refuse_continuation("it does not go together with add_generation_prompt");
    }
    ASSIGN_OR_RETURN(std::string prompt,
                     template_.render(variables(input), {.limits = {}, .now_s = input.now_s}));
    if (!input.continue_final_message) return prompt;
    ASSIGN_OR_RETURN(const std::string_view text, final_text(input.messages));
    return cut_behind(std::move(prompt), text);
  }

 private:
  static std::vector<jinja::Variable> variables(const ChatTemplateInput& input) {
    std::vector<jinja::Variable> all;
    for (const auto& member : input.extra) {
      all.push_back({std::string_view(member.key().data(), member.key().size()), &member.value()});
    }
    const jinja::Variable own[] = {{"messages", &input.messages},
                                   {"add_generation_prompt", input.add_generation_prompt},
                                   {"tools", &input.tools},
                                   {"documents", &input.documents},
                                   {"bos_token", std::string_view(input.bos_token)},
                                   {"eos_token", std::string_view(input.eos_token)}};
    all.insert(all.end(), std::begin(own), std::end(own));
    return all;
  }

  jinja::Template template_;
};

}  // namespace

StatusOr<std::shared_ptr<const ChatTemplate>> ChatTemplate::compile(std::string_view source) {
  ASSIGN_OR_RETURN(jinja::Template compiled, jinja::Template::compile(source));
  return std::make_shared<const JinjaChatTemplate>(std::move(compiled));
}

}  // namespace bessemer
