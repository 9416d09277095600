// OpenVINO through its C interface, which the wheel carries.
#include <algorithm>
#include <iterator>
#include <mutex>

#include "core/error.hpp"
#include "core/text.hpp"
#include "runtime/engine.hpp"
#include "runtime/library.hpp"

namespace segship {

namespace {

const Wanted kWanted = {
    "OpenVINO",
    "SEGSHIP_OPENVINO",
    "openvino/libs",
#if defined(_WIN32)
    "openvino_c.dll",
    {"openvino_c.dll"},
#elif defined(__APPLE__)
    "libopenvino_c.",
    {"libopenvino_c.dylib"},
#else
    "libopenvino_c.so",
    {"libopenvino_c.so"},
#endif
    "pip install openvino",
};

struct Shape {
  std::int64_t rank;
  std::int64_t *sides;
};
struct Version {
  const char *number;
  const char *description;
};

// Its types of elements, as far as segship.h has them.
constexpr struct {
  int theirs;
  std::int32_t ours;
} kTypes[] = {{4, SEGSHIP_FLOAT32}, {9, SEGSHIP_INT32}, {10, SEGSHIP_INT64}, {16, SEGSHIP_UINT8}, {17, SEGSHIP_UINT16}};

class Api {
 public:
  explicit Api(const std::string &given) : library(kWanted, given) {
    Version version{};
    if (get_openvino_version(&version) == 0) {
      const std::string number = version.number == nullptr ? "" : version.number;
      description = "OpenVINO " + number.substr(0, number.find('-')) + " (" + library.path() + ")";
      version_free(&version);
    }
    must(core_create(&core), "OpenVINO cannot start");
  }

  void must(int status, const std::string &what) const {
    if (status == 0) return;
    const std::string said = last_error() == nullptr ? "" : last_error();
    const std::size_t end = said.find_last_not_of(" \n\r");
    const std::string lines = end == std::string::npos ? "status " + std::to_string(status) : said.substr(0, end + 1);
    const std::size_t line = lines.find_last_of('\n');
    throw backend_error(what + ": " + one_line(line == std::string::npos ? lines : lines.substr(line + 1)));
  }

  Library library;
  std::string description = "OpenVINO";
  void *core = nullptr;

#define SEGSHIP_OV(name, result, ...) result (*name)(__VA_ARGS__) = library.get<result(__VA_ARGS__)>("ov_" #name)
  SEGSHIP_OV(get_openvino_version, int, Version *);
  SEGSHIP_OV(version_free, void, Version *);
  SEGSHIP_OV(core_create, int, void **);
  int (*compile)(const void *, const char *, const char *, std::size_t, void **, ...) =
      library.get<int(const void *, const char *, const char *, std::size_t, void **, ...)>(
          "ov_core_compile_model_from_file");
  SEGSHIP_OV(compiled_model_free, void, void *);
  SEGSHIP_OV(compiled_model_create_infer_request, int, const void *, void **);
  SEGSHIP_OV(infer_request_free, void, void *);
  SEGSHIP_OV(infer_request_set_input_tensor, int, void *, const void *);
  SEGSHIP_OV(infer_request_infer, int, void *);
  SEGSHIP_OV(infer_request_get_output_tensor, int, const void *, void **);
  SEGSHIP_OV(tensor_create_from_host_ptr, int, int, Shape, void *, void **);
  SEGSHIP_OV(tensor_get_shape, int, const void *, Shape *);
  SEGSHIP_OV(tensor_get_element_type, int, const void *, int *);
  SEGSHIP_OV(tensor_data, int, const void *, void **);
  SEGSHIP_OV(tensor_free, void, void *);
  SEGSHIP_OV(shape_free, int, Shape *);
#undef SEGSHIP_OV
  const char *(*last_error)() = library.get<const char *()>("ov_get_last_err_msg");
};

struct Tensor {
  explicit Tensor(const Api &api_) : api(api_) {}
  Tensor(const Tensor &) = delete;
  Tensor &operator=(const Tensor &) = delete;
  ~Tensor() {
    if (thing != nullptr) api.tensor_free(thing);
  }
  const Api &api;
  void *thing = nullptr;
};

class OpenVino : public Engine {
 public:
  explicit OpenVino(const EngineOptions &options) : options_(options), api_(loaded<Api>(options.runtime)) {
    const std::string what = "OpenVINO cannot open " + options.path;
    constexpr const char *known[] = {"fp32", "int8", "bf16", "fp16"};
    if (std::find(std::begin(known), std::end(known), options.precision) == std::end(known)) {
      throw backend_error("the engine's precision is " + beginning(quoted(options.precision), 60) +
                          ", expected one of fp32, int8, bf16, fp16");
    }
    // Left to itself, OpenVINO computes in bfloat16 wherever the processor has it. fp32 must mean fp32, and what int8
    // leaves in floating point must not become something else.
    const char *hint = options.precision == "bf16" ? "bf16" : options.precision == "fp16" ? "f16" : "f32";
    const std::string threads = std::to_string(options.threads);
    const bool given = options.threads > 0;
    api_.must(api_.compile(api_.core, options.path.c_str(), "CPU", given ? 6u : 4u, &model_, "PERFORMANCE_HINT", "LATENCY",
                           "INFERENCE_PRECISION_HINT", hint, "INFERENCE_NUM_THREADS", threads.c_str()),
              what);
  }
  OpenVino(const OpenVino &) = delete;
  OpenVino &operator=(const OpenVino &) = delete;
  ~OpenVino() override {
    if (request_ != nullptr) api_.infer_request_free(request_);
    if (model_ != nullptr) api_.compiled_model_free(model_);
  }

