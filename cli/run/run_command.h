// `bessemer run`: chat in the terminal.
#pragma once
#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/run/chat.h"

namespace bessemer {

struct RunOptions {
  // Alias or file for a private cluster, empty: the default model. With url a model of that server,
  // empty: the first one that it lists.
  std::string model;
  std::string url;  // a running router; empty: start one of our own for the time of the chat
  std::vector<std::string> prompt;  // words of a single question; empty: a conversation
  ChatOptions chat;
  bool stats = false;  // print speed after each answer
};

// Exit code.
int run_command(const RunOptions& options, const Environment& environment);

}  // namespace bessemer
