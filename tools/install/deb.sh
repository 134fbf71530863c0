#!/bin/sh
# Makes a Debian package of what `make install` puts into a staging folder.
#
#   sh tools/install/deb.sh STAGE VERSION FOLDER
set -eu
stage=$1
version=$2
out=$3
architecture=$(dpkg --print-architecture)
package=interloop_${version}_$architecture.deb

mkdir -p "$stage/DEBIAN"
cat >"$stage/DEBIAN/control" <<CONTROL
Package: interloop
Version: $version
Architecture: $architecture
Maintainer: The Interloop authors <interloop@localhost>
Section: science
Priority: optional
Installed-Size: $(du -sk "$stage" | cut -f1)
Depends: libc6, libyaml-0-2, libjansson4, libsodium23, zlib1g, libpcre2-8-0, libutf8proc2, libopenblas0-pthread | libopenblas0
Recommends: binutils
Suggests: wordnet-base
Description: interpretability in the loop of training
 A training loop that loads detectors, models, datasets and environments as
 plugins described in YAML, says which parameters a detector's pressure can
 reach, and audits whether the detector still tells the truth.
CONTROL
mkdir -p "$out"
dpkg-deb --root-owner-group --build "$stage" "$out/$package" >/dev/null
echo "$out/$package"
