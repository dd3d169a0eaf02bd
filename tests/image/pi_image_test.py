#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What image/verify.py refuses in a Pi 5 image: one fault in the FAT partitions after the other. Real images are looked at when made."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from image import definition, slots  # noqa: E402
from image.definition import ImageError  # noqa: E402
from image.loaders import tryboot  # noqa: E402

IMAGE = bytes(4) + b"abcd" + bytes(48) + b"ARMd" + bytes(100)
DEVICE_TREE = b"\xd0\x0d\xfe\xed" + bytes(60) + b"raspberrypi,5-model-b\0brcm,bcm2712\0"
VERITY = "10:10:" + "a" * 64 + ":" + "b" * 64


class PiImage(unittest.TestCase):
    def setUp(self):
        self.board = definition.load("pi5-hailo8")
        with tempfile.TemporaryDirectory() as folder:
            stage = Path(folder)
            (stage / "vmlinuz").write_bytes(IMAGE)
            (stage / "initrd").write_bytes(b"initrd")
            boot = {name: path.read_bytes() for name, path in tryboot.slot_files(self.board, None, stage, VERITY, "1.0").items()}
        self.files = {"esp": {"autoboot.txt": tryboot.AUTOBOOT.encode(), "slots.txt": tryboot.SLOTS.encode()},
                      "boot-a": {**boot, "bcm2712-rpi-5-b.dtb": DEVICE_TREE}}

    def check(self):
        return tryboot.check(self.board, lambda partition: list(self.files[partition]), lambda partition, name: self.files[partition][name].decode(),
                             lambda partition, name: self.files[partition][name])

    def refused(self, text):
        with self.assertRaisesRegex(ImageError, text):
            self.check()

    def test_a_good_one_gives_its_root_hash(self):
        self.assertEqual(self.check(), VERITY)

    def test_the_watchdog_is_armed_and_bounded_before_the_hand_off(self):
        self.assertIn(b"\nkernel_watchdog_timeout=15\n", self.files["boot-a"]["config.txt"])  # its hardware ends at 15.99 s
        self.assertIn(b" watchdog.open_timeout=90 ", self.files["boot-a"]["cmdline.txt"])

    def test_another_autoboot_is_refused(self):
        self.files["esp"]["autoboot.txt"] = tryboot.AUTOBOOT.replace("=2", "=3").encode()
        self.refused("autoboot.txt does not choose slot A")

    def test_a_kernel_that_unpacks_itself_is_refused(self):
        self.files["boot-a"]["vmlinuz"] = b"MZ\0\0zimg" + bytes(48) + b"ARMd"
        self.refused("no kernel that the firmware can start")

    def test_a_missing_or_wrong_device_tree_is_refused(self):
        self.files["boot-a"]["bcm2712-rpi-5-b.dtb"] = DEVICE_TREE.replace(b"5-model", b"4-model")
        self.refused("no device tree of the board")
        del self.files["boot-a"]["bcm2712-rpi-5-b.dtb"]
        self.refused("bcm2712-rpi-5-b.dtb is not on boot-a")

    def test_overlays_that_config_txt_names_must_be_there(self):
        self.board.loader["config"] = ["os_check=0", "dtoverlay=imx708,cam0"]
        self.files["boot-a"]["config.txt"] = tryboot.config_text(self.board).encode()
        self.refused(r"overlays that are not there: \['imx708'\]")
        self.files["boot-a"]["overlays/imx708.dtbo"] = b""
        self.check()

    def test_a_vendor_kernel_brings_overlays_and_its_settings(self):
        self.board.with_vendor = True
        self.refused("config.txt is not the definition's")
        self.files["boot-a"]["config.txt"] = tryboot.config_text(self.board).encode()
        self.assertIn(b"camera_auto_detect=1", self.files["boot-a"]["config.txt"])
        self.refused("brought no overlays")

    def test_device_trees_and_overlays_leave_the_root_file_system(self):
        # Where Debian has them until 13, with the maker's overlays; and beside the modules since, with a link at the old place.
        for linked in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                tree, stage = Path(folder) / "tree", Path(folder) / "stage"
                old, new = tree / "usr/lib/linux-image-7.3.4", tree / "usr/lib/modules/7.3.4/dtb"
                place = new if linked else old
                for name in ("broadcom/bcm2712-rpi-5-b.dtb", "overlays/imx708.dtbo", "overlays/overlay_map.dtb", "overlays/README"):
                    (place / name).parent.mkdir(parents=True, exist_ok=True)
                    (place / name).write_text(name)
                kernel = tree / ("usr/lib/modules/7.3.4/vmlinuz" if linked else "boot/vmlinuz-7.3.4")
                kernel.parent.mkdir(parents=True, exist_ok=True)
                kernel.touch()
                if linked:
                    old.symlink_to("modules/7.3.4/dtb")
                stage.mkdir()
                files = slots.device_trees(self.board, tree, stage)
                self.assertEqual(sorted(files), ["bcm2712-rpi-5-b.dtb", "overlays/imx708.dtbo", "overlays/overlay_map.dtb"])
                self.assertTrue(all(path.is_file() for path in files.values()))
                self.assertFalse(old.exists() or old.is_symlink() or new.exists())

    def test_a_definition_with_a_mistake_is_refused(self):
        for old, new, text in (("watchdog_s: 15", "watchdog: 15", "'loader' of kind tryboot needs exactly"), ("kind: tryboot", "kind: lilo", "must be one of .*tryboot"),
                               ("kind: firmware", "kind: firmwear", "kind is one of kernel"), ("  debian: linux", "  debain: linux", "'kernels' needs debian")):
            with tempfile.TemporaryDirectory() as folder:
                for name in ("common", "pi5-hailo8"):
                    content = (definition.FOLDER / f"boards/{name}.yaml").read_text()
                    (Path(folder) / f"{name}.yaml").write_text(content.replace(old, new))
                with self.assertRaisesRegex(ImageError, text):
                    definition.load("pi5-hailo8", Path(folder))


if __name__ == "__main__":
    unittest.main()
