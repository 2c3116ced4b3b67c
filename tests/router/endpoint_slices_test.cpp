// What lists and watches of EndpointSlices say, in the API's own shape.
#include "router/cluster/endpoint_slices.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

struct Pod {
  std::string uid, address;
  std::string conditions = R"({"ready":true,"serving":true,"terminating":false})";
};

constexpr const char* kStarting = R"({"ready":false,"serving":false,"terminating":false})";
constexpr const char* kLeaving = R"({"ready":false,"serving":true,"terminating":true})";

std::string slice(const std::string& name, const std::vector<Pod>& pods,
                  const std::string& family = "IPv4", const std::string& version = "7") {
  std::string endpoints;
  for (const auto& pod : pods) {
    endpoints += (endpoints.empty() ? "" : ",") + std::string(R"({"addresses":[")") + pod.address +
                 R"("],"conditions":)" + pod.conditions + R"(,"targetRef":{"kind":"Pod","uid":")" +
                 pod.uid + R"("}})";
  }
  return R"({"kind":"EndpointSlice","metadata":{"name":")" + name + R"(","resourceVersion":")" +
         version + R"("},"addressType":")" + family +
         R"(","ports":[{"name":"metrics","port":9100},{"name":"grpc","port":9000}],"endpoints":[)" +
         endpoints + "]}";
}

std::string page(const std::vector<std::string>& slices, const std::string& next = "") {
  std::string items;
  for (const auto& one : slices) items += (items.empty() ? "" : ",") + one;
  return R"({"kind":"EndpointSliceList","metadata":{"resourceVersion":"50","continue":")" + next +
         R"("},"items":[)" + items + "]}";
}

std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}

class EndpointSlicesTest : public ::testing::Test {
 protected:
  void list(const std::vector<std::string>& slices) {
    slices_.begin_list();
    const auto next = slices_.add_page(page(slices));
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ(*next, "");
    slices_.end_list();
  }
  void apply(const std::string& type, const std::string& object) {
    const Status status = slices_.apply(event(type, object));
    EXPECT_TRUE(status.ok()) << status;
  }
  using Members = std::vector<Member>;
  EndpointSlices slices_{"grpc"};
};

TEST_F(EndpointSlicesTest, ListThenWatch) {
  list({slice("s1", {{"u1", "10.0.0.1"}, {"u2", "10.0.0.2"}})});
  EXPECT_EQ(slices_.version(), "50");
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}, {"10.0.0.2:9000"}}));
  apply("ADDED", slice("s2", {{"u3", "10.0.0.3", kStarting}}, "IPv4", "51"));
  EXPECT_EQ(slices_.members().back(), (Member{"10.0.0.3:9000", MemberStanding::starting}));
  apply("MODIFIED", slice("s1", {{"u1", "10.0.0.1", kLeaving}}, "IPv4", "52"));
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000", MemberStanding::leaving},
                                        {"10.0.0.3:9000", MemberStanding::starting}}));
  apply("DELETED", slice("s1", {}, "IPv4", "53"));
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.3:9000", MemberStanding::starting}}));
  apply("BOOKMARK", R"({"kind":"EndpointSlice","metadata":{"resourceVersion":"99"}})");
  EXPECT_EQ(slices_.version(), "99");
}

TEST_F(EndpointSlicesTest, WhatAnewListDoesNotNameIsGone) {
  list({slice("s1", {{"u1", "10.0.0.1"}}), slice("s2", {{"u2", "10.0.0.2"}})});
  list({slice("s2", {{"u2", "10.0.0.2"}})});
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.2:9000"}}));
}

TEST_F(EndpointSlicesTest, AListThatBreaksOffChangesNothing) {  // S1
  list({slice("s1", {{"u1", "10.0.0.1"}})});
  slices_.begin_list();
  const auto next = slices_.add_page(page({slice("s2", {{"u2", "10.0.0.2"}})}, "token"));
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(*next, "token");
  EXPECT_FALSE(slices_.add_page(R"({"items":[]})").ok());
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}}));
  slices_.begin_list();
  ASSERT_TRUE(slices_.add_page(page({slice("s3", {{"u3", "10.0.0.3"}})}, "token")).ok());
  ASSERT_TRUE(slices_.add_page(page({slice("s4", {{"u4", "10.0.0.4"}})})).ok());
  slices_.end_list();
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.3:9000"}, {"10.0.0.4:9000"}}));
}

