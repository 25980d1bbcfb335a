#!/bin/busybox sh
# The first and only process tree of the guest of scripts/linux-client: mounts the servers with Linux's 9P client, works in
# the mounts and prints a line for each thing that was tried.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /tmp
exec >/dev/console 2>&1
for module in netfs fscache 9pnet 9pnet_fd 9p e1000; do insmod /lib/$module.ko; done
ifconfig lo up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
route add default gw 10.0.2.2
ports=$(sed 's/.*ninefs=\([0-9,]*\).*/\1/' /proc/cmdline)
dd if=/dev/urandom of=/tmp/big bs=1M count=4 2>/dev/null

# try NAME COMMAND: the command is one of the shell's, run in the directory of this mount
try() {
  if out=$(sh -c "$2" 2>&1); then echo "passed $where $1"; else echo "failed $where $1: $out"; fi
}
# the same, where the dialect can say it
unix() { [ "$dialect" = 9p2000 ] || try "$@"; }

attach() { # PORT CACHE
  options=trans=tcp,port=$1,version=$dialect,cache=$2,uname=root,access=any
  [ "$dialect" != 9p2000 ] || options=$options,noextend
  mount -t 9p -o "$options" 10.0.2.2 /mnt || { echo "failed $where mount"; return 1; }
}

works() {
  mkdir "/mnt/$dialect-$2" && cd "/mnt/$dialect-$2" || { echo "failed $where mkdir"; return; }
  try write 'echo hello > f && [ "$(cat f)" = hello ]'
  try append 'echo more >> f && [ "$(wc -l < f)" = 2 ] && [ "$(stat -c %s f)" = 11 ]'
  try chmod 'chmod 640 f && [ "$(stat -c %a f)" = 640 ]'
  try truncate ': > f && [ "$(stat -c %s f)" = 0 ]'
  try rename 'echo x > a && mv a b && [ "$(cat b)" = x ] && [ ! -e a ]'
  try rename-away 'mkdir x && mv b x/b && [ "$(cat x/b)" = x ] && [ ! -e b ]'
  try times 'touch -d "2020-01-02 03:04:05" f && [ "$(date -u -r f +%Y-%m-%d)" = 2020-01-02 ]'
  try many 'mkdir m && for i in $(seq 300); do echo $i > m/file-$i; done && [ "$(ls m | wc -l)" = 300 ]'
  try find '[ "$(find m -type f | wc -l)" = 300 ]'
  try remove-many 'rm -r m && [ ! -e m ]'
  try big 'cp /tmp/big big && cmp /tmp/big big'
  try rmdir 'mkdir q && : > q/z && ! rmdir q 2>/dev/null && rm q/z && rmdir q && [ ! -e q ]'
  try removed-open 'echo gone > g && exec 3< g && rm g && [ "$(cat <&3)" = gone ]'
  try exclusive 'set -C; : > e && ! (: > e) 2>/dev/null'
  try missing 'cat nothing 2>&1 | grep -q "No such file"'
  try deep 'd=$(seq -s / 20) && mkdir -p $d && echo deep > $d/f && [ "$(cat $d/f)" = deep ]'
  try names ': > "grüße ☃" && [ -e "grüße ☃" ] && rm "grüße ☃"'
  try tar 'mkdir t && cp -r /bin/busybox 1 f t && tar cf t.tar t && mkdir u && tar xf t.tar -C u && diff -r t u/t'
  try statfs 'df . > /dev/null'
  unix owner '[ "$(stat -c %u:%g f)" = 0:0 ] && chown 1000:1001 f && [ "$(stat -c %u:%g f)" = 1000:1001 ]'
  unix bits 'chmod 4755 f && [ "$(stat -c %a f)" = 4755 ] && chmod 1777 x && [ "$(stat -c %a x)" = 1777 ]'
  unix replace 'echo 1 > a && echo 2 > b && mv a b && [ "$(cat b)" = 1 ] && [ ! -e a ]'
  unix symlink 'ln -s ../some/where l && [ "$(readlink l)" = ../some/where ]'
  unix fifo 'mkfifo p && [ -p p ]'
  unix device 'mknod n c 1 3 && [ -c n ] && [ "$(stat -c %t:%T n)" = 1:3 ]'
  # a loose cache has not written what it was told to, nor counted the links, when the other name is looked at
  if [ "$2" != loose ]; then
    unix link 'echo y > h && ln h h2 && [ "$(cat h2)" = y ] && rm h && [ "$(cat h2)" = y ]'
    unix links ': > k && ln k k2 && [ "$(stat -c %h k)" = 2 ]'
  fi
  cd /
}

flushes() {
  try hang 'cat /mnt/hang > /dev/null & pid=$!; sleep 1; kill -9 $pid; wait $pid; [ $? = 137 ]'
  try late 'cat /mnt/late > /dev/null & pid=$!; sleep 1; kill -9 $pid; wait $pid; [ $? = 137 ]'
  try afterwards '[ "$(head -c 4 /mnt/zero)" = zero ] && ls /mnt/listing | wc -l | grep -q 200'
  try refused '[ "$(cat /mnt/errno/28 2>&1)" = "cat: read error: No space left on device" ]'
}

for dialect in 9p2000.L 9p2000.u 9p2000; do
  for cache in none loose; do
    for tree in memory host; do
      port=$([ $tree = memory ] && echo "${ports%%,*}" || echo "$ports" | cut -d, -f2)
      where="$dialect $tree $cache"
      attach "$port" $cache || continue
      works "$tree" $cache
      umount /mnt || echo "failed $where umount"
    done
  done
  where="$dialect faults none"
  attach "${ports##*,}" none || continue
  flushes
  umount /mnt || echo "failed $where umount"
done
echo 'guest: done'
poweroff -f
