// Command-line flags made from cli/config/fields.h.
#pragma once
#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace bessemer {

inline std::string dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// A visitor that adds one option per field to `app`: --<prefix><name>. Only options that are given
// touch the field.
class FlagAdder {
 public:
  FlagAdder(CLI::App& app, std::string prefix, std::string group)
      : app_(&app), prefix_(std::move(prefix)), group_(std::move(group)) {}

  template <typename T>
  void operator()(const char* name, T& member, const char* help) {
    const std::string flag = "--" + prefix_ + dashes(name);
    if (app_->get_option_no_throw(flag) != nullptr)
      return;  // the command has an option of its own for it
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<T, bool>) {
      option = app_->add_flag(flag + ",!--no-" + prefix_ + dashes(name), member,
                              std::string(help) + (member ? "; default: on" : "; default: off"));
    } else {
      option = app_->add_option(flag, member, help);
      if constexpr (std::is_arithmetic_v<T>) option->default_str(fmt::format("{}", member));
      if constexpr (std::is_same_v<T, std::string>) option->default_str(member);
    }
    option->group(group_);
  }

 private:
  CLI::App* app_;
  std::string prefix_, group_;
};

// A visitor that writes every field as a flag: the command line of a child process.
class FlagWriter {
 public:
  explicit FlagWriter(std::vector<std::string>& args) : args_(&args) {}

  template <typename T>
  void operator()(const char* name, const T& member, const char*) {
    const std::string flag = "--" + dashes(name);
    if constexpr (std::is_same_v<T, bool>) {
      args_->push_back(member ? flag : "--no-" + dashes(name));
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      for (const std::string& value : member) args_->insert(args_->end(), {flag, value});
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!member.empty()) args_->push_back(flag + "=" + member);
    } else {
      args_->push_back(flag + "=" + fmt::format("{}", member));
    }
  }

 private:
  std::vector<std::string>* args_;
};

}  // namespace bessemer
