// manifest.json to a Spec. What is wrong is said as Python's reader says it, all of it in one line.
#include <algorithm>

#include "core/error.hpp"
#include "core/rules.hpp"
#include "core/spec.hpp"

namespace segship {

namespace {

constexpr std::int64_t kSchemaVersion = 2;
constexpr std::size_t kMaximumBytes = 16u << 20;
constexpr std::ptrdiff_t kMostRecords = 20'000, kMostValues = 1'000'000;  // in one manifest

// ---- A manifest as data, of which the rules are held ---------------------------------------------------------------------

// Null: the field is not given.
const Json *field(const Json &record, const char *name) {
  const auto found = record.find(name);
  return found == record.end() || found->is_null() ? nullptr : &*found;
}

double number(const Json &record, const char *name, double otherwise) {
  const Json *found = field(record, name);
  return found == nullptr ? otherwise : found->get<double>();
}

// Whole numbers may be written as 8.0.
std::int64_t integer(const Json &record, const char *name, std::int64_t otherwise) {
  const Json *found = field(record, name);
  return found == nullptr ? otherwise : found->get<std::int64_t>();
}

bool truth(const Json &record, const char *name) {
  const Json *found = field(record, name);
  return found != nullptr && (found->is_boolean() ? found->get<bool>() : *found == 1);
}

std::string word(const Json &record, const char *name, const char *otherwise) {
  const Json *found = field(record, name);
  return found == nullptr ? otherwise : found->get<std::string>();
}

Size pair(const Json &value) { return {value[0].get<std::int64_t>(), value[1].get<std::int64_t>()}; }

template <class Value>
std::vector<Value> numbers(const Json &record, const char *name, std::vector<Value> otherwise) {
  const Json *found = field(record, name);
  if (found == nullptr) return otherwise;
  std::vector<Value> out;
  for (const Json &value : *found) out.push_back(static_cast<Value>(value.get<double>()));
  return out;
}

// The place of a text among the choices.
std::size_t choice(const std::string &found, std::initializer_list<const char *> choices) {
  return static_cast<std::size_t>(std::find(choices.begin(), choices.end(), found) - choices.begin());
}

GeometryStep step_of(const Json &record) {
  GeometryStep step;
  step.kind = static_cast<GeometryStep::Kind>(
      choice(record["kind"].get<std::string>(), {"resize", "resize_shortest_edge", "resize_to_multiple", "resize_by_edge",
                                                 "resize_edges", "resize_near", "resize_within", "letterbox", "pad"}));
  step.width = integer(record, "width", 0);
  step.height = integer(record, "height", 0);
  step.size = integer(record, "size", 0);
  step.max_size = integer(record, "max_size", 0);
  step.shortest = integer(record, "short", 0);
  step.longest = integer(record, "long", 0);
  step.multiple_of = integer(record, "multiple_of", step.kind == GeometryStep::Kind::pad ? 0 : 1);
  step.keep_ratio = truth(record, "keep_ratio");
  step.enlarge_only = truth(record, "enlarge_only");
  step.crop = truth(record, "crop");
  step.interpolation = static_cast<Interpolation>(
      choice(word(record, "interpolation", "bilinear"), {"bilinear", "float_bilinear", "pillow_bilinear", "pillow_bicubic",
                                                         "torchvision_bilinear", "torchvision_bicubic",
                                                         "float_antialiased"}));
  step.value = numbers<double>(record, "value", {0.0});
  return step;
}

void take_classes(const Json &record, Spec &spec) {
  for (const Json &name : record["classes"]) spec.classes.push_back(name.get<std::string>());
  for (const Json &color : record["palette"]) {
    std::int32_t found = 0;
    for (const Json &part : color) found = found * 256 + static_cast<std::int32_t>(part.get<std::int64_t>());
    spec.palette.push_back(found);
  }
}

// What only networks of medical images need: masks would be others without it.
void require_provided(const Json &record) {
  const Json *normalization = field(record, "normalization"), *padding = field(record, "padding"), *slide = field(record, "slide");
  const Json *statistics = normalization == nullptr ? nullptr : field(*normalization, "statistics");
  const bool own = statistics != nullptr && !statistics->empty();
  if (own || (normalization != nullptr && field(*normalization, "clip") != nullptr)) {
    throw package_error("the package clips values or normalises an image by its own values, which only Python provides");
  }
  if (truth(record, "trims_zeros")) {
    throw package_error("the package cuts black borders off images, which only Python provides");
  }
  if (padding != nullptr && truth(*padding, "center")) {
    throw package_error("the package pads images on all sides, which only Python provides");
  }
  if (slide != nullptr && (truth(*slide, "nearest") || word(*slide, "blend", "mean") != "mean")) {
    throw package_error("the package weighs or places windows in a way that only Python provides");
  }
}

void take_image(const Json &record, Spec &spec) {
  require_provided(record);
  if (const Json *geometry = field(record, "geometry")) {
    for (const Json &step : *geometry) spec.geometry.push_back(step_of(step));
  }
  if (const Json *normalization = field(record, "normalization")) {
    spec.rgb = word(*normalization, "channel_order", "rgb") == "rgb";
    spec.mean = numbers<double>(*normalization, "mean", spec.mean);
    spec.std = numbers<double>(*normalization, "std", spec.std);
    spec.doubles = word(*normalization, "arithmetic", "float32") == "float64";
  }
  spec.stored = word(record, "pixels", "uint8") == "multispectral";
  if (const Json *padding = field(record, "padding")) {
    spec.padding = Padding{integer(*padding, "height", 0), integer(*padding, "width", 0),
                           integer(*padding, "multiple_of", 0), number(*padding, "value", 0)};
  }
  if (const Json *slide = field(record, "slide")) {
    spec.slide = Slide{pair((*slide)["crop"]), pair((*slide)["stride"]), truth(*slide, "spread")};
  }
}

void take_output(const Json &record, Spec &spec) {
  spec.align_corners = truth(record, "align_corners");
  const std::string way = word(record, "resize_logits", "through_input");
  spec.directly = way == "directly";
  spec.to_input = way == "to_input";
  spec.sigmoid = word(record, "output", "softmax") == "sigmoid";
  spec.returned =
      static_cast<Returned>(choice(word(record, "returns", "logits"), {"logits", "probabilities", "labels"}));
  spec.threshold = number(record, "threshold", spec.threshold);
}

void take_sizes(const Json &record, SizeRule &sizes) {
  if (const Json *fixed = field(record, "fixed")) sizes.fixed = pair(*fixed);
  if (const Json *minimum = field(record, "minimum")) sizes.minimum = pair(*minimum);
  if (const Json *batch = field(record, "batch")) sizes.batch = batch->get<std::int64_t>();
  sizes.multiple_of = integer(record, "multiple_of", 1);
}

// The name and element type of the first input or output.
void take_port(const Json &data, const char *name, std::string &called, std::string &dtype) {
  if (const Json *ports = field(data, name)) {
    called = (*ports)[0]["name"].get<std::string>();
    dtype = (*ports)[0]["dtype"].get<std::string>();
  }
}

void take_engine(const Json &data, Spec &spec) {
  if (const Json *target = field(data, "target")) {
    spec.backend = (*target)["backend"].get<std::string>();
  }
  if (const Json *options = field(data, "options")) {  // what the backend noted: OpenVINO's arithmetic
    if (const Json *precision = field(*options, "precision")) spec.precision = precision->is_string() ? precision->get<std::string>() : represented(*precision);
  }
  if (const Json *embed = field(data, "embed")) {
    for (const Json &part : *embed) (part == "pre" ? spec.embeds_pre : spec.embeds_post) = true;
  }
  std::string input = "float32", output = spec.embeds_post ? "uint8" : "float32";
  take_port(data, "inputs", spec.input_name, input);
  take_port(data, "outputs", spec.output_name, output);
  spec.decided = output.rfind("int", 0) == 0 || output.rfind("uint", 0) == 0;
  if (const Json *files = field(data, "files")) {
    for (const auto &file : files->items()) {
      spec.files.push_back(file.key());
      spec.digests[file.key()] = {file.value()["size"].get<std::int64_t>(), file.value()["sha256"].get<std::string>()};
    }
  }
  if (const Json *calibration = field(data, "calibration")) {
    for (const Json &temperature : (*calibration)["engine"]["temperatures"]) {
      spec.factors.push_back(static_cast<float>(1 / temperature.get<double>()));
    }
  }
}

// ---- Texts ---------------------------------------------------------------------------------------------------------------

Json parsed(const std::string &text, const std::string &name) {
  if (text.size() > kMaximumBytes) {
    throw package_error(name + " is larger than " + std::to_string(kMaximumBytes) + " bytes: not a manifest");
  }
  if (std::count(text.begin(), text.end(), '{') > kMostRecords ||
      std::count(text.begin(), text.end(), ',') > kMostValues) {
    throw package_error(name + " holds more than " + std::to_string(kMostRecords) + " records or " +
                        std::to_string(kMostValues) + " values: not a manifest");
  }
  try {
    return Json::parse(text);
  } catch (const Json::exception &error) {
    const std::string said = error.what();
    const std::size_t after = said.find("] ");
    throw package_error(name + " is not JSON (" + one_line(after == std::string::npos ? said : said.substr(after + 2)) +
                        "): the package is damaged, export it again");
  }
}

void require_version(const Json &data, const std::string &owner) {
  const auto version = data.is_object() ? data.find("schema_version") : data.end();
  if (version == data.end() || !version->is_number_integer()) return;
  if (version->is_number_unsigned() ? version->get<std::uint64_t>() <= kSchemaVersion : true) return;
  throw package_error(owner + " has schema version " + version->dump() + ", this Segship reads up to " +
                      std::to_string(kSchemaVersion) + ": pip install -U segship");
}

// The metadata of a lone file tells less than a manifest, of which this is the rest.
bool is_manifest(const Json &data) {
  return data.contains("files") || data.contains("inputs") || data.contains("outputs");
}

}  // namespace

Spec parse_spec(const std::string &text, const std::string &name, const std::string &owner, bool whole,
                const SealCheck &check_seal) {
  Json data = parsed(text, name);
  require_version(data, owner);
  if (check_seal) {
    const Json *version = data.is_object() ? field(data, "schema_version") : nullptr;
    check_seal(version != nullptr && *version == 1 && !data.contains("digest"));
  }
  const std::string mistakes = mistakes_in(whole || is_manifest(data) ? "Manifest" : "EmbeddedSpec", data);
  if (!mistakes.empty()) throw package_error(name + " is not valid: " + mistakes + "; export the package again");
  Spec spec;
  const Json &record = data["spec"];
  take_classes(record, spec);
  take_image(record, spec);
  take_output(record, spec);
  if (const Json *sizes = field(data, "sizes")) take_sizes(*sizes, spec.sizes);
  take_engine(data, spec);
  return spec;
}

}  // namespace segship
