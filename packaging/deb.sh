#!/bin/sh
# Build the Debian package into FOLDER (dist): packaging/deb.sh [FOLDER]. It carries the Python packages of daemon,
# gateways and console for the Python of this computer's Debian or Ubuntu, and needs no root.
set -eu

cd "$(dirname "$0")/.."
folder=${1:-dist}
python=${DEB_PYTHON:-/usr/bin/python3}
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' shadowline/__init__.py)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
umask 022

"$python" -m venv --without-pip "$stage/opt/shadowline"
.venv/bin/python -m pip --disable-pip-version-check --python "$stage/opt/shadowline/bin/python" \
    install --quiet --no-warn-script-location '.[gateways,console]'
find "$stage/opt/shadowline/bin" -type f ! -name station -delete
sed -i '1s|.*|#!/opt/shadowline/bin/python|' "$stage/opt/shadowline/bin/station"
sed -i '/^command = /d' "$stage/opt/shadowline/pyvenv.cfg"
"$stage/opt/shadowline/bin/python" "$stage/opt/shadowline/bin/station" install --root "$stage" >/dev/null
install -D -m 644 LICENSE "$stage/usr/share/doc/shadowline/copyright"
install -m 644 README.md CHANGELOG.md "$stage/usr/share/doc/shadowline/"
install -D -m 644 -t "$stage/usr/share/doc/shadowline/docs" docs/*.md

mkdir "$stage/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
    -e "s/@SIZE_KIB@/$(du -sk "$stage" | cut -f1)/" \
    -e "$("$python" -c 'import sys; major, minor = sys.version_info[:2]
print(f"s/@PYTHON@/{major}.{minor}/; s/@NEXT_PYTHON@/{major}.{minor + 1}/")')" \
    packaging/debian/control >"$stage/DEBIAN/control"
install -m 755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$stage/DEBIAN/"
mkdir -p "$folder"
dpkg-deb --root-owner-group -Zzstd -z"${DEB_LEVEL:-10}" --build "$stage" "$folder" >/dev/null
ls -s --block-size=MB "$folder/shadowline_${version}_${architecture}.deb"
