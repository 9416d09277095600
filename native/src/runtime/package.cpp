#include "runtime/package.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "core/error.hpp"
#include "core/text.hpp"
#include "runtime/sha256.hpp"

namespace segship {

namespace {

namespace fs = std::filesystem;

constexpr const char *kManifest = "manifest.json";
constexpr std::uintmax_t kMaximumBytes = 16u << 20;

fs::path path_of(const std::string &text) { return fs::u8path(text); }

bool is_inside(const fs::path &path, const fs::path &folder) {
  std::error_code failed;
  const fs::path real = fs::weakly_canonical(path, failed), root = fs::weakly_canonical(folder, failed);
  const fs::path relative = real.lexically_relative(root);
  return !failed && !relative.empty() && *relative.begin() != "..";
}

// An existing file that the manifest names.
fs::path file_inside(const std::string &folder, const std::string &name) {
  const fs::path inside(name);
  bool leaves = inside.is_absolute() || name.find('\\') != std::string::npos || name.find(':') != std::string::npos;
  for (const fs::path &part : inside) leaves = leaves || part == "..";
  if (leaves) throw package_error(folder + " names a file outside itself (" + quoted(name) + "): do not use it");
  const fs::path path = path_of(folder) / path_of(name);
  std::error_code failed;
  if (!fs::is_regular_file(path, failed)) {
    throw package_error(folder + " is incomplete: " + name + " is missing; export it again");
  }
  if (!is_inside(path, path_of(folder))) {
    throw package_error(folder + " holds a link to a file outside itself (" + name + "): do not use it");
  }
  return path;
}

void check_file(const std::string &folder, const std::string &name, const FileDigest &expected) {
  const std::string path = file_inside(folder, name).u8string();
  const FileDigest found = digest(path);
  if (found.size == expected.size && found.sha256 == expected.sha256) return;
  throw package_error(path + " was changed: " + std::to_string(found.size) + " bytes, SHA-256 " +
                      found.sha256.substr(0, 12) + "…, expected " + std::to_string(expected.size) + " bytes, " +
                      expected.sha256.substr(0, 12) + "…; export the package again");
}

// The manifest ends in the digest of all that stands before; those of version 0.1, which are old, have none.
void require_sealed(const std::string &text, const std::string &name, bool old) {
  if (old) return;
  const std::string begin = "  \"digest\": \"", end = "\"\n}\n";
  constexpr std::size_t kDigits = 64;
  const std::size_t length = begin.size() + kDigits + end.size();
  const std::size_t place = text.size() < length ? std::string::npos : text.size() - length;
  const bool ends = place != std::string::npos && text.compare(place, begin.size(), begin) == 0 &&
                    text.compare(text.size() - end.size(), end.size(), end) == 0;
  const std::string found = ends ? text.substr(place + begin.size(), kDigits) : "";
  if (!ends || found.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw package_error(name + " was changed: it does not end in its digest; export the package again");
  }
  if (sha256(text.substr(0, place)) != found) {
    throw package_error(name + " was changed: its digest does not fit; export the package again");
  }
}

// Whether a file says the name of another.
bool names(const fs::path &path, const std::string &name) {
  std::ifstream file(path, std::ios::binary);
  std::string window;
  std::vector<char> buffer(std::size_t{1} << 20);
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), file.gcount() > 0) {
    window.append(buffer.data(), static_cast<std::size_t>(file.gcount()));
    if (window.find(name) != std::string::npos) return true;
    if (window.size() > name.size()) window.erase(0, window.size() - name.size());
  }
  return false;
}

// No engine reads a file of the folder that no digest guards: one that an engine's file names, that is called like it but
// for its suffix, or that lies in the same folder of its own.
void require_listed(const std::string &folder, const Spec &spec) {
  const fs::path root = path_of(folder);
  for (const fs::directory_entry &entry : fs::recursive_directory_iterator(root)) {
    const fs::path &path = entry.path();
    const std::string inside = path.lexically_relative(root).generic_u8string();
    std::error_code failed;
    if (!entry.is_regular_file(failed) || inside == kManifest || spec.digests.count(inside) != 0) continue;
    bool read = false;
    for (const std::string &name : spec.files) {
      const fs::path file = root / path_of(name);
      const std::size_t slash = name.find('/');
      read = read || (slash != std::string::npos && inside.rfind(name.substr(0, slash + 1), 0) == 0);
      read = read || (path.parent_path() == file.parent_path() &&
                      path.filename().u8string().rfind(file.stem().u8string() + ".", 0) == 0);
      read = read || names(file, path.filename().u8string());
    }
    if (!read) continue;
    throw package_error(folder + " holds " + inside + ", which its engine may read and " + kManifest +
                        " does not list: take it away, or export the package again");
  }
}

}  // namespace

std::string tidied(const std::string &folder) {
  fs::path out;
  for (const fs::path &part : path_of(folder)) {
    if (!part.empty() && part != ".") out /= part;
  }
  return out.empty() ? "." : out.u8string();
}

Spec read_package(const std::string &folder) {
  std::error_code failed;
  const fs::path directory = path_of(folder), path = directory / kManifest;
  if (!fs::is_directory(directory, failed)) throw package_error(folder + " is not a package: no such directory");
  if (!fs::is_regular_file(path, failed)) {
    throw package_error(folder + " is not a package: it holds no " + kManifest);
  }
  const std::string name = path.u8string();
  if (fs::file_size(path, failed) > kMaximumBytes) {
    throw package_error(name + " is larger than " + std::to_string(kMaximumBytes) + " bytes: not a manifest");
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw package_error(name + " cannot be read");
  const auto check_seal = [&](bool old) { require_sealed(text.str(), name, old); };
  Spec spec = parse_spec(text.str(), name, folder, true, check_seal);
  for (const std::string &one : spec.files) check_file(folder, one, spec.digests.at(one));
  require_listed(folder, spec);
  return spec;
}

}  // namespace segship
