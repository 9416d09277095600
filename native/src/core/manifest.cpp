// manifest.json to a Spec. What is wrong is said as Python's reader says it, all of it in one line.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.hpp"
#include "core/spec.hpp"

namespace segship {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kSchemaVersion = 2;
constexpr std::size_t kMaximumBytes = 16u << 20;
constexpr std::size_t kShown = 60;  // characters of a value in a message
constexpr std::int64_t kGreatest = (std::int64_t{1} << 31) - 1;
// Bounds far above what real networks have and far below what fills a machine's memory.
constexpr std::int64_t kSide = 1 << 15, kMultiple = 4096;
constexpr std::size_t kMostSteps = 16, kMostValues = 1024, kMostClasses = 1 << 16;
constexpr std::size_t kMostMistakes = 20;
constexpr std::ptrdiff_t kMostRecords = 20'000, kMostNumbers = 1'000'000;  // in one manifest

std::size_t characters_end(const std::string &text, std::size_t characters) {
  std::size_t place = 0;
  for (; place < text.size(); ++place) {
    if ((static_cast<unsigned char>(text[place]) & 0xC0u) != 0x80u && characters-- == 0) break;
  }
  return place;
}

std::string quoted(const std::string &text) {
  const bool plain = text.find('\'') == std::string::npos || text.find('"') != std::string::npos;
  const char quote = plain ? '\'' : '"';
  std::string out(1, quote);
  for (const char letter : text) {
    if (letter == '\\' || letter == quote) out += '\\';
    if (letter == '\n') {
      out += "\\n";
    } else {
      out += letter;
    }
  }
  return out + quote;
}

// A value as Python would print it, as far as the message shows it.
void represent(const Json &value, std::string &out) {
  if (out.size() > 8 * kShown) return;
  if (value.is_null()) {
    out += "None";
  } else if (value.is_boolean()) {
    out += value.get<bool>() ? "True" : "False";
  } else if (value.is_string()) {
    out += quoted(value.get_ref<const std::string &>());
  } else if (value.is_array() || value.is_object()) {
    out += value.is_array() ? '[' : '{';
    bool first = true;
    for (const auto &item : value.items()) {
      if (!first) out += ", ";
      first = false;
      if (value.is_object()) out += quoted(item.key()) + ": ";
      represent(item.value(), out);
    }
    out += value.is_array() ? ']' : '}';
  } else {
    out += value.dump();
  }
}

std::string shown(const Json &value) {
  std::string out;
  represent(value, out);
  return out.substr(0, characters_end(out, kShown));
}

// A value of the manifest with its place, and what was wrong so far.
class Node {
 public:
  Node(const Json *value, std::string path, std::vector<std::string> *mistakes)
      : value_(value), path_(std::move(path)), mistakes_(mistakes) {}

  const Json &value() const { return *value_; }
  bool given() const { return value_ != nullptr && !value_->is_null(); }

  void wrong(const std::string &said) const { mistakes_->push_back(path_ + " is " + shown(*value_) + ": " + said); }
  void missing() const { mistakes_->push_back(path_ + " is missing"); }
  void unknown(const std::string &name) const { mistakes_->push_back("there is no '" + joined(name) + "'."); }
  std::size_t mistakes() const { return mistakes_->size(); }

  Node field(const std::string &name) const {
    const auto found = value_->find(name);
    return {found == value_->end() ? nullptr : &*found, joined(name), mistakes_};
  }
  Node item(std::size_t index) const {
    return {index < value_->size() ? &(*value_)[index] : nullptr, joined(std::to_string(index)), mistakes_};
  }
  Node under(const std::string &name) const { return {value_, joined(name), mistakes_}; }

  bool is_object(const char *model) const {
    if (value_->is_object()) return true;
    wrong(*model ? std::string("input should be a valid dictionary or instance of ") + model
                 : std::string("input should be a valid dictionary"));
    return false;
  }
  bool is_list(std::size_t most = 1'000'000, std::size_t least = 0) const {
    if (!value_->is_array()) {
      wrong("input should be a valid tuple");
      return false;
    }
    if (value_->size() < least) {
      wrong("tuple should have at least 1 item after validation, not 0");
      return false;
    }
    if (value_->size() <= most) return true;
    wrong("tuple should have at most " + std::to_string(most) + " items after validation, not " +
          (value_->size() > most + 1 ? "more" : std::to_string(value_->size())));
    return false;
  }
  // Say which fields of an object nobody knows.
  void only(std::initializer_list<const char *> known) const {
    for (const auto &item : value_->items()) {
      bool found = false;
      for (const char *name : known) found = found || item.key() == name;
      if (!found) unknown(item.key());
    }
  }

