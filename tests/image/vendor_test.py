#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--vendor-debs against made-up packages: what is taken, and the one line that each mistake gives. Needs dpkg-deb."""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from image import vendor  # noqa: E402
from image.definition import ImageError  # noqa: E402

RELEASE = "6.12.47+maker-2712"
KERNEL = {"kind": "kernel", "package": "linux-image-*-2712", "version": "6.12 below 7", "holds": "boot/vmlinuz-*", "from": "the maker's archive"}
MODULES = {"kind": "modules", "package": "npu-modules-*", "version": "4.20", "holds": "*/modules/{release}/*/npu.ko*", "from": "the NPU's maker", "lock": "npu"}
FIRMWARE = {"kind": "firmware", "package": "npufw", "version": "4.20", "holds": "lib/firmware/npu/fw.bin", "from": "the NPU's maker", "lock": "npu"}


class VendorDebs(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.work = Path(temporary.name)
        self.folder = self.work / "debs"
        self.folder.mkdir()
        self.board = SimpleNamespace(board="maker-board", architecture="arm64", kernels={"debian": "x", "vendor": [KERNEL, MODULES, FIRMWARE]})
        self.kernel()
        self.modules()
        self.deb("npufw", "4.23.0-1", ["lib/firmware/npu/fw.bin"], "all")

    def deb(self, name, version, files, architecture="arm64"):
        stage = self.work / "stage" / name
        shutil.rmtree(stage, ignore_errors=True)
        for file in files:
            (stage / file).parent.mkdir(parents=True, exist_ok=True)
            (stage / file).write_text(file)
        control = stage / "DEBIAN/control"
        control.parent.mkdir(parents=True, exist_ok=True)
        control.write_text(f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: nobody <n@example.org>\nDescription: test\n")
        target = self.folder / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", stage, target], check=True, stdout=subprocess.DEVNULL)
        return target

    def kernel(self, version="6.12.47-1"):
        return self.deb(f"linux-image-{RELEASE}", version, [f"boot/vmlinuz-{RELEASE}", f"lib/modules/{RELEASE}/kernel/drivers/a.ko"])

    def modules(self, version="4.23.0-1", release=RELEASE):
        return self.deb("npu-modules-6.12", version, [f"lib/modules/{release}/updates/npu.ko.xz"])

    def refused(self, *texts):
        with self.assertRaises(ImageError) as caught:
            vendor.select(self.board, self.folder)
        said = str(caught.exception)
        self.assertNotIn("\n", said)
        for text in texts:
            self.assertIn(text, said)

    def test_all_that_is_wanted_is_taken_and_unpacked_below_usr(self):
        chosen = vendor.select(self.board, self.folder)
        self.assertEqual([(package["name"], package["supplier"]) for package in chosen],
                         [(f"linux-image-{RELEASE}", "vendor"), ("npu-modules-6.12", "vendor"), ("npufw", "vendor")])
        tree = self.work / "tree"
        (tree / "usr/lib").mkdir(parents=True)
        (tree / "lib").symlink_to("usr/lib")
        vendor.unpack(chosen, tree, self.work)
        self.assertTrue((tree / "lib").is_symlink())
        for name in (f"boot/vmlinuz-{RELEASE}", f"usr/lib/modules/{RELEASE}/updates/npu.ko.xz", "usr/lib/firmware/npu/fw.bin"):
            self.assertTrue((tree / name).is_file(), name)

    def test_a_missing_package_is_named_with_where_to_get_it(self):
        (self.folder / "npufw.deb").unlink()
        self.refused("has not the firmware package npufw, version 4.20 (from: the NPU's maker)")

    def test_an_older_and_a_too_new_version_are_refused(self):
        self.kernel("6.6.1-1")
        self.refused("version 6.6.1-1", "linux-image-*-2712, version 6.12 below 7")
        self.kernel("7.0-1")
        self.refused("version 7.0-1")

    def test_modules_of_another_kernel_are_refused(self):
        self.modules(release="6.12.25+maker-2712")
        self.refused("npu-modules-6.12.deb has no */modules/6.12.47+maker-2712/*/npu.ko*")

    def test_a_lock_wants_one_version(self):
        self.modules("4.22.0-3")
        self.refused("npu works only with one version x.y.z", "npu-modules-6.12.deb 4.22.0", "npufw.deb 4.23.0")

    def test_a_revision_of_the_packaging_does_not_matter_to_a_lock(self):
        self.modules("4.23.0-7~rc1")
        vendor.select(self.board, self.folder)

    def test_another_architecture_is_refused(self):
        self.deb("npu-modules-6.12", "4.23.0-1", [f"lib/modules/{RELEASE}/updates/npu.ko"], "armhf")
        self.refused("npu-modules-6.12.deb is for armhf")

    def test_two_of_the_same_and_a_stranger_are_refused(self):
        twin = self.folder / "twin.deb"
        twin.write_bytes((self.folder / "npufw.deb").read_bytes())
        self.refused("npufw.deb, twin.deb are all npufw: leave one")
        twin.unlink()
        self.deb("surprise", "1.0", ["usr/bin/surprise"])
        self.refused("surprise.deb is not known to board maker-board")

    def test_a_damaged_file_is_named(self):
        (self.folder / "npufw.deb").write_bytes(b"half a download")
        self.refused("npufw.deb is not a Debian package")

    def test_a_board_without_a_vendor_kernel_says_so(self):
        self.board.kernels = {"debian": "x"}
        self.refused("board maker-board knows no vendor kernel")


if __name__ == "__main__":
    unittest.main()
