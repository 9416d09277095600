// Rockchip's chips through librknnrt, the C interface of the boards' own system (rknn_api.h of rknpu2).
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

#include "core/error.hpp"
#include "runtime/engine.hpp"
#include "runtime/library.hpp"

namespace segship {

namespace {

const Wanted kWanted = {
    "RKNN's runtime",
    "SEGSHIP_RKNN",
    "",
    "librknnrt.so",
    {"librknnrt.so"},
    "copy librknnrt.so of https://github.com/airockchip/rknn-toolkit2 to the board's /usr/lib",
};

#if defined(__arm__)
using Context = std::uint32_t;
#else
using Context = std::uint64_t;
#endif

enum Query { kCounts = 0, kInput = 1, kOutput = 2, kVersion = 5 };
enum Format { kNchw = 0, kNhwc = 1 };
constexpr int kFloat32 = 0;

struct Counts {
  std::uint32_t inputs, outputs;
};
struct Attributes {
  std::uint32_t index, rank, sides[16];
  char name[256];
  std::uint32_t elements, bytes;
  int format, type, quantisation;
  std::int8_t fraction;
  std::int32_t zero;
  float scale;
  std::uint32_t width_stride, bytes_with_stride;
  std::uint8_t passed_through;
  std::uint32_t height_stride;
};
struct Version {
  char api[256], driver[256];
};
struct Input {
  std::uint32_t index;
  void *data;
  std::uint32_t bytes;
  std::uint8_t passed_through;
  int type, format;
};
struct Fetched {
  std::uint8_t as_float, is_given;
  std::uint32_t index;
  void *data;
  std::uint32_t bytes;
};

// What it says by numbers.
std::string said(int status) {
  constexpr const char *kWords[] = {
      "it failed",           "it took too long",           "the chip is not available",
      "memory ran out",      "a parameter is wrong",       "the model is not one of its own",
      "the context is gone", "the input does not fit",     "the output does not fit",
      "the model is for another chip"};
  const bool known = status < 0 && status >= -10;
  return (known ? std::string(kWords[-status - 1]) + ", " : "") + "status " + std::to_string(status);
}

class Api {
 public:
  explicit Api(const std::string &given) : library(kWanted, given) {}

  static void must(int status, const std::string &what) {
    if (status != 0) throw backend_error(what + ": " + said(status));
  }

  Library library;
#define SEGSHIP_RK(name, ...) int (*name)(__VA_ARGS__) = library.get<int(__VA_ARGS__)>("rknn_" #name)
  SEGSHIP_RK(init, Context *, void *, std::uint32_t, std::uint32_t, void *);
  SEGSHIP_RK(destroy, Context);
  SEGSHIP_RK(query, Context, int, void *, std::uint32_t);
  SEGSHIP_RK(inputs_set, Context, std::uint32_t, Input *);
  SEGSHIP_RK(run, Context, void *);
  SEGSHIP_RK(outputs_get, Context, std::uint32_t, Fetched *, void *);
  SEGSHIP_RK(outputs_release, Context, std::uint32_t, Fetched *);
#undef SEGSHIP_RK
};

std::vector<char> contents(const std::string &path) {
  std::ifstream file(std::filesystem::u8path(path), std::ios::binary);
  std::vector<char> found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file || found.empty()) throw package_error(path + " cannot be read");
  return found;
}

class Rknn : public Engine {
 public:
  explicit Rknn(const EngineOptions &options) : options_(options), api_(loaded<Api>(options.runtime)) {
    const std::string what = "RKNN cannot open " + options.path;
    std::vector<char> model = contents(options.path);
    Api::must(api_.init(&context_, model.data(), static_cast<std::uint32_t>(model.size()), 0, nullptr), what);
    try {
      describe(what);
    } catch (...) {
      api_.destroy(context_);
      throw;
    }
  }
  Rknn(const Rknn &) = delete;
  Rknn &operator=(const Rknn &) = delete;
  ~Rknn() override { api_.destroy(context_); }

