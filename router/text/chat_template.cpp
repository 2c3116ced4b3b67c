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

// Stands behind the final text while it is rendered, to be found again. It has no white space to be
// trimmed, nothing to be escaped, and small and capital letters, so that a template that changes
// them loses it. The last one counts: whoever writes it into a message of his own loses nothing.
constexpr std::string_view kMarker = "BessemerContinuesHere";

// The text of the last message: its content, or the last part of it that is text.
StatusOr<json::string*> final_text(json::array& messages) {
  auto* const message = messages.empty() ? nullptr : messages.back().if_object();
  json::value* content = message == nullptr ? nullptr : message->if_contains("content");
  if (content != nullptr && content->is_array()) {
    json::value* text = nullptr;
    for (json::value& part : content->get_array()) {
      json::value* const found = part.is_object() ? part.get_object().if_contains("text") : nullptr;
      if (found != nullptr) text = found;
    }
    content = text;
  }
  if (content == nullptr || !content->is_string()) {
    return refuse_continuation("the last message has no text to be continued");
  }
  return &content->get_string();
}

struct MarkedPrompt {
  std::string head, tail;  // what stands in front of the marker, and behind it
};

StatusOr<MarkedPrompt> split_at_marker(const std::string& prompt, std::string_view text) {
  const size_t at = prompt.rfind(kMarker);
  if (at == std::string::npos || !std::string_view(prompt).substr(0, at).ends_with(strip(text))) {
    return refuse_continuation(
        "the chat template changes the text of the last message, which cannot be continued then");
  }
  return MarkedPrompt{prompt.substr(0, at), prompt.substr(at + kMarker.size())};
}

class JinjaChatTemplate final : public ChatTemplate {
 public:
  explicit JinjaChatTemplate(jinja::Template compiled) : template_(std::move(compiled)) {}

  StatusOr<std::string> render(const ChatTemplateInput& input) const override {
    if (input.continue_final_message && input.add_generation_prompt) {
      return refuse_continuation("it does not go together with add_generation_prompt");
    }
    return input.continue_final_message ? render_open(input) : render(input, input.messages);
  }

 private:
  StatusOr<std::string> render(const ChatTemplateInput& input, const json::array& messages) const {
    return template_.render(variables(input, messages), {.limits = {}, .now_s = input.now_s});
  }

  // The text may occur behind the message as well ("<" in front of "<|im_end|>"), so that only a
  // marker tells where it ends. White space at its end goes behind the marker, where the template
  // trims it or not: what of it is left is what that prompt has more than one without it.
  StatusOr<std::string> render_open(const ChatTemplateInput& input) const {
    json::array messages = input.messages;
    ASSIGN_OR_RETURN(json::string* const text, final_text(messages));
    const std::string given(*text);
    const std::string_view core = strip(given, std::nullopt, Side::right);
    const std::string_view space = std::string_view(given).substr(core.size());
    const std::string marked = std::string(core) + std::string(kMarker);
    *text = marked;
    ASSIGN_OR_RETURN(const std::string bare, render(input, messages));
    ASSIGN_OR_RETURN(MarkedPrompt prompt, split_at_marker(bare, core));
    if (space.empty()) return std::move(prompt.head);
    *text = marked + std::string(space);
    ASSIGN_OR_RETURN(const std::string spaced, render(input, messages));
    ASSIGN_OR_RETURN(MarkedPrompt with_space, split_at_marker(spaced, core));
    std::string_view kept = with_space.tail;
    if (!kept.ends_with(prompt.tail)) return std::move(prompt.head);
    kept.remove_suffix(prompt.tail.size());
    return std::move(with_space.head) + std::string(kept);
  }

  static std::vector<jinja::Variable> variables(const ChatTemplateInput& input,
                                                const json::array& messages) {
    std::vector<jinja::Variable> all;
    for (const auto& member : input.extra) {
      all.push_back({std::string_view(member.key().data(), member.key().size()), &member.value()});
    }
    const jinja::Variable own[] = {{"messages", &messages},
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
