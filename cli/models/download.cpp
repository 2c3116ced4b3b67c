#include "cli/models/download.h"

#include <cstdio>
#include <filesystem>
#include <thread>

#include <curl/curl.h>
#include <dlfcn.h>
#include <unistd.h>

#include "common/log.h"

namespace bessemer {
namespace {

constexpr int kTries = 5;  // with back-off of 1, 2, 4, 8 s: rides out a restart of a proxy
constexpr long kConnectTimeoutS = 20;
constexpr long kStallBytesPerS = 1000;  // slower than this for kStallS is a broken connection
constexpr long kStallS = 30;

// The few entry points of libcurl that are used, found at run time.
struct CurlApi {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_perform) easy_perform;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
};

template <typename Function>
bool resolve(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

StatusOr<CurlApi> load_curl() {
  void* library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::FailedPreconditionError(
        "downloads need libcurl, which is not installed here; install the package libcurl4, or "
        "give "
        "--model the path of a file");
  }
  CurlApi api{};
  const bool complete = resolve(library, "curl_global_init", api.global_init) &&
                        resolve(library, "curl_easy_init", api.easy_init) &&
                        resolve(library, "curl_easy_setopt", api.easy_setopt) &&
                        resolve(library, "curl_easy_perform", api.easy_perform) &&
                        resolve(library, "curl_easy_getinfo", api.easy_getinfo) &&
                        resolve(library, "curl_easy_cleanup", api.easy_cleanup) &&
                        resolve(library, "curl_easy_strerror", api.easy_strerror) &&
                        resolve(library, "curl_slist_append", api.slist_append) &&
                        resolve(library, "curl_slist_free_all", api.slist_free_all);
  if (!complete)
    return absl::FailedPreconditionError(
        "libcurl.so.4 lacks an entry point that downloads need; install libcurl4 7.68 or later");
  api.global_init(CURL_GLOBAL_DEFAULT);
  return api;
}

// Where a transfer's bytes go.
struct Sink {
  std::string* text = nullptr;
  size_t limit = 0;
  FILE* file = nullptr;
  uint64_t done = 0;
  const std::function<void(uint64_t)>* progress = nullptr;
};

size_t receive(char* data, size_t size, size_t count, void* user) {
  Sink& sink = *static_cast<Sink*>(user);
  const size_t bytes = size * count;
  if (sink.text != nullptr) {
    if (sink.text->size() + bytes > sink.limit) return 0;
    sink.text->append(data, bytes);
    return bytes;
  }
  if (std::fwrite(data, 1, bytes, sink.file) != bytes) return 0;
  sink.done += bytes;
  if (*sink.progress) (*sink.progress)(sink.done);
  return bytes;
}

class CurlDownloader final : public Downloader {
 public:
  explicit CurlDownloader(const CurlApi& api) : api_(api) {}

  StatusOr<std::string> get(const std::string& url, const std::vector<std::string>& headers,
                            size_t limit_bytes) override {
    Status last;
    for (int attempt = 0; attempt < kTries; ++attempt) {
      pause_before(attempt, url, last);
      std::string body;
      Sink sink{.text = &body, .limit = limit_bytes};
      last = transfer(url, headers, 0, sink);
      if (last.ok()) return body;
      if (!absl::IsUnavailable(last)) return last;
    }
    return last;
  }