 private:
  std::string joined(const std::string &name) const { return path_.empty() ? name : path_ + "." + name; }

  const Json *value_;
  std::string path_;
  std::vector<std::string> *mistakes_;
};

double number(const Node &node, double otherwise) {
  if (node.value().is_number()) {
    const double found = node.value().get<double>();
    if (std::abs(found) <= 1e30) return found;
    node.wrong(found > 0 ? "input should be less than or equal to 1e+30" : "input should be greater than or equal to -1e+30");
    return otherwise;
  }
  node.wrong(node.value().is_string() ? "input should be a valid number, unable to parse string as a number"
                                      : "input should be a valid number");
  return otherwise;
}

std::int64_t integer(const Node &node, std::int64_t otherwise) {
  const Json &value = node.value();
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(kGreatest)) {
    node.wrong("input should be less than or equal to 2147483647");
    return otherwise;
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const double found = value.get<double>();
    if (std::abs(found) <= static_cast<double>(kGreatest) && found == std::floor(found)) {
      return static_cast<std::int64_t>(found);
    }
    node.wrong("input should be a valid integer, got a number with a fractional part");
  } else {
    node.wrong(value.is_string() ? "input should be a valid integer, unable to parse string as an integer"
                                 : "input should be a valid integer");
  }
  return otherwise;
}

std::int64_t positive(const Node &node, std::int64_t most) {
  const std::size_t before = node.mistakes();
  const std::int64_t found = integer(node, 1);
  if (node.mistakes() == before && found < 1) {
    node.wrong("input should be greater than 0");
    return 1;
  }
  if (node.mistakes() == before && found > most) {
    node.wrong("input should be less than or equal to " + std::to_string(most));
    return 1;
  }
  return found;
}

// 0: not given.
std::int64_t optional_positive(const Node &node, std::int64_t most = kSide) {
  return node.given() ? positive(node, most) : 0;
}

std::int64_t required_positive(const Node &node, std::int64_t most = kSide) {
  if (node.given()) return positive(node, most);
  node.missing();
  return 1;
}

std::string string(const Node &node) {
  if (node.value().is_string()) return node.value().get<std::string>();
  node.wrong("input should be a valid string");
  return "";
}

bool boolean(const Node &node, bool otherwise) {
  if (!node.given()) return otherwise;
  if (node.value().is_boolean()) return node.value().get<bool>();
  node.wrong(node.value().is_string() ? "input should be a valid boolean, unable to interpret input"
                                      : "input should be a valid boolean");
  return otherwise;
}

// The place of a text among the choices.
std::size_t choice(const Node &node, std::initializer_list<const char *> choices) {
  std::size_t number = 0;
  std::string all;
  for (const char *name : choices) {
    if (node.value().is_string() && node.value().get_ref<const std::string &>() == name) return number;
    ++number;
    all += number == 1 ? "'" : number == choices.size() ? " or '" : ", '";
    all += std::string(name) + "'";
  }
  node.wrong("input should be " + all);
  return 0;
}

Size pair(const Node &node) {
  if (!node.is_list()) return {1, 1};
  const std::size_t count = node.value().size();
  if (count > 2) {
    node.wrong("tuple should have at most 2 items after validation, not " + std::to_string(count));
    return {1, 1};
  }
  return {required_positive(node.item(0)), required_positive(node.item(1))};
}

Size required_pair(const Node &node) {
  if (node.given()) return pair(node);
  node.missing();
  return {1, 1};
}

template <class Value>
void numbers(const Node &node, std::vector<Value> &out) {
  if (!node.given() || !node.is_list(kMostValues, 1)) return;
  out.clear();
  for (std::size_t index = 0; index < node.value().size(); ++index) {
    out.push_back(static_cast<Value>(number(node.item(index), 0)));
  }
}

