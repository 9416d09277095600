// Engines of others, loaded when a package is opened.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace segship {

struct EngineOptions {
  std::string path;     // of the engine's file
  std::string runtime;  // the library or its folder; empty: searched
  std::string device;   // as "cpu" or "npu"
  std::int32_t threads = 0;
  std::string precision;
  std::string input, output;  // their names
};

// An opened engine; any number of threads may run it at the same time.
class Engine {
 public:
  virtual ~Engine() = default;

  // Run it on one input. `take` is given the output, which is gone when it returns.
  virtual void run(const void *input, std::int32_t dtype, const std::vector<std::int64_t> &shape,
                   const std::function<void(const Output &)> &take) const = 0;

  // Its name, version and library.
  virtual const std::string &description() const = 0;
};

std::unique_ptr<Engine> open_onnxruntime(const EngineOptions &options);
std::unique_ptr<Engine> open_openvino(const EngineOptions &options);
std::unique_ptr<Engine> open_rknn(const EngineOptions &options);

// "image (1, 3, 512, 1024)", for error messages.
std::string shape_text(const std::string &name, const std::vector<std::int64_t> &shape);

// The output's axes as channels, height and width; labels may have no axis of channels. Error: there are others.
Output as_output(const void *data, std::int32_t dtype, const std::vector<std::int64_t> &shape);

}  // namespace segship
