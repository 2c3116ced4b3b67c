#include "cli/tokenize.h"

#include <charconv>
#include <iostream>
#include <iterator>
#include <memory>
#include <vector>

#include "common/json.h"
#include "router/text/tokenizer.h"
#include "router/text/unicode.h"
#include "worker/format/gguf.h"
#include "worker/format/vocabulary.h"

namespace bessemer {
namespace {

Status bad_input(const std::string& what) {
  return absl::InvalidArgumentError("standard input: " + what);
}

StatusOr<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& path) {
  ASSIGN_OR_RETURN(const auto file, GgufFile::open(path));
  ASSIGN_OR_RETURN(const v1::Vocabulary vocabulary, read_vocabulary(*file));
  auto tokenizer = Tokenizer::create(vocabulary);
  if (!tokenizer.ok()) return annotate(tokenizer.status(), path);
  return tokenizer;
}

class Translator {
 public:
  Translator(const TokenizeOptions& options, std::shared_ptr<const Tokenizer> tokenizer)
      : options_(options), tokenizer_(std::move(tokenizer)) {}

  Status run(std::istream& in, std::ostream& out) const {
    if (!options_.lines) {
      const std::string input(std::istreambuf_iterator<char>(in), {});
      return options_.decode ? decode_text(input, out) : encode_text(input, out);
    }
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      const Status status = options_.decode ? decode_line(line, out) : encode_line(line, out);
      ++number;
      if (!status.ok()) return annotate(status, "line " + std::to_string(number));
    }
    return absl::OkStatus();
  }

 private:
  std::vector<int32_t> encode(std::string_view text) const {
    return tokenizer_->encode(text, {.add_special = !options_.no_special, .parse_special = true});
  }
  std::string decode(const std::vector<int32_t>& ids) const {
    return tokenizer_->decode(ids, options_.no_special);
  }
  Status check_id(int64_t id) const {
    if (id >= 0 && id < tokenizer_->vocab_size()) return absl::OkStatus();
    return bad_input("id " + std::to_string(id) + " is not in the vocabulary of " +
                     std::to_string(tokenizer_->vocab_size()) + " tokens");
  }

  Status encode_text(std::string_view text, std::ostream& out) const {
    if (const size_t good = valid_utf8_prefix(text); good != text.size())
      return bad_input("byte " + std::to_string(good) + " does not belong to UTF-8 text");
    const std::vector<int32_t> ids = encode(text);
    if (options_.json) {
      out << to_json(ids) << '\n';
      return absl::OkStatus();
    }
    for (size_t i = 0; i < ids.size(); ++i) out << (i == 0 ? "" : " ") << ids[i];
    out << '\n';
    return absl::OkStatus();
  }

  // A token that is half a character shows U+FFFD: JSON has no bytes.
  json::object to_json(const std::vector<int32_t>& ids) const {
    json::array tokens;
    for (const int32_t id : ids) {
      tokens.emplace_back(replace_invalid_utf8(tokenizer_->piece(id, true)));
    }
    return {{"ids", json::value_from(ids)}, {"tokens", std::move(tokens)}};
  }

  Status decode_text(std::string_view input, std::ostream& out) const {
    constexpr std::string_view kSpace = " \t\r\n";
    std::vector<int32_t> ids;
    for (size_t at = input.find_first_not_of(kSpace); at != std::string_view::npos;
         at = input.find_first_not_of(kSpace, at)) {
      const size_t end = std::min(input.find_first_of(kSpace, at), input.size());
      const std::string_view word = input.substr(at, end - at);
      int32_t id = -1;
      const auto parsed = std::from_chars(word.data(), word.data() + word.size(), id);
      if (parsed.ec != std::errc() || parsed.ptr != word.data() + word.size()) {
        return bad_input("\"" + std::string(word) + "\" is no token id");
      }
      RETURN_IF_ERROR(check_id(id));
      ids.push_back(id);
      at = end;
    }
    const std::string text = decode(ids);
    if (options_.json) {
      out << json::serialize(json::value(replace_invalid_utf8(text))) << '\n';
    } else {
      out << text;
    }
    return absl::OkStatus();
  }

  Status encode_line(const std::string& line, std::ostream& out) const {
    ASSIGN_OR_RETURN(const json::value text, parse_json(line));
    if (!text.is_string()) return bad_input("not a JSON string");
    const std::vector<int32_t> ids = encode(std::string_view(text.get_string()));
    out << (options_.json ? json::value(to_json(ids)) : json::value_from(ids)) << '\n';
    return absl::OkStatus();
  }

  Status decode_line(const std::string& line, std::ostream& out) const {
    ASSIGN_OR_RETURN(const json::value value, parse_json(line));
    if (!value.is_array()) return bad_input("not a JSON array of ids");
    std::vector<int32_t> ids;
    for (const json::value& id : value.get_array()) {
      if (!id.is_int64()) return bad_input("not a JSON array of ids");
      RETURN_IF_ERROR(check_id(id.get_int64()));
      ids.push_back(static_cast<int32_t>(id.get_int64()));
    }
    out << json::serialize(json::value(replace_invalid_utf8(decode(ids)))) << '\n';
    return absl::OkStatus();
  }

  TokenizeOptions options_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

}  // namespace

Status tokenize_stream(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
  ASSIGN_OR_RETURN(auto tokenizer, load_tokenizer(options.model));
  RETURN_IF_ERROR(Translator(options, std::move(tokenizer)).run(in, out));
  out.flush();
  if (!out) return absl::UnavailableError("standard output cannot be written");
  return absl::OkStatus();
}

int tokenize_command(const TokenizeOptions& options) {
  std::ios::sync_with_stdio(false);
  const Status status = tokenize_stream(options, std::cin, std::cout);
  if (status.ok()) return 0;
  std::cerr << "bessemer tokenize: " << std::string(status.message()) << '\n';
  return 1;
}

}  // namespace bessemer
