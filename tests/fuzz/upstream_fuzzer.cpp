// Anything a worker may send on a lane: no crash, and every token that is delivered is the next one
// of its choice, once.
//
// Input: records of a length (one byte), a kind (one byte) and that many bytes: a WorkerFrame, or
// what the router does between frames.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include "common/check.h"
#include "router/upstream/lane_protocol.h"

namespace bessemer {
namespace {

// ASan tells of a row whose memory has gone.
void touch(const TokenRow& row) {
  uint32_t sum = 0;
  for (const uint32_t id : row.ids) sum += id;
  for (const auto* logprobs : row.logprobs) sum += logprobs->ids(0);
  asm volatile("" : : "r"(sum));  // or the loops would be left out
}

class Session {
 public:
  Session() {
    v1::RouterFrame frame;
    lane_.next_frame(frame);
    auto hello = std::make_shared<v1::WorkerFrame>();
    hello->mutable_hello()->set_protocol_min(1);
    hello->mutable_hello()->set_protocol_max(1);
    hello->mutable_hello()->add_features(8);
    Deliveries none;
    CHECK(lane_.receive(hello, now_, none).ok());
    for (int i = 0; i < 4; i++) start(3);
  }
  // False: the lane has ended.
  bool feed(uint8_t kind, std::string_view bytes);

 private:
  void start(size_t prompt);
  bool receive(std::string_view bytes);
  void account(Deliveries& deliveries);
  void finish();

  TimePoint now_{};
  LaneProtocol lane_{LaneOptions(), now_};
  uint64_t serial_ = 0;
  std::map<uint64_t, std::map<int32_t, int32_t>>
      next_;  // of the attempts that may still hear something
};

void Session::start(size_t prompt) {
  v1::Start start;
  start.mutable_generate()->set_n(2);
  for (size_t i = 0; i < prompt; i++) start.mutable_input()->add_ids(1);
  const AttemptKey key{static_cast<uint32_t>(++serial_ % 3), serial_};
  if (lane_.start(key, std::move(start)).ok()) next_[serial_];
}

void Session::account(Deliveries& deliveries) {
  for (const auto& batch : deliveries.batches()) {
    for (const auto& item : batch.items) {
      const auto attempt = next_.find(item.serial);
      CHECK(attempt != next_.end());
      if (const auto* row = std::get_if<TokenRow>(&item.what)) {
        int32_t& next = attempt->second[row->choice];
        CHECK(row->offset == next && !row->ids.empty());
        next += static_cast<int32_t>(row->ids.size());
        touch(*row);
      } else if (std::holds_alternative<AttemptLost>(item.what)) {
        next_.erase(attempt);
      } else if (std::holds_alternative<const v1::Event*>(item.what)) {
        const v1::Event& event = *std::get<const v1::Event*>(item.what);
        if (event.has_done() || event.has_failed() || event.has_rejected()) next_.erase(attempt);
      }
    }
  }
}

bool Session::receive(std::string_view bytes) {
  auto frame = std::make_shared<v1::WorkerFrame>();
  if (!frame->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return true;
  Deliveries deliveries(frame);
  const bool alive = lane_.receive(frame, now_, deliveries).ok();
  account(deliveries);
  if (!alive) finish();
  return alive;
}

// Whoever has heard no end hears of the loss.
void Session::finish() {
  Deliveries deliveries;
  lane_.close(LossCause::lane, "over", deliveries);
  account(deliveries);
  CHECK(next_.empty());
}

bool Session::feed(uint8_t kind, std::string_view bytes) {
  v1::RouterFrame frame;
  switch (kind % 8) {
    case 0:
      start(3);
      return true;
    case 1:
      start(60'000);
      return true;
    case 2: {
      const uint64_t serial = bytes.empty() ? serial_ : static_cast<uint8_t>(bytes[0]);
      lane_.cancel({static_cast<uint32_t>(serial % 3), serial}, {});
      next_.erase(serial);
      return true;
    }
    case 3:
      now_ += std::chrono::milliseconds(700);
      if (lane_.tick(now_).ok()) return true;
      finish();
      return false;
    case 4:
      lane_.next_frame(frame);
      return true;
    default:
      return receive(bytes);
  }
}

}  // namespace
}  // namespace bessemer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  bessemer::Session session;
  while (input.size() >= 2) {
    const auto length = static_cast<size_t>(static_cast<uint8_t>(input[0]));
    const auto kind = static_cast<uint8_t>(input[1]);
    const std::string_view bytes = input.substr(2, length);
    input.remove_prefix(2 + bytes.size());
    if (!session.feed(kind, bytes)) break;
  }
  return 0;
}
