#include "worker/format/printable.h"

#include <gtest/gtest.h>

#include "worker/format/utf8.h"

namespace bessemer {
namespace {

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(printable("plain", 80), "plain");
  EXPECT_EQ(printable("Grüße, 世界 🙂", 80), "Grüße, 世界 🙂");
}

TEST(Printable, EscapesWhatMovesTheCursor) {
  EXPECT_EQ(printable("a\nb\r\t\\", 80), "a\\nb\\r\\t\\\\");
  EXPECT_EQ(printable(std::string_view("\0\x1b[2J\x7f", 6), 80), "\\x00\\x1b[2J\\x7f");
  EXPECT_EQ(printable("\u009b31m", 80), "\\u{9b}31m");                     // C1
  EXPECT_EQ(printable("\u202eevil\u2066", 80), "\\u{202e}evil\\u{2066}");  // direction
  EXPECT_EQ(printable("\u2028", 80), "\\u{2028}");
}

TEST(Printable, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff", 80), "\\xff");
  EXPECT_EQ(printable("\xc0\xaf", 80), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(printable("\xe0\x80\xaf", 80), "\\xe0\\x80\\xaf");           // overlong
  EXPECT_EQ(printable("\xed\xa0\x80", 80), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80", 80), "\\xf4\\x90\\x80\\x80");  // past U+10FFFF
  EXPECT_EQ(printable("ab\xe4\xb8", 80), "ab\\xe4\\xb8");                // cut off
}

TEST(Printable, ElidesLongText) {
  EXPECT_EQ(printable("12345", 5), "12345");
  EXPECT_EQ(printable("123456", 5), "12345…");
  EXPECT_EQ(printable("世界世界", 5), "世界…");  // never in the middle of a character
}

TEST(Utf8, AgreesWithTheStandardAtItsBorders) {
  for (const char* good : {"", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff",
                           "\U00010000", "\U0010ffff"}) {
    EXPECT_TRUE(is_utf8(good)) << printable(good, 80);
  }
  for (const char* bad : {"\x80", "\xbf", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf",
                          "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xfe", "a\xed\xbf\xbf"}) {
    EXPECT_FALSE(is_utf8(bad)) << printable(bad, 80);
  }
}

}  // namespace
}  // namespace bessemer
