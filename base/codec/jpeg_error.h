// SPDX-License-Identifier: Apache-2.0
// JpegErrors: libjpeg's error callbacks turned into a longjmp and a stored message; private to base/codec.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs size_t and FILE

#include <jpeglib.h>
// jerror.h comes after jpeglib.h.
#include <jerror.h>

namespace wayside::base {

/// Use: `if (setjmp(errors.jump) != 0) return false;` in a function that has no object with a destructor, then call
/// libjpeg. Source: libjpeg-turbo, example.txt, "ERROR HANDLING".
struct JpegErrors {
  jpeg_error_mgr manager{};  ///< must be first: libjpeg's pointer to it is cast back to JpegErrors
  std::jmp_buf jump{};
  char message[JMSG_LENGTH_MAX] = {};
  bool damaged = false;  ///< a warning said that picture data were lost or wrong

  jpeg_error_mgr* install() {
    jpeg_std_error(&manager);
    manager.error_exit = [](j_common_ptr cinfo) {
      auto* self = reinterpret_cast<JpegErrors*>(cinfo->err);
      cinfo->err->format_message(cinfo, self->message);
      std::longjmp(self->jump, 1);
    };
    manager.output_message = [](j_common_ptr) {};
    manager.emit_message = [](j_common_ptr cinfo, int level) {
      auto* self = reinterpret_cast<JpegErrors*>(cinfo->err);
      if (level >= 0 || harmless(cinfo->err->msg_code) || self->damaged) return;
      self->damaged = true;
      cinfo->err->format_message(cinfo, self->message);
    };
    return &manager;
  }
  void clear() {
    damaged = false;
    message[0] = '\0';
  }

 private:
  /// Warnings about sloppy files whose pixels are whole: fill bytes between segments and odd application headers,
  /// both common with USB cameras.
  static bool harmless(int code) {
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
  }
};

}  // namespace wayside::base
