// SPDX-License-Identifier: Apache-2.0
// Database: SQLite with RAII, Result and transactions; the only file besides its .cpp that knows there is SQLite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace wayside::fleet::sql {

/// One compiled statement, used again and again. Reset itself before each run. Not thread-safe.
class Statement {
 public:
  using Value = std::variant<std::monostate, std::int64_t, std::string>;

  /// Binds ?1, ?2, ... and leaves the statement before its first row.
  Statement& bind(std::initializer_list<Value> values);
  /// True: a row is there. False: done. Errors: io (disk full, locked for longer than kBusyTimeout), corrupt.
  base::Result<bool> step();
  /// For statements without rows.
  base::Result<void> run();
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* raw) : raw_(raw) {}
  std::unique_ptr<sqlite3_stmt, Finalize> raw_;
};

/// One connection. Write-ahead log, synchronous=FULL: what a transaction committed survives kill -9 and a power cut.
class Database {
 public:
  /// How long a call waits for another process's transaction.
  static constexpr int kBusyTimeout_ms = 10'000;

  /// Creates the file if absent; its folder must exist.
  static base::Result<Database> open(const std::filesystem::path& file);

  /// Several statements, no rows.
  base::Result<void> execute(const std::string& script);
  /// Compiles once per text and keeps it. The reference is valid as long as the Database.
  base::Result<Statement*> prepare(std::string_view text);
  /// All of `work` or nothing; takes the write lock at its start, so that reading and then writing is one step.
  base::Result<void> transaction(const std::function<base::Result<void>()>& work);
  /// Rows changed by the last statement.
  [[nodiscard]] std::int64_t changes() const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  explicit Database(sqlite3* raw) : raw_(raw) {}
  std::unique_ptr<sqlite3, Close> raw_;
  std::vector<std::pair<std::string, std::unique_ptr<Statement>>> statements_;
};

}  // namespace wayside::fleet::sql
