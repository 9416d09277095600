// Digests of files.
#pragma once

#include <string>

#include "core/spec.hpp"

namespace segship {

// Size and SHA-256 of a file. Error: it cannot be read.
FileDigest digest(const std::string &path);

// SHA-256 of bytes, in small hexadecimal digits.
std::string sha256(const std::string &bytes);

}  // namespace segship
