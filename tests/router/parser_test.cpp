#include <gtest/gtest.h>

#include "common/random.h"
#include "router/http/message.h"
#include "router/http/request_parser.h"

namespace bessemer {
namespace {

using State = RequestParser::State;

// Feeds `text` in pieces of `step` bytes the way a connection does; returns the last state.
State feed(RequestParser& parser, const std::string& text, size_t step) {
  std::string kept;
  for (size_t at = 0; at < text.size(); at += step) {
    kept += text.substr(at, step);
    size_t used = 0;
    State state = parser.feed(kept, used);
    kept.erase(0, used);
    while (state == State::expects_continue) {
      state = parser.feed(kept, used);
      kept.erase(0, used);
    }
    if (state != State::need_more) return state;
  }
  return State::need_more;
}

const std::string kPost =
    "POST /v1/completions?x=1&y=%20#frag HTTP/1.1\r\nHost: a\r\nX-Request-ID: "
    "abc\r\nContent-Length: 5\r\n\r\nhello";

TEST(RequestParser, AnySplitGivesTheSameRequest) {
  for (size_t step = 1; step <= kPost.size(); step++) {
    RequestParser parser{HttpLimits{}};
    ASSERT_EQ(feed(parser, kPost, step), State::complete) << step;
    const HttpRequest request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/completions");
    EXPECT_EQ(request.query, "x=1&y=%20");
    EXPECT_EQ(request.body, "hello");
    EXPECT_TRUE(request.keep_alive);
    ASSERT_NE(request.header("x-request-id"), nullptr);
    EXPECT_EQ(*request.header("x-request-id"), "abc");
  }
}

TEST(RequestParser, ChunkedBodies) {
  const std::string text =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n";
  for (size_t step = 1; step <= text.size(); step++) {
    RequestParser parser{HttpLimits{}};
    ASSERT_EQ(feed(parser, text, step), State::complete) << step;
    EXPECT_EQ(parser.take().body, "abcdefg");
  }
}

TEST(RequestParser, LeavesThePipelinedRest) {
  RequestParser parser{HttpLimits{}};
  size_t used = 0;
  const std::string two = kPost + "GET / HTTP/1.1\r\n";
  EXPECT_EQ(parser.feed(two, used), State::complete);
  EXPECT_EQ(used, kPost.size());
}

TEST(RequestParser, LimitsHaveTheirStatus) {
  HttpLimits limits;
  limits.max_header_bytes = 1024;
  limits.max_body_bytes = 10;
  RequestParser long_header(limits);
  EXPECT_EQ(feed(long_header, "GET / HTTP/1.1\r\nX: " + std::string(2000, 'a'), 100),
            State::failed);
  EXPECT_EQ(long_header.error_status(), 431);
  RequestParser announced(limits);
  EXPECT_EQ(feed(announced, "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n", 1000), State::failed);
  EXPECT_EQ(announced.error_status(), 413);
  RequestParser chunked(limits);
  EXPECT_EQ(feed(chunked,
                 "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n", 1000),
            State::failed);
  EXPECT_EQ(chunked.error_status(), 413);
}

// What the parser cannot finish stays with the caller, who must be told when to stop.
TEST(RequestParser, UnfinishedChunksAndTrailersAreBounded) {
  HttpLimits limits;
  limits.max_header_bytes = 1024;
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& start : {"1;", "3\r\nabc\r\n1;", "0;", "0\r\nX: "}) {
    RequestParser endless(limits);
    ASSERT_EQ(feed(endless, head + start + std::string(2000, 'a'), 100), State::failed) << start;
    EXPECT_EQ(endless.error_status(), 431);
  }
  const std::string some(500, 'a');
  RequestParser fine(limits);
  ASSERT_EQ(feed(fine, head + "3;" + some + "\r\nabc\r\n0\r\nX: " + some + "\r\n\r\n", 100),
            State::complete);
  EXPECT_EQ(fine.take().body, "abc");
}

// RFC 9112, 6.3: where the body ends must be beyond doubt, or it is taken for the next request.
TEST(RequestParser, DoubtfulFramingIsRefused) {
  struct Case {
    std::string fields;
    int status;  // 0: fine
  };
  const Case cases[] = {
      {"Transfer-Encoding: gzip\r\n", 400},
      {"Transfer-Encoding: identity\r\n", 400},
      {"Transfer-Encoding:\r\n", 400},
      {"Transfer-Encoding: chunked, gzip\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501},
      {"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
      {"Content-Length: 5, 6\r\n", 400},
      {"Transfer-Encoding: CHUNKED\r\n", 0},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 0},
  };
  for (const auto& [fields, status] : cases) {
    const bool chunked = fields.find("CHUNKED") != std::string::npos;
    const std::string body = chunked || status != 0 ? "5\r\nhello\r\n0\r\n\r\n" : "hello";
    const std::string text = "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
    for (const size_t step : {size_t{1}, text.size()}) {
      RequestParser parser{HttpLimits{}};
      ASSERT_EQ(feed(parser, text, step), status == 0 ? State::complete : State::failed) << fields;
      if (status == 0) {
        EXPECT_EQ(parser.take().body, "hello") << fields;
      } else {
        EXPECT_EQ(parser.error_status(), status) << fields;
      }
    }
  }
  RequestParser old{HttpLimits{}};
  ASSERT_EQ(feed(old, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 100),
            State::failed);
  EXPECT_EQ(old.error_status(), 400);
}

TEST(RequestParser, TheHeadOfAFailedRequestIsKnown) {
  HttpLimits limits;
  limits.max_body_bytes = 10;
  RequestParser parser(limits);
  EXPECT_TRUE(parser.head().method.empty());
  ASSERT_EQ(
      feed(parser, "HEAD /a?b HTTP/1.1\r\nX-Request-ID: abc\r\nContent-Length: 11\r\n\r\n", 7),
      State::failed);
  const HttpRequest head = parser.head();
  EXPECT_EQ(head.method, "HEAD");
  ASSERT_NE(head.header("x-request-id"), nullptr);
  EXPECT_EQ(*head.header("x-request-id"), "abc");
}

TEST(RequestParser, ATargetMayNameTheServer) {
  const auto path_of = [](const std::string& target) {
    RequestParser parser{HttpLimits{}};
    EXPECT_EQ(feed(parser, "GET " + target + " HTTP/1.1\r\n\r\n", 100), State::complete);
    return parser.head().path;
  };
  EXPECT_EQ(path_of("http://a.b:80/v1/models?x"), "/v1/models");
  EXPECT_EQ(path_of("http://a.b"), "/");
  EXPECT_EQ(path_of("http://a.b?x=/y"), "/");
  EXPECT_EQ(path_of("/x?u=http://a/b"), "/x");
}

TEST(RequestParser, AnEncodedBodyIsNotTakenForText) {
  RequestParser parser{HttpLimits{}};
  const std::string head = "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Encoding: ";
  ASSERT_EQ(feed(parser, head + "gzip\r\n\r\nxx", 100), State::failed);
  EXPECT_EQ(parser.error_status(), 415);
  RequestParser plain{HttpLimits{}};
  EXPECT_EQ(feed(plain, head + "identity\r\n\r\nxx", 100), State::complete);
}

TEST(RequestParser, ContinueIsAskedOnceAndOtherExpectationsRefused) {
  RequestParser parser{HttpLimits{}};
  size_t used = 0;
  const std::string head = "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(parser.feed(head, used), State::expects_continue);
  EXPECT_EQ(used, head.size());
  EXPECT_EQ(parser.feed("ok", used), State::complete);
  RequestParser other{HttpLimits{}};
  EXPECT_EQ(other.feed("POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: magic\r\n\r\n", used),
            State::failed);
  EXPECT_EQ(other.error_status(), 417);
}

TEST(RequestParser, GarbageIsRefusedAndNeverCrashes) {
  Random random(11);
  for (int round = 0; round < 5000; round++) {
    std::string bytes = round % 2 == 0 ? "" : kPost;
    const auto length = random.below(200);
    for (uint64_t i = 0; i < length; i++) {
      if (bytes.empty() || round % 2 == 0) {
        bytes += static_cast<char>(random.next());
      } else {
        bytes[random.below(bytes.size())] = static_cast<char>(random.next());
      }
    }
    RequestParser parser{HttpLimits{}};
    const State state = feed(parser, bytes, 1 + random.below(64));
    if (state == State::failed) {
      EXPECT_GE(parser.error_status(), 400);
      EXPECT_FALSE(parser.error_message().empty());
    }
  }
}

TEST(Message, RequestIdsAreChecked) {
  EXPECT_TRUE(well_formed_request_id("req-1.a_B"));
  EXPECT_FALSE(well_formed_request_id(""));
  EXPECT_FALSE(well_formed_request_id("a b"));
  EXPECT_FALSE(well_formed_request_id("a\r\nSet-Cookie: x"));
  EXPECT_FALSE(well_formed_request_id(std::string(129, 'a')));
}

TEST(Message, DatesAreWrittenAsHttpWantsThem) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(Message, ChunksAreNeverEmpty) {
  std::string out;
  append_chunk(out, "");
  EXPECT_EQ(out, "");
  append_chunk(out, std::string(17, 'x'));
  EXPECT_EQ(out, "11\r\n" + std::string(17, 'x') + "\r\n");
}

}  // namespace
}  // namespace bessemer
