// Settings from YAML: precedence, round trip, and errors that name file, line and key.
#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>

#include "cli/config/suggest.h"
#include "cli/config/yaml.h"
#include "common/suggest.h"

namespace bessemer {
namespace {

class YamlTest : public ::testing::Test {
 protected:
  std::string write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::string error(const std::string& text) {
    ServeConfig config;
    return std::string(read_yaml(write(text), config).message());
  }

  const std::string path_ = ::testing::TempDir() + "config_test.yaml";
};

TEST_F(YamlTest, ReadsNestedSettingsOverTheDefaults) {
  ServeConfig config;
  ASSERT_TRUE(read_yaml(write("model: a.gguf\nworkers: 3\nrouter:\n  port: 9000\nworker:\n  "
                              "kv_dtype: f32\n  prefix_cache: off\n  aliases: [x, y]\n"),
                        config)
                  .ok());
  EXPECT_EQ(config.model, "a.gguf");
  EXPECT_EQ(config.workers, 3);
  EXPECT_EQ(config.router.port, 9000);
  EXPECT_EQ(config.router.policy, RouterConfig{}.policy);
  EXPECT_EQ(config.worker.kv_dtype, "f32");
  EXPECT_FALSE(config.worker.prefix_cache);
  EXPECT_EQ(config.worker.aliases, (std::vector<std::string>{"x", "y"}));
}

TEST_F(YamlTest, WhatIsPrintedCanBeRead) {
  ServeConfig config;
  config.model = "a \"quoted\" # name";
  config.router.port = 1234;
  config.worker.aliases = {"one", "two"};
  config.worker.kv_memory_fraction = 0.125;
  config.log.json = true;
  ServeConfig again;
  ASSERT_TRUE(read_yaml(write(print_yaml(config)), again).ok());
  EXPECT_EQ(print_yaml(again), print_yaml(config));
  EXPECT_EQ(again.model, config.model);
  EXPECT_EQ(again.worker.kv_memory_fraction, 0.125);
  EXPECT_TRUE(again.log.json);
}

TEST_F(YamlTest, KvTypesAreNamedWhenOneIsUnknown) {
  WorkerConfig config;
  config.model_path = "a.gguf";
  for (const char* name : {"f32", "f16", "bf16", "int8"}) {
    config.kv_dtype = name;
    EXPECT_TRUE(validate(config).ok()) << name;
  }
  config.kv_dtype = "i8";
  EXPECT_EQ(validate(config).message(),
            "worker: kv_dtype = \"i8\" is not known: give f32, f16, bf16 or int8");
}

TEST_F(YamlTest, UnknownSettingIsNamedWithLineAndSuggestion) {
  EXPECT_EQ(error("model: x\nrouter:\n  prot: 1\n"),
            path_ + ":3: unknown setting 'router.prot' (did you mean 'port'?)");
  EXPECT_EQ(error("wrokers: 1\n"),
            path_ + ":1: unknown setting 'wrokers' (did you mean 'workers'?)");
  EXPECT_EQ(error("zzzzzz: 1\n"), path_ + ":1: unknown setting 'zzzzzz'");
}

TEST_F(YamlTest, WrongTypeIsNamed) {
  EXPECT_EQ(error("workers: many\n"), path_ + ":1: workers must be a whole number");
  EXPECT_EQ(error("router:\n  port: [1]\n"), path_ + ":2: router.port must be a whole number");
  EXPECT_EQ(error("log_json: 3\n"), path_ + ":1: log_json must be true or false");
  EXPECT_EQ(error("- a\n- b\n"), path_ + ":1: the file must be a map of settings");
  EXPECT_EQ(error("router: 3\n"), path_ + ":1: router must be a map of settings");
  EXPECT_EQ(error("router:\n  cors_origins: here\n"),
            path_ + ":2: router.cors_origins must be a list of strings");
  EXPECT_EQ(error("router:\n  cors_origins: [a, [b]]\n"),
            path_ + ":2: router.cors_origins[1] must be a string");
  EXPECT_EQ(error("router:\n  cors_origins:\n  - a\n  - {b: c}\n"),
            path_ + ":4: router.cors_origins[1] must be a string");
  EXPECT_EQ(error("worker:\n  aliases: &a [*a]\n"),
            path_ + ":2: worker.aliases[0] must be a string");
}

TEST_F(YamlTest, WhatWouldBeReadInPartIsRefused) {
  EXPECT_EQ(error("workers: 1\nworkers: 2\n"), path_ + ":2: workers is set twice");
  EXPECT_EQ(error("workers: 1\n---\nmodel: a\n"),
            path_ +
                ":2: this does not belong to the settings before it: a stray sign, or a second "
                "document");
  EXPECT_EQ(error(",model: a\n"),
            path_ +
                ":1: this does not belong to the settings before it: a stray sign, or a second "
                "document");
  EXPECT_EQ(error("[workers]: 1\n"), path_ + ":1: the name of a setting must be plain text");
  EXPECT_EQ(error("workers: 1\n\x04model: a\n"),
            path_ + ":2: byte 0x04 cannot be here: a configuration file is text in UTF-8");
  EXPECT_EQ(error("workers: 1\n# caf\xe9\n"),
            path_ + ":2: byte 0xe9 cannot be here: a configuration file is text in UTF-8");
  EXPECT_EQ(error(std::string(1000, '[')), path_ + ":1: maps and lists are nested too deeply");
}

TEST_F(YamlTest, BrokenAndMissingFiles) {
  EXPECT_NE(error("a: [1\n").find(path_ + ":"), std::string::npos);
  ServeConfig config;
  EXPECT_EQ(read_yaml("/nonexistent/x.yaml", config).message(),
            "the configuration file: cannot read /nonexistent/x.yaml: No such file or directory");
  EXPECT_EQ(read_yaml("/tmp", config).message(),
            "the configuration file: cannot read /tmp: Is a directory");
  EXPECT_EQ(read_yaml("/dev/zero", config).message(),
            "the configuration file: /dev/zero is longer than 1048576 bytes, the most that is read "
            "here");
  EXPECT_TRUE(read_yaml(write(""), config).ok());
}

TEST(SuggestTest, NearNamesOnly) {
  const std::vector<std::string_view> known = {"serve", "router", "worker", "run"};
  EXPECT_EQ(nearest("sevre", known), "serve");
  EXPECT_EQ(nearest("ruotr", known), "router");
  EXPECT_EQ(nearest("completely-else", known), "");
  EXPECT_EQ(did_you_mean("wroker", {known.begin(), known.end()}), " (did you mean 'worker'?)");
}

}  // namespace
}  // namespace bessemer
