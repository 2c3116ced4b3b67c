#include "router/endpoints/model_text.h"

#include "common/log.h"

namespace bessemer {
namespace {

// The unnamed template, or the one named "default" where a file has only named ones.
std::string template_source(const v1::Vocabulary& vocabulary) {
  if (!vocabulary.chat_template().empty()) return vocabulary.chat_template();
  const auto named = vocabulary.named_chat_templates().find("default");
  return named == vocabulary.named_chat_templates().end() ? "" : named->second;
}

void add_template(const v1::Vocabulary& vocabulary, ModelText& text) {
  const std::string source = template_source(vocabulary);
  if (source.empty()) {
    text.no_template =
        "this model has no chat template; send a prompt instead of messages (over HTTP: "
        "/v1/completions)";
    return;
  }
  auto compiled = ChatTemplate::compile(source);
  if (compiled.ok()) {
    text.chat_template = *std::move(compiled);
    return;
  }
  text.no_template =
      "this model's chat template cannot be used: " + std::string(compiled.status().message());
  log().warn("{}", text.no_template);
}

}  // namespace

StatusOr<ModelTextPtr> make_model_text(const v1::Vocabulary& vocabulary) {
  auto text = std::make_shared<ModelText>();
  ASSIGN_OR_RETURN(text->tokenizer, Tokenizer::create(vocabulary));
  const Tokenizer& tokenizer = *text->tokenizer;
  if (tokenizer.bos_id() >= 0) text->bos_token = tokenizer.piece(tokenizer.bos_id(), true);
  if (tokenizer.eos_id() >= 0) text->eos_token = tokenizer.piece(tokenizer.eos_id(), true);
  add_template(vocabulary, *text);
  return ModelTextPtr(std::move(text));
}

}  // namespace bessemer
