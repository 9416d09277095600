// The one kind of exception inside the library; segship.h's functions turn it into a status and a message.
#pragma once

#include <stdexcept>
#include <string>

#include "segship/segship.h"

namespace segship {

class Error : public std::runtime_error {
 public:
  Error(segship_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
  segship_status status() const noexcept { return status_; }

 private:
  segship_status status_;
};

inline Error input_error(const std::string &message) { return {SEGSHIP_INPUT_ERROR, message}; }
inline Error size_error(const std::string &message) { return {SEGSHIP_SIZE_ERROR, message}; }
inline Error package_error(const std::string &message) { return {SEGSHIP_PACKAGE_ERROR, message}; }
inline Error backend_error(const std::string &message) { return {SEGSHIP_BACKEND_ERROR, message}; }
inline Error unsupported_error(const std::string &message) { return {SEGSHIP_UNSUPPORTED_ERROR, message}; }

// What a library said, in one line of at most 300 bytes.
std::string one_line(const std::string &text);

}  // namespace segship
