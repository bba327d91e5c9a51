#!/bin/bash
# Builds the image: build.sh TOOLS WORK VERSION CODECS [LIST]
#   TOOLS    a directory for the build's own Debian 13 (made if it is not there; needs root)
#   WORK     where keys/ (test keys, made if missing), stage/ (what `cargo xtask image` puts into the root) and out/ are
#   VERSION  version of the image
#   CODECS   "make" the extension with codecs (programs of ours in WORK/codecs-stage), "keep" the one that was made last, or "none"
#   LIST     further executables (executables.bench), for an image that is never shipped and goes to WORK/bench
# mkosi runs inside TOOLS, in mount namespaces of its own, so the machine it runs on needs debootstrap only.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$1 work=$2 version=$3 codecs=$4 further=${5:-}
out=out
[ -z "$further" ] || out=bench
tools_packages="mkosi systemd-ukify systemd-repart systemd-boot-efi sbsigntool squashfs-tools mtools dosfstools e2fsprogs cpio zstd
    xz-utils kmod openssl python3-pefile cryptsetup-bin binutils
    qemu-system-x86 qemu-utils ovmf swtpm swtpm-tools chrony dnsmasq-base tinyproxy-bin"
tools_packages=$(echo $tools_packages)
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/\?$' || echo http://deb.debian.org/debian)

if [ ! -e "$tools/etc/debian_version" ] || [ ! -e "$tools/.packages" ]; then
    echo "image: making the build's own Debian 13 (once)"
    rm -rf "$tools"
    debootstrap --variant=minbase --include=ca-certificates trixie "$tools" "$mirror" >"$work/debootstrap.log"
    : >"$tools/.packages"
fi
if [ "$(cat "$tools/.packages")" != "$tools_packages" ]; then
    # shellcheck disable=SC2086
    unshare --mount sh -ec "mount -t proc proc '$tools/proc'; export DEBIAN_FRONTEND=noninteractive
        chroot '$tools' apt-get update -qq
        chroot '$tools' apt-get install -y -qq --no-install-recommends $tools_packages >'$work/tools.log' 2>&1"
    echo "$tools_packages" >"$tools/.packages"
fi

