// The server under load, and how it is spoken to.
#pragma once
#include <string>

#include "common/json.h"
#include "common/server_address.h"

namespace bessemer::bench {

struct Target {
  ServerAddress server;
  std::string model;       // as the server names it
  std::string api_key;     // "": none is sent
  bool chat = false;       // /v1/chat/completions instead of /v1/completions
  bool ignore_eos = true;  // answers of the asked length: an extension of vLLM's, known to most
  json::object extra;      // further fields of every request
};

}  // namespace bessemer::bench
