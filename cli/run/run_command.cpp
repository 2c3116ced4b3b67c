#include "cli/run/run_command.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/config/fields.h"
#include "cli/run/interrupts.h"
#include "cli/run/line_editor.h"
#include "cli/run/local_cluster.h"

namespace bessemer {
namespace {

// What /set takes: tokens that no model's context holds, and the integers that a double counts out.
constexpr double kMostTokens = 1e9, kLargestSeed = 0x1p53;

constexpr const char* kHelp =
    R"(Type a message and press Enter. End a line with \ to go on in the next one.
  ctrl-C             stop the answer (at the prompt: forget the line)
  ctrl-D, /exit      leave
  /clear             forget the conversation
  /retry             throw the last answer away and ask again
  /system TEXT       set the system prompt and start anew (no TEXT: none)
  /set NAME VALUE    temperature, top_p, max_tokens, seed (VALUE "off": the server's default)
  /stats             switch the line with speed figures on or off
  /history           show the conversation
  /save FILE         write the conversation as JSON
  /help              this text
)";

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

void print_speed(const Turn& turn, std::FILE* to) {
  if (turn.tokens <= 0) return;
  const double decode_s = turn.total_s - turn.first_token_s;
  const double rate = decode_s > 0 ? static_cast<double>(turn.tokens - 1) / decode_s : 0.0;
  fmt::print(to, "({} tokens, first after {:.2f} s, then {:.1f} tokens/s)\n", turn.tokens,
             turn.first_token_s, rate);
}

class Terminal {
 public:
  Terminal(Chat& chat, const RunOptions& options, const Environment& environment)
      : chat_(&chat),
        stats_(options.stats),
        color_(environment.color),
        editor_(environment.cache_dir + "/history") {}

  void converse() {
    fmt::print("Chat with {}. /help lists the commands, ctrl-D leaves.\n", chat_->options().model);
    while (const std::optional<std::string> line = read_message()) {
      const std::string text = trimmed(*line);
      if (text.empty()) continue;
      editor_.remember(text);
      if (text[0] != '/') {
        show(chat_->ask(text));
      } else if (!command(text)) {
        return;
      }
    }
    fmt::print("\n");
  }

 private:
  // nullopt: end of input.
  std::optional<std::string> read_message() {
    constexpr const char* kFirst = "> ";
    constexpr const char* kFurther = "| ";
    std::string message, line;
    const char* prompt = kFirst;
    while (true) {
      const LineEditor::Outcome outcome = editor_.read(prompt, line);
      interrupts_.forget();  // they were for the answer before
      if (outcome == LineEditor::Outcome::end) return std::nullopt;
      message = outcome == LineEditor::Outcome::forgotten ? "" : message + line;
      const bool goes_on = message.ends_with('\\');
      if (outcome == LineEditor::Outcome::line && !goes_on) return message;
      if (goes_on) message.back() = '\n';
      prompt = goes_on ? kFurther : kFirst;
    }
  }

  void show(const StatusOr<Turn>& turn) {
    if (!turn.ok()) {
      fmt::print(stderr, "\n{}{}{}\n", color_ ? "\x1b[31m" : "",
                 std::string(turn.status().message()), color_ ? "\x1b[0m" : "");
      return;
    }
    fmt::print("\n");
    if (turn->interrupted) fmt::print("(stopped)\n");
    if (turn->finish_reason == "length")
      fmt::print("(cut off: max_tokens or the context was reached)\n");
    if (stats_) print_speed(*turn, stdout);
  }

  // False: leave.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : trimmed(line.substr(space));
    if (name == "/exit" || name == "/quit" || name == "/bye") return false;
    if (name == "/help") {
      fmt::print("{}", kHelp);
    } else if (name == "/clear") {
      chat_->clear();
    } else if (name == "/retry") {
      show(chat_->regenerate());
    } else if (name == "/system") {
      chat_->options().system = rest;
      chat_->clear();
    } else if (name == "/set") {
      set(rest);
    } else if (name == "/stats") {
      stats_ = !stats_;
      fmt::print("speed figures are {}\n", stats_ ? "on" : "off");
    } else if (name == "/history") {
      for (const json::value& message : chat_->messages()) print_message(message);
    } else if (name == "/save") {
      save(rest);
    } else {
      fmt::print("unknown command {}; /help lists them\n", name);
    }
    return true;
  }

