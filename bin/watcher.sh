#!/bin/sh
# Waits until the process that serves a mount has ended, however it ended, and detaches the mount if it is dead by then.
# Its argument is fusermount3, wherever that is. Its stdin is a pipe whose other end that process alone holds, and on which it
# says (src/cli/watcher.ts):
#   at PLACE ID DEVICE    it is about to mount on PLACE, where ID and DEVICE are mounted now (- for none)
#   is ID DEVICE          it has mounted, and this is its mount
#   done                  there is nothing left to look after
# PLACE, ID and DEVICE are words of /proc/self/mountinfo.
# Guarantees: nothing that is alive is detached, and nothing that has come to the place since; no signal of the terminal ends
# the wait.

main() {
  trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE
  # opened now: what is mounted on /proc later covers it
  exec 3</proc/self/mountinfo

  place='' before='' ours=''
  while read -r word a b c; do
    case $word in
    at) place=$a before="$b $c" ;;
    is) ours="$a $b" ;;
    done) exit 0 ;;
    esac
  done

  # the topmost mount of each path comes last; one that something else covers is out of reach
  found='' device=''
  while read -r id _ dev _ path rest; do
    case $rest in
    *' - fuse.ninefs '*) type=ours ;;
    *) type=other ;;
    esac
    if [ "$type" = ours ] && { [ "$id $dev" = "$ours" ] ||
      { [ -z "$ours" ] && [ "$path" = "$place" ] && [ "$id $dev" != "$before" ]; }; }; then
      found=$path device=$dev
    elif [ "$path" = "$found" ]; then
      found=''
    fi
  done <&3
  [ -n "$found" ] || exit 0
  exec 3<&-

  # the kernel writes some letters as \ooo
  mountpoint=$(printf '%bx' "$(printf '%s' "$found" | sed 's/\\/\\0/g')")
  mountpoint=${mountpoint%x}
  # ids are used again: what answers, or fails otherwise, is somebody else's
  case $(LC_ALL=C stat -f -- "$mountpoint" 2>&1) in
  *'not connected'* | *'onnection abort'*) ;;
  *) exit 0 ;;
  esac
  # where something of that process still waits for the mount, umount would wait for it
  { echo 1 >"/sys/fs/fuse/connections/${device#*:}/abort"; } 2>/dev/null
  # umount cannot do it for an ordinary user, nor where the mount covers /proc
  umount -l -- "$mountpoint" || "$1" -u -z -- "$mountpoint"
}

main "$@"
exit
