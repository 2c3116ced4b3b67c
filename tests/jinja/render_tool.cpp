// Renders templates for compare.py: one JSON object {"template", "variables"} on each line of
// standard input, one
// {"output"} or {"error"} on each line of standard output.
//   render_tool --time N: renders the first line's template N times and prints the microseconds of
//   one rendering.
#include <chrono>
#include <iostream>
#include <string>

#include "common/json.h"
#include "router/text/jinja/template.h"

namespace {

using bessemer::StatusOr;
namespace json = bessemer::json;

constexpr int64_t kNow = 1'700'000'000;  // 2023-11-14 22:13:20 UTC, as compare.py has it

StatusOr<bessemer::jinja::Template> compile(const json::object& job) {
  const json::string& source = job.at("template").get_string();
  return bessemer::jinja::Template::compile({source.data(), source.size()});
}

StatusOr<std::string> render(const json::object& job) {
  ASSIGN_OR_RETURN(const bessemer::jinja::Template compiled, compile(job));
  return compiled.render(job.at("variables").get_object(), {.limits = {}, .now_s = kNow});
}

int time_rendering(const json::object& job, int count) {
  const auto compiled = compile(job);
  if (!compiled.ok()) return 1;
  size_t bytes = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    bytes += compiled->render(job.at("variables").get_object()).value_or("").size();
  }
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - begin;
  std::cout << spent.count() / count << ' ' << bytes / static_cast<size_t>(count) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto job = bessemer::parse_json(line);
    if (!job.ok()) {
      std::cerr << job.status().message() << '\n';
      return 1;
    }
    if (argc == 3) return time_rendering(job->get_object(), std::stoi(argv[2]));
    const auto output = render(job->get_object());
    json::object answer;
    answer[output.ok() ? "output" : "error"] =
        output.ok() ? *output : std::string(output.status().message());
    std::cout << json::serialize(answer) << std::endl;
  }
}