  void run(const void *input, std::int32_t dtype, const std::vector<std::int64_t> &shape,
           const std::function<void(const Output &)> &take) const override {
    const std::string what = "RKNN refuses the input " + shape_text(options_.input, shape);
    if (dtype != SEGSHIP_FLOAT32 || shape.size() != 4) throw backend_error(what + ": it takes floats (1, C, H, W)");
    const std::size_t channels = static_cast<std::size_t>(shape[1]);
    const std::size_t pixels = static_cast<std::size_t>(shape[2] * shape[3]);
    // Its interface takes pixels with their channels side by side.
    std::vector<float> turned(channels * pixels);
    const float *planes = static_cast<const float *>(input);
    for (std::size_t channel = 0; channel < channels; ++channel) {
      for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        turned[pixel * channels + channel] = planes[channel * pixels + pixel];
      }
    }
    const auto bytes = static_cast<std::uint32_t>(turned.size() * sizeof(float));
    if (turned.size() != expected_) {
      throw backend_error(what + ": the engine takes " + std::to_string(expected_) + " numbers");
    }
    const std::lock_guard<std::mutex> guard(lock_);  // a context holds the inputs and outputs of one run
    Input given{0, turned.data(), bytes, 0, kFloat32, kNhwc};
    Api::must(api_.inputs_set(context_, 1, &given), what);
    Api::must(api_.run(context_, nullptr), what);
    Fetched fetched{1, 0, 0, nullptr, 0};
    Api::must(api_.outputs_get(context_, 1, &fetched, nullptr), what);
    const struct Held {
      const Api &api;
      Context context;
      Fetched *fetched;
      ~Held() { api.outputs_release(context, 1, fetched); }
    } held{api_, context_, &fetched};
    std::size_t numbers = 1;
    for (const std::int64_t side : sides_) numbers *= static_cast<std::size_t>(side);
    if (fetched.data == nullptr || fetched.bytes < numbers * sizeof(float)) {
      throw backend_error(what + ": it returned " + std::to_string(fetched.bytes) + " bytes, expected " +
                          std::to_string(numbers * sizeof(float)));
    }
    take(as_output(fetched.data, SEGSHIP_FLOAT32, sides_));
  }

  const std::string &description() const override { return description_; }

 private:
  void describe(const std::string &what) {
    Version version{};
    if (api_.query(context_, kVersion, &version, sizeof(version)) == 0) {
      version.api[sizeof(version.api) - 1] = '\0';
      description_ = std::string("RKNN ") + version.api;
    }
    description_ += " (" + api_.library.path() + ")";
    Counts counts{};
    Api::must(api_.query(context_, kCounts, &counts, sizeof(counts)), what);
    if (counts.inputs != 1 || counts.outputs != 1) {
      throw backend_error(what + ": it has " + std::to_string(counts.inputs) + " inputs and " +
                          std::to_string(counts.outputs) + " outputs, expected one of each");
    }
    Attributes input{}, output{};
    Api::must(api_.query(context_, kInput, &input, sizeof(input)), what);
    Api::must(api_.query(context_, kOutput, &output, sizeof(output)), what);
    expected_ = input.elements;
    if (output.rank != 4 || output.format != kNchw) {
      throw backend_error(what + ": its output has " + std::to_string(output.rank) +
                          " axes in an order that is not provided, expected (1, channels, height, width)");
    }
    sides_.assign(output.sides, output.sides + output.rank);
  }

  EngineOptions options_;
  const Api &api_;
  std::string description_ = "RKNN";
  Context context_ = 0;
  std::size_t expected_ = 0;
  std::vector<std::int64_t> sides_;
  mutable std::mutex lock_;
};

}  // namespace

std::unique_ptr<Engine> open_rknn(const EngineOptions &options) {
  if (options.device != "npu") {
    throw unsupported_error("packages for Rockchip's chips run on npu, not on " + options.device);
  }
  if (options.threads > 0) throw unsupported_error("Rockchip's chips have no threads to set: leave threads out");
  return std::make_unique<Rknn>(options);
}

}  // namespace segship
