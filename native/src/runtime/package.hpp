// Packages: the folder that `segship export` writes.
#pragma once

#include <string>

#include "core/spec.hpp"

namespace segship {

// A folder's name as Python tells it: without what changes nothing.
std::string tidied(const std::string &folder);

// The manifest of the package at `folder`, and the digest of each of its files looked at. Error: it is none, is damaged,
// or is newer than this library.
Spec read_package(const std::string &folder);

}  // namespace segship
