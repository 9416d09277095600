// What segship.h's functions share: handles, and the border that no exception crosses.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>

#include "core/error.hpp"
#include "core/spec.hpp"
#include "segship/segship.h"

struct segship_spec {
  segship::Spec spec;
};

namespace segship {

// Keep the message for segship_last_error. Never throws.
segship_status fail(segship_status status, const char *message) noexcept;

// The status of the exception that is being handled.
segship_status failed() noexcept;

template <class Body>
segship_status guarded(Body &&body) noexcept {
  try {
    body();
    return SEGSHIP_OK;
  } catch (...) {
    return failed();
  }
}

template <class Pointer>
Pointer *required(Pointer *pointer, const char *what) {
  if (pointer == nullptr) throw input_error(std::string(what) + " is NULL");
  return pointer;
}

// The windows over the network's input for an image. Error: the network cannot take it.
Windows plan_image(const Spec &spec, Size image);

// The arrays on its way. Error: as for plan_image.
segship_plan describe(const Spec &spec, Size image);

// A photograph as uint8 (height, width, 3) in the order red, green, blue.
void write_rgb(const segship_image &image, std::uint8_t *out);

// The product of sizes. Error: no memory could hold so much.
std::int64_t product(std::initializer_list<std::int64_t> sizes);

// Error: a caller's buffer is too small.
void require_room(const char *what, std::size_t given, std::int64_t needed);

}  // namespace segship
