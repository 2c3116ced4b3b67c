// How the API server of Kubernetes is reached.
#pragma once
#include <string>

#include "common/clock.h"

namespace bessemer {

struct KubernetesOptions {
  std::string api;  // https://host:port; empty: this process does not run in a pod
  // A folder with `token`, `ca.crt` and `namespace`, as Kubernetes mounts it into pods. Read again
  // for every request, since tokens and certificates are rotated.
  std::string credentials = "/var/run/secrets/kubernetes.io/serviceaccount";
  // How long the server is asked to keep a watch open: each is followed by another.
  Duration watch = std::chrono::minutes(4);
};

}  // namespace bessemer
