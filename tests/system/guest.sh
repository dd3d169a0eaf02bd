#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Small virtual machines with Debian's kernel for driver tests; sourced. The caller sets name, packages, recipe, limit_s.
#
# Needs no privilege and no KVM. Everything comes from Debian packages that are unpacked, not installed, into a cached folder. A machine
# runs from $work/tree, whose /init it starts; its console is in $work/log.
# WAYSIDE_MIRROR: Debian mirror instead of the default one. WAYSIDE_QEMU_ACCEL: QEMU accelerator (default: tcg).
# shellcheck shell=bash
: "${name:?}" "${packages:?}" "${recipe:?}" "${limit_s:?}"
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/wayside
suite=trixie

say() { printf '==> %s\n' "$*" >&2; }
skip() {
  printf '%s: SKIPPED, the test did not run: %s\n' "$name" "$*" >&2
  exit 77
}

work=
qemu_pid=
cleanup() {
  if [ -n "$qemu_pid" ]; then kill "$qemu_pid" 2>/dev/null || true; fi
  if [ -n "$work" ]; then rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- kernel, QEMU and busybox ----------------------------------------------------------------------------------------

need_mmdebstrap() {
  command -v mmdebstrap >/dev/null && return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    skip 'mmdebstrap is missing; install it: apt-get install mmdebstrap'
  fi
  say 'installing mmdebstrap on this host'
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mmdebstrap debian-archive-keyring; } >&2 ||
    skip 'mmdebstrap cannot be installed: is the network up?'
}

make_root() {
  local partial=$1 options
  need_mmdebstrap
  options=(--variant=extract --components=main --include="$packages" --aptopt='APT::Install-Recommends "false"'
    --aptopt='Acquire::Retries "5"')
  say 'fetching the kernel, QEMU and what the machine runs (some 120 MB once)'
  rm -rf "$partial"
  if [ "$(id -u)" = 0 ]; then
    mmdebstrap --quiet --mode=root "${options[@]}" "$suite" "$partial" ${WAYSIDE_MIRROR:+"$WAYSIDE_MIRROR"} >&2
  else
    mkdir -p "$partial"
    mmdebstrap --quiet --mode=unshare "${options[@]}" "$suite" - ${WAYSIDE_MIRROR:+"$WAYSIDE_MIRROR"} |
      tar -x -C "$partial" --no-same-owner --exclude='./dev/*'
  fi || skip 'the packages cannot be fetched; the lines above say why'
  # Only unpacked: nobody has made these links and the list of modules yet.
  ln -sfn usr/lib "$partial/lib"
  root=$partial program /usr/sbin/depmod -b "$partial" "$(kernel_of "$partial")" || skip 'the list of kernel modules cannot be made'
}

kernel_of() {
  local image
  for image in "$1"/boot/vmlinuz-*; do
    printf '%s' "${image##*/vmlinuz-}"
    return
  done
}

# Runs a program of the unpacked folder with that folder's libraries.
program() {
  local path=$1
  shift
  "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$root$path" "$@"
}

ensure_root() {
  local key lock
  key=$(printf '%s' "$suite $recipe $packages" | sha256sum | cut -c1-16)
  root=$cache/$name-$key
  [ -d "$root" ] && return 0
  mkdir -p "$cache"
  exec {lock}>"$cache/$name.lock"
  flock "$lock"
  if [ ! -d "$root" ]; then
    local final=$root
    make_root "$final.partial"
    sync -f "$final.partial"
    mv "$final.partial" "$final"
    root=$final
  fi
  exec {lock}>&-
}

# ---- the machine -----------------------------------------------------------------------------------------------------

# pack_modules KERNEL NAME...: what these modules need and they themselves, in loading order, numbered.
pack_modules() {
  local kernel=$1 module list number=100 file
  shift
  for module; do
    list+=$(program /usr/sbin/modprobe -d "$root" -S "$kernel" --show-depends "$module" | awk '$1 == "insmod" { print $2 }')$'\n'
  done
  [ -n "${list//$'\n'/}" ] || skip "kernel $kernel has no module $*"
  while read -r module; do
    file=$(basename "$module")
    number=$((number + 1))
    case $file in
      *.ko.xz) xz -dc "$module" >"$work/tree/mods/$number-${file%.xz}" ;;
      *.ko.zst) zstd -qdc "$module" >"$work/tree/mods/$number-${file%.zst}" ;;
      *) cp "$module" "$work/tree/mods/$number-$file" ;;
    esac
  done < <(awk 'NF && !seen[$0]++' <<<"$list")
}


boot() {
  local waited=0
  (cd "$work/tree" && find . | "$root/usr/bin/busybox" cpio -o -H newc 2>/dev/null) >"$work/initrd"
  export QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu
  # program is a function: exec makes $! the number of QEMU itself.
  (exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \
    "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \
    -accel "${WAYSIDE_QEMU_ACCEL:-tcg,thread=multi}" -cpu Nehalem -smp 2 -m 768 -nodefaults -display none -vga none \
    -serial "file:$work/serial" -no-reboot -kernel "$root/boot/vmlinuz-$kernel" -initrd "$work/initrd" \
    -append 'console=ttyS0 quiet mitigations=off nokaslr no_timer_check audit=0 apparmor=0 panic=-1') \
    </dev/null >"$work/qemu" 2>&1 &
  qemu_pid=$!
  while kill -0 "$qemu_pid" 2>/dev/null && [ "$waited" -lt "$limit_s" ]; do
    sleep 1
    waited=$((waited + 1))
  done
  if kill -0 "$qemu_pid" 2>/dev/null; then
    kill "$qemu_pid"
    say "stopped after $limit_s s"
  fi
  wait "$qemu_pid" 2>/dev/null || true
  qemu_pid=
  cat "$work/qemu" >&2
  touch "$work/serial"
  tr -d '\r' <"$work/serial" >"$work/log"
}

# Finds or makes the folder of packages, and an empty machine; sets root, work, kernel.
prepare() {
  [ "$(uname -m)" = x86_64 ] || skip "the machine is an x86-64 one, and this host ($(uname -m)) builds other programs"
  ensure_root
  work=$(mktemp -d)
  mkdir -p "$work"/tree/{bin,dev,proc,sys,tmp,mods}
  kernel=$(kernel_of "$root")
  cp "$root/usr/bin/busybox" "$work/tree/bin/busybox"
}
