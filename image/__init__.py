# SPDX-License-Identifier: Apache-2.0
"""Firmware images: definitions in boards/, what they are made with here."""
