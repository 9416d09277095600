// The golden vectors of ../../spec through segship.hpp: every logits' mask and scores, every image that is prepared.
// Sanitizers watch this program; what the images become is compared in Python.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "segship/segship.hpp"

namespace {

using Json = nlohmann::json;

int failures = 0;

void check(bool good, const std::string &what) {
  if (good) return;
  std::printf("FAILED: %s\n", what.c_str());
  ++failures;
}

std::vector<char> read(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<float> read_floats(const std::string &path) {
  const std::vector<char> bytes = read(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), values.size() * sizeof(float), reinterpret_cast<char *>(values.data()));
  return values;
}

// The pixels of a PGM, in the machine's order of bytes.
std::vector<std::uint8_t> read_pgm(const std::string &path, int label_bytes) {
  const std::vector<char> file = read(path);
  std::size_t place = 0;
  for (int line = 0; line < 3; ++line) {
    while (file[place] != '\n') ++place;
    ++place;
  }
  std::vector<std::uint8_t> labels(file.begin() + static_cast<std::ptrdiff_t>(place), file.end());
  for (std::size_t i = 0; label_bytes == 2 && i + 1 < labels.size(); i += 2) {
    const auto label = static_cast<std::uint16_t>(labels[i] << 8 | labels[i + 1]);
    std::memcpy(&labels[i], &label, 2);
  }
  return labels;
}

void run_case(const std::string &root, const Json &one) {
  const std::string name = one.at("name");
  Json manifest;
  manifest["spec"] = one.at("spec");
  const segship::Spec spec = segship::Spec::parse(manifest.dump());
  const auto shape = one.at("mask").at("shape").get<std::vector<std::int32_t>>();
  const segship_plan plan = spec.plan(shape[0], shape[1]);

  std::vector<std::uint16_t> blank(static_cast<std::size_t>(shape[0]) * static_cast<std::size_t>(shape[1]) * 512);
  std::vector<float> input(static_cast<std::size_t>(plan.input_bytes) / sizeof(float));
  const std::int32_t channels = spec.bands() > 0 ? spec.bands() : 3;
  const auto *bytes = reinterpret_cast<const std::uint8_t *>(blank.data());
  spec.prepare(segship::Image(bytes, shape[0], shape[1], channels), input);
  check(input.size() == static_cast<std::size_t>(plan.windows) * static_cast<std::size_t>(plan.channels) *
                            static_cast<std::size_t>(plan.height) * static_cast<std::size_t>(plan.width),
        name + ": the input's size");

  const auto cells = one.at("logits").at("shape").get<std::vector<std::int32_t>>();
  const std::vector<float> logits = read_floats(root + "/" + one.at("logits").at("file").get<std::string>());
  const segship_tensor tensor{logits.data(), static_cast<std::int64_t>(logits.size() * sizeof(float)), SEGSHIP_FLOAT32,
                              cells[0], cells[1], cells[2], cells[3]};
  const segship::Mask mask = spec.decide(shape[0], shape[1], tensor);
  const auto expected = read_pgm(root + "/" + one.at("mask").at("file").get<std::string>(), mask.label_bytes());
  check(std::equal(mask.bytes().begin(), mask.bytes().end(), expected.begin(), expected.end()), name + ": the mask");

  if (!one.contains("scores")) return;
  const segship::Scores scores = spec.decide_scores(shape[0], shape[1], tensor);
  const std::vector<float> wanted = read_floats(root + "/" + one.at("scores").at("file").get<std::string>());
  const std::size_t every = one.at("scores").value("every", 1), pixels = blank.size() / 512;
  const std::size_t columns = (pixels + every - 1) / every;
  double worst = 0;
  for (std::size_t place = 0; place < wanted.size(); ++place) {
    const float found = scores.values[place / columns * pixels + place % columns * every];
    if (std::isnan(found) && std::isnan(wanted[place])) continue;
    worst = std::fmax(worst, std::isnan(found) != std::isnan(wanted[place]) ? 1 : std::abs(found - wanted[place]));
  }
  check(worst <= one.at("scores").value("tolerance", 1e-6), name + ": the scores, by " + std::to_string(worst));
}

void run_package(const std::string &root, const Json &one) {
  const auto shape = one.at("image").at("shape").get<std::vector<std::int32_t>>();
  const std::string image_path = one.at("image").at("file");
  if (shape.size() != 3 || shape[2] != 3 || image_path.substr(image_path.size() - 4) != ".ppm") return;
  const segship::Segmentor segmentor(root + "/" + one.at("package").get<std::string>());
  const std::vector<char> file = read(root + "/" + image_path);
  const std::size_t bytes = static_cast<std::size_t>(shape[0]) * static_cast<std::size_t>(shape[1]) * 3;
  const auto *pixels = reinterpret_cast<const std::uint8_t *>(file.data() + file.size() - bytes);
  const segship::Mask mask = segmentor(segship::Image(pixels, shape[0], shape[1]));
  const auto expected = read_pgm(root + "/" + one.at("mask").at("file").get<std::string>(), mask.label_bytes());
  check(std::equal(mask.bytes().begin(), mask.bytes().end(), expected.begin(), expected.end()),
        "package " + one.at("name").get<std::string>());
}

void refuse() {
  try {
    segship::Spec::parse("{");
    check(false, "no JSON is refused");
  } catch (const segship::Exception &error) {
    check(error.status() == SEGSHIP_PACKAGE_ERROR, "the kind of an error");
    check(std::string(error.what()).rfind("manifest.json is not JSON", 0) == 0, "the message of an error");
  }
  check(segship_mask(nullptr, nullptr, nullptr, 0) == SEGSHIP_INPUT_ERROR, "NULL is refused");
  check(segship_require(SEGSHIP_VERSION, sizeof(void *)) == SEGSHIP_OK, "this program fits");
  check(segship_require(SEGSHIP_VERSION, 2) == SEGSHIP_UNSUPPORTED_ERROR, "pointers of 2 bytes do not");
  segship_close(nullptr);
  segship_spec_free(nullptr);
}

}  // namespace

int main(int count, char **arguments) {
  if (count < 2) return 2;
  const std::string root = arguments[1];
  const std::vector<char> text = read(root + "/index.json");
  const Json index = Json::parse(text.begin(), text.end());
  refuse();
  for (const Json &one : index.at("cases")) run_case(root, one);
  const bool engines = count > 2;
  for (const Json &one : index.at("packages")) {
    if (engines) run_package(root, one);
  }
  std::printf("%zu cases, %zu packages, %d failures\n", index.at("cases").size(),
              engines ? index.at("packages").size() : 0, failures);
  return failures > 0;
}
