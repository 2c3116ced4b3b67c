// The two generating endpoints of OpenAI's API: JSON in, JSON or server-sent events out.
#include "router/endpoints/dialect.h"

namespace bessemer {
namespace {

class OpenAiDialect final : public Dialect {
 public:
  OpenAiDialect(ApiKind kind, std::string_view id_prefix) : kind_(kind), id_prefix_(id_prefix) {}

  std::string_view id_prefix() const override { return id_prefix_; }
  PrepareResult prepare(std::string_view body, const ClusterView& view) const override {
    return bessemer::prepare(kind_, body, view);
  }
  StreamHead stream_head() const override {
    StreamHead head;
    head.headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}};
    return head;
  }
  std::unique_ptr<Answer> answer(const ValidRequest& request, AnswerHead head) const override {
    return make_answer(request, std::move(head));
  }
  StreamFailure stream_failure(const ApiError& error) const override {
    return {render_stream_error(error), {}};
  }

 private:
  const ApiKind kind_;
  const std::string_view id_prefix_;
};

}  // namespace

const Dialect& chat_dialect() {
  static const OpenAiDialect dialect(ApiKind::chat, "chatcmpl");
  return dialect;
}
const Dialect& completion_dialect() {
  static const OpenAiDialect dialect(ApiKind::completion, "cmpl");
  return dialect;
}

}  // namespace bessemer