Interpolation interpolation(const Node &node) {
  if (!node.given()) return Interpolation::bilinear;
  return static_cast<Interpolation>(
      choice(node, {"bilinear", "float_bilinear", "pillow_bilinear", "pillow_bicubic", "torchvision_bilinear",
                    "torchvision_bicubic"}));
}

using Kind = GeometryStep::Kind;
constexpr const char *kKinds[] = {"resize",       "resize_shortest_edge", "resize_to_multiple", "resize_by_edge",
                                  "resize_edges", "resize_near",          "letterbox",          "pad"};

void read_margin(const Node &fields, GeometryStep &step) {
  numbers(fields.field("value"), step.value);
  if (step.value.empty()) step.value = {0.0};
}

void read_pad(const Node &fields, GeometryStep &step) {
  step.height = optional_positive(fields.field("height"));
  step.width = optional_positive(fields.field("width"));
  step.multiple_of = optional_positive(fields.field("multiple_of"), kMultiple);
  read_margin(fields, step);
  step.crop = boolean(fields.field("crop"), false);
  fields.only({"kind", "height", "width", "multiple_of", "value", "crop"});
  if ((step.multiple_of == 0) == (step.height == 0 || step.width == 0)) {
    fields.wrong("pad takes either height and width, or multiple_of");
  }
}

void read_edges(const Node &fields, GeometryStep &step) {
  step.shortest = required_positive(fields.field("short"));
  step.longest = optional_positive(fields.field("long"));
  step.multiple_of = fields.field("multiple_of").given() ? positive(fields.field("multiple_of"), kMultiple) : 1;
  step.enlarge_only = boolean(fields.field("enlarge_only"), false);
  step.interpolation = interpolation(fields.field("interpolation"));
  fields.only({"kind", "short", "long", "multiple_of", "enlarge_only", "interpolation"});
}

void read_by_edge(const Node &fields, GeometryStep &step) {
  step.shortest = optional_positive(fields.field("short"));
  step.longest = optional_positive(fields.field("long"));
  step.multiple_of = fields.field("multiple_of").given() ? positive(fields.field("multiple_of"), kMultiple) : 1;
  step.interpolation = interpolation(fields.field("interpolation"));
  fields.only({"kind", "short", "long", "multiple_of", "interpolation"});
  if (!step.shortest && !step.longest) fields.wrong("resizeByEdge takes short, long, or both");
}

void read_sides(const Node &fields, GeometryStep &step) {
  step.width = required_positive(fields.field("width"));
  step.height = required_positive(fields.field("height"));
}

void read_fields(const Node &fields, GeometryStep &step) {
  switch (step.kind) {
    case Kind::resize:
      read_sides(fields, step);
      step.keep_ratio = boolean(fields.field("keep_ratio"), false);
      step.interpolation = interpolation(fields.field("interpolation"));
      return fields.only({"kind", "width", "height", "keep_ratio", "interpolation"});
    case Kind::resize_shortest_edge:
      step.size = required_positive(fields.field("size"));
      step.max_size = required_positive(fields.field("max_size"));
      return fields.only({"kind", "size", "max_size"});
    case Kind::resize_to_multiple:
      step.multiple_of = required_positive(fields.field("multiple_of"), kMultiple);
      return fields.only({"kind", "multiple_of"});
    case Kind::resize_by_edge:
      return read_by_edge(fields, step);
    case Kind::resize_edges:
      return read_edges(fields, step);
    case Kind::resize_near:
      read_sides(fields, step);
      step.multiple_of = fields.field("multiple_of").given() ? positive(fields.field("multiple_of"), kMultiple) : 1;
      step.interpolation = interpolation(fields.field("interpolation"));
      return fields.only({"kind", "width", "height", "multiple_of", "interpolation"});
    case Kind::letterbox:
      read_sides(fields, step);
      read_margin(fields, step);
      return fields.only({"kind", "width", "height", "value"});
    case Kind::pad:
      return read_pad(fields, step);
  }
}

