// A project's page in both of its forms, as public indexes and mirrors give it.
#include "cli/models/package_index.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

const std::string kPage = "https://index.example/simple/thing/";

std::string found(const std::string& body, const std::string& sha256 = "abc1") {
  const auto url = find_in_index(kPage, body, sha256);
  return url.ok() ? *url : std::string(url.status().message());
}
std::string html(const std::string& address) {
  return "<!DOCTYPE html>\n<html><body>\n<a "
         "href=\"https://x.example/other.whl#sha256=00\">other</a>"
         "<a href=\"" +
         address + "#sha256=abc1\" data-requires-python=\"&gt;=3.9\">thing.whl</a></body></html>";
}
std::string json(const std::string& address) {
  return R"({"meta":{"api-version":"1.0"},"files":[{"url":"x"},{"url":")" + address +
         R"(","hashes":{"sha256":"abc1"}}]})";
}

TEST(PackageIndex, BothFormsAndRelativeAddresses) {
  for (const auto& page : {html, json}) {
    EXPECT_EQ(found(page("https://files.example/a/thing.whl")),
              "https://files.example/a/thing.whl");
    EXPECT_EQ(found(page("/files/thing.whl")), "https://index.example/files/thing.whl");
    EXPECT_EQ(found(page("//files.example/thing.whl")), "https://files.example/thing.whl");
    EXPECT_EQ(found(page("../../files/thing.whl")),
              "https://index.example/simple/thing/../../files/thing.whl");
  }
  EXPECT_EQ(found(html("/thing.whl?a=1&amp;b=2")), "https://index.example/thing.whl?a=1&b=2");
}

TEST(PackageIndex, SaysWhatIsMissing) {
  EXPECT_EQ(found(html("/thing.whl"), "dddd"), kPage + " lists no file with SHA-256 dddd");
  EXPECT_EQ(found(json("/thing.whl"), "dddd"), kPage + " lists no file with SHA-256 dddd");
  EXPECT_EQ(found("[]"), kPage + " lists no file with SHA-256 abc1");
  for (const char* body : {"", "  ", "not found"}) {
    EXPECT_NE(found(body).find("no page of a Python package index"), std::string::npos) << body;
  }
  EXPECT_NE(found("<#sha256=abc1").find("lists no file"), std::string::npos);
}

}  // namespace
}  // namespace bessemer
