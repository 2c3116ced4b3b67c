// What the comparison with Jinja2 cannot show: messages, positions, limits.
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/text/jinja/template.h"

namespace bessemer::jinja {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

StatusOr<std::string> render(std::string_view source, const json::object& variables = {},
                             const Limits& limits = {}) {
  ASSIGN_OR_RETURN(const Template compiled, Template::compile(source));
  return compiled.render(variables, {.limits = limits, .now_s = 0});
}

std::string message(std::string_view source, const json::object& variables = {}) {
  const auto result = render(source, variables);
  return result.ok() ? "no error: " + *result : std::string(result.status().message());
}

absl::StatusCode code(std::string_view source, const Limits& limits = {}) {
  return render(source, {}, limits).status().code();
}

std::string repeated(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(JinjaErrors, NameLineColumnAndThing) {
  struct Case {
    const char *source, *expected;
  };
  const Case cases[] = {
      {"a\n  {{ foo.bar }}", "line 2, column 9: 'foo' is undefined"},
      {"{{ messages.x.y }}", "line 1, column 14: 'list object' has no attribute 'x'"},
      {"é {{ 1 + 'a' }}", "line 1, column 6: unsupported operand type(s) for +: 'int' and 'str'"},
      {"{{ 'x' | nope }}", "line 1, column 10: there is no filter named 'nope'"},
      {"{{ 1 is nope }}", "line 1, column 6: there is no test named 'nope'"},
      {"\n\n{% nope %}", "line 3, column 4: unknown tag 'nope'"},
      {"{% if x %}\n{% for y in z %}",
       "line 2, column 4: this 'for' is not closed: 'endfor' or 'else' is missing"},
      {"{% if x %}{% endfor %}",
       "line 1, column 14: 'endfor' does not close the 'if' that is open here"},
      {"{{ 1 ", "line 1, column 6: expected '}}', got the end of the template"},
      {"{{ 'abc }}", "line 1, column 4: this string is not closed"},
      {"x {# y", "line 1, column 3: this comment is not closed: '#}' is missing"},
      {"{% raw %}", "line 1, column 1: this raw block is not closed: '{% endraw %}' is missing"},
      {"{{ (1] }}", "line 1, column 6: unexpected ']', expected ')'"},
      {"{{ 1 ? 2 }}", "line 1, column 6: unexpected character '?'"},
      {"{{ '\\ud800' }}", "line 1, column 4: a string contains half of a surrogate pair"},
      {"{{ 999999999999999999999999999999999999999999 }}", "line 1, column 4: the integer 9999"},
      {"{% include 'x' %}",
       "line 1, column 4: 'include' is not available: a chat template stands alone"},
      {"{% block x %}{% endblock %}", "line 1, column 4: 'block' is not available"},
      {"{% autoescape true %}",
       "line 1, column 4: 'autoescape' is not available: prompts are not HTML"},
      {"{% break %}", "line 1, column 4: 'break' stands outside of a loop"},
      {"{% set x.y = 1 %}", "line 1, column 4: cannot set 'x.y': only a namespace has attributes"},
      {"{% macro m(a) %}{{ a.b }}{% endmacro %}\n{{ m() }}",
       "line 1, column 21: parameter 'a' was not provided"},
      {"{{ [1] | random }}",
       "line 1, column 10: the filter 'random' is not available: the same messages"},
      {"{{ messages.append(1) }}",
       "line 1, column 12: access to attribute 'append' of 'list' object is unsafe"},
      {"{{ 'a' | replace('b') }}", "line 1, column 10: replace() needs argument 'new'"},
      {"{{ 'a' | indent(wide=3) }}", "line 1, column 10: indent() has no argument named 'wide'"},
      {"{{ 5() }}", "line 1, column 4: 'int' object is not callable"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(message(c.source, {{"messages", json::array()}}), StartsWith(c.expected))
        << c.source;
  }
}

TEST(JinjaErrors, RaisedExceptionKeepsItsWords) {
  EXPECT_EQ(message("{% if true %}\n{{ raise_exception('Only ' ~ 'user!') }}{% endif %}"),
            "line 2, column 4: Only user!");
  EXPECT_EQ(code("{{ raise_exception('x') }}"), absl::StatusCode::kInvalidArgument);
}

TEST(JinjaErrors, SourceMustBeUtf8AndOfBoundedSize) {
  EXPECT_EQ(message("ab\xff"), "the template is not valid UTF-8 at byte 2");
  EXPECT_EQ(message("\xed\xa0\x80"), "the template is not valid UTF-8 at byte 0");
  EXPECT_THAT(message(std::string(kMaxSourceBytes + 1, 'x')),
              HasSubstr("1048577 bytes; at most 1048576"));
  EXPECT_EQ(*render(std::string(kMaxSourceBytes, 'x')), std::string(kMaxSourceBytes, 'x'));
}

TEST(JinjaIntegers, BeyondTheirRangeAreErrors) {
  EXPECT_EQ(code("{{ 2 ** 127 }}"), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(code("{{ 2 ** 126 * 2 }}"), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(code("{{ -(2 ** 126) * 2 - 1 }}"), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(code("{{ (2 ** 126 - 1) * 2 + 2 }}"), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(*render("{{ -(2 ** 126) * 2 }}"), "-170141183460469231731687303715884105728");
  EXPECT_EQ(*render("{{ (2 ** 126 - 1) * 2 + 1 }}"), "170141183460469231731687303715884105727");
  EXPECT_EQ(code("{{ (-(2 ** 126) * 2) // -1 }}"), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(*render("{{ (-(2 ** 126) * 2) % -1 }}"), "0");
  EXPECT_EQ(code("{{ '%d' % (-(2 ** 126) * 2) }}"), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(*render("{{ (-1) ** 1000001 }} {{ 1 ** (10 ** 20) }} {{ 0 ** (10 ** 20) }}"), "-1 1 0");
}

TEST(JinjaLimits, Steps) {
  const auto result =
      render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", {},
             {.steps = 100'000});
  EXPECT_THAT(result.status().message(), HasSubstr("rendering takes more than 100000 steps"));
  EXPECT_EQ(code("{{ range(99999) | list | length }}", {.steps = 1000}),
            absl::StatusCode::kResourceExhausted);
  // Work on large values counts too.
  EXPECT_EQ(code("{% set s = 'x' * 1000000 %}{% for a in range(99) %}{% if 'y' in s %}{% endif "
                 "%}{% endfor %}",
                 {.steps = 100'000}),
            absl::StatusCode::kResourceExhausted);
}

TEST(JinjaLimits, Memory) {
  const Limits limits{.memory_bytes = 1 << 20};
  for (const char* source :
       {"{{ 'x' * 10 ** 9 }}", "{{ [1] * 10 ** 9 }}", "{{ 'x' * 10 ** 30 }}",
        "{{ ('ab' * 500000) | upper }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% "
        "endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% "
        "endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s | replace('', "
        "'x') %}{% endfor %}",
        "{{ [1] | batch(10 ** 9, 'x') | list | length }}",
        "{% set x %}{% for i in range(99999) %}0123456789abcdef{% endfor %}{% endset %}"}) {
    EXPECT_EQ(code(source, limits), absl::StatusCode::kResourceExhausted) << source;
  }
  EXPECT_EQ(code("{{ 'x' * 10 ** 9 }}"), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("{{ 'x' | center(10 ** 9) }}"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code("{{ '%1000000000d' % 1 }}"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code("{{ '{:.1000000000f}'.format(1.5) }}"), absl::StatusCode::kInvalidArgument);
}

TEST(JinjaLimits, Output) {
  const auto result =
      render("{% for i in range(100) %}0123456789{% endfor %}", {}, {.output_bytes = 999});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(
      render("{% for i in range(100) %}0123456789{% endfor %}", {}, {.output_bytes = 1000})->size(),
      1000);
}

TEST(JinjaLimits, DepthOfSyntax) {
  EXPECT_THAT(message("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}"),
              HasSubstr("levels deep"));
  EXPECT_THAT(message("{{ " + repeated("[", 5000) + repeated("]", 5000) + " }}"),
              HasSubstr("levels deep"));
  EXPECT_THAT(message("{{ " + repeated("not ", 5000) + "1 }}"), HasSubstr("levels deep"));
  EXPECT_THAT(message("{{ " + repeated("-", 5000) + "1 }}"), HasSubstr("levels deep"));
  EXPECT_THAT(message("{{ x" + repeated(".x", 5000) + " }}"), HasSubstr("levels deep"));
  EXPECT_THAT(message("{{ x" + repeated("|string", 5000) + " }}"), HasSubstr("levels deep"));
  EXPECT_THAT(message("{{ " + repeated("1 if 1 else ", 5000) + "1 }}"), HasSubstr("levels deep"));
  EXPECT_THAT(message(repeated("{% if 1 %}", 5000)), HasSubstr("levels deep"));
  EXPECT_THAT(message(repeated("{% macro m() %}", 5000)), HasSubstr("levels deep"));
  // Length is no depth.
  EXPECT_EQ(*render("{{ 0" + repeated(" + 1", 5000) + " }}"), "5000");
  EXPECT_EQ(render("{{ ''" + repeated(" ~ 'a'", 5000) + " }}")->size(), 5000);
  EXPECT_EQ(*render("{% if 0 %}" + repeated("{% elif 0 %}", 5000) + "{% else %}x{% endif %}"), "x");
}

TEST(JinjaLimits, DepthOfCalls) {
  EXPECT_EQ(code("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(150) }}"),
            absl::StatusCode::kOk);
  EXPECT_EQ(code("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("{% macro a() %}{% call a() %}{% endcall %}{{ caller }}{% endmacro %}{% call a() "
                 "%}{% endcall %}"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("{% set ns = namespace(g=[1]) %}{% for i in range(9999) %}{% set ns.g = ns.g | "
                 "map('string') %}"
                 "{% endfor %}{{ ns.g | list }}"),
            absl::StatusCode::kResourceExhausted);
}

TEST(JinjaLimits, DepthOfValues) {
  const std::string nest =
      "{% set ns = namespace(v=1) %}{% for i in range(9999) %}{% set ns.v = [ns.v] %}{% endfor %}";
  for (const char* use : {"{{ ns.v }}", "{{ ns.v | tojson }}",
                          "{{ ns.v == ns.v ~ '' or ns.v == [ns.v] }}", "{{ ns.v | pprint }}"}) {
    EXPECT_NE(code(nest + use), absl::StatusCode::kOk) << use;
  }
  EXPECT_NE(code("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}"), absl::StatusCode::kOk);
  EXPECT_EQ(*render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns == ns.me.me }}"), "True");
  EXPECT_EQ(code(nest + "ok"), absl::StatusCode::kOk);
}

TEST(JinjaValues, JsonKeepsOrderAndUnsignedNumbers) {
  const auto variables =
      parse_json(R"({"v": {"z": 18446744073709551615, "a": [-9223372036854775808, 1.0, null]}})");
  EXPECT_EQ(*render("{{ v }} {{ v | tojson }}", variables->get_object()),
            "{'z': 18446744073709551615, 'a': [-9223372036854775808, 1.0, None]} "
            R"({"z": 18446744073709551615, "a": [-9223372036854775808, 1.0, null]})");
}

TEST(JinjaValues, LargeDictsAreFoundByHash) {
  json::object large;
  for (int i = 0; i < 5000; ++i) large["key" + std::to_string(i)] = i;
  const json::object variables{{"d", large}};
  EXPECT_EQ(*render("{{ d.key0 }} {{ d['key4999'] }} {{ 'key5000' in d }} {{ d | length }} {{ "
                    "(d.items() | list)[77] }}",
                    variables),
            "0 4999 False 5000 ('key77', 77)");
  // Linear work: a scan for each of 5,000 keys would take more than these steps.
  EXPECT_EQ(*render("{% set ns = namespace(n=0) %}{% for k in d %}{% set ns.n = ns.n + d[k] %}{% "
                    "endfor %}{{ ns.n }}",
                    variables, {.steps = 200'000}),
            "12497500");
}

TEST(JinjaTemplate, RendersInManyThreads) {
  const auto compiled =
      Template::compile("{% for m in l %}{{ loop.index }}{{ m | upper }}{% endfor %}");
  ASSERT_TRUE(compiled.ok());
  std::vector<std::string> results(4);
  std::vector<std::thread> threads;
  for (std::string& result : results) {
    threads.emplace_back([&] {
      const json::object variables{{"l", {"a", "b", "c"}}};
      for (int i = 0; i < 200; ++i) result = *compiled->render(variables);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(results, testing::Each("1A2B3C"));
}

}  // namespace
}  // namespace bessemer::jinja