void read_step(const Node &node, std::vector<GeometryStep> &steps) {
  if (!node.value().is_object()) {
    node.wrong("input should be a valid dictionary or object to extract fields from");
    return;
  }
  const auto kind = node.value().find("kind");
  if (kind == node.value().end()) {
    node.wrong("unable to extract tag using discriminator 'kind'");
    return;
  }
  std::string all;
  for (std::size_t number = 0; number < std::size(kKinds); ++number) {
    if (kind->is_string() && kind->get_ref<const std::string &>() == kKinds[number]) {
      GeometryStep step;
      step.kind = static_cast<Kind>(number);
      read_fields(node.under(kKinds[number]), step);
      steps.push_back(step);
      return;
    }
    all += (number ? ", '" : "'") + std::string(kKinds[number]) + "'";
  }
  node.wrong("input tag " + shown(*kind) + " found using 'kind' does not match any of the expected tags: " + all);
}

void read_normalization(const Node &node, Spec &spec) {
  if (!node.given() || !node.is_object("Normalization")) return;
  if (node.field("channel_order").given()) spec.rgb = choice(node.field("channel_order"), {"rgb", "bgr"}) == 0;
  const std::size_t before = node.mistakes();
  numbers(node.field("mean"), spec.mean);
  numbers(node.field("std"), spec.std);
  node.only({"channel_order", "mean", "std"});
  if (node.mistakes() != before) return;
  if (spec.mean.size() != spec.std.size()) {
    node.wrong("mean has " + std::to_string(spec.mean.size()) + " numbers, std has " + std::to_string(spec.std.size()));
  }
  for (const float one : spec.std) {
    if (!(std::abs(one) >= 1e-30f)) return node.wrong("std must not be zero");
  }
}

void read_padding(const Node &node, Spec &spec) {
  if (!node.given() || !node.is_object("Padding")) return;
  Padding padding;
  padding.height = optional_positive(node.field("height"));
  padding.width = optional_positive(node.field("width"));
  padding.multiple_of = optional_positive(node.field("multiple_of"), kMultiple);
  if (node.field("value").given()) padding.value = number(node.field("value"), 0);
  node.only({"height", "width", "multiple_of", "value"});
  spec.padding = padding;
}

void read_slide(const Node &node, Spec &spec) {
  if (!node.given() || !node.is_object("Slide")) return;
  spec.slide = Slide{required_pair(node.field("crop")), required_pair(node.field("stride")),
                     boolean(node.field("spread"), false)};
  node.only({"crop", "stride", "spread"});
}

std::int32_t color(const Node &node) {
  if (!node.is_list()) return 0;
  std::int32_t found = 0;
  for (std::size_t part = 0; part < 3; ++part) {
    const Node item = node.item(part);
    if (!item.given()) return item.missing(), 0;
    const std::int64_t value = integer(item, 0);
    if (value < 0) return item.wrong("input should be greater than or equal to 0"), 0;
    if (value > 255) return item.wrong("input should be less than or equal to 255"), 0;
    found = found * 256 + static_cast<std::int32_t>(value);
  }
  if (node.value().size() > 3) {
    node.wrong("tuple should have at most 3 items after validation, not " + std::to_string(node.value().size()));
  }
  return found;
}

void read_classes(const Node &node, Spec &spec) {
  if (!node.field("classes").given()) return node.field("classes").missing();
  if (!node.field("classes").is_list(kMostClasses, 1)) return;
  for (std::size_t index = 0; index < node.field("classes").value().size(); ++index) {
    spec.classes.push_back(string(node.field("classes").item(index)));
  }
}

void read_palette(const Node &node, Spec &spec) {
  if (!node.field("palette").given()) return node.field("palette").missing();
  if (!node.field("palette").is_list(kMostClasses, 1)) return;
  for (std::size_t index = 0; index < node.field("palette").value().size(); ++index) {
    spec.palette.push_back(color(node.field("palette").item(index)));
  }
}

void require_text(const Node &node) {
  if (!node.given()) {
    node.missing();
  } else {
    string(node);
  }
}

void require_consistent(const Node &node, const Spec &spec) {
  const std::size_t classes = spec.classes.size();
  if (classes != spec.palette.size()) {
    return node.wrong(std::to_string(classes) + " classes but " + std::to_string(spec.palette.size()) + " colours");
  }
  if (!spec.stored && spec.channels() != 1 && spec.channels() != 3) {
    return node.wrong("a network of " + std::to_string(spec.channels()) +
                      " channels takes pixels as they are stored: pixels='multispectral'");
  }
  if (spec.sigmoid && classes != 2) {
    return node.wrong("a sigmoid output means two classes, not " + std::to_string(classes));
  }
  if (spec.sigmoid && spec.returned == Returned::labels) {
    node.wrong("a sigmoid output is compared with a threshold, and labels (returns) are not");
  }
}

