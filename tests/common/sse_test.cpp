#include "common/sse.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> events_of(const std::vector<std::string>& pieces) {
  SseParser parser;
  std::vector<std::string> events;
  for (const std::string& piece : pieces)
    EXPECT_TRUE(parser.feed(piece, [&](std::string_view data) { events.emplace_back(data); }));
  return events;
}

TEST(Sse, EventsEndWithAnEmptyLine) {
  EXPECT_THAT(events_of({"data: one\n\ndata:two\n\ndata: never ended\n"}),
              ElementsAre("one", "two"));
  EXPECT_THAT(events_of({"\n\n\n"}), IsEmpty());
}

TEST(Sse, CommentsAndOtherFieldsArePassedOver) {
  EXPECT_THAT(events_of({": ping\n\nevent: x\nid: 7\nretry: 1\n\ndatabase: no\n\ndata: yes\n\n"}),
              ElementsAre("yes"));
}

TEST(Sse, DataLinesAreJoined) {
  EXPECT_THAT(events_of({"data: a\ndata: b\ndata\n\n"}), ElementsAre("a\nb\n"));
  EXPECT_THAT(events_of({"data:  two spaces\n\n"}), ElementsAre(" two spaces"));
}

TEST(Sse, EveryLineEnd) {
  EXPECT_THAT(events_of({"data: a\r\n\r\ndata: b\r\rdata: c\n\n"}), ElementsAre("a", "b", "c"));
}

TEST(Sse, AnySplitGivesTheSameEvents) {
  const std::string stream =
      "data: {\"a\": 1}\r\n\r\n: ping\n\ndata: x\ndata: y\r\n\r\ndata: [DONE]\n\n";
  const std::vector<std::string> whole = events_of({stream});
  ASSERT_EQ(whole.size(), 3u);
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    std::vector<std::string> pieces;
    for (size_t at = 0; at < stream.size();) {
      const size_t length = 1 + random.below(9);
      pieces.push_back(stream.substr(at, length));
      at += length;
    }
    EXPECT_EQ(events_of(pieces), whole) << "seed " << seed;
  }
}

TEST(Sse, AnEventWithoutEndIsRefused) {
  SseParser parser;
  const auto ignore = [](std::string_view) {};
  const std::string line = "data: " + std::string(kMaxEventBytes / 4, 'x') + "\n";
  bool taken = true;
  for (int i = 0; i < 5; ++i) taken = taken && parser.feed(line, ignore);
  EXPECT_FALSE(taken) << "many lines of one event";
  SseParser other;
  EXPECT_FALSE(other.feed(std::string(kMaxEventBytes + 1, 'x'), ignore)) << "one line";
}

}  // namespace
}  // namespace bessemer
