// Certificates and keys in files: what is taken, and what an error says.
#include "common/tls_files.h"

#include <fstream>

#include <gtest/gtest.h>

#include "common/file_changes.h"
#include "common/peer_role.h"
#include "tests/support/certificates.h"

namespace bessemer {
namespace {

std::string said(const Status& status) {
  return std::string(status.message());
}

TEST(PeerRole, IsTheLastSegmentOfASpiffeId) {
  EXPECT_EQ(role_in_uri("spiffe://test/router"), PeerRole::router);
  EXPECT_EQ(role_in_uri("spiffe://a.b/ns/prod/sa/worker"), PeerRole::worker);
  EXPECT_EQ(role_in_uri("spiffe://a/admin"), PeerRole::admin);
  EXPECT_EQ(role_in_uri("spiffe://a/scraper"), PeerRole::scraper);
  for (const char* bad : {"", "router", "spiffe://router", "spiffe:///router", "https://a/router",
                          "spiffe://a/Router", "spiffe://a/router/", "spiffe://a/my-router",
                          "spiffe://a//router", "spiffe://a/router?x", "spiffe://a/x#/router",
                          "spiffe://u@a/router", "spiffe://a/%72outer"}) {
    EXPECT_EQ(role_in_uri(bad), std::nullopt) << bad;
  }
}

TEST(PeerRole, OneUriOnly) {
  const std::vector<std::string> one = {"spiffe://a/router"};
  const std::vector<std::string> two = {"spiffe://a/router", "spiffe://a/worker"};
  EXPECT_EQ(role_of_uris(one), PeerRole::router);
  EXPECT_EQ(role_of_uris(two), std::nullopt);
  EXPECT_EQ(role_of_uris({}), std::nullopt);
}

class TlsFilesTest : public ::testing::Test {
 protected:
  const std::string folder_ = ::testing::TempDir() + "/tls_files_test";
  TestAuthority authority_{folder_};
};

TEST_F(TlsFilesTest, AGoodPair) {
  const TlsFiles files = authority_.issue_role("router");
  EXPECT_TRUE(check_peer_files(files, PeerRole::router).ok());
  EXPECT_TRUE(files.given());
  EXPECT_FALSE(TlsFiles{}.given());
}

TEST_F(TlsFilesTest, ADamagedBlockBehindGoodOnesIsNotTheEnd) {
  const TlsFiles files = authority_.issue_role("router");
  std::ofstream(files.cert, std::ios::app)
      << "-----BEGIN CERTIFICATE-----\nMIIBdamaged\n-----END CERTIFICATE-----\n";
  EXPECT_EQ(said(read_identity(files).status()),
            "peer_cert " + files.cert + " holds a certificate that cannot be read");
}

TEST_F(TlsFilesTest, AnotherRoleIsNamed) {
  const TlsFiles files = authority_.issue_role("worker");
  EXPECT_EQ(said(check_peer_files(files, PeerRole::router)),
            "peer_cert " + files.cert +
                " does not say that this is a router: among its subject alternative names there "
                "must be one URI, spiffe://<trust domain>/router, not "
                "spiffe://test/bessemer/worker");
  const TlsFiles none = authority_.issue("none", {{"DNS:localhost"}});
  EXPECT_NE(said(check_peer_files(none, PeerRole::router)).find("not none"), std::string::npos);
}

TEST_F(TlsFilesTest, FilesThatAreMissingOrOfAnotherKind) {
  TlsFiles files = authority_.issue_role("router");
  TlsFiles wrong = files;
  wrong.cert = "/nonexistent.crt";
  EXPECT_EQ(said(read_identity(wrong).status()),
            "peer_cert: cannot read /nonexistent.crt: No such file or directory");
  wrong = files;
  wrong.key.clear();
  EXPECT_EQ(said(read_identity(wrong).status()),
            "peer_key is missing: give peer_cert and peer_key together");
  wrong = files;
  std::swap(wrong.cert, wrong.key);
  EXPECT_EQ(
      said(read_identity(wrong).status()),
      "peer_cert " + wrong.cert + " holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  wrong = files;
  wrong.key = files.cert;
  EXPECT_NE(said(read_identity(wrong).status()).find("holds no private key in PEM"),
            std::string::npos);
  wrong = files;
  wrong.ca.clear();
  EXPECT_NE(said(check_peer_files(wrong, PeerRole::router)).find("peer_ca is missing"),
            std::string::npos);
}

TEST_F(TlsFilesTest, AKeyOfAnotherCertificate) {
  const TlsFiles one = authority_.issue_role("router"), other = authority_.issue_role("worker");
  EXPECT_EQ(said(read_identity({"peer", one.cert, other.key, ""}).status()),
            "peer_key " + other.key + " is not the key of peer_cert " + one.cert +
                ": give the two that were issued together");
}

TEST_F(TlsFilesTest, CertificatesOutOfTheirTime) {
  const TlsFiles old = authority_.issue("old", {{}, -7200, -3600});
  EXPECT_NE(said(read_identity(old).status()).find("has expired"), std::string::npos);
  const TlsFiles early = authority_.issue("early", {{}, 3600, 7200});
  EXPECT_NE(said(read_identity(early).status()).find("is not valid yet"), std::string::npos);
}

TEST(FileChanges, SeesWhatWasWrittenReplacedOrRemoved) {
  const std::string path = ::testing::TempDir() + "/file_changes_test";
  std::remove(path.c_str());
  FileChanges changes({path, ""});
  EXPECT_FALSE(changes.changed());
  std::ofstream(path) << "one";
  EXPECT_TRUE(changes.changed());
  EXPECT_FALSE(changes.changed());
  std::ofstream(path + ".new") << "two";  // of equal length
  std::rename((path + ".new").c_str(), path.c_str());
  EXPECT_TRUE(changes.changed());
  std::ofstream(path, std::ios::app) << "more";
  EXPECT_TRUE(changes.changed());
  std::remove(path.c_str());
  EXPECT_TRUE(changes.changed());
  EXPECT_FALSE(changes.changed());
}

}  // namespace
}  // namespace bessemer
