#!/bin/bash
# Checks this tree with the tools of the system it is for: units, exposure (bar S6: ≤ 1.5 each), accounts, directories (as the
# README's table has them), packet filters, settings. A tool that is missing is named and skipped. Starts nothing.
set -euo pipefail
cd "$(dirname "$0")"
units=usr/lib/systemd/system
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
have() { command -v "$1" >/dev/null || { echo "skipped: no $1"; return 1; }; }
fail() { echo "FAILED: $*" >&2; exit 1; }

if have systemd-analyze; then
    for name in receiver deid uplink health alarm canary signer button clock name-servers order erase erase-finish \
        update update-check update-keep update-settle firewall@ firewall-host; do
        systemd-analyze security --no-pager --offline=true --threshold=15 "$units/gift-$name.service" >"$root/report" ||
            fail "exposure of gift-$name: $(tail -n 1 "$root/report")"
        tail -n 1 "$root/report"
    done
    # Debian's daemons for the clock and the addresses (decision 0020), and what makes namespaces, verifies the extension or lays settings out,
    # once and as root: no number is asked of them but that it does not grow.
    for name in time:19 networkd@:18 codecs:27 provision:22 network:40; do
        systemd-analyze security --no-pager --offline=true --threshold="${name#*:}" "$units/gift-${name%:*}.service" >"$root/report" 2>&1 ||
            fail "exposure of gift-${name%:*}: $(tail -n 1 "$root/report")"
        grep 'Overall' "$root/report"
    done
    # Binaries are not installed here; everything else it finds is an error.
    systemd-analyze verify --man=no --recursive-errors=no "$units"/*.service "$units"/*.socket 2>&1 |
        grep -v -e 'is not executable: No such file' -e '@.service: ' -e "Unknown key 'PrivatePIDs'" >"$root/verify" || true
    [ ! -s "$root/verify" ] || fail "$(cat "$root/verify")"
fi

# Files on the state carry these numbers from one image to the next: each is said, and is one account's or group's.
awk '/^[ug] / { print $3 }' usr/lib/sysusers.d/gift.conf >"$root/ids"
! grep -qvx '7[0-9][0-9]' "$root/ids" || fail "sysusers.d: an account without a number of its own"
[ -z "$(sort "$root/ids" | uniq -d)" ] || fail "sysusers.d: a number twice"

# Tables of the README and tmpfiles.d say the same.
awk '$1 == "d" { print $2, $4, $5, $3 }' usr/lib/tmpfiles.d/gift.conf >"$root/tmpfiles"
awk -F '|' '$2 ~ /^ `\// && NF == 7 { gsub(/[` ]/, "", $2); gsub(/ /, "", $3); gsub(/ /, "", $4); gsub(/ /, "", $5);
    print $2, $3, $4, $5 }' README.md >"$root/readme"
diff "$root/tmpfiles" "$root/readme" || fail "README.md and tmpfiles.d differ"

if [ "$(id -u)" = 0 ] && have systemd-sysusers && have systemd-tmpfiles; then
    mkdir -p "$root/usr/lib" "$root/etc"
    cp -r usr/lib/sysusers.d usr/lib/tmpfiles.d "$root/usr/lib/"
    systemd-sysusers --root="$root" gift.conf >"$root/sysusers" 2>&1 || fail "$(cat "$root/sysusers")"
    systemd-tmpfiles --root="$root" --create gift.conf
    while read -r path owner group mode; do
        uid=$(awk -F: -v n="$owner" '$1 == n { print $3 }' "$root/etc/passwd")
        gid=$(awk -F: -v n="$group" '$1 == n { print $3 }' "$root/etc/group")
        found=$(stat -c '%u %g %04a' "$root$path")
        [ "$found" = "${uid:-0} ${gid:-0} $mode" ] || fail "$path is $found, not ${uid:-0} ${gid:-0} $mode"
    done <"$root/tmpfiles"
fi

if [ "$(id -u)" = 0 ] && have nft && have unshare; then
    # As gift-provision writes it (its tests hold the form); an address, none, and any.
    printf 'define uplink_port = 443\n' >"$root/way-out.nft"
    for set in 'uplink 192.0.2.1 ::' 'uplink_names 0.0.0.0 ::' 'time_names 0.0.0.0/0 ::/0' 'time 0.0.0.0/0 ::/0'; do
        read -r name v4 v6 <<<"$set"
        printf 'define %s_v4 = { %s }\ndefine %s_v6 = { %s }\n' "$name" "$v4" "$name" "$v6" >>"$root/way-out.nft"
    done
    for side in scanner wan host; do
        # The account exists on the box only.
        sed "s/\"gift-uplink\"/65534/; s/\"gift-net-[a-z]*\"/65533/; s/\"systemd-timesync\"/65532/; s/\"gift-canary\"/65531/; s|/run/gift/network/|$root/|" "usr/share/gift/nftables/$side.nft" >"$root/$side.nft"
        unshare --net nft -f "$root/$side.nft" || fail "$side.nft"
    done
fi

# Every directory that a process's settings name is one it can reach in its unit.
for name in receiver deid uplink health; do
    [ -e "etc/gift/$name.toml" ] || fail "etc/gift/$name.toml leads nowhere"
    grep -o '^[^#]*"\(/var/lib/gift\|/run/gift\)[^"]*"' "etc/gift/$name.toml" | grep -o '/[^"]*' | while read -r path; do
        reached=no
        for bound in $(sed -n 's/^Bind\(ReadOnly\)\?Paths=//p' "$units/gift-$name.service"); do
            case "$path/" in "${bound#-}"/*) reached=yes ;; esac
        done
        [ "$reached" = yes ] || fail "gift-$name cannot reach $path"
    done
done
echo "dist: all checks passed"