void read_output(const Node &node, Spec &spec) {
  spec.align_corners = boolean(node.field("align_corners"), false);
  if (node.field("resize_logits").given()) {
    spec.directly = choice(node.field("resize_logits"), {"through_input", "directly"}) == 1;
  }
  if (node.field("output").given()) spec.sigmoid = choice(node.field("output"), {"softmax", "sigmoid"}) == 1;
  if (node.field("returns").given()) {
    spec.returned = static_cast<Returned>(choice(node.field("returns"), {"logits", "probabilities", "labels"}));
  }
  const Node threshold = node.field("threshold");
  if (threshold.given()) {
    spec.threshold = number(threshold, 0.5);
    if (!(spec.threshold > 0)) threshold.wrong("input should be greater than 0");
    if (!(spec.threshold < 1)) threshold.wrong("input should be less than 1");
  }
  boolean(node.field("reduce_zero_label"), false);
}

void read_spec(const Node &node, Spec &spec) {
  if (!node.given()) return node.missing();
  if (!node.is_object("ModelSpec")) return;
  const std::size_t before = node.mistakes();
  require_text(node.field("source"));
  require_text(node.field("architecture"));
  read_classes(node, spec);
  read_palette(node, spec);
  const Node geometry = node.field("geometry");
  if (geometry.given() && geometry.is_list(kMostSteps)) {
    for (std::size_t index = 0; index < geometry.value().size(); ++index) read_step(geometry.item(index), spec.geometry);
  }
  read_normalization(node.field("normalization"), spec);
  const Node pixels = node.field("pixels");
  if (pixels.given() && pixels.value() != "stored") {  // version 0.1's name
    spec.stored = choice(pixels, {"uint8", "multispectral"}) == 1;
  } else {
    spec.stored = pixels.given();
  }
  read_padding(node.field("padding"), spec);
  read_slide(node.field("slide"), spec);
  read_output(node, spec);
  node.only({"source", "architecture", "classes", "palette", "geometry", "normalization", "pixels", "padding", "slide",
             "align_corners", "resize_logits", "output", "returns", "threshold", "reduce_zero_label"});
  if (node.mistakes() == before) require_consistent(node, spec);
}

void read_sizes(const Node &node, SizeRule &sizes) {
  if (!node.given() || !node.is_object("SizeRule")) return;
  if (node.field("fixed").given()) sizes.fixed = pair(node.field("fixed"));
  if (node.field("multiple_of").given()) sizes.multiple_of = positive(node.field("multiple_of"), kMultiple);
  if (node.field("minimum").given()) sizes.minimum = pair(node.field("minimum"));
  if (node.field("batch").given()) sizes.batch = positive(node.field("batch"), kGreatest);
  node.only({"fixed", "multiple_of", "minimum", "batch"});
}

void read_target(const Node &node, Spec &spec, bool whole) {
  if (!node.given()) {
    if (whole) node.missing();
    return;
  }
  if (!node.is_object("Target")) return;
  if (!node.field("backend").given()) return node.field("backend").missing();
  spec.backend = string(node.field("backend"));
  constexpr const char *names[] = {"fp32", "fp16", "bf16", "int8"};
  if (node.field("precision").given()) {
    spec.precision = names[choice(node.field("precision"), {"fp32", "fp16", "bf16", "int8"})];
  }
  node.only({"backend", "precision", "shape", "options", "workspace"});
}

void read_embed(const Node &node, Spec &spec) {
  if (!node.given() || !node.is_list()) return;
  for (std::size_t index = 0; index < node.value().size(); ++index) {
    (choice(node.item(index), {"pre", "post"}) == 0 ? spec.embeds_pre : spec.embeds_post) = true;
  }
}

