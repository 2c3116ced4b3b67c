// bessemer.v1.Inference: the same pipeline as REST, so the same answers and errors.
#include <functional>
#include <set>

#include "tests/router/rpc_fixture.h"

namespace bessemer {
namespace {

using grpc::StatusCode;

// A value that is legal for every field of its type.
bool set_sample(v1::GenerateRequest& request, const google::protobuf::FieldDescriptor& field) {
  using google::protobuf::FieldDescriptor;
  const auto& set = *request.GetReflection();
  if (field.name() == "model" || field.name() == "max_tokens") return true;  // they are there
  if (field.name() == "metadata") {
    (*request.mutable_metadata())["k"] = "v";
  } else if (field.name() == "logit_bias") {
    (*request.mutable_logit_bias())[100] = 1;
  } else if (field.name() == "chat_template_kwargs") {
    (*request.mutable_chat_template_kwargs()->mutable_fields())["x"].set_bool_value(true);
  } else if (field.name() == "reasoning_effort") {
    request.set_reasoning_effort("low");
  } else if (field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    set.AddInt32(&request, &field, 100);
  } else if (field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    set.AddString(&request, &field, "zzz");
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    set.SetBool(&request, &field, field.name() != "continue_final_message");
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    set.SetInt32(&request, &field, 1);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
    set.SetInt64(&request, &field, 1);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    set.SetDouble(&request, &field, 0.5);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    set.SetString(&request, &field, "x");
  } else {
    return false;
  }
  return true;
}

TEST_F(RpcTest, TextIsWhatRestAnswers) {
  add_worker();
  start();
  const auto rest =
      parse(post("/v1/completions", R"({"model":"mock","prompt":"hello","max_tokens":40,"seed":7})")
                .body);
  const auto all = generate(completion(40));
  ASSERT_TRUE(all.status.ok()) << all.status.error_message();
  EXPECT_EQ(all.text.at(0), rest.at("choices").at(0).at("text").as_string());
  EXPECT_EQ(all.ids.at(0).size(), 40u);
  EXPECT_EQ(all.last.at(0).finish_reason(), v1::FINISH_LENGTH);
  EXPECT_EQ(all.usage.completion_tokens(), 40);
  EXPECT_EQ(all.usage.prompt_tokens(), 5);
  EXPECT_EQ(all.head.model(), "mock");
  EXPECT_EQ(all.head.prompt_ids_size(), 5);
  EXPECT_EQ(all.head.system_fingerprint(), rest.at("system_fingerprint").as_string());
}

TEST_F(RpcTest, MessagesGoThroughTheTemplate) {
  add_worker();
  start();
  const auto rest = parse(
      post(
          "/v1/chat/completions",
          R"({"model":"mock","max_tokens":9,"seed":7,"messages":[{"role":"user","content":"hi"}]})")
          .body);
  v1::GenerateRequest request;
  request.set_model("mock");
  request.set_max_tokens(9);
  request.set_seed(7);
  v1::ChatMessage& message = *request.add_messages();
  message.set_role("user");
  message.set_content("hi");
  const auto all = generate(request);
  ASSERT_TRUE(all.status.ok()) << all.status.error_message();
  EXPECT_EQ(all.text.at(0), rest.at("choices").at(0).at("message").at("content").as_string());
  EXPECT_EQ(all.usage.prompt_tokens(), rest.at("usage").at("prompt_tokens"));
}

TEST_F(RpcTest, IdsInAreTheSameAsTheirText) {
  add_worker();
  start();
  v1::TokenizeRequest tokenize;
  tokenize.set_prompt("hello");
  v1::TokenizeResponse tokens;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Tokenize(&context, tokenize, &tokens).ok());
  auto by_ids = completion(12);
  by_ids.clear_prompt();
  by_ids.mutable_prompt_ids()->Add(tokens.tokens().begin(), tokens.tokens().end());
  const auto all = generate(by_ids);
  ASSERT_TRUE(all.status.ok()) << all.status.error_message();
  EXPECT_EQ(all.text.at(0), generate(completion(12)).text.at(0));
}

TEST_F(RpcTest, ChoicesLogprobsAndStopsComeThrough) {
  mock_.model.output = MockOutput::script;
  mock_.model.script = "one two three";
  add_worker();
  start();
  auto request = completion(20);
  request.set_n(2);
  request.set_logprobs(2);
  request.add_stop("two");
  const auto all = generate(request);
  ASSERT_TRUE(all.status.ok()) << all.status.error_message();
  for (const int choice : {0, 1}) {
    EXPECT_EQ(all.text.at(choice), "one ");
    EXPECT_EQ(all.last.at(choice).finish_reason(), v1::FINISH_STOP);
    EXPECT_EQ(all.last.at(choice).stop_string(), "two");
    ASSERT_EQ(all.logprobs.at(choice).size(), all.ids.at(choice).size());
    EXPECT_EQ(all.logprobs.at(choice)[0].text(), "o");
    EXPECT_EQ(all.logprobs.at(choice)[0].top_size(), 2);
  }
}

TEST_F(RpcTest, IdsAreLeftOutWhereNotWanted) {
  add_worker();
  start();
  auto request = completion();
  request.set_return_token_ids(false);
  const auto all = generate(request);
  ASSERT_TRUE(all.status.ok());
  EXPECT_TRUE(all.ids.at(0).empty());
  EXPECT_EQ(all.head.prompt_ids_size(), 0);
  EXPECT_FALSE(all.text.at(0).empty());
}

TEST_F(RpcTest, ErrorsAreThoseOfRest) {
  add_worker();
  start();
  const auto rest =
      parse(post("/v1/completions", R"({"model":"mock","prompt":"hello","temperature":3})").body);
  auto request = completion();
  request.set_temperature(3);
  const auto all = generate(request);
  EXPECT_EQ(all.status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(all.status.error_message(), rest.at("error").at("message").as_string());
  EXPECT_EQ(all.detail().param(), "temperature");
  EXPECT_EQ(all.detail().type(), "invalid_request_error");
  EXPECT_EQ(all.detail().http_status(), 400);
  EXPECT_FALSE(all.detail().retryable());
}

struct BadRequest {
  const char* what;
  std::function<void(v1::GenerateRequest&)> change;
  StatusCode code;
  const char* param;
};

TEST_F(RpcTest, EachMistakeIsNamed) {
  add_worker();
  start();
  const BadRequest cases[] = {
      {"model", [](auto& r) { r.set_model("nobody"); }, StatusCode::NOT_FOUND, "model"},
      {"no model", [](auto& r) { r.clear_model(); }, StatusCode::INVALID_ARGUMENT, "model"},
      {"nothing to do", [](auto& r) { r.clear_prompt(); }, StatusCode::INVALID_ARGUMENT,
       "messages"},
      {"two prompts", [](auto& r) { r.add_prompt_ids(1); }, StatusCode::INVALID_ARGUMENT,
       "messages"},
      {"ids", [](auto& r) { r.clear_prompt(), r.add_prompt_ids(-5); }, StatusCode::INVALID_ARGUMENT,
       "prompt[0]"},
      {"logprobs", [](auto& r) { r.set_logprobs(21); }, StatusCode::INVALID_ARGUMENT, "logprobs"},
      {"bias", [](auto& r) { (*r.mutable_logit_bias())[3] = 101; }, StatusCode::INVALID_ARGUMENT,
       "logit_bias.3"},
      {"chat only", [](auto& r) { r.set_reasoning_effort("low"); }, StatusCode::INVALID_ARGUMENT,
       "reasoning_effort"},
      {"unknown field",
       [](auto& r) { r.GetReflection()->MutableUnknownFields(&r)->AddVarint(1000, 1); },
       StatusCode::INVALID_ARGUMENT, "1000"},
  };
  for (const auto& one : cases) {
    auto request = completion();
    one.change(request);
    const auto all = generate(request);
    EXPECT_EQ(all.status.error_code(), one.code) << one.what << all.status.error_message();
    EXPECT_EQ(all.detail().param(), one.param) << one.what << all.status.error_message();
    EXPECT_EQ(all.messages, 0) << one.what;
  }
}

// Each field of the request reaches the REST parser under a name that it knows.
TEST_F(RpcTest, EveryFieldIsHonouredOrRefusedByName) {
  add_worker();
  start();
  const std::set<std::string> chat_only = {"add_generation_prompt", "continue_final_message",
                                           "chat_template_kwargs", "reasoning_effort", "metadata"};
  const auto* descriptor = v1::GenerateRequest::descriptor();
  for (int i = 0; i < descriptor->field_count(); i++) {
    const std::string field = descriptor->field(i)->name();
    if (field == "messages" || field == "prompt" || field == "prompt_ids") continue;
    auto request = completion(2);
    if (chat_only.contains(field)) {
      request.clear_prompt();
      request.add_messages()->set_role("user");
      request.mutable_messages(0)->set_content("hi");
    }
    ASSERT_TRUE(set_sample(request, *descriptor->field(i))) << field;
    const auto all = generate(request);
    if (field == "cache_salt") {  // it arrives where the mock worker says that it has no such thing
      EXPECT_EQ(all.detail().code(), "unsupported_parameter");
      continue;
    }
    EXPECT_TRUE(all.status.ok()) << field << ": " << all.status.error_message();
  }
}

// The router goes while calls run: every one of them hears a status, and nothing is left behind.
TEST_F(RpcTest, TokensGoThereAndBack) {
  add_worker();
  start();
  v1::TokenizeRequest request;
  request.set_prompt("hé");
  request.set_return_token_strs(true);
  v1::TokenizeResponse tokens;
  grpc::ClientContext first, second, third;
  ASSERT_TRUE(stub_->Tokenize(&first, request, &tokens).ok());
  const auto rest = parse(post("/tokenize", R"({"prompt":"hé"})").body);
  ASSERT_EQ(tokens.tokens_size(), static_cast<int>(rest.at("tokens").as_array().size()));
  EXPECT_EQ(tokens.token_strs_size(), tokens.tokens_size());
  EXPECT_EQ(tokens.max_model_len(), rest.at("max_model_len"));
  v1::DetokenizeRequest back;
  *back.mutable_tokens() = tokens.tokens();
  v1::DetokenizeResponse text;
  ASSERT_TRUE(stub_->Detokenize(&second, back, &text).ok());
  EXPECT_EQ(text.text(), "hé");
  back.add_tokens(1 << 30);
  const auto status = stub_->Detokenize(&third, back, &text);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(RpcTest, ModelsAreListed) {
  add_worker();
  start();
  grpc::ClientContext context;
  v1::ListModelsResponse models;
  ASSERT_TRUE(stub_->ListModels(&context, {}, &models).ok());
  ASSERT_GE(models.models_size(), 1);
  EXPECT_EQ(models.models(0).id(), "mock");
  EXPECT_EQ(models.models(0).workers(), 1u);
  EXPECT_GT(models.models(0).max_model_len(), 0u);
  constexpr const char* kCounted =
      "bessemer_router_requests_total{endpoint=\"/bessemer.v1.Inference/ListModels\","
      "status=\"200\"} 1";
  EXPECT_NE(get("/metrics").body.find(kCounted), std::string::npos);
}

// A client that takes its time: what comes meanwhile merges, nothing is lost.
// Calls of all kinds at once, some cancelled: everything is given back.

}  // namespace
}  // namespace bessemer
