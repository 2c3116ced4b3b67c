// What a vocabulary gives the router: text to ids and back, and the chat template.
#pragma once
#include <memory>
#include <string>

#include "bessemer/v1/cluster.pb.h"
#include "common/status.h"
#include "router/cluster/registry.h"
#include "router/text/chat_template.h"
#include "router/text/tokenizer.h"

namespace bessemer {

struct ModelText {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // null: see no_template
  std::string no_template;                            // why there is none
  std::string bos_token, eos_token;                   // their spelling; empty: none
};

// A template that does not compile leaves the model without chat, not without completions.
StatusOr<ModelTextPtr> make_model_text(const v1::Vocabulary& vocabulary);

}  // namespace bessemer
