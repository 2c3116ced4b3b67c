// The one file that reads the environment; everything else gets values.
#pragma once
#include <string>

namespace bessemer {

struct Environment {
  std::string cache_dir;  // $BESSEMER_CACHE, else $XDG_CACHE_HOME/bessemer, else ~/.cache/bessemer
  std::string package_index;   // $BESSEMER_PACKAGE_INDEX, else $PIP_INDEX_URL, else PyPI: a PEP 691
                               // simple index
  std::string kubernetes_api;  // https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT; empty
                               // outside of a pod
  bool color = true;           // false with $NO_COLOR, or when standard error is no terminal
  bool terminal = false;       // standard error is a terminal: progress bars may redraw
};

Environment read_environment();

}  // namespace bessemer