  void run(const void *input, std::int32_t dtype, const std::vector<std::int64_t> &shape,
           const std::function<void(const Output &)> &take) const override {
    const std::string what = "OpenVINO refuses the input " + shape_text(options_.input, shape);
    // A request holds the inputs and outputs of one run: two threads would be given each other's. In its latency mode
    // more requests would only wait inside of it.
    const std::lock_guard<std::mutex> guard(lock_);
    if (request_ == nullptr) api_.must(api_.compiled_model_create_infer_request(model_, &request_), what);
    Tensor tensor(api_), result(api_);
    std::vector<std::int64_t> sides = shape;
    api_.must(api_.tensor_create_from_host_ptr(dtype == SEGSHIP_UINT8 ? 16 : 4,
                                               {static_cast<std::int64_t>(sides.size()), sides.data()},
                                               const_cast<void *>(input), &tensor.thing),
              what);
    api_.must(api_.infer_request_set_input_tensor(request_, tensor.thing), what);
    api_.must(api_.infer_request_infer(request_), what);
    api_.must(api_.infer_request_get_output_tensor(request_, &result.thing), what);
    Shape found{};
    api_.must(api_.tensor_get_shape(result.thing, &found), what);
    sides.assign(found.sides, found.sides + found.rank);
    api_.shape_free(&found);
    int type = 0;
    void *data = nullptr;
    api_.must(api_.tensor_get_element_type(result.thing, &type), what);
    api_.must(api_.tensor_data(result.thing, &data), what);
    for (const auto &known : kTypes) {
      if (known.theirs == type) return take(as_output(data, known.ours, sides));
    }
    throw backend_error("the engine returns numbers of a type that is not provided (" + std::to_string(type) + ")");
  }

  const std::string &description() const override { return api_.description; }

 private:
  EngineOptions options_;
  const Api &api_;
  void *model_ = nullptr;
  mutable void *request_ = nullptr;
  mutable std::mutex lock_;
};

}  // namespace

std::unique_ptr<Engine> open_openvino(const EngineOptions &options) {
  if (options.device != "cpu") {
    throw unsupported_error("this library runs OpenVINO on cpu, not on " + options.device);
  }
  return std::make_unique<OpenVino>(options);
}

}  // namespace segship
