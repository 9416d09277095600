// segship.h: errors, and a network's spec.
#include "api.hpp"

#include <new>
#include <string>

namespace segship {

namespace {

// Says so even where a message cannot be kept.
thread_local std::string last_error;  // NOLINT

}  // namespace

segship_status fail(segship_status status, const char *message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

segship_status failed() noexcept {
  try {
    throw;
  } catch (const Error &error) {
    return fail(error.status(), error.what());
  } catch (const std::bad_alloc &) {
    return fail(SEGSHIP_MEMORY_ERROR, "there is not enough memory");
  } catch (const std::exception &error) {
    return fail(SEGSHIP_INTERNAL_ERROR, error.what());
  } catch (...) {
    return fail(SEGSHIP_INTERNAL_ERROR, "an unknown error");
  }
}

std::int64_t product(std::initializer_list<std::int64_t> sizes) {
  std::int64_t found = 1;
  for (const std::int64_t size : sizes) {
    if (__builtin_mul_overflow(found, size, &found)) throw input_error("the image is too large: no memory holds its arrays");
  }
  return found;
}

void require_room(const char *what, std::size_t given, std::int64_t needed) {
  if (needed >= 0 && given >= static_cast<std::uint64_t>(needed)) return;
  throw input_error(std::string("the buffer for ") + what + " has " + std::to_string(given) + " bytes, " +
                    std::to_string(needed) + " are needed");
}

}  // namespace segship

using segship::guarded;

uint32_t segship_version(void) noexcept { return SEGSHIP_VERSION; }

const char *segship_last_error(void) noexcept { return segship::last_error.c_str(); }

segship_status segship_require(uint32_t version, uint32_t pointer_bytes) noexcept {
  return guarded([&] {
    if (version / 100 == SEGSHIP_VERSION / 100 && pointer_bytes == sizeof(void *)) return;
    const auto words = [](std::uint32_t number, std::size_t bytes) {
      return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + " with pointers of " +
             std::to_string(bytes) + " bytes";
    };
    throw segship::unsupported_error("this program was written for Segship " + words(version, pointer_bytes) +
                                     ", the library is " + words(SEGSHIP_VERSION, sizeof(void *)) +
                                     ": install the library that belongs to the program");
  });
}

segship_status segship_spec_parse(const char *json, size_t bytes, segship_spec **spec) noexcept {
  return guarded([&] {
    segship::required(spec, "spec");
    const std::string text(segship::required(json, "json"), bytes);
    *spec = new segship_spec{segship::parse_spec(text, "manifest.json", "the package", false)};
  });
}

void segship_spec_free(segship_spec *spec) noexcept { delete spec; }

int32_t segship_classes(const segship_spec *spec) noexcept {
  return spec == nullptr ? 0 : static_cast<int32_t>(spec->spec.classes.size());
}

static bool is_label(const segship_spec *spec, int32_t label) {
  return spec != nullptr && label >= 0 && static_cast<std::size_t>(label) < spec->spec.classes.size();
}

const char *segship_class_name(const segship_spec *spec, int32_t label) noexcept {
  return is_label(spec, label) ? spec->spec.classes[static_cast<std::size_t>(label)].c_str() : nullptr;
}

int32_t segship_class_color(const segship_spec *spec, int32_t label) noexcept {
  return is_label(spec, label) ? spec->spec.palette[static_cast<std::size_t>(label)] : -1;
}

int32_t segship_label_bytes(const segship_spec *spec) noexcept {
  return spec == nullptr ? 0 : static_cast<int32_t>(spec->spec.label_bytes());
}

int32_t segship_score_channels(const segship_spec *spec) noexcept {
  return spec == nullptr ? 0 : static_cast<int32_t>(spec->spec.score_channels());
}

int32_t segship_bands(const segship_spec *spec) noexcept {
  return spec != nullptr && spec->spec.stored ? static_cast<int32_t>(spec->spec.channels()) : 0;
}

const char *segship_backend(const segship_spec *spec) noexcept {
  return spec == nullptr ? "" : spec->spec.backend.c_str();
}

const char *segship_engine_file(const segship_spec *spec) noexcept {
  return spec == nullptr || spec->spec.files.empty() ? "" : spec->spec.files.front().c_str();
}

const char *segship_input_name(const segship_spec *spec) noexcept {
  return spec == nullptr ? "" : spec->spec.input_name.c_str();
}

const char *segship_output_name(const segship_spec *spec) noexcept {
  return spec == nullptr ? "" : spec->spec.output_name.c_str();
}
