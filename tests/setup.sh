#!/bin/sh
# Bring the programs that some tests drive, where this machine allows it; those tests skip, with their reason, without them.
set -eu

missing=""
command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null \
  || missing="$missing chromium"
command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || missing="$missing postgresql"
command -v prometheus-alertmanager > /dev/null || command -v alertmanager > /dev/null \
  || missing="$missing prometheus-alertmanager"
PATH="$PATH:/usr/sbin" command -v mariadbd > /dev/null || missing="$missing mariadb-server-core"
# The examples for publishers
command -v javac > /dev/null || missing="$missing default-jdk-headless"
command -v php > /dev/null || missing="$missing php-cli"
command -v node > /dev/null || missing="$missing nodejs"
ls /usr/lib/*/faketime/libfaketime.so.1 > /dev/null 2>&1 || missing="$missing libfaketime"
{ command -v sshd || ls /usr/sbin/sshd; } > /dev/null 2>&1 || missing="$missing openssh-server"
command -v cc > /dev/null || missing="$missing gcc libc6-dev python3-dev"
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
  as_root="sudo -n"
  $as_root true 2> /dev/null || missing_right=1
fi
if ! command -v apt-get > /dev/null || [ -n "${missing_right:-}" ]; then
  echo "not installed, and not to be had from here:$missing; the tests that need them are skipped" >&2
  exit 0
fi

echo "installing for the tests:$missing"
apt() {
  # RUNLEVEL=1: the packages bring programs for the tests, their services are not to start
  $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -o DPkg::Lock::Timeout=120 "$@" > /dev/null 2>&1 < /dev/null
}
for package in $missing; do
  apt install -y --no-install-recommends "$package" \
    || { apt update && apt install -y --no-install-recommends "$package"; } \
    || echo "could not install $package; the tests that need it are skipped" >&2
done
