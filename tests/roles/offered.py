"""A package mirror for a node, which reaches none: one package is taken off it, put together again, and offered to its own apt."""

from __future__ import annotations

__all__ = ["take_off_and_offer"]


def take_off_and_offer(package: str) -> str:
    """Script for a Debian node that has the package. The mirror lies in memory: no image that is made of the node has it."""
    return f"package={package}\n{_OFFER}"


_OFFER = r"""
set -eu
offered=/run/offered info=/var/lib/dpkg/info
mkdir -p $offered/root/DEBIAN
# Documentation is listed too, and was never unpacked.
dpkg -L "$package" | while read -r path; do
  if [ -d "$path" ]; then mkdir -p "$offered/root$path"; elif [ -e "$path" ] || [ -L "$path" ]; then cp -a --parents "$path" $offered/root; fi
done
dpkg-query -s "$package" | sed '/^Status:/d; /^Conffiles:/d; /^ \//d' >$offered/root/DEBIAN/control
for part in preinst postinst prerm postrm config templates conffiles; do
  [ ! -e "$info/$package.$part" ] || cp "$info/$package.$part" $offered/root/DEBIAN/$part
done
dpkg-deb --root-owner-group --build $offered/root $offered/it.deb
{ cat $offered/root/DEBIAN/control
  echo "Filename: ./it.deb"
  echo "Size: $(stat -c %s $offered/it.deb)"
  echo "SHA256: $(sha256sum $offered/it.deb | cut -d' ' -f1)"
} >$offered/Packages
rm -r $offered/root
dpkg --purge "$package"
rm -f /etc/apt/sources.list.d/*
echo "deb [trusted=yes] file:$offered ./" >/etc/apt/sources.list
apt-get update
"""
