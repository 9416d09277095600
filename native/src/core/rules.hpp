// What each field of a record may hold, told as Python's reader tells it (segship.core.validation).
#pragma once

#include <string>

#include "core/text.hpp"

namespace segship {

// All that is wrong with a record, in one line; nothing where nothing is. What earlier versions wrote otherwise is written
// as this version does. The name is that of the record in Python.
std::string mistakes_in(const std::string &name, Json &data);

}  // namespace segship
