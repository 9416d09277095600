#include "core/rules.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "core/text.hpp"

namespace segship {

namespace {

constexpr std::size_t kShown = 60;  // characters of a value in a message
constexpr std::size_t kMostMistakes = 20;
constexpr std::size_t kMostOptions = 10'000;  // characters of what a backend notes

const Json &records() {
  static const Json found = Json::parse(
#include "core/manifest_rules.inc"
  );
  return found;
}

// Characters of a value as Python's json.dumps writes it. What is nested deeper than so long a text can be, is longer.
std::size_t written_length(const Json &value, std::size_t depth = 0) {
  if (depth > kMostOptions / 2) return kMostOptions;
  if (!value.is_structured()) return value.dump(-1, ' ', true).size();
  std::size_t found = 2 + (value.empty() ? 0 : 2 * (value.size() - 1));
  for (const auto &item : value.items()) {
    if (value.is_object()) found += Json(item.key()).dump(-1, ' ', true).size() + 2;
    found += written_length(item.value(), depth + 1);
  }
  return found;
}

std::string counted(std::size_t number, const std::string &what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

// ---- Mistakes ----------------------------------------------------------------------------------------------------------

// Names of fields and indices that lead to a value; made into text only where something is wrong.
struct Place {
  const Place *above = nullptr;
  const std::string *name = nullptr;
  std::size_t index = 0;

  std::size_t depth() const { return above == nullptr ? 0 : above->depth() + 1; }
  std::string text() const {
    if (above == nullptr) return "";
    const std::string before = above->text(), own = name != nullptr ? *name : std::to_string(index);
    return above->above == nullptr ? own : before + "." + own;
  }
};

struct Mistake {
  enum class Kind { wrong, missing, unknown };
  std::string place;
  std::size_t depth;
  std::string said;
  std::string value;
  Kind kind = Kind::wrong;

  std::string text() const {
    if (kind == Kind::unknown) return "there is no " + quoted(place) + ".";
    if (kind == Kind::missing) return place + " is missing";
    std::string told = said;
    if (!told.empty() && told[0] >= 'A' && told[0] <= 'Z') told[0] = static_cast<char>(told[0] - 'A' + 'a');
    return place.empty() ? told : place + " is " + value + ": " + told;
  }
};

using Mistakes = std::vector<Mistake>;

void wrong(const Place &place, const Json &value, const std::string &said, Mistakes &out) {
  out.push_back({place.text(), place.depth(), said, beginning(represented(value), kShown)});
}

void absent(const Place &place, Mistakes &out) {
  out.push_back({place.text(), place.depth(), "", "", Mistake::Kind::missing});
}

// ---- Values that contradict each other, of which each may stand alone -----------------------------------------------------

const Json *given(const Json &record, const char *name) {
  const auto found = record.find(name);
  return found == record.end() || found->is_null() ? nullptr : &*found;
}

std::string choice_of(const Json &record, const char *name, const char *otherwise) {
  const Json *found = given(record, name);
  return found == nullptr ? otherwise : found->get<std::string>();
}

std::string normalization(const Json &record) {
  const Json *mean = given(record, "mean"), *deviation = given(record, "std");
  const std::size_t means = mean == nullptr ? 3 : mean->size(), count = deviation == nullptr ? 3 : deviation->size();
  if (means != count) return "mean has " + std::to_string(means) + " numbers, std has " + std::to_string(count);
  for (std::size_t channel = 0; deviation != nullptr && channel < count; ++channel) {
    if (std::abs((*deviation)[channel].get<double>()) < 1e-30) return "std must not be zero";
  }
  for (const char *name : {"clip", "statistics"}) {
    const Json *values = given(record, name);
    if (values == nullptr || values->empty() || values->size() == means) continue;
    return std::string(name) + " is of " + std::to_string(values->size()) + " channels, mean of " + std::to_string(means);
  }
  if (const Json *clip = given(record, "clip")) {
    for (const Json &pair : *clip) {
      if (pair[0].get<double>() > pair[1].get<double>()) return "clip names the greatest value before the least";
    }
  }
  const Json *statistics = given(record, "statistics");
  const bool own = given(record, "clip") != nullptr || (statistics != nullptr && !statistics->empty());
  if (own && choice_of(record, "arithmetic", "float32") != "float32") {
    return "values are clipped and scaled by an image's own in float32";
  }
  return "";
}

std::string by_edge(const Json &record) {
  return given(record, "short") || given(record, "long") ? "" : "ResizeByEdge takes short, long, or both";
}

std::string pad(const Json &record) {
  const bool multiple = given(record, "multiple_of"), sides = given(record, "height") && given(record, "width");
  return multiple != sides ? "" : "Pad takes either height and width, or multiple_of";
}

std::size_t channels(const Json &spec) {
  const Json *normalization = given(spec, "normalization");
  const Json *mean = normalization == nullptr ? nullptr : given(*normalization, "mean");
  return mean == nullptr ? 3 : mean->size();
}

std::string model_spec(const Json &record) {
  const std::size_t classes = record["classes"].size(), colours = record["palette"].size(), bands = channels(record);
  if (classes != colours) return std::to_string(classes) + " classes but " + std::to_string(colours) + " colours";
  if (choice_of(record, "pixels", "uint8") == "uint8" && bands != 1 && bands != 3) {
    return "a network of " + std::to_string(bands) + " channels takes pixels as they are stored: pixels='multispectral'";
  }
  const bool sigmoid = choice_of(record, "output", "softmax") == "sigmoid";
  if (sigmoid && classes != 2) return "a sigmoid output means two classes, not " + std::to_string(classes);
  if (sigmoid && choice_of(record, "returns", "logits") == "labels") {
    return "a sigmoid output is compared with a threshold, and labels (returns) are not";
  }
  return "";
}

std::uint64_t members_of(const Json *slide) {
  const Json *members = slide == nullptr ? nullptr : given(*slide, "members");
  return members == nullptr ? 1 : static_cast<std::uint64_t>(members->get<double>());
}

std::string slide(const Json &record) {
  if (members_of(&record) == 1 || choice_of(record, "blend", "mean") != "mean") return "";
  return "members are put together where windows are weighed or added up in half precision";
}

bool embeds(const Json &record, const char *part) {
  const Json *embed = given(record, "embed");
  return embed != nullptr && std::find(embed->begin(), embed->end(), part) != embed->end();
}

// The ports have the axes that images and masks have, and as many scores as there are classes.
std::string manifest(const Json &record) {
  const Json &image = record["inputs"][0]["shape"], &output = record["outputs"][0]["shape"];
  const std::size_t axes = embeds(record, "pre") ? 3 : 4;
  if (image.size() != axes) {
    return "the engine's input has " + std::to_string(image.size()) + " axes, expected " + std::to_string(axes);
  }
  if (output.size() < 2 || output.size() > 4) {
    return "the engine's output has " + std::to_string(output.size()) + " axes, expected scores (N, classes, h, w)";
  }
  const Json &spec = record["spec"];
  const std::string kind = record["outputs"][0]["dtype"].get<std::string>();
  const bool whole = kind.rfind("int", 0) == 0 || kind.rfind("uint", 0) == 0;
  const std::size_t scores = choice_of(spec, "output", "softmax") == "sigmoid" ? 1 : spec["classes"].size();
  const std::uint64_t every = scores * members_of(given(spec, "slide"));
  if (output.size() == 4 && !whole && !embeds(record, "post") && output[1].is_number() && output[1] != every) {
    const std::string found =
        output[1].is_number_float() ? std::to_string(output[1].get<std::int64_t>()) : output[1].dump();
    return "the engine returns " + found + " scores for each pixel, and there are " + std::to_string(every) + " of classes";
  }
  const Json *calibration = given(record, "calibration");
  const std::size_t temperatures = calibration == nullptr ? 1 : (*calibration)["engine"]["temperatures"].size();
  if (temperatures == 1 || temperatures == scores) return "";
  return "there are " + std::to_string(temperatures) + " temperatures, expected one, or one for each of " +
         std::to_string(scores) + " scores";
}

std::string contradiction(const std::string &name, const Json &record) {
  if (name == "Normalization") return normalization(record);
  if (name == "ResizeByEdge") return by_edge(record);
  if (name == "Pad") return pad(record);
  if (name == "Slide") return slide(record);
  if (name == "ModelSpec") return model_spec(record);
  if (name == "Manifest") return manifest(record);
  return "no reader knows what else a " + name + " has to be";  // tests read the names of all that ask for it
}

// Version 0.1 had a field for the only option there was.
void upgrade_target(Json &record) {
  const auto workspace = record.find("workspace");
  if (workspace == record.end()) return;
  Json size = std::move(*workspace);
  record.erase("workspace");
  if (size.is_null()) return;
  record["options"] = Json::object();
  record["options"]["workspace"] = std::move(size);
}

// ---- Rules -------------------------------------------------------------------------------------------------------------

std::string form(const Json &rule) {
  return rule.is_string() ? rule.get<std::string>() : rule["is"].get<std::string>();
}

bool does(const Json &rule, const char *when, const char *step) {
  if (!rule.is_object()) return false;
  const auto steps = rule.find(when);
  return steps != rule.end() && std::find(steps->begin(), steps->end(), step) != steps->end();
}

bool said(const Json &rule, const char *name) { return rule.is_object() && rule.contains(name); }

void read(const Json &rule, Json &value, const Place &place, Mistakes &out);

// The end of what is said of a value that is not even a number; empty: it is one.
std::string unlike_number(const Json &value, bool whole) {
  const std::string name = whole ? "integer" : "number", article = "input should be a valid ";
  if (value.is_string()) return article + name + ", unable to parse string as " + (whole ? "an " : "a ") + name;
  return value.is_number() ? "" : article + name;
}

std::string unlike_integer(const Json &rule, const Json &value) {
  if (said(rule, "whole") && !value.is_number_integer()) return "input should be a valid integer";
  const std::string unlike = unlike_number(value, true);
  if (!unlike.empty() || value.is_number_integer()) return unlike;
  const double found = value.get<double>();
  return found == std::floor(found) ? "" : "input should be a valid integer, got a number with a fractional part";
}

// Less than 0, 0 or more: as a number is less than a bound, equal, or greater.
int compared(const Json &value, const Json &bound) {
  if (value.is_number_float() || bound.is_number_float()) {
    const double one = value.get<double>(), other = bound.get<double>();
    return one < other ? -1 : one > other;
  }
  // What is beyond the signed numbers of 64 bits, no whole bound is.
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > most) return 1;
  const std::int64_t one = value.get<std::int64_t>(), other = bound.get<std::int64_t>();
  return one < other ? -1 : one > other;
}

std::string beyond(const Json &rule, const Json &value) {
  struct Limit {
    const char *name, *words;
    bool (*passes)(int);
  };
  constexpr Limit limits[] = {{"gt", "greater than ", [](int order) { return order > 0; }},
                              {"ge", "greater than or equal to ", [](int order) { return order >= 0; }},
                              {"lt", "less than ", [](int order) { return order < 0; }},
                              {"le", "less than or equal to ", [](int order) { return order <= 0; }}};
  for (const Limit &limit : limits) {
    if (!said(rule, limit.name) || limit.passes(compared(value, rule[limit.name]))) continue;
    return std::string("input should be ") + limit.words + rule[limit.name].dump();
  }
  return "";
}

bool is_digest(const std::string &text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string unlike_text(const Json &rule, const Json &value) {
  if (!value.is_string()) return "input should be a valid string";
  const std::string &text = value.get_ref<const std::string &>();
  if (said(rule, "most") && length(text) > rule["most"].get<std::size_t>()) {
    return "string should have at most " + counted(rule["most"].get<std::size_t>(), "character");
  }
  // The only pattern there is.
  if (said(rule, "pattern") && !is_digest(text)) {
    return "string should match pattern '" + rule["pattern"].get<std::string>() + "'";
  }
  for (std::size_t place = 0; does(rule, "after", "plain") && place < text.size(); ++place) {
    const Control control = control_at(text, place);
    if (!control.escaped.empty()) return "it holds a character that is no text: '" + control.escaped + "'";
  }
  return "";
}

// What is said of a single value; nothing where the rule is of something else.
std::optional<std::string> unlike_scalar(const Json &rule, const Json &value) {
  const std::string kind = form(rule);
  if (kind == "any") return "";
  if (kind == "string") return unlike_text(rule, value);
  if (kind == "null") return value.is_null() ? "" : "input should be None";
  if (kind == "boolean") {
    const bool clear = value.is_boolean() || (value.is_number_integer() && (value == 0 || value == 1));
    if (clear) return "";
    return std::string("input should be a valid boolean") + (value.is_string() ? ", unable to interpret input" : "");
  }
  if (kind != "integer" && kind != "number") return std::nullopt;
  if (value.is_null() && does(rule, "before", "nan")) return "";
  const std::string unlike = kind == "integer" ? unlike_integer(rule, value) : unlike_number(value, false);
  if (!unlike.empty()) return unlike;
  const std::string outside = beyond(rule, value);
  if (!outside.empty() || !does(rule, "after", "percent")) return outside;
  return value >= 0 && value <= 100 ? "" : "it is within 0-100";
}

void read_choice(const Json &rule, Json &value, const Place &place, Mistakes &out) {
  if (does(rule, "before", "current") && value == "stored") value = "multispectral";  // version 0.1's name
  std::string all;
  const Json &of = rule["of"];
  for (std::size_t number = 0; number < of.size(); ++number) {
    if (value == of[number]) return;
    all += number == 0 ? "" : number + 1 == of.size() ? " or " : ", ";
    all += quoted(of[number].get<std::string>());
  }
  wrong(place, value, "input should be " + all, out);
}

// Whether there are as many items as may be.
bool has_length(const Json &rule, const Json &value, const std::string &what, const Place &place, Mistakes &out) {
  const std::size_t least = rule.value("least", std::size_t{0});
  const std::size_t most = rule.value("most", std::numeric_limits<std::size_t>::max());
  if (value.size() < least) {
    wrong(place, value, what + " should have at least " + counted(least, "item") + " after validation, not " +
                            std::to_string(value.size()), out);
  } else if (value.size() > most) {
    const bool told = value.size() == most + 1 || what == "dictionary";
    wrong(place, value, what + " should have at most " + counted(most, "item") + " after validation, not " +
                            (told ? std::to_string(value.size()) : "more"), out);
  } else {
    return true;
  }
  return false;
}

void read_tuple(const Json &rule, Json &value, const Place &place, Mistakes &out) {
  if (!value.is_array()) return wrong(place, value, "input should be a valid tuple", out);
  if (!has_length(rule, value, "tuple", place, out)) return;
  for (std::size_t index = 0; index < value.size(); ++index) {
    read(rule["item"], value[index], {&place, nullptr, index}, out);
  }
}

void read_pair(const Json &rule, Json &value, const Place &place, Mistakes &out) {
  const std::size_t count = rule["of"].size();
  if (!value.is_array()) return wrong(place, value, "input should be a valid tuple", out);
  if (value.size() > count) {
    return wrong(place, value, "tuple should have at most " + counted(count, "item") + " after validation, not " +
                                   std::to_string(value.size()), out);
  }
  for (std::size_t index = 0; index < count; ++index) {
    const Place item{&place, nullptr, index};
    if (index < value.size()) {
      read(rule["of"][index], value[index], item, out);
    } else {
      absent(item, out);
    }
  }
}

void read_mapping(const Json &rule, Json &value, const Place &place, Mistakes &out) {
  if (!value.is_object()) return wrong(place, value, "input should be a valid dictionary", out);
  if (!has_length(rule, value, "dictionary", place, out)) return;
  const std::size_t before = out.size();
  for (const auto &item : value.items()) {
    const std::string name = item.key() + ".[key]";
    Json key = item.key();
    read(rule["key"], key, {&place, &name}, out);
  }
  if (out.size() != before) return;
  for (auto item = value.begin(); item != value.end(); ++item) {
    read(rule["value"], item.value(), {&place, &item.key()}, out);
  }
  if (out.size() == before && does(rule, "after", "small") && written_length(value) > kMostOptions) {
    wrong(place, value, "it is longer than " + counted(kMostOptions, "character"), out);
  }
}

// Whether a rule is of the type that a value has, rather than of one that it would be turned into.
bool is_own_type(const Json &rule, const Json &value) {
  const std::string kind = form(rule);
  return (kind == "null" && value.is_null()) || (kind == "boolean" && value.is_boolean()) ||
         (kind == "integer" && value.is_number_integer()) || (kind == "number" && value.is_number_float()) ||
         (kind == "string" && value.is_string());
}

// What a value could have been, which is none of it; that it may be left out, nobody needs to be told.
Mistake alternatives(const Mistakes &mistakes) {
  const std::string begin = "input should be ";
  std::vector<std::string> told;
  for (const Mistake &one : mistakes) {
    if (one.said == begin + "None" || std::find(told.begin(), told.end(), one.said) != told.end()) continue;
    told.push_back(one.said);
  }
  Mistake found = mistakes.front();
  for (std::size_t number = 0; number < told.size(); ++number) {
    const bool same = number > 0 && told[number].rfind(begin, 0) == 0;
    found.said = number == 0 ? told[0] : found.said + " or " + told[number].substr(same ? begin.size() : 0);
  }
  return found;
}

void read_union(const Json &rule, Json &value, const Place &place, Mistakes &out) {
  std::vector<const Json *> kinds;
  for (const Json &kind : rule["of"]) kinds.push_back(&kind);
  std::stable_partition(kinds.begin(), kinds.end(), [&](const Json *kind) { return is_own_type(*kind, value); });
  Mistakes mistakes;
  for (const Json *kind : kinds) {
    const std::size_t before = mistakes.size();
    read(*kind, value, place, mistakes);
    if (mistakes.size() == before) return;
  }
  std::size_t deepest = 0;
  for (const Mistake &one : mistakes) deepest = std::max(deepest, one.depth);
  Mistakes found;
  for (const Mistake &one : mistakes) {
    if (one.depth == deepest) found.push_back(one);
  }
  if (deepest == place.depth()) found = {alternatives(found)};
  out.insert(out.end(), found.begin(), found.end());
}

void read_record(const std::string &name, Json &value, const Place &place, Mistakes &out) {
  if (!value.is_object()) {
    return wrong(place, value, "input should be a valid dictionary or instance of " + name, out);
  }
  const Json &record = records()[name], &required = record["required"];
  if (record.contains("upgrade")) upgrade_target(value);
  const std::size_t before = out.size();
  for (const auto &field : record["fields"].items()) {
    const auto found = value.find(field.key());
    const Place inside{&place, &field.key()};
    if (found != value.end()) {
      read(field.value(), *found, inside, out);
    } else if (std::find(required.begin(), required.end(), field.key()) != required.end()) {
      absent(inside, out);
    }
  }
  for (const auto &item : value.items()) {
    if (record["fields"].contains(item.key())) continue;
    const Place inside{&place, &item.key()};
    out.push_back({inside.text(), inside.depth(), "", "", Mistake::Kind::unknown});
  }
  if (out.size() != before || !record.contains("consistent")) return;
  const std::string told = contradiction(name, value);
  if (!told.empty()) wrong(place, value, told, out);
}

void read_tagged(const Json &rule, Json &value, const Place &place, Mistakes &out) {
  if (!value.is_object()) {
    return wrong(place, value, "input should be a valid dictionary or object to extract fields from", out);
  }
  const std::string tag = rule["tag"].get<std::string>();
  const auto name = value.find(tag);
  if (name == value.end()) {
    return wrong(place, value, "unable to extract tag using discriminator " + quoted(tag), out);
  }
  const Json &of = rule["of"];
  if (name->is_string() && of.contains(name->get_ref<const std::string &>())) {
    const std::string kind = name->get<std::string>();
    return read_record(of[kind].get<std::string>(), value, {&place, &kind}, out);
  }
  std::string all;
  for (const auto &item : of.items()) all += (all.empty() ? "" : ", ") + quoted(item.key());
  const std::string found = name->is_string() ? name->get<std::string>() : represented(*name);
  wrong(place, value, "input tag " + beginning(quoted(found), kShown) + " found using " + quoted(tag) +
                          " does not match any of the expected tags: " + all, out);
}

void read(const Json &rule, Json &value, const Place &place, Mistakes &out) {
  const std::optional<std::string> unlike = unlike_scalar(rule, value);
  if (unlike) {
    if (!unlike->empty()) wrong(place, value, *unlike, out);
    return;
  }
  const std::string kind = form(rule);
  if (kind == "choice") return read_choice(rule, value, place, out);
  if (kind == "tuple") return read_tuple(rule, value, place, out);
  if (kind == "pair") return read_pair(rule, value, place, out);
  if (kind == "mapping") return read_mapping(rule, value, place, out);
  if (kind == "union") return read_union(rule, value, place, out);
  if (kind == "tagged") return read_tagged(rule, value, place, out);
  read_record(kind, value, place, out);
}

}  // namespace

std::string mistakes_in(const std::string &name, Json &data) {
  Mistakes mistakes;
  read_record(name, data, {}, mistakes);
  std::string all;
  for (std::size_t number = 0; number < std::min(mistakes.size(), kMostMistakes); ++number) {
    all += (number ? "; " : "") + mistakes[number].text();
  }
  all = printable(all);
  if (mistakes.size() > kMostMistakes) all += "; and " + std::to_string(mistakes.size() - kMostMistakes) + " more";
  return all;
}

}  // namespace segship
