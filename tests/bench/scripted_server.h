// An HTTP server that does what a script says, right or wrong, byte by byte.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace bessemer::bench {

struct ScriptedAnswer {
  std::vector<std::string> pieces;  // sent one after the other
  int pause_ms = 0;                 // before each piece
  bool close = false;               // the connection, behind the last piece
};

class ScriptedServer {
 public:
  // `answer` gets the whole request, head and body; called on one thread for each connection.
  using Script = std::function<ScriptedAnswer(const std::string& request)>;
  explicit ScriptedServer(Script answer);
  ~ScriptedServer();

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  void accept_all();
  void serve(int socket);

  const Script answer_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::vector<std::thread> threads_;  // of the acceptor alone until it has ended
  std::vector<int> sockets_;
  std::thread acceptor_;
};

// A whole answer of events in one chunk each.
ScriptedAnswer event_stream(const std::vector<std::string>& events);
// One chunk of a completion.
std::string text_event(const std::string& text);
// The last chunk of a completion.
std::string usage_event(int prompt_tokens, int output_tokens);
std::string http_chunk(const std::string& bytes);

}  // namespace bessemer::bench
