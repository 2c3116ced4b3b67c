// One source of workers that is looked at again and again.
#pragma once
#include <functional>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "router/cluster/roster.h"

namespace bessemer {

// Errors come back as values.
constexpr auto kAwaitTuple = boost::asio::experimental::as_tuple(boost::asio::use_awaitable);

// What a watcher sees, whenever it looked and could: all of it.
using SeeMembers = std::function<void(std::vector<Member>)>;

// On the discovery's thread only.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void start() = 0;
  // Nothing is seen any more from here on.
  virtual void stop() = 0;
};

}  // namespace bessemer
