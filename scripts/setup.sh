# Sourced by the scripts beside it: brings a clean clone to where it can run. Every step is skipped when it is done.
# Installs system packages only as root, and leaves none of their services running; otherwise says what to install.

say() { printf '%s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

need_node() {
  command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 ||
    die 'Node 20.19 or newer with npm is needed: see https://nodejs.org/'
  node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    die "Node 20.19 or newer is needed, this is $(node --version)"
}

# Packages among PACKAGE=PROBE whose probe, a command or the pattern of an absolute path, is not found.
missing_packages() {
  local pair probe
  for pair in "$@"; do
    probe=${pair#*=}
    case $probe in
    /*) compgen -G "$probe" >/dev/null || printf '%s ' "${pair%%=*}" ;;
    # /usr/sbin is not on every user's PATH
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$probe" >/dev/null 2>&1 || printf '%s ' "${pair%%=*}" ;;
    esac
  done
}

# Services that Debian would start with their packages; the tests start their own on loopback.
stop_service() {
  local name
  for name in "$@"; do
    if [ -d /run/systemd/system ]; then
      systemctl disable --now "$name" >/dev/null 2>&1 || true
    elif [ -x "/etc/init.d/$name" ]; then
      "/etc/init.d/$name" stop >/dev/null 2>&1 || true
    fi
  done
}

# Installs packages (PACKAGE=PROBE ...). Fails when it cannot, and says what is missing.
install_packages() {
  local missing log
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "not installed: $missing(on Debian: sudo apt-get install $missing)" >&2
    return 1
  fi
  say "installing $missing"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp "${TMPDIR:-/tmp}/ninefs-apt-XXXXXX")
  # shellcheck disable=SC2086 # the list is words
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "apt-get could not install: $missing" >&2
    return 1
  }
  rm -f "$log"
  case " $missing" in *' diod '*) stop_service diod ;; esac
  case " $missing" in *' nfs-ganesha '*) stop_service nfs-ganesha rpcbind ;; esac
}

BUILD_PACKAGES='python3=python3 make=make g++=g++'

install_modules() {
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    # shellcheck disable=SC2086
    install_packages $BUILD_PACKAGES || exit 1
    say 'npm ci'
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
  fi
  node src/fuse/addon/install.mjs
}

build() { node_modules/.bin/tsc -p tsconfig.build.json; }

# What tests that were killed have left mounted, and their files: the name of each says whose process it was.
clear_leftovers() {
  local tmp=${TMPDIR:-/tmp} device path pid
  [ -e /proc/self/mountinfo ] || return 0
  # a process that lives may have that number by chance
  gone() { ! grep -qa vitest "/proc/$1/cmdline" 2>/dev/null; }
  while read -r device path; do
    pid=${path#"$tmp"/ninefs-test-}
    if ! gone "${pid%%-*}"; then continue; fi
    say "clearing a mount that an earlier run left: $path"
    # what the kernel still wants of a process that was killed umount would wait for too, and could not be killed
    { echo 1 >"/sys/fs/fuse/connections/${device#*:}/abort"; } 2>/dev/null || true
    umount -l "$path" 2>/dev/null || fusermount3 -u -z "$path" 2>/dev/null || true
  done < <(awk '$0 ~ / - fuse\.ninefs / { print $3, $5 }' /proc/self/mountinfo | grep -F " $tmp/ninefs-test-" || true)
  for path in "$tmp"/ninefs-test-*-*; do
    pid=${path#"$tmp"/ninefs-test-}
    if [ -O "$path" ] && gone "${pid%%-*}"; then rm -rf --one-file-system "$path" || true; fi
  done
}

# Hands over to vitest, and clears away what is left if that is interrupted.
run_tests() {
  clear_leftovers
  trap clear_leftovers EXIT
  node_modules/.bin/vitest run "$@"
}

# NAME VALUE: what is done so many times.
need_count() {
  case $2 in '' | 0* | *[!0-9]*) die "$1=$2: it takes a number, 1 or more" ;; esac
}
