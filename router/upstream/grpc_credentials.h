// What PeerCredentials is. Includes gRPC: for .cpp files of this folder only.
#pragma once
#include <memory>

#include <grpcpp/security/credentials.h>

namespace bessemer {

class PeerCredentials {
 public:
  explicit PeerCredentials(std::shared_ptr<grpc::ChannelCredentials> credentials)
      : channel(std::move(credentials)) {}
  const std::shared_ptr<grpc::ChannelCredentials> channel;
};

}  // namespace bessemer
