// What the APIs of generating requests do each in their own way: how a body is read, how events
// and errors are written. The pipeline between (Generation) is one for all.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "router/endpoints/prepare.h"
#include "router/http/message.h"
#include "router/openai/error.h"
#include "router/openai/render.h"

namespace bessemer {

// How a stream ends that cannot go on: its last frames, and what only trailers can say.
struct StreamFailure {
  std::string frames;
  HeaderList trailers;
};

// Stateless; any thread.
class Dialect {
 public:
  virtual ~Dialect() = default;

  virtual std::string_view id_prefix() const = 0;  // of an answer's id: "chatcmpl"
  virtual PrepareResult prepare(std::string_view body, const ClusterView& view) const = 0;
  virtual StreamHead stream_head() const = 0;
  virtual std::unique_ptr<Answer> answer(const ValidRequest& request, AnswerHead head) const = 0;
  virtual StreamFailure stream_failure(const ApiError& error) const = 0;
};

const Dialect& chat_dialect();        // POST /v1/chat/completions
const Dialect& completion_dialect();  // POST /v1/completions
const Dialect& rpc_dialect();         // bessemer.v1.Inference/Generate

}  // namespace bessemer
