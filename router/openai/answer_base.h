// What the answers of both APIs do alike: events become fragments of JSON, which a stream sends one
// by one and a whole answer joins.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "router/openai/answer_parts.h"

namespace bessemer {

// JSON that events have turned into: a stream sends and empties it, a whole answer adds to it until
// the end.
struct Fragments {
  std::string text;  // escaped
  std::string ids;   // numbers with commas between them
  // Items with commas between them, of as many lists as the API spreads its logprobs over.
  std::array<std::string, 4> logprobs;

  bool moved() const { return !text.empty() || !ids.empty() || !logprobs[0].empty(); }
  void clear() {
    text.clear();
    ids.clear();
    for (std::string& list : logprobs) list.clear();
  }
};

// The subclass says how a choice looks in JSON, and what surrounds the choices of a whole answer.
class AnswerBase : public Answer {
 public:
  std::string begin() final;
  std::string text(const ChoiceText& delta) final;
  std::string finish(const ChoiceFinish& finish) final;

 protected:
  struct Choice {
    Fragments fragments;
    ChoiceFinish finish;
  };

  // `chunk_object`: the "object" of a stream's chunks.
  AnswerBase(const ValidRequest& request, AnswerHead head, std::string_view chunk_object);

  // The frame that stands in front of all others of a choice, or "".
  virtual std::string first_frame(int32_t choice) const = 0;
  virtual void append_report(Fragments& out, const TokenReport& report) const = 0;
  // Fields of a chunk's choice, each with a comma behind it: its piece of the answer with its
  // logprobs (null unless `with_logprobs`), and those of a chunk that has none.
  virtual void append_piece(std::string& out, const Fragments& piece, bool with_logprobs) const = 0;
  virtual std::string_view no_piece() const = 0;

  // `,"token_ids":[...]`
  static void append_token_ids(std::string& out, const Fragments& fragments);
  // `,"prompt_token_ids":[...]`
  void append_prompt_ids(std::string& out, size_t prompt) const;

  const AnswerForm form_;
  const AnswerHead head_;
  ChunkWriter chunks_;
  std::vector<Choice> choices_;  // whole: everything so far

 private:
  void append_delta(Fragments& out, const ChoiceText& delta) const;
  Fragments scratch_;  // streaming: one event
};

}  // namespace bessemer
