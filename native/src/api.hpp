// What segship.h's functions share: handles, and the border that no exception crosses.
#pragma once

#include <cstddef>
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

// Error: a caller's buffer is too small.
void require_room(const char *what, std::size_t given, std::int64_t needed);

}  // namespace segship
