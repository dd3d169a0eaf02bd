// SPDX-License-Identifier: Apache-2.0
// The shim over the SQLite C interface.
#include "fleet/sql/database.h"

#include <sqlite3.h>

#include <cassert>
#include <format>

namespace wayside::fleet::sql {
namespace {

using base::Code;
using base::Result;

std::unexpected<base::Error> fail_sqlite(sqlite3* connection, std::string_view what) {
  const int code = connection == nullptr ? SQLITE_NOMEM : sqlite3_errcode(connection);
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  const char* text = connection == nullptr ? "out of memory" : sqlite3_errmsg(connection);
  return base::fail(
      damaged ? Code::corrupt : Code::io,
      std::format("{}: {}{}", what, text, code == SQLITE_BUSY ? " (another wayside works on it; try again)" : ""));
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

Statement& Statement::bind(std::initializer_list<Value> values) {
  sqlite3_reset(raw_.get());
  int index = 0;
  for (const auto& value : values) {
    ++index;
    [[maybe_unused]] int code = SQLITE_OK;
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      code = sqlite3_bind_int64(raw_.get(), index, *number);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      code = sqlite3_bind_text64(raw_.get(), index, text->data(), text->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    } else {
      code = sqlite3_bind_null(raw_.get(), index);
    }
    assert(code == SQLITE_OK);  // the index is wrong: our mistake
  }
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(raw_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(raw_.get());
    return false;
  }
  auto failed = fail_sqlite(sqlite3_db_handle(raw_.get()), "fleet database");
  sqlite3_reset(raw_.get());
  return failed;
}

Result<void> Statement::run() {
  WAYSIDE_TRY([[maybe_unused]] const bool row, step());
  assert(!row);
  return {};
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(raw_.get(), column); }

std::string Statement::text(int column) const {
  const auto* bytes = sqlite3_column_text(raw_.get(), column);
  return bytes == nullptr ? std::string()
                          : std::string(reinterpret_cast<const char*>(bytes),
                                        static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column)));
}

bool Statement::is_null(int column) const { return sqlite3_column_type(raw_.get(), column) == SQLITE_NULL; }

Result<Database> Database::open(const std::filesystem::path& file) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  Database database(raw);
  if (code != SQLITE_OK) return fail_sqlite(raw, std::format("cannot open {}", file.string()));
  sqlite3_busy_timeout(raw, kBusyTimeout_ms);
  if (auto set = database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"); !set) {
    return std::unexpected(std::move(set.error().context(file.string())));
  }
  return database;
}

Result<void> Database::execute(const std::string& script) {
  if (sqlite3_exec(raw_.get(), script.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return fail_sqlite(raw_.get(), "fleet database");
  return {};
}

Result<Statement*> Database::prepare(std::string_view text) {
  for (auto& [known, statement] : statements_) {
    if (known == text) return statement.get();
  }
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(raw_.get(), text.data(), static_cast<int>(text.size()), SQLITE_PREPARE_PERSISTENT, &raw,
                         nullptr) != SQLITE_OK)
    return fail_sqlite(raw_.get(), "fleet database");
  statements_.emplace_back(std::string(text), std::unique_ptr<Statement>(new Statement(raw)));
  return statements_.back().second.get();
}

Result<void> Database::transaction(const std::function<Result<void>()>& work) {
  WAYSIDE_CHECK(execute("BEGIN IMMEDIATE"));
  auto done = work();
  if (done) done = execute("COMMIT");
  if (!done) (void)execute("ROLLBACK");  // when COMMIT failed half-way; else SQLite has rolled back already
  return done;
}

std::int64_t Database::changes() const { return sqlite3_changes64(raw_.get()); }

}  // namespace wayside::fleet::sql
