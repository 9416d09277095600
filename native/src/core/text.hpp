// Texts and values as Python prints them in messages.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace segship {

using Json = nlohmann::ordered_json;

// A control character, escaped, and its length in UTF-8; an empty text where the character at the place is none.
struct Control {
  std::string escaped;
  std::size_t bytes = 1;
};
Control control_at(const std::string &text, std::size_t place);

// Number of characters of UTF-8.
std::size_t length(const std::string &text);

// The first characters, no more than so many.
std::string beginning(const std::string &text, std::size_t characters);

std::string quoted(const std::string &text);

// What a terminal would take for a command, escaped.
std::string printable(const std::string &text);

// A whole number from 0 on, with a comma before every three digits.
std::string grouped(std::int64_t number);

// A value as Python prints it; only the beginning of a long one.
std::string represented(const Json &value);

}  // namespace segship
