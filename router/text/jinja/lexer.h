// A template's source as tokens, with white space around tags removed as Jinja2 does with
// trim_blocks and lstrip_blocks on and keep_trailing_newline off.
#pragma once
#include <string_view>
#include <vector>

#include "common/status.h"
#include "router/text/jinja/ast.h"

namespace bessemer::jinja {

enum class TokenKind : uint8_t {
  data,
  print_begin,
  print_end,
  block_begin,
  block_end,
  name,
  text,
  number,  // integer or float
  symbol,  // an operator or a bracket, spelled by `text`
  end,
};

struct Token {
  TokenKind kind;
  uint32_t offset;        // in the program's source
  std::string_view text;  // data, name, symbol; a string's contents
  Value value;            // of a number
};

// Tokens of program.source, the last one of kind `end`. InvalidArgument names line and column.
StatusOr<std::vector<Token>> tokenize(Program& program);

// A token in error messages.
std::string describe(const Token& token);

}  // namespace bessemer::jinja