// The name and element type of the first input or output.
void read_tensor(const Node &node, bool whole, std::string &name, std::string &dtype) {
  if (!node.given()) {
    if (whole) node.missing();
    return;
  }
  if (!node.is_list(64, 1)) return;
  const Node first = node.item(0);
  if (!first.given()) return node.wrong("the engine has none");
  if (!first.is_object("TensorInfo")) return;
  if (first.field("name").given()) {
    name = string(first.field("name"));
  } else {
    first.field("name").missing();
  }
  if (first.field("dtype").given()) {
    dtype = string(first.field("dtype"));
  } else {
    first.field("dtype").missing();
  }
}

void read_files(const Node &node, Spec &spec, bool whole) {
  if (!node.given()) {
    if (whole) node.missing();
    return;
  }
  if (!node.is_object("")) return;
  if (node.value().empty()) return node.wrong("dictionary should have at least 1 item after validation, not 0");
  for (const auto &item : node.value().items()) {
    const Node file = node.field(item.key());
    if (!file.given() || !file.is_object("FileDigest")) continue;
    FileDigest digest;
    const Node size = file.field("size"), sha256 = file.field("sha256");
    if (!size.given()) {
      size.missing();
    } else if (!size.value().is_number_integer()) {
      size.wrong("input should be a valid integer");
    } else {
      digest.size = size.value().get<std::int64_t>();
    }
    if (sha256.given()) {
      digest.sha256 = string(sha256);
    } else {
      sha256.missing();
    }
    spec.files.push_back(item.key());
    spec.digests[item.key()] = digest;
  }
}

void read_manifest(const Node &node, Spec &spec, bool whole) {
  if (node.field("schema_version").given()) integer(node.field("schema_version"), 1);
  read_spec(node.field("spec"), spec);
  read_sizes(node.field("sizes"), spec.sizes);
  read_target(node.field("target"), spec, whole);
  read_embed(node.field("embed"), spec);
  std::string kind = "float32", output = spec.embeds_post ? "uint8" : "float32";
  read_tensor(node.field("inputs"), whole, spec.input_name, kind);
  read_tensor(node.field("outputs"), whole, spec.output_name, output);
  spec.decided = output.rfind("int", 0) == 0 || output.rfind("uint", 0) == 0;
  read_files(node.field("files"), spec, whole);
  node.only({"schema_version", "spec", "sizes", "target", "embed", "inputs", "outputs", "files", "options", "checks",
             "quantization", "failures", "origin", "provenance", "versions", "notes", "state", "simulator", "tta",
             "tuned", "adopted", "digest"});
}

Json parsed(const std::string &text, const std::string &name) {
  if (text.size() > kMaximumBytes) {
    throw package_error(name + " is larger than " + std::to_string(kMaximumBytes) + " bytes: not a manifest");
  }
  if (std::count(text.begin(), text.end(), '{') > kMostRecords ||
      std::count(text.begin(), text.end(), ',') > kMostNumbers) {
    throw package_error(name + " holds more than " + std::to_string(kMostRecords) + " records or " +
                        std::to_string(kMostNumbers) + " values: not a manifest");
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

}  // namespace

std::string one_line(const std::string &text) {
  std::string out;
  for (const char letter : text) {
    const bool blank = letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r';
    if (blank && (out.empty() || out.back() == ' ')) continue;
    out += blank ? ' ' : letter;
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out.substr(0, characters_end(out, 300));
}

Spec parse_spec(const std::string &text, const std::string &name, const std::string &owner, bool whole,
                const SealCheck &check_seal) {
  const Json data = parsed(text, name);
  require_version(data, owner);
  if (check_seal) {
    const bool old = data.is_object() && data.value("schema_version", Json()) == 1 && !data.contains("digest");
    check_seal(old);
  }
  std::vector<std::string> mistakes;
  const Node node(&data, "", &mistakes);
  Spec spec;
  if (!data.is_object()) {
    mistakes.push_back("input should be a valid dictionary or instance of Manifest");
  } else {
    read_manifest(node, spec, whole);
  }
  if (mistakes.empty()) return spec;
  std::string all;
  for (std::size_t number = 0; number < std::min(mistakes.size(), kMostMistakes); ++number) {
    all += (number ? "; " : "") + mistakes[number];
  }
  if (mistakes.size() > kMostMistakes) all += "; and " + std::to_string(mistakes.size() - kMostMistakes) + " more";
  throw package_error(name + " is not valid: " + all + "; export the package again");
}

}  // namespace segship
