// `bessemer tokenize`: a GGUF file's tokenizer on standard input and output.
#pragma once
#include <iosfwd>
#include <string>

#include "common/status.h"

namespace bessemer {

struct TokenizeOptions {
  std::string model;  // a GGUF file; vocabulary-only ones too
  bool no_special =
      false;            // no BOS or EOS around the text; with decode: control tokens are left out
  bool json = false;    // {"ids": [...], "tokens": [...]} in place of ids in a line
  bool decode = false;  // ids to text
  bool lines =
      false;  // many texts: each input line is a JSON string (with decode: an array of ids)
};

// Reads standard input to its end and takes every byte of it as the text, a newline at the end too.
// Writes the ids, separated by spaces, in one line. Control tokens spelled out in the text become
// their ids.
//   decode: reads ids separated by white space, writes their text and nothing behind it.
//   lines: one line of output, a JSON array (with decode: a JSON string), for each line of input.
// Returns the exit status: 0, or 1 with the error on standard error.
int tokenize_command(const TokenizeOptions& options);

// The same between streams.
Status tokenize_stream(const TokenizeOptions& options, std::istream& in, std::ostream& out);

}  // namespace bessemer
