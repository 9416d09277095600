// Shared libraries that are loaded when they are needed.
#pragma once

#include <mutex>
#include <string>
#include <vector>

namespace segship {

// What to look for, and what to say where it is not found.
struct Wanted {
  std::string title;     // "ONNX Runtime"
  std::string variable;  // of the environment, that names the library or its folder
  std::string folder;    // within a Python environment's site-packages
  std::string stem;      // files that begin so: "libonnxruntime.so"
  std::vector<std::string> names;  // as the system may find it
  std::string install;   // "pip install onnxruntime"
};

// A loaded library, which stays loaded.
class Library {
 public:
  // `given`: the library or its folder; empty: searched. Error: it is not found, or cannot be loaded.
  Library(const Wanted &wanted, const std::string &given);

  const std::string &path() const { return path_; }

  template <class Function>
  Function *get(const char *name) const {
    return reinterpret_cast<Function *>(symbol(name));
  }

 private:
  void *symbol(const char *name) const;

  std::string title_, path_;
  void *handle_ = nullptr;
};

// An engine's interface, whose constructor loads its library. The first that is loaded stays, for all threads: two copies
// in one process would share their global state.
template <class Api>
const Api &loaded(const std::string &given) {
  static std::mutex lock;
  static const Api *first = nullptr;
  const std::lock_guard<std::mutex> guard(lock);
  if (first == nullptr) first = new Api(given);
  return *first;
}

}  // namespace segship
