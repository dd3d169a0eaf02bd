# SPDX-License-Identifier: Apache-2.0
# Writes the header OUT with one digest of all SOURCES (their contents, in the order of their names).
list(SORT SOURCES)
set(digests "")
foreach(source IN LISTS SOURCES)
  file(SHA256 "${source}" digest)
  string(APPEND digests "${digest}")
endforeach()
string(SHA256 layout "${digests}")
file(WRITE "${OUT}" "// SPDX-License-Identifier: Apache-2.0
// Made by accel/cpu/packed_layout.cmake: the build whose packed weights this one can read.
#pragma once
inline constexpr char kPackedLayout[] = \"${layout}\";
")
