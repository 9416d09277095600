#include "runtime/library.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/error.hpp"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace segship {

namespace {

namespace fs = std::filesystem;

std::string variable(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? "" : value;
}

#ifdef _WIN32
void *load(const std::string &path, std::string &error) {
  void *handle = LoadLibraryW(fs::u8path(path).c_str());
  if (handle == nullptr) error = "error " + std::to_string(GetLastError());
  return handle;
}
constexpr char kBetween = ';';
#else
void *load(const std::string &path, std::string &error) {
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) error = dlerror();
  return handle;
}
constexpr char kBetween = ':';
#endif

// Files of a folder that begin so, the newest version last by name.
std::vector<std::string> files_in(const fs::path &folder, const std::string &stem) {
  std::vector<std::string> found;
  std::error_code failed;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, failed)) {
    if (entry.path().filename().u8string().rfind(stem, 0) == 0) found.push_back(entry.path().u8string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The site-packages of a Python environment.
void add_packages(const fs::path &environment, std::vector<fs::path> &found) {
  std::error_code failed;
  for (const char *lib : {"lib", "lib64", "Lib"}) {
    if (fs::is_directory(environment / lib / "site-packages", failed)) found.push_back(environment / lib / "site-packages");
    for (const fs::directory_entry &entry : fs::directory_iterator(environment / lib, failed)) {
      if (entry.path().filename().u8string().rfind("python3", 0) != 0) continue;
      for (const char *packages : {"site-packages", "dist-packages"}) {
        if (fs::is_directory(entry.path() / packages, failed)) found.push_back(entry.path() / packages);
      }
    }
  }
}

// Of the environment that is active, that which the python3 of PATH belongs to, the user's own and the system's.
std::vector<fs::path> site_packages() {
  std::vector<fs::path> found;
  for (const char *name : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    if (const std::string prefix = variable(name); !prefix.empty()) add_packages(fs::u8path(prefix), found);
  }
  std::string paths = variable("PATH");
  std::error_code failed;
  for (std::size_t begin = 0; begin < paths.size();) {
    const std::size_t end = std::min(paths.find(kBetween, begin), paths.size());
    const fs::path folder = fs::u8path(paths.substr(begin, end - begin));
    begin = end + 1;
    if (!fs::exists(folder / "python3", failed)) continue;
    add_packages(folder.parent_path(), found);
    add_packages(fs::canonical(folder / "python3", failed).parent_path().parent_path(), found);
    break;
  }
  if (const std::string home = variable("HOME"); !home.empty()) add_packages(fs::u8path(home) / ".local", found);
  for (const char *prefix : {"/usr/local", "/usr"}) add_packages(prefix, found);
  return found;
}

// Paths to try for what a user named.
std::vector<std::string> named(const Wanted &wanted, const std::string &given) {
  std::error_code failed;
  const fs::path path = fs::u8path(given);
  if (!fs::is_directory(path, failed)) return {given};
  for (const fs::path &folder : {path, path / wanted.folder}) {
    if (const auto files = files_in(folder, wanted.stem); !files.empty()) return files;
  }
  return {};
}

// Keep libraries from reporting about their users; what stands in the environment is left as it is.
void switch_off_telemetry() {
  for (const char *name : {"ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"}) {
#ifdef _WIN32
    if (std::getenv(name) == nullptr) _putenv_s(name, "1");
#else
    setenv(name, "1", 0);
#endif
  }
}

}  // namespace

Library::Library(const Wanted &wanted, const std::string &given) : title_(wanted.title) {
  switch_off_telemetry();
  std::string error;
  const std::string told = given.empty() ? variable(wanted.variable.c_str()) : given;
  std::vector<std::string> paths;
  if (!told.empty()) {
    paths = named(wanted, told);
    if (paths.empty()) {
      throw Error(SEGSHIP_MISSING_ERROR, told + " holds no " + wanted.stem + ": give the path of " + title_ + "'s library");
    }
  } else {
    for (const fs::path &folder : site_packages()) {
      for (const std::string &file : files_in(folder / wanted.folder, wanted.stem)) paths.push_back(file);
    }
    paths.insert(paths.end(), wanted.names.begin(), wanted.names.end());
  }
  std::string first;
  for (const std::string &path : paths) {
    handle_ = load(path, error);
    if (handle_ != nullptr) {
      path_ = path;
      return;
    }
    std::error_code failed;
    if (first.empty() && (!told.empty() || fs::exists(fs::u8path(path), failed))) first = error;
  }
  if (!first.empty()) {
    throw Error(SEGSHIP_MISSING_ERROR, title_ + "'s library cannot be loaded: " + one_line(first));
  }
  throw Error(SEGSHIP_MISSING_ERROR, "Running this package needs " + title_ + "'s library, which is not found: " +
                                         wanted.install + ", or set " + wanted.variable + " to its path");
}

void *Library::symbol(const char *name) const {
#ifdef _WIN32
  void *found = reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(handle_), name));
#else
  void *found = dlsym(handle_, name);
#endif
  if (found == nullptr) {
    throw Error(SEGSHIP_MISSING_ERROR, path_ + " is not the library of " + title_ + ": it has no " + name);
  }
  return found;
}

}  // namespace segship
