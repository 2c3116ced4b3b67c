#include "worker/service/model_card.h"

#include <filesystem>
#include <map>
#include <system_error>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "common/block_hash.h"
#include "worker/format/vocabulary.h"

namespace bessemer {
namespace {

// Equal vocabularies must have equal bytes: maps are written in key order.
std::string serialize(const v1::Vocabulary& vocabulary) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  vocabulary.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

std::string name_of(const CardSource& source) {
  if (!source.name.empty()) return source.name;
  if (StatusOr<std::string> name = source.file.get_string("general.name");
      name.ok() && !name->empty())
    return *name;
  return std::filesystem::path(source.file.path()).stem().string();
}

// The tensor type that holds most of the weights: what "Q4_1" means as a name for a file.
std::string quantization_of(const GgufFile& file) {
  std::map<TensorType, size_t> bytes;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name != "token_embd.weight" && tensor.name != "output.weight")
      bytes[tensor.type] += tensor.bytes.size();
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "" : std::string(traits_of(most->first).name);
}

// Unix seconds of the file's last change; 0: not known.
uint64_t modified_at(const std::string& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  if (error) return 0;
  const auto system = std::chrono::file_clock::to_sys(time).time_since_epoch();
  return static_cast<uint64_t>(
      std::max<int64_t>(std::chrono::duration_cast<std::chrono::seconds>(system).count(), 0));
}

}  // namespace

std::string hash_model_file(const GgufFile& file) {
  return content_hash_hex(
      {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
}

Status describe_model(const CardSource& source, WorkerFacts& facts) {
  ASSIGN_OR_RETURN(const v1::Vocabulary vocabulary, read_vocabulary(source.file));
  if (vocabulary.tokens_size() > source.model.vocab_size()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: tokenizer.ggml.tokens has {} tokens, but the output head has {} rows",
                    source.file.path(), vocabulary.tokens_size(), source.model.vocab_size()));
  }
  facts.vocabulary = serialize(vocabulary);
  facts.max_len = source.max_len;
  for (const uint32_t id : vocabulary.end_of_generation_ids())
    facts.end_of_generation.push_back(static_cast<int32_t>(id));
  const std::string domain =
      fmt::format("xxh3-128 chain 1, {} tokens, {}", source.block_tokens, source.file_hash);
  v1::ModelCard& card = facts.card;
  card.set_hash_domain(content_hash(domain).low);
  card.set_card_hash(
      content_hash_hex(fmt::format("card 1, {}, {:016x}", source.file_hash, card.hash_domain())));
  card.set_name(name_of(source));
  card.set_architecture(source.file.get_string("general.architecture").value_or(""));
  card.set_quantization(quantization_of(source.file));
  card.set_parameters(source.model.parameters());
  card.set_max_model_len(static_cast<uint32_t>(source.max_len));
  card.set_block_tokens(static_cast<uint32_t>(source.block_tokens));
  card.set_numerics(source.numerics);
  card.set_tokenizer_hash(content_hash_hex(facts.vocabulary));
  card.set_tokenizer_bytes(facts.vocabulary.size());
  card.set_vocab_size(static_cast<uint32_t>(source.model.vocab_size()));
  card.set_created(modified_at(source.file.path()));
  for (const std::string& alias : source.aliases) card.add_aliases(alias);
  return absl::OkStatus();
}

}  // namespace bessemer