TEST_F(EndpointSlicesTest, APodInTwoSlicesIsOneMember) {  // S2
  list({slice("s1", {{"u1", "10.0.0.1", kStarting}}), slice("s2", {{"u1", "10.0.0.1"}})});
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}}));
  apply("MODIFIED", slice("s1", {{"u1", "10.0.0.1", kLeaving}}));
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000", MemberStanding::leaving}}));
  apply("DELETED", slice("s1", {}));
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}}));
}

TEST_F(EndpointSlicesTest, BothFamiliesOfAPodAreOneMember) {
  list({slice("a", {{"u1", "fd00::1"}}, "IPv6"), slice("b", {{"u1", "10.0.0.1"}}),
        slice("c", {{"u2", "fd00::2"}}, "IPv6"), slice("d", {{"u3", "x.example"}}, "FQDN")});
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}, {"[fd00::2]:9000"}}));
}

TEST_F(EndpointSlicesTest, WhatIsNotSaidIsReady) {
  list({slice("s1", {{"u1", "10.0.0.1", "{}"}, {"u2", "10.0.0.2", R"({"ready":null})"}})});
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}, {"10.0.0.2:9000"}}));
}

TEST_F(EndpointSlicesTest, PortsByNumberAndPortsThatAreMissing) {
  EndpointSlices by_number("9100"), missing("nothing");
  for (EndpointSlices* slices : {&by_number, &missing}) {
    slices->begin_list();
    ASSERT_TRUE(slices->add_page(page({slice("s1", {{"u1", "10.0.0.1"}})})).ok());
    slices->end_list();
  }
  EXPECT_EQ(by_number.members(), (Members{{"10.0.0.1:9100"}}));
  EXPECT_TRUE(missing.members().empty());
}

TEST_F(EndpointSlicesTest, GoneAsksForANewList) {
  list({slice("s1", {{"u1", "10.0.0.1"}})});
  const Status gone = slices_.apply(
      event("ERROR", R"({"kind":"Status","code":410,"message":"too old resource version"})"));
  EXPECT_TRUE(absl::IsOutOfRange(gone)) << gone;
  const Status other = slices_.apply(event("ERROR", R"({"code":500,"message":"etcd"})"));
  EXPECT_TRUE(absl::IsUnavailable(other)) << other;
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}}));
}

TEST_F(EndpointSlicesTest, WhatCannotBeReadChangesNothing) {  // S3
  list({slice("s1", {{"u1", "10.0.0.1"}})});
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string("{}"), event("ADDED", "3"),
        event("ADDED", "{}"), event("WHAT", slice("s2", {{"u2", "10.0.0.2"}})),
        event("ADDED", R"({"metadata":{"resourceVersion":"1"}})")}) {
    EXPECT_FALSE(slices_.apply(bad).ok()) << bad;
  }
  EXPECT_EQ(slices_.version(), "50");
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}}));
  // Odd, but each can only mean an endpoint less.
  apply("ADDED", R"({"metadata":{"name":"s9","resourceVersion":"60"},"addressType":"IPv4",)"
                 R"("ports":[3,{"name":"grpc"},{"name":"grpc","port":9000}],)"
                 R"("endpoints":[1,{},{"addresses":[]},{"addresses":[5]}]})");
  EXPECT_EQ(slices_.members(), (Members{{"10.0.0.1:9000"}}));
}

TEST_F(EndpointSlicesTest, SlicesAreBounded) {  // S4
  for (size_t i = 0; i < kMaxEndpointSlices; i++)
    apply("ADDED", slice("s" + std::to_string(i), {}));
  EXPECT_FALSE(slices_.apply(event("ADDED", slice("more", {}))).ok());
  EXPECT_TRUE(slices_.apply(event("MODIFIED", slice("s0", {}))).ok());
  const std::vector<Pod> many(kMaxSliceEndpoints + 1, Pod{"u", "10.0.0.1"});
  EXPECT_FALSE(slices_.apply(event("MODIFIED", slice("s0", many))).ok());
}

}  // namespace
}  // namespace bessemer
