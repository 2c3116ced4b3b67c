// bessemer_mock_worker: a simulated worker as a process.
#include "bench/mock_worker/mock_main.h"

int main(int argc, char** argv) {
  return bessemer::mock_worker_main(argc, argv);
}
