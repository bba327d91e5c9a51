#!/bin/bash
# keep-listed.sh LIST...: removes from $BUILDROOT every executable that no LIST names, then what leads nowhere, and checks
# what is left. Runs on the machine that builds, after the packages are in.
set -euo pipefail
root=$BUILDROOT
cd "$root"
wanted=$(mktemp)
cat "$@" | grep -v '^#' | sort >"$wanted"

executables() {
    # Programs and scripts: whatever may be executed, wherever it is; libraries and kernel modules are loaded, not executed.
    find . -xdev \( -path ./work -o -path ./efi -o -path ./boot -o -path ./proc -o -path ./sys -o -path ./dev \) -prune -o \
        -type f -perm /111 ! -name '*.so' ! -name '*.so.*' ! -path './usr/lib/modules/*' -print | sed 's/^\.//' | sort
}
executables | comm -23 - "$wanted" | sed 's|^/||' | xargs -r -d '\n' rm -f --
# Privileges come from units alone.
find . -xdev -type f -perm /6000 -exec chmod u-s,g-s {} +
# Their data and what calls them.
rm -rf usr/share/{debianutils,dpkg,debconf,initramfs-tools,keyrings,perl,bash-completion,pam,pam-configs,base-passwd,polkit-1,dbus-1,adduser,gdb,menu,tabset} \
    usr/lib/{klibc,kernel,dpkg,apt,initramfs-tools,mime,python3,binfmt.d} usr/lib/x86_64-linux-gnu/perl* usr/libexec etc/{initramfs-tools,initramfs,kernel,ssh,cron*,logrotate*,pam*,update-motd.d,profile*,bash.bashrc,shells,security} \
    usr/lib/systemd/{user,user-generators,user-environment-generators,system-sleep,user-preset} usr/lib/systemd/system/{getty,serial-getty,console-getty,container-getty,autovt,debug-shell,rescue,emergency,systemd-ask-password,systemd-user-sessions,systemd-boot-random-seed,systemd-boot-update,systemd-update-done}*
# Links to what is gone (also the enabling of units that are gone).
find . -xdev \( -path ./work -o -path ./proc -o -path ./sys -o -path ./dev \) -prune -o -type l -print | while read -r link; do
    target=$(readlink "$link")
    case $target in
    /proc/* | /run/* | /dev/* | ../proc/* | ../run/*) continue ;;
    /*) [ -e ".$target" ] || [ -L ".$target" ] || rm "$link" ;;
    *) [ -e "$link" ] || rm "$link" ;;
    esac
done
executables | diff "$wanted" - >&2 || { echo "executables are not those of $*" >&2; exit 1; }
! find . -xdev -path ./work -prune -o -type f -perm /6000 -print | grep . || { echo "set-ID files are left" >&2; exit 1; }
