#include "router/openai/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer {
namespace {

using ::testing::HasSubstr;

TEST(FieldReader, keeps_the_first_problem) {
  json::object object = json::parse(R"({"a": "x", "b": "y"})").as_object();
  std::optional<ApiError> problem;
  FieldReader fields(object, "", problem);
  EXPECT_EQ(fields.integer("a", 0, 1), std::nullopt);
  EXPECT_EQ(fields.integer("b", 0, 1), std::nullopt);
  ASSERT_TRUE(problem.has_value());
  EXPECT_EQ(problem->param, "a");
}

TEST(FieldReader, reads_nothing_after_a_problem) {
  json::object object = json::parse(R"({"a": "x", "b": 1})").as_object();
  std::optional<ApiError> problem;
  FieldReader fields(object, "", problem);
  fields.boolean("a");
  EXPECT_EQ(fields.integer("b", 0, 1), std::nullopt);
}

TEST(FieldReader, paths_of_readers_within_readers) {
  json::object inner = json::parse(R"({"c": 1})").as_object();
  std::optional<ApiError> problem;
  FieldReader fields(inner, item_path("a.b", 3), problem);
  EXPECT_EQ(fields.path_of("c"), "a.b[3].c");
  fields.boolean("c");
  ASSERT_TRUE(problem.has_value());
  EXPECT_EQ(problem->param, "a.b[3].c");
}

TEST(FieldReader, suggests_only_what_is_near) {
  const auto message = [](const char* key) {
    json::object object;
    object[key] = 1;
    std::optional<ApiError> problem;
    FieldReader fields(object, "", problem);
    fields.find("repetition_penalty");
    fields.find("n");
    fields.finish();
    return problem ? problem->message : "";
  };
  EXPECT_THAT(message("repetition_penalti"), HasSubstr("Did you mean 'repetition_penalty'?"));
  EXPECT_THAT(message("RepetitionPenalty"), HasSubstr("Did you mean 'repetition_penalty'?"));
  EXPECT_THAT(message("something_else"), ::testing::Not(HasSubstr("Did you mean")));
}

TEST(FieldReader, cuts_long_names_between_characters) {
  json::object object;
  std::string name;
  for (int i = 0; i < 100; ++i) name += "\xC3\xA9";
  object[name] = 1;
  std::optional<ApiError> problem;
  FieldReader fields(object, "", problem);
  fields.finish();
  ASSERT_TRUE(problem.has_value());
  ASSERT_TRUE(problem->param.has_value());
  EXPECT_EQ(problem->param->substr(0, 4), "\xC3\xA9\xC3\xA9");
  EXPECT_EQ((problem->param->size() - 3) % 2, 0u) << "cut inside a character";
}

}  // namespace
}  // namespace bessemer
