// What a network expects and what its output means: the manifest as data, and the sizes that follow from it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace segship {

struct Size {
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const Size &other) const { return height == other.height && width == other.width; }
  bool operator!=(const Size &other) const { return !(*this == other); }
};

std::string text(Size size);  // "512x1024"

enum class Interpolation {
  bilinear,
  float_bilinear,
  pillow_bilinear,
  pillow_bicubic,
  torchvision_bilinear,
  torchvision_bicubic,
  float_antialiased
};

// The sizes that a step makes: it resizes the image to `inner` and puts it into a frame at `origin` (top, left).
struct Placement {
  Size size;
  Size inner;
  Size origin;
};

// One step on the image before it is normalised; a field has a meaning where the kind in Python has it.
struct GeometryStep {
  enum class Kind {
    resize,
    resize_shortest_edge,
    resize_to_multiple,
    resize_by_edge,
    resize_edges,
    resize_near,
    resize_within,
    letterbox,
    pad
  };
  Kind kind = Kind::resize;
  std::int64_t width = 0, height = 0;  // 0: not given, as for all that follow
  std::int64_t size = 0, max_size = 0;
  std::int64_t shortest = 0, longest = 0;
  std::int64_t multiple_of = 0;
  bool keep_ratio = false, enlarge_only = false, crop = false;
  Interpolation interpolation = Interpolation::bilinear;
  std::vector<double> value{0.0};

  // Error: the image would have no pixels left.
  Placement plan(Size image) const;
  // Whether the margin is cut off from the logits before they are resized back.
  bool cuts_margin() const { return crop || kind == Kind::letterbox; }
};

struct Padding {
  std::int64_t height = 0, width = 0, multiple_of = 0;  // 0: not given
  double value = 0.0;
};

struct Slide {
  Size crop;
  Size stride;
  bool spread = false;
};

struct SizeRule {
  std::optional<Size> fixed;
  std::int64_t multiple_of = 1;
  Size minimum{1, 1};
  std::optional<std::int64_t> batch;

  bool allows(Size size) const;
  std::string text() const;
};

struct FileDigest {
  std::int64_t size = 0;
  std::string sha256;
};

enum class Returned { logits, probabilities, labels };

struct Spec {
  std::vector<std::string> classes;
  std::vector<std::int32_t> palette;  // 0xRRGGBB
  std::vector<GeometryStep> geometry;
  bool rgb = true;  // the order in which the network takes its channels
  std::vector<double> mean{0, 0, 0}, std{1, 1, 1};
  bool doubles = false;  // pixels are normalised in double precision and rounded once, not in single
  bool stored = false;  // all bands as they are stored, rather than photographs
  std::optional<Padding> padding;
  std::optional<Slide> slide;
  bool align_corners = false;
  bool directly = false;  // logits go to the image's size at once, not through the input's
  bool to_input = false;  // logits go to the input's size, and what is decided there to the image by its nearest pixels
  bool sigmoid = false;
  Returned returned = Returned::logits;  // probabilities: softmax or sigmoid is inside the network; labels: one-hot
  double threshold = 0.5;
  std::vector<float> factors;  // that logits are multiplied by for scores, never for masks: one, or one for each; or none

  SizeRule sizes;
  bool embeds_pre = false, embeds_post = false;
  std::string backend, precision = "fp32";
  std::string input_name = "image", output_name = "logits";
  bool decided = false;  // the engine returns labels
  std::vector<std::string> files;  // the first is the one to open
  std::map<std::string, FileDigest> digests;

  std::int64_t channels() const { return static_cast<std::int64_t>(mean.size()); }
  std::int64_t score_channels() const { return sigmoid ? 1 : static_cast<std::int64_t>(classes.size()); }
  std::int64_t label_bytes() const { return classes.size() <= 256 ? 1 : 2; }
};

// Told, before anything else is read, whether a manifest is of version 0.1, which wrote no digest. Error: it was changed.
using SealCheck = std::function<void(bool old)>;

// Read a manifest, or the metadata of a lone engine file. `name` and `owner` begin error messages: the file, and what it
// belongs to.
Spec parse_spec(const std::string &text, const std::string &name, const std::string &owner, bool whole,
                const SealCheck &check_seal = {});

Size padded_size(Size image, std::int64_t height, std::int64_t width, std::int64_t multiple_of);

// The size before the first step and after each.
std::vector<Size> geometry_sizes(const Spec &spec, Size image);

// The size of the network's input.
Size prepared_size(const Spec &spec, Size image);

// One resize of the logits, bilinear or to the nearest cells, and the part of the result that goes on.
struct Step {
  Size size;
  Size crop;
  Size origin;
  bool nearest = false;
};

// From the logits of the network's input to the image's own size.
std::vector<Step> inverse_steps(const Spec &spec, Size image);

// The places of the windows over one input.
struct Windows {
  Size size;
  Size window;
  std::vector<std::int64_t> tops, lefts;
  std::int64_t count() const { return static_cast<std::int64_t>(tops.size() * lefts.size()); }
};

// Windows as the network slides; one that is the whole input where it does not. Error: it cannot take their size.
Windows plan_windows(const Spec &spec, Size input);

}  // namespace segship
