// What benchmarks/cpp.py times.
//
//     masks PACKAGE THREADS IMAGE.raw HEIGHT WIDTH   answers each line of standard input: "mask" by the image's mask,
//         "engine" by the engine alone, on a made-up input of the same size; with the seconds of processor time it took
//     masks PACKAGE THREADS IMAGE.raw HEIGHT WIDTH first   ends after one mask
//     masks PACKAGE THREADS IMAGE.raw HEIGHT WIDTH bare    opens the engine alone, runs it once on a made-up input, and ends
//     masks PACKAGE THREADS                                ends after it opened the engine, and nothing else
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "core/spec.hpp"
#include "runtime/engine.hpp"
#include "segship/segship.hpp"

namespace {

std::string read(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// segship.hpp has a Spec of its own.
using Spec = decltype(segship::parse_spec("", "", "", true));

// The engine without the package around it: no digest is looked at.
struct Bare {
  Spec spec;
  std::unique_ptr<segship::Engine> engine;

  Bare(const std::string &folder, std::int32_t threads) {
    const std::string name = folder + "/manifest.json";
    spec = segship::parse_spec(read(name), name, folder, true);
    const segship::EngineOptions options{folder + "/" + spec.files.front(), "", "cpu", threads, spec.precision,
                                         spec.input_name, spec.output_name};
    engine = spec.backend == "openvino" ? segship::open_openvino(options) : segship::open_onnxruntime(options);
  }

  // Run once, on an input as an image of this size makes it.
  void run(segship::Size image) {
    const segship::Size size = segship::prepared_size(spec, image);
    const std::vector<std::int64_t> shape{1, spec.channels(), size.height, size.width};
    input_.resize(static_cast<std::size_t>(spec.channels() * size.height * size.width), 0.5F);
    engine->run(input_.data(), SEGSHIP_FLOAT32, shape, [](const segship::Output &) {});
  }

 private:
  std::vector<float> input_;
};

void answer(const segship::Segmentor &segmentor, Bare &bare, const segship_image &image) {
  for (std::string asked; std::getline(std::cin, asked);) {
    const double begin = processor_seconds();
    if (asked == "engine") {
      bare.run({image.height, image.width});
    } else {
      segmentor(image);
    }
    std::cout << processor_seconds() - begin << std::endl;
  }
}

}  // namespace

int main(int count, char **arguments) try {
  if (count != 3 && count != 6 && count != 7) return 2;
  const std::string folder = arguments[1];
  segship::Options options;
  options.threads = std::atoi(arguments[2]);
  if (count == 3) return Bare(folder, options.threads).engine ? 0 : 1;
  const segship::Size size{std::atoi(arguments[4]), std::atoi(arguments[5])};
  const std::string asked = count == 7 ? arguments[6] : "";
  if (asked == "bare") {
    Bare(folder, options.threads).run(size);
    return 0;
  }
  const std::string pixels = read(arguments[3]);
  const segship_image image{pixels.data(), 0, std::atoi(arguments[4]), std::atoi(arguments[5]), 3, SEGSHIP_RGB, SEGSHIP_UINT8};
  const segship::Segmentor segmentor(folder, options);
  if (asked == "first") return segmentor(image).height() == image.height ? 0 : 1;
  Bare bare(folder, options.threads);
  answer(segmentor, bare, image);
} catch (const std::exception &error) {
  std::cerr << error.what() << "\n";
  return 2;
}
