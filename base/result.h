// SPDX-License-Identifier: Apache-2.0
// Result and Error: how everything that the world can cause is reported.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace wayside::base {

/// What kind of failure this is; callers branch on it, people read the message.
enum class Code {
  invalid_argument,  ///< the caller or the configuration asked for something senseless
  not_found,         ///< file, device, key or topic does not exist
  corrupt,           ///< untrusted bytes failed a check
  unsupported,       ///< well-formed, but not something this build or board can do
  io,                ///< the operating system refused; sys_errno says why
  timeout,           ///< nothing arrived in time; may be tried again
  disconnected,      ///< device unplugged or peer gone; reopen
  end_of_stream,     ///< a finite source has no more data
  exhausted,         ///< a named bound (memory, queue, buffers) was reached
  bad_state,         ///< the call is not legal in this state
};

[[nodiscard]] std::string_view to_string(Code code);

/// A failure with the context that grows on its way up ("load model x.tflite: tensor 3: ...").
struct Error {
  Code code = Code::io;
  int sys_errno = 0;    ///< errno at the point of failure, 0 if none
  std::string message;  ///< one line, no trailing newline, names the thing and the remedy

  /// Puts `where` before the message; returns itself for chaining.
  Error& context(std::string_view where) {
    message = std::string(where) + ": " + message;
    return *this;
  }
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected(Error{code, 0, std::move(message)});
}

/// Error from errno: "<what>: <strerror>". Code::not_found for ENOENT, ::disconnected for ENODEV/ENXIO, else ::io.
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what, int sys_errno = errno);

}  // namespace wayside::base

#define WAYSIDE_CONCAT_INNER(a, b) a##b
#define WAYSIDE_CONCAT(a, b) WAYSIDE_CONCAT_INNER(a, b)
/// WAYSIDE_TRY(auto x, f()); declares x from f()'s value or returns its error. Second form: WAYSIDE_CHECK(f());
#define WAYSIDE_TRY(declaration, expression)                                                                      \
  auto WAYSIDE_CONCAT(try_, __LINE__) = (expression);                                                             \
  if (!WAYSIDE_CONCAT(try_, __LINE__)) return std::unexpected(std::move(WAYSIDE_CONCAT(try_, __LINE__)).error()); \
  declaration = std::move(*WAYSIDE_CONCAT(try_, __LINE__))
#define WAYSIDE_CHECK(expression)                                                 \
  do {                                                                            \
    auto wayside_check = (expression);                                            \
    if (!wayside_check) return std::unexpected(std::move(wayside_check).error()); \
  } while (false)
