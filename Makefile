# A thin face over CMake presets. Every target installs what it needs (Debian 12, root or sudo) and can be run again at will.
#
#   make serve    build, fetch the small default model, start a router and two workers on this machine
#   make test     what CI runs: the three below, one after the other
#   make test-release   unit, contract, differential, parity and end-to-end tests, style
#   make test-asan      the suite under ASan and UBSan; make test-asan-e2e: and the end-to-end tests
#   make test-tsan      the concurrent core under TSan
#   make build    build/release/bessemer
#   make cuda     build/cuda/bessemer with its CUDA plug-in; unpacks CUDA 13.0 from PyPI to build/cuda-toolkit (2 GB); needs no GPU
#   make bench    kernels against the roofline, router overhead, routing policies, and the server against llama.cpp (built once,
#                 20 minutes of CPU); BENCH='micro serve': these parts alone (bench/run.sh)
#   make fuzz     every fuzzer for FUZZ_SECONDS (default 60) each
#   make parity   logits of every prompt and the perplexity against fp32 (10 minutes)
#   make sim      scheduler and KV accounting with SIM_SEEDS random seeds (default 10,000: two million steps in a minute), then
#                 whole clusters with ROUTING_SIM_SEEDS (default 500: a minute)
#   make soak     64 clients with disconnects and bad requests for SOAK_SECONDS (default 600)
#   make failover FAILOVER_STREAMS (default 10,000) streams over failing mock workers, and 5,000 hang-ups of each stage
#   make lint     formatting, include directions, clang-tidy
#   make format   rewrite the sources with clang-format
#   make clean    remove build/

MODEL   ?= smollm2
WORKERS ?= 2
PORT    ?= 8000
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600
SIM_SEEDS ?= 10000
FAILOVER_STREAMS ?= 10000
FAILOVER_SEED ?= 1
ROUTING_SIM_SEEDS ?= 500
JOBS    ?= $(shell nproc)

SETUP := deploy/setup/install.sh

.DEFAULT_GOAL := build
.PHONY: serve test test-release test-asan test-asan-e2e test-tsan build cuda bench fuzz parity sim soak failover lint format clean

build:
	@$(SETUP) build
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --parallel $(JOBS) --target bessemer
	@echo "built build/release/bessemer"

cuda:
	@$(SETUP) build
	@deploy/setup/cuda.sh
	@cmake --preset cuda --log-level=WARNING
	@cmake --build --preset cuda --parallel $(JOBS) --target bessemer bessemer_cuda
	@echo "built build/cuda/bessemer and build/cuda/libbessemer-cuda.so"

serve: build
	@build/release/bessemer pull $(MODEL)
	@exec build/release/bessemer serve --model $(MODEL) --workers $(WORKERS) --port $(PORT)

test: test-release test-asan test-tsan

test-release: build
	@$(SETUP) test lint
	@deploy/setup/python.sh
	@build/release/bessemer pull smollm2
	@cmake --build --preset release --parallel $(JOBS)
	@ctest --preset release
	@tests/tools/skipped.sh build/release
	@ctest --preset release-e2e
	@tests/tools/skipped.sh build/release

# Without what only measures or only reads files.
test-asan: build
	@$(SETUP) test lint
	@deploy/setup/python.sh
	@build/release/bessemer pull smollm2
	@cmake --preset asan --log-level=WARNING
	@cmake --build --preset asan --parallel $(JOBS)
	@ctest --preset asan
	@tests/tools/skipped.sh build/asan

test-asan-e2e: test-asan
	@ctest --preset asan-e2e
	@tests/tools/skipped.sh build/asan

# The concurrent core, free of gRPC, under TSan.
test-tsan:
	@$(SETUP) build test
	@cmake --preset tsan --log-level=WARNING
	@cmake --build --preset tsan --parallel $(JOBS) --target tsan_tests
	@ctest --preset tsan

bench: build
	@cmake --build --preset release --parallel $(JOBS) --target benchmarks
	@build/release/bessemer pull smollm2
	@bench/run.sh build/release $(BENCH)

fuzz:
	@$(SETUP) build test
	@cmake --preset asan --log-level=WARNING
	@cmake --build --preset asan --parallel $(JOBS) --target fuzzers
	@tests/fuzz/run.sh build/asan $(FUZZ_SECONDS)

parity: build
	@$(SETUP) test
	@deploy/setup/python.sh
	@build/release/bessemer pull smollm2
	@cmake --build --preset release --parallel $(JOBS) --target bessemer_logits
	@build/venv/bin/python tests/golden/parity.py --program build/release/bin/bessemer_logits

sim:
	@$(SETUP) build test
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --parallel $(JOBS) --target simulation_test routing_sim_test
	@BESSEMER_SIM_SEEDS=$(SIM_SEEDS) build/release/bin/simulation_test
	@BESSEMER_SIM_SEEDS=$(ROUTING_SIM_SEEDS) build/release/bin/routing_sim_test

soak: build
	@$(SETUP) test
	@deploy/setup/python.sh
	@build/release/bessemer pull smollm2
	@cmake --build --preset release --parallel $(JOBS)
	@BESSEMER_SOAK_SECONDS=$(SOAK_SECONDS) BESSEMER_BINARY=$(CURDIR)/build/release/bessemer \
		build/venv/bin/python -m pytest -q -s -p no:cacheprovider tests/e2e/test_soak.py

failover: build
	@$(SETUP) test
	@cmake --build --preset release --parallel $(JOBS) --target bessemer_failover cancel_test
	@for place in in-process processes behind-wires behind-routes; do \
		build/release/bin/bessemer_failover --place $$place --streams $(FAILOVER_STREAMS) --seed $(FAILOVER_SEED) \
			--concurrency 512 --workers 16 || exit 1; \
	done
	@BESSEMER_CANCELS=5000 build/release/bin/cancel_test

lint:
	@$(SETUP) build lint
	@cmake --preset release --log-level=WARNING
	@tests/style/lint.sh build/release

format:
	@$(SETUP) lint
	@git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs clang-format-19 -i

clean:
	@rm -rf build