  Status fetch(const std::string& url, const std::string& path, uint64_t total_bytes,
               const std::function<void(uint64_t)>& progress) override {
    Status last;
    bool resumes = true;  // false: this server gives whole files only
    for (int attempt = 0; attempt < kTries; ++attempt) {
      pause_before(attempt, url, last);
      std::error_code error;
      uint64_t have = std::filesystem::file_size(path, error);
      if (error) have = 0;
      if (have == total_bytes) return absl::OkStatus();
      // Not the file we want, or one that cannot be gone on with: from the beginning.
      if (have > total_bytes || !resumes) have = 0;
      const std::unique_ptr<FILE, int (*)(FILE*)> file(
          std::fopen(path.c_str(), have > 0 ? "ab" : "wb"), std::fclose);
      if (file == nullptr)
        return absl::PermissionDeniedError("cannot write " + path + ": " + std::strerror(errno));
      Sink sink{.file = file.get(), .done = have, .progress = &progress};
      last = transfer(url, {}, have, sink);
      if (std::fflush(file.get()) != 0)
        return absl::ResourceExhaustedError("cannot write " + path + ": " + std::strerror(errno));
      if (last.ok())
        return sink.done == total_bytes ? last : wrong_size(url, sink.done, total_bytes);
      if (absl::IsOutOfRange(last) && resumes) {
        resumes = false;
      } else if (!absl::IsUnavailable(last)) {
        return last;
      }
    }
    return last;
  }

 private:
  static Status wrong_size(const std::string& url, uint64_t got, uint64_t wanted) {
    return absl::DataLossError(url + " gave " + std::to_string(got) + " bytes where " +
                               std::to_string(wanted) + " were expected");
  }

  static void pause_before(int attempt, const std::string& url, const Status& last) {
    if (attempt == 0) return;
    log().warn("{}: {}; trying again ({} of {})", url, std::string(last.message()), attempt + 1,
               kTries);
    std::this_thread::sleep_for(std::chrono::seconds(1 << (attempt - 1)));
  }

  // Unavailable: worth another try. OutOfRange: the server does not give a file from `from` on.
  Status transfer(const std::string& url, const std::vector<std::string>& headers, uint64_t from,
                  Sink& sink) {
    const std::unique_ptr<CURL, decltype(api_.easy_cleanup)> curl(api_.easy_init(),
                                                                  api_.easy_cleanup);
    curl_slist* list = nullptr;
    for (const std::string& header : headers) list = api_.slist_append(list, header.c_str());
    const std::unique_ptr<curl_slist, decltype(api_.slist_free_all)> owned(list,
                                                                           api_.slist_free_all);
    api_.easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    api_.easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
    api_.easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
    api_.easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    api_.easy_setopt(curl.get(), CURLOPT_USERAGENT, "bessemer");
    api_.easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
    api_.easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerS);
    api_.easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, kStallS);
    api_.easy_setopt(curl.get(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(from));
    api_.easy_setopt(curl.get(), CURLOPT_HTTPHEADER, list);
    api_.easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, receive);
    api_.easy_setopt(curl.get(), CURLOPT_WRITEDATA, &sink);
    const CURLcode code = api_.easy_perform(curl.get());
    if (code == CURLE_OK) return absl::OkStatus();
    long http = 0;
    api_.easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &http);
    return to_status(url, code, http);
  }

  Status to_status(const std::string& url, CURLcode code, long http) const {
    std::string message = "cannot fetch " + url + ": " + api_.easy_strerror(code);
    if (code == CURLE_HTTP_RETURNED_ERROR)
      message = "cannot fetch " + url + ": HTTP status " + std::to_string(http);
    if (code == CURLE_WRITE_ERROR)
      return absl::ResourceExhaustedError(message + " (disk full, or the answer is too long)");
    if (code == CURLE_RANGE_ERROR || (code == CURLE_HTTP_RETURNED_ERROR && http == 416))
      return absl::OutOfRangeError(message + " (it gives whole files only)");
    const bool permanent = code == CURLE_HTTP_RETURNED_ERROR && http >= 400 && http < 500 &&
                           http != 408 && http != 429;
    if (permanent) return absl::NotFoundError(message);
    return absl::UnavailableError(message);
  }

  CurlApi api_;
};

}  // namespace

StatusOr<std::unique_ptr<Downloader>> Downloader::create() {
  ASSIGN_OR_RETURN(const CurlApi api, load_curl());
  return std::make_unique<CurlDownloader>(api);
}

}  // namespace bessemer
