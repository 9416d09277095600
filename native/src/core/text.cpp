#include "core/text.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace segship {

namespace {

constexpr std::size_t kLongest = 480;  // bytes of a value, of which messages show far less

std::size_t characters_end(const std::string &text, std::size_t characters) {
  std::size_t place = 0;
  for (; place < text.size(); ++place) {
    if ((static_cast<unsigned char>(text[place]) & 0xC0u) != 0x80u && characters-- == 0) break;
  }
  return place;
}

std::string hexadecimal(const char *begin, unsigned value, int digits) {
  std::string out = begin;
  for (int digit = digits - 1; digit >= 0; --digit) out += "0123456789abcdef"[value >> (4 * digit) & 15u];
  return out;
}

void represent(const Json &value, std::string &out) {
  if (out.size() > kLongest) return;
  if (value.is_null()) {
    out += "None";
  } else if (value.is_boolean()) {
    out += value.get<bool>() ? "True" : "False";
  } else if (value.is_string()) {
    out += quoted(value.get_ref<const std::string &>());
  } else if (value.is_structured()) {
    out += value.is_array() ? '[' : '{';
    bool first = true;
    for (const auto &item : value.items()) {
      if (!first) out += ", ";
      if (out.size() > kLongest) return;
      first = false;
      if (value.is_object()) out += quoted(item.key()) + ": ";
      represent(item.value(), out);
    }
    out += value.is_array() ? ']' : '}';
  } else {
    out += value.dump();
  }
}

}  // namespace

std::size_t length(const std::string &text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char letter) { return (letter & 0xC0) != 0x80; }));
}

Control control_at(const std::string &text, std::size_t place) {
  const auto byte = [&](std::size_t offset) {
    return place + offset < text.size() ? static_cast<unsigned char>(text[place + offset]) : 0u;
  };
  const unsigned first = byte(0);
  if (first == '\n') return {"\\n"};
  if (first == '\r') return {"\\r"};
  if (first == '\t') return {"\\t"};
  if (first < 0x20 || first == 0x7f) return {hexadecimal("\\x", first, 2)};
  if (first == 0xC2 && byte(1) >= 0x80 && byte(1) < 0xA0) return {hexadecimal("\\x", byte(1), 2), 2};
  if (first == 0xE2 && byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9)) {
    return {hexadecimal("\\u", 0x2000u + byte(2) - 0x80u, 4), 3};
  }
  return {};
}

std::string quoted(const std::string &text) {
  const bool plain = text.find('\'') == std::string::npos || text.find('"') != std::string::npos;
  const char quote = plain ? '\'' : '"';
  std::string out(1, quote);
  for (std::size_t place = 0; place < text.size();) {
    const Control control = control_at(text, place);
    if (control.escaped.empty()) {
      if (text[place] == '\\' || text[place] == quote) out += '\\';
      out += text[place];
    }
    out += control.escaped;
    place += control.bytes;
  }
  return out + quote;
}

std::string printable(const std::string &text) {
  std::string out;
  for (std::size_t place = 0; place < text.size();) {
    const Control control = control_at(text, place);
    const bool shown = control.escaped.empty() || text[place] == '\n' || text[place] == '\t' || control.bytes == 3;
    out += shown ? text.substr(place, control.bytes) : control.escaped;
    place += control.bytes;
  }
  return out;
}

std::string grouped(std::int64_t number) {
  std::string out = std::to_string(number);
  for (std::size_t place = out.size(); place > 3;) out.insert(place -= 3, ",");
  return out;
}

std::string represented(const Json &value) {
  std::string out;
  represent(value, out);
  return out;
}

std::string beginning(const std::string &text, std::size_t characters) {
  return text.substr(0, characters_end(text, characters));
}

std::string one_line(const std::string &text) {
  std::string out;
  for (const char letter : text) {
    const bool blank = letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r';
    if (blank && (out.empty() || out.back() == ' ')) continue;
    out += blank ? ' ' : letter;
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return beginning(out, 300);
}

}  // namespace segship
