// `bessemer key`: an API key and the hash that the tenants file has of it.
#pragma once

namespace bessemer {

struct KeyOptions {
  bool hash = false;  // of the key on standard input, instead of a new one
};

// Returns the exit status.
int key_command(const KeyOptions& options);

}  // namespace bessemer
