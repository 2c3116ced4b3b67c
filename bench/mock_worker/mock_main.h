// A mock worker as a process, for programs that start themselves again as one.
#pragma once

namespace bessemer {

// Flags as --help says. Prints "READY host:port", then takes faults by lines on standard input
// ("drop 10", see mock_faults.h) until SIGTERM, SIGINT or, with --until-eof, the input's end; then
// prints a line "COMPLAINT ..." for each that is kept, and "END complaints=N resumed=N
// attached=N live=N".
int mock_worker_main(int argc, char** argv);

}  // namespace bessemer