mkdir -p "$work/keys" "$work/$out" "$work/cache" "$tools/gift"
if [ ! -e "$work/keys/boot.key" ]; then
    echo "image: making test keys (production keys are never here: README.md)"
    (umask 077 && openssl req -new -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=GIFT-Cloud Edge TEST boot key/" \
        -keyout "$work/keys/boot.key" -out "$work/keys/boot.crt" 2>/dev/null)
fi
# A kernel with the bench's way in would open the state of every box whose key signed it.
if [ -n "$further" ] && ! openssl x509 -noout -subject -in "$work/keys/boot.crt" | grep -q TEST; then
    echo "image: the bench's image is not signed with a key that is not a TEST key" >&2
    exit 1
fi
mkdir -p "$work/sandbox/etc/apt/sources.list.d"
cat >"$work/sandbox/etc/apt/sources.list.d/mkosi.sources" <<EOF
Types: deb
URIs: $mirror
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: ${mirror%/debian*}/debian-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF

inside() {
    # shellcheck disable=SC2016
    TOOLS=$tools HERE=$here WORK=$work unshare --mount --fork --propagation private bash -ec '
        mount --bind "$TOOLS" "$TOOLS"
        cd "$TOOLS"
        mkdir -p gift/image-build gift/work old
        mount --rbind "$HERE" gift/image-build
        mount --rbind "$WORK" gift/work
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        mount -t tmpfs tmpfs run
        cp -L /etc/resolv.conf etc/resolv.conf 2>/dev/null || true
        [ ! -e /etc/hosts ] || cp -L /etc/hosts etc/hosts
        pivot_root . old
        umount -l /old
        cd /gift/image-build
        exec "$@"' inside "$@"
}

mkosi_common=(--sandbox-tree /gift/work/sandbox --package-cache-dir /gift/work/cache --workspace-directory /gift/work
    --source-date-epoch "${SOURCE_DATE_EPOCH:-0}")

with_codecs=()
extension=codecs/$out
if [ "$codecs" = make ]; then
    rm -rf "${work:?}/$extension"
    mkdir -p "$work/$extension"
    inside env -u CARGO mkosi --force --directory codecs "${mkosi_common[@]}" --extra-tree /gift/work/codecs-stage \
        --output-directory "/gift/work/$extension" build
fi
if [ "$codecs" != none ]; then
    # It says of which image it is, so that each version's is another. Without salt: its hash is that of what is in it. Without
    # superblock: nothing of how it is verified is read from it (gift-codecs.service says the rest).
    inside env SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}" bash -euc 'cd "/gift/work/$1"
        rm -rf image codecs.env && mkdir -p image/codecs
        release=tree/usr/lib/extension-release.d/extension-release.codecs raw=image/codecs/codecs.raw
        sed -i "/^IMAGE_VERSION=/d" "$release"
        echo "IMAGE_VERSION=$2" >>"$release"
        mksquashfs tree/usr tree/packages tree/needs "$raw" -comp zstd -Xcompression-level 19 -b 1M -all-root -no-xattrs \
            -reproducible -quiet -no-progress
        size=$(stat -c %s "$raw")
        veritysetup format "$raw" "$raw" --no-superblock --hash=sha256 --data-block-size=4096 --hash-block-size=4096 \
            --data-blocks="$((size / 4096))" --hash-offset="$size" --salt=- >verity
        hash=$(sed -n "s/^Root hash:[[:space:]]*//p" verity)
        [ "$((size % 4096))" = 0 ] && [[ $hash =~ ^[0-9a-f]{64}$ ]] || { echo "image: no hashes of the extension with codecs" >&2; exit 1; }
        printf "ROOT_HASH=%s\nDATA_BLOCKS=%s\nHASH_OFFSET=%s\n" "$hash" "$((size / 4096))" "$size" >codecs.env' pack "$extension" "$version"
    cp "$work/$extension/codecs.env" "$work/stage/usr/share/gift/codecs.env"
    with_codecs=(--extra-tree "/gift/work/$extension/image" --repart-directory codecs/repart)
fi

# An update is made of whatever parts of a version are here.
rm -f "$work/$out/gift-edge_$version".{efi,root.raw,verity.raw,codecs.raw}
inside env -u CARGO mkosi --force --environment "FURTHER=$further" --image-version "$version" \
    --secure-boot-key /gift/work/keys/boot.key --secure-boot-certificate /gift/work/keys/boot.crt \
    --sign-expected-pcr-key /gift/work/keys/boot.key --sign-expected-pcr-certificate /gift/work/keys/boot.crt \
    "${mkosi_common[@]}" --extra-tree /gift/work/stage "${with_codecs[@]}" --output-directory "/gift/work/$out" \
    --seed "$(printf %s "$version" | sha256sum | sed 's/^\(.\{8\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)\(.\{12\}\).*/\1-\2-\3-\4-\5/')" \
    build

if [ "$codecs" != none ]; then
    # The extension replaces nothing of the root, and with it nothing is missing. An image of which that is not so does not stay.
    inside bash -euc 'cd "/gift/work/$3"; root=../../$1/gift-edge_$2.root.raw
        unsquashfs -l -d "" "$root" | sort >of-the-root
        (cd tree && find usr ! -type d -printf "/%p\n") | sort >of-the-extension
        ! comm -12 of-the-root of-the-extension | grep . || { echo "in-the-root lacks the packages of these" >&2; exit 1; }
        ! sort of-the-root of-the-extension | comm -13 - tree/needs | grep . || { echo "these are missing: in-the-root names too many packages" >&2; exit 1; }
    ' check "$out" "$version" "$extension" || {
        rm -f "$work/$out/gift-edge_$version".{raw,efi,{esp,root,verity,codecs}.raw,manifest}
        exit 1
    }
fi