  static void print_message(const json::value& message) {
    fmt::print("[{}] {}\n", std::string(message.at("role").get_string()),
               std::string(message.at("content").get_string()));
  }

  void set(const std::string& rest) {
    const size_t space = rest.find(' ');
    const std::string name = rest.substr(0, space),
                      text = space == std::string::npos ? "" : trimmed(rest.substr(space));
    char* end = nullptr;
    const double value = text == "off" ? -1 : std::strtod(text.c_str(), &end);
    if (text.empty() || (text != "off" && (*end != '\0' || !(value >= 0)))) {
      fmt::print("usage: /set temperature|top_p|max_tokens|seed NUMBER|off\n");
    } else if (name == "temperature") {
      chat_->options().temperature = value;
    } else if (name == "top_p") {
      chat_->options().top_p = value;
    } else if (name == "max_tokens") {
      chat_->options().max_tokens = static_cast<int>(std::clamp(value, 0.0, kMostTokens));
    } else if (name == "seed") {
      chat_->options().seed = static_cast<int64_t>(std::min(value, kLargestSeed));
    } else {
      fmt::print("'{}' is no setting; there are temperature, top_p, max_tokens and seed\n", name);
    }
  }

  void save(const std::string& path) const {
    std::ofstream file(path);
    file << json::serialize(chat_->messages()) << "\n";
    file.close();
    fmt::print("{}\n", file ? "saved " + path : "cannot write '" + path + "'");
  }

  Chat* chat_;
  bool stats_, color_;
  const Interrupts interrupts_;  // between an answer and the next line ctrl-C ends nothing
  LineEditor editor_;
};

// One question, its answer, and out: with words on the command line, or text piped in.
int answer_once(Chat& chat, const RunOptions& options) {
  std::string question = fmt::format("{}", fmt::join(options.prompt, " "));
  if (isatty(STDIN_FILENO) == 0 && options.prompt.empty()) {
    question.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  if (trimmed(question).empty()) {
    fmt::print(stderr,
               "bessemer run: nothing was asked: give words on the command line, or text on "
               "standard input\n");
    return 1;
  }
  const StatusOr<Turn> turn = chat.ask(question);
  fmt::print("\n");  // an answer that breaks off has no end of its own either
  if (!turn.ok()) {
    std::fflush(stdout);
    fmt::print(stderr, "bessemer run: {}\n", std::string(turn.status().message()));
    return 1;
  }
  if (options.stats) print_speed(*turn, stderr);  // standard output is the answer's alone
  return turn->interrupted ? 130 : 0;
}

int talk(const ServerAddress& server, const RunOptions& options, const Environment& environment) {
  ChatOptions chat_options = options.chat;
  if (!options.url.empty()) chat_options.model = options.model;
  Chat chat(server, chat_options);
  if (const Status status = chat.choose_model(); !status.ok()) {
    fmt::print(stderr, "bessemer run: {}\n", std::string(status.message()));
    return 1;
  }
  if (!options.prompt.empty() || isatty(STDIN_FILENO) == 0) return answer_once(chat, options);
  Terminal(chat, options, environment).converse();
  return 0;
}

}  // namespace

int run_command(const RunOptions& options, const Environment& environment) {
  if (!options.url.empty()) {
    const StatusOr<ServerAddress> server = parse_server_url(options.url);
    if (server.ok()) return talk(*server, options, environment);
    fmt::print(stderr, "bessemer run: {}\n", std::string(server.status().message()));
    return 1;
  }
  const StatusOr<std::unique_ptr<LocalCluster>> cluster =
      LocalCluster::start(options.model.empty() ? ServeConfig{}.model : options.model, environment);
  if (!cluster.ok()) {
    fmt::print(stderr, "bessemer run: {}\n", std::string(cluster.status().message()));
    return 1;
  }
  return talk((*cluster)->address(), options, environment);
}

}  // namespace bessemer
