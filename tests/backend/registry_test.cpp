// make_backend: built-in backends, instruction sets, and plug-ins in every state they can be in.
#include "worker/backend/registry.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/cpu/kernels.h"

namespace bessemer {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Status error_of(const std::string& name, const BackendOptions& options) {
  return make_backend(name, options).status();
}

BackendOptions with_plugins() {
  return {.plugin_folder = BESSEMER_TEST_PLUGINS};
}

TEST(Registry, BuiltInBackends) {
  const StatusOr<std::unique_ptr<Backend>> cpu = make_backend("cpu", {});
  ASSERT_TRUE(cpu.ok()) << cpu.status();
  const StatusOr<std::unique_ptr<Backend>> reference = make_backend("reference", {});
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ((*reference)->numerics(), "reference");
  EXPECT_NE((*cpu)->numerics(), "reference");
}

TEST(Registry, AutoFallsBackToTheCpu) {
  std::vector<std::string> passed_over;
  const StatusOr<std::unique_ptr<Backend>> backend =
      make_backend("auto", with_plugins(), &passed_over);
  EXPECT_TRUE(passed_over.empty()) << "no plug-in of that name lies there";
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->numerics(), (*make_backend("cpu", {}))->numerics());
}

TEST(Registry, AutoSaysWhatItPassedOver) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / "bessemer_passed_over";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::filesystem::create_symlink(BESSEMER_TEST_PLUGINS "/libbessemer-deviceless.so",
                                  folder / "libbessemer-cuda.so");
  std::vector<std::string> passed_over;
  const auto backend = make_backend("auto", {.plugin_folder = folder.string()}, &passed_over);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->numerics(), (*make_backend("cpu", {}))->numerics());
  ASSERT_EQ(passed_over.size(), 1u);
  EXPECT_THAT(passed_over[0], HasSubstr("no such device in this machine"));
  std::filesystem::remove_all(folder);
}

TEST(Registry, InstructionSets) {
  EXPECT_TRUE(make_backend("cpu", {.isa = "scalar"}).ok());
  const Status unknown = error_of("cpu", {.isa = "sse9"});
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unknown.message()), AllOf(HasSubstr("sse9"), HasSubstr("avx2")));
  for (const std::string isa : {"avx2", "avx512", "amx"}) {
    const Status status = error_of("cpu", {.isa = isa});
    if (kernels::find_kernels(isa)) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr(isa), HasSubstr("this machine lacks")));
    }
  }
}

TEST(Registry, AbsurdThreadCountsAreRefused) {
  EXPECT_EQ(error_of("cpu", {.threads = 1 << 20}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Registry, NamesThatAreNoNames) {
  for (const std::string name : {"", "../evil", "CUDA", "a b"}) {
    EXPECT_EQ(error_of(name, {}).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(Registry, PluginThatWorks) {
  StatusOr<std::unique_ptr<Backend>> backend = make_backend("good", with_plugins());
  ASSERT_TRUE(backend.ok()) << backend.status();
  const std::unique_ptr<Buffer> buffer = *(*backend)->allocate(8 * sizeof(float));
  const Mat mat{.buffer = buffer.get(), .rows = 1, .cols = 8, .row_stride = 8};
  mat.row<float>(0)[3] = 2.0f;
  (*backend)->add(mat, mat);
  EXPECT_EQ(mat.row<float>(0)[3], 4.0f);
}

TEST(Registry, MissingPlugin) {
  const Status status = error_of("cuda", with_plugins());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("libbessemer-cuda.so"), HasSubstr("cpu, reference")));
}

TEST(Registry, PluginOfAnotherBuildIsNotCalled) {
  const Status status = error_of("stale", with_plugins());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("0123456789abcdef"), HasSubstr("same sources")));
}

TEST(Registry, LibraryWithoutTheSymbol) {
  const Status status = error_of("symbolless", with_plugins());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("bessemer_backend_plugin"));
}

TEST(Registry, PluginWithoutItsDevice) {
  const Status status = error_of("deviceless", with_plugins());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such device"));
}

TEST(Registry, FileThatIsNoLibrary) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / "bessemer_plugins";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "libbessemer-text.so") << "not an ELF file";
  const Status status = error_of("text", {.plugin_folder = folder.string()});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot be loaded"));
}

TEST(Registry, DescribesWhatThereIs) {
  const std::vector<std::string> lines = describe_backends();
  ASSERT_GE(lines.size(), 2u);
  EXPECT_THAT(lines[0], AllOf(HasSubstr("cpu: "), HasSubstr("thread")));
}

}  // namespace
}  // namespace bessemer
