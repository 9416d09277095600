// The host kernels of native/, run COUNT times on one image that is made up: callgrind counts their instructions.
//   kernels prepare|mask|scores COUNT
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "segship/segship.hpp"

namespace {

constexpr std::int32_t kHeight = 256, kWidth = 512, kClasses = 19, kStride = 8;

const char *const kManifest = R"({"spec": {"source": "python", "architecture": "none",
  "normalization": {"channel_order": "rgb", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
  "geometry": [{"kind": "resize", "width": 512, "height": 256}],
  "classes": CLASSES, "palette": PALETTE}})";

std::string replaced(std::string text, const std::string &what, const std::string &with) {
  return text.replace(text.find(what), what.size(), with);
}

std::string manifest() {
  std::string classes, palette;
  for (int label = 0; label < kClasses; ++label) {
    classes += (label ? ", \"" : "\"") + std::to_string(label) + "\"";
    palette += (label ? ", [" : "[") + std::to_string(label) + ", 0, 0]";
  }
  return replaced(replaced(kManifest, "CLASSES", "[" + classes + "]"), "PALETTE", "[" + palette + "]");
}

// Regions with borders, as masks have them: the same numbers on every machine.
std::vector<float> make_logits() {
  const std::int32_t height = kHeight / kStride, width = kWidth / kStride;
  std::vector<float> logits;
  for (std::int32_t label = 0; label < kClasses; ++label)
    for (std::int32_t y = 0; y < height; ++y)
      for (std::int32_t x = 0; x < width; ++x)
        logits.push_back(static_cast<float>((x / 7 + 3 * (y / 5)) % kClasses == label) * 8.0F +
                         static_cast<float>((label * 31 + x * 17 + y * 13) % 23) / 8.0F);
  return logits;
}

}  // namespace

int main(int, char **arguments) {
  const std::string kind = arguments[1];
  const int count = std::atoi(arguments[2]);
  const segship::Spec spec = segship::Spec::parse(manifest());
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(2 * kHeight) * (2 * kWidth) * 3);
  for (std::size_t place = 0; place < pixels.size(); ++place) pixels[place] = static_cast<std::uint8_t>(place * 131 >> 5);
  const segship::Image image(pixels.data(), 2 * kHeight, 2 * kWidth);
  std::vector<float> input(static_cast<std::size_t>(spec.plan(2 * kHeight, 2 * kWidth).input_bytes) / sizeof(float));
  const std::vector<float> logits = make_logits();
  const segship_tensor tensor{logits.data(), static_cast<std::int64_t>(logits.size() * sizeof(float)), SEGSHIP_FLOAT32,
                              1, kClasses, kHeight / kStride, kWidth / kStride};
  std::size_t sum = 0;
  for (int turn = 0; turn < count; ++turn) {
    if (kind == "prepare") spec.prepare(image, input);
    if (kind == "mask") sum += spec.decide(kHeight, kWidth, tensor).bytes().size();
    if (kind == "scores") sum += spec.decide_scores(kHeight, kWidth, tensor).values.size();
  }
  std::cout << sum << "\n";
}
