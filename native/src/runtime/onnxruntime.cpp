// ONNX Runtime through its C interface. Its header is in no wheel, and is not needed: OrtApi is a table of functions
// that only grows, so the number of a slot is as stable as a name.
#include "core/error.hpp"
#include "runtime/engine.hpp"
#include "runtime/library.hpp"

namespace segship {

namespace {

const Wanted kWanted = {
    "ONNX Runtime",
    "SEGSHIP_ONNXRUNTIME",
    "onnxruntime/capi",
#if defined(_WIN32)
    "onnxruntime.dll",
    {"onnxruntime.dll"},
#elif defined(__APPLE__)
    "libonnxruntime.",
    {"libonnxruntime.dylib"},
#else
    "libonnxruntime.so",
    {"libonnxruntime.so.1", "libonnxruntime.so"},
#endif
    "pip install onnxruntime",
};

constexpr std::uint32_t kVersion = 11;  // the oldest whose table holds all slots below
enum Slot : std::size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kDisableTelemetryEvents = 6,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetSessionLogSeverityLevel = 22,
  kSetIntraOpNumThreads = 24,
  kCreateTensorWithDataAsOrtValue = 49,
  kGetTensorMutableData = 51,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kReleaseStatus = 93,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseTensorTypeAndShapeInfo = 99,
  kReleaseSessionOptions = 100,
  kAddSessionConfigEntry = 130,
};

constexpr int kErrors = 3;  // what its log tells
constexpr int kArena = 1, kDefaultMemory = 0;

// Its types of elements, as far as segship.h has them.
constexpr struct {
  int theirs;
  std::int32_t ours;
} kTypes[] = {{1, SEGSHIP_FLOAT32}, {2, SEGSHIP_UINT8}, {4, SEGSHIP_UINT16}, {6, SEGSHIP_INT32}, {7, SEGSHIP_INT64}};

struct Base {
  const void *const *(*get_api)(std::uint32_t version);
  const char *(*version)();
};

// The loaded library with its environment, which there is one of in a process.
class Api {
 public:
  explicit Api(const std::string &given) : library_(kWanted, given) {
    const auto *base = library_.get<const Base *()>("OrtGetApiBase")();
    table_ = base->get_api(kVersion);
    description_ = "ONNX Runtime " + std::string(base->version()) + " (" + library_.path() + ")";
    if (table_ == nullptr) throw backend_error(description_ + " is too old: version 1.11 or later is needed");
    call(kCreateEnv, "ONNX Runtime cannot start", kErrors, "segship", &env_);
    call(kDisableTelemetryEvents, "ONNX Runtime cannot start", static_cast<const void *>(env_));
    call(kCreateCpuMemoryInfo, "ONNX Runtime cannot start", kArena, kDefaultMemory, &memory_);
  }

  template <class... Arguments>
  void call(Slot slot, const std::string &what, Arguments... arguments) const {
    void *status = at<void *(Arguments...)>(slot)(arguments...);
    if (status == nullptr) return;
    const std::string said = at<const char *(const void *)>(kGetErrorMessage)(status);
    release(kReleaseStatus, status);
    throw backend_error(what + ": " + one_line(said));
  }
  void release(Slot slot, void *thing) const { at<void(void *)>(slot)(thing); }

  void *env() const { return env_; }
  const void *memory() const { return memory_; }
  const std::string &description() const { return description_; }

 private:
  template <class Function>
  Function *at(Slot slot) const {
    return reinterpret_cast<Function *>(const_cast<void *>(table_[slot]));
  }

  Library library_;
  const void *const *table_ = nullptr;
  void *env_ = nullptr, *memory_ = nullptr;
  std::string description_;
};

// Something of the table's that is released at the end.
class Owned {
 public:
  Owned(const Api &api, Slot release) : api_(api), release_(release) {}
  Owned(const Owned &) = delete;
  Owned &operator=(const Owned &) = delete;
  ~Owned() {
    if (thing != nullptr) api_.release(release_, thing);
  }
  void *thing = nullptr;

 private:
  const Api &api_;
  Slot release_;
};

class OnnxRuntime : public Engine {
 public:
  explicit OnnxRuntime(const EngineOptions &options)
      : options_(options), api_(loaded<Api>(options.runtime)), session_(api_, kReleaseSession) {
    const std::string what = "ONNX Runtime cannot open " + options.path;
    Owned settings(api_, kReleaseSessionOptions);
    api_.call(kCreateSessionOptions, what, &settings.thing);
    api_.call(kSetSessionLogSeverityLevel, what, settings.thing, kErrors);
    if (options.threads > 0) api_.call(kSetIntraOpNumThreads, what, settings.thing, static_cast<int>(options.threads));
    // Arithmetic on denormals is many times slower and cannot change a label.
    api_.call(kAddSessionConfigEntry, what, settings.thing, "session.set_denormal_as_zero", "1");
    // Idle workers otherwise wait in a loop and take the processor from what makes the mask.
    api_.call(kAddSessionConfigEntry, what, settings.thing, "session.force_spinning_stop", "1");
#ifdef _WIN32
    std::wstring path(options.path.begin(), options.path.end());
    api_.call(kCreateSession, what, api_.env(), path.c_str(), settings.thing, &session_.thing);
#else
    api_.call(kCreateSession, what, api_.env(), options.path.c_str(), settings.thing, &session_.thing);
#endif
  }

  void run(const void *input, std::int32_t dtype, const std::vector<std::int64_t> &shape,
           const std::function<void(const Output &)> &take) const override {
    const std::string what = "ONNX Runtime refuses the input " + shape_text(options_.input, shape);
    std::size_t bytes = dtype == SEGSHIP_UINT8 ? 1 : 4;
    for (const std::int64_t side : shape) bytes *= static_cast<std::size_t>(side);
    Owned value(api_, kReleaseValue), result(api_, kReleaseValue), info(api_, kReleaseTensorTypeAndShapeInfo);
    api_.call(kCreateTensorWithDataAsOrtValue, what, api_.memory(), const_cast<void *>(input), bytes, shape.data(),
              shape.size(), dtype == SEGSHIP_UINT8 ? 2 : 1, &value.thing);
    const char *inputs[] = {options_.input.c_str()}, *outputs[] = {options_.output.c_str()};
    void *values[] = {value.thing};
    api_.call(kRun, what, session_.thing, static_cast<const void *>(nullptr), &inputs[0], &values[0], std::size_t{1},
              &outputs[0], std::size_t{1}, &result.thing);
    int type = 0;
    std::size_t rank = 0;
    api_.call(kGetTensorTypeAndShape, what, result.thing, &info.thing);
    api_.call(kGetTensorElementType, what, info.thing, &type);
    api_.call(kGetDimensionsCount, what, info.thing, &rank);
    std::vector<std::int64_t> sides(rank);
    api_.call(kGetDimensions, what, info.thing, sides.data(), rank);
    void *data = nullptr;
    api_.call(kGetTensorMutableData, what, result.thing, &data);
    for (const auto &known : kTypes) {
      if (known.theirs == type) return take(as_output(data, known.ours, sides));
    }
    throw backend_error("the engine returns numbers of a type that is not provided (" + std::to_string(type) + ")");
  }

  const std::string &description() const override { return api_.description(); }

 private:
  EngineOptions options_;
  const Api &api_;
  Owned session_;
};

}  // namespace

std::unique_ptr<Engine> open_onnxruntime(const EngineOptions &options) {
  if (options.device != "cpu") {
    throw unsupported_error("this library runs ONNX Runtime on cpu, not on " + options.device);
  }
  return std::make_unique<OnnxRuntime>(options);
}

}  // namespace segship
