// A conversation with a served model in the terminal.
#pragma once
#include <string>

#include "cli/run/http_stream.h"
#include "common/json.h"

namespace bessemer {

struct ChatOptions {
  std::string model;         // empty: the first one that the server lists
  std::string system;        // empty: none
  double temperature = 0.7;  // as the page has it; negative: the server's default
  double top_p = -1;
  int max_tokens = 0;  // 0: up to the context
  int64_t seed = -1;   // negative: none
  bool color = false;
};

// What one turn gave.
struct Turn {
  std::string text;
  std::string finish_reason;  // "stop", "length"; empty when it was interrupted
  bool interrupted = false;
  int64_t tokens = 0;  // chunks with text; the server's count when it says so
  double first_token_s = 0, total_s = 0;
};

class Chat {
 public:
  Chat(ServerAddress server, ChatOptions options);

  // Asks for the model list when no model was named.
  Status choose_model();
  // Sends the conversation with `text` as the user's next message and streams the answer to
  // standard output. An error leaves the conversation as it was before; an interrupted answer stays
  // in it as far as it came.
  StatusOr<Turn> ask(const std::string& text);
  // Throws the last answer away and asks again. FailedPrecondition when there is none.
  StatusOr<Turn> regenerate();
  void clear();

  ChatOptions& options() { return options_; }
  const json::array& messages() const { return messages_; }

 private:
  std::string request_body() const;
  StatusOr<Turn> stream_answer();

  ServerAddress server_;
  ChatOptions options_;
  json::array
      messages_;  // user and assistant turns; the system prompt is put in front when sending
};

}  // namespace bessemer
