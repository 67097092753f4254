# Library of scripts that fetch a file or unpack an archive; comes after apply.sh.

# --- a file from elsewhere: PATH MODE OWNER GROUP PROGRAM DIGEST URL, where PROGRAM computes the digest ---

# st_has_digest PATH PROGRAM DIGEST
st_has_digest() {
  st_sum=$("$2" <"$1") && [ "${st_sum%% *}" = "$3" ]
}

st_is_fetched() { [ -f "$1" ] && st_has_attributes "$1" "$2" "$3" "$4" && st_has_digest "$1" "$5" "$6"; }

st_fetch() {
  # not through a link: what it points to is not ours to change, nor in the journal
  if [ -f "$1" ] && [ ! -L "$1" ] && st_has_digest "$1" "$5" "$6"; then
    st_set_attributes "$1" "$2" "$3" "$4"
    return
  fi
  st_path=$1 st_program=$5 st_digest=$6 st_url=$7
  st_write "$1" "$2" "$3" "$4" st_fetched_now
}

# Runs with standard output on the file that st_write is going to rename; one of another digest never gets there.
st_fetched_now() {
  st_download || return
  st_has_digest "$st_path.st-new" "$st_program" "$st_digest" ||
    st_complain "what $st_url sends has the digest ${st_sum%% *}, and not $st_digest"
}

# Settings and passwords of root's own are not read (-q, --no-config, --no-netrc): a redirect chooses who is asked. From https none
# leads to http; wget has no switch for that, so it is given a proxy for http that it refuses (a host in no_proxy is asked all the same).
# 10 seconds without a byte are enough, as with Ansible. wget would follow a redirect on the connection it has, and give up when a server
# that has not said so is just closing it (--no-http-keep-alive).
st_download() {
  case $st_url in
    https:*) st_after='=https' st_plain='-e http_proxy=no-plain-http-after-https:' ;;
    *) st_after='=http,https' st_plain='' ;;
  esac
  if command -v curl >/dev/null; then
    st_run curl -q -g -s -S -f -L --proto =http,https --proto-redir "$st_after" --max-redirs 10 \
      --connect-timeout 10 --speed-limit 1 --speed-time 10 -- "$st_url"
  elif command -v wget >/dev/null; then
    # shellcheck disable=SC2086 # two words, or none
    st_run wget --no-config --no-netrc --no-http-keep-alive $st_plain -nv -O - --timeout=10 --tries=1 --max-redirect=10 -- "$st_url"
  else
    st_complain "neither curl nor wget is installed, and one of them is needed to fetch $st_url"
  fi
}

# --- an archive: ARCHIVE FOLDER OWNER GROUP ---

st_tar() { tar --force-local --warning=no-unknown-keyword "$@"; }

# st_members ARCHIVE FOLDER PROGRAM...: run it in FOLDER with the names of all members, and of the topmost folder of each.
st_members() (
  cd -- "$2" || exit
  st_names=$(st_tar --list --quoting-style=literal -f "$1") || exit
  shift 2
  { printf '%s\n' "$st_names" && printf '%s\n' "$st_names" | grep / | cut -d/ -f1; } | sort -u | tr '\n' '\0' | xargs -0 "$@" --
)

st_is_unpacked() {
  [ -f "$1" ] && [ -d "$2" ] && [ -n "$(st_tar --list -f "$1" | head -n 1)" ] || return
  st_differs=$(st_tar --diff -C "$2" -f "$1" 2>&1) || {
    [ -z "$3" ] || st_differs=$(printf %s "$st_differs" | grep -v ': Uid differs$')
    [ -z "$4" ] || st_differs=$(printf %s "$st_differs" | grep -v ': Gid differs$')
    [ -z "$st_differs" ] || return
  }
  [ -z "$3$4" ] || st_owned "$@"
}

# No member has another owner or group than these.
st_owned() {
  st_about=$(st_members "$1" "$2" stat -c '%U %u %G %g') || return
  printf '%s\n' "$st_about" | sort -u | (
    while read -r st_name st_uid st_group st_gid; do
      st_matches '' "$3" "$4" '' "$st_name" "$st_group" "$st_uid" "$st_gid" || exit
    done
  )
}

st_unpack() {
  [ -f "$1" ] || st_complain "the archive $1 does not exist" || return
  [ -d "$2" ] || st_complain "$2 is not a directory" || return
  st_names=$(st_tar --list --quoting-style=escape -f "$1") || return
  [ -n "$st_names" ] || st_complain "the archive $1 is empty" || return
  ! printf '%s\n' "$st_names" | grep -qE '^/|(^|/)\.\.(/|$)' || st_complain "a name in the archive $1 leads out of it" || return
  ! printf '%s\n' "$st_names" | sed 's/\\\\//g' | grep -qF '\n' || st_complain "a name in the archive $1 holds a line break" || return
  (umask 022 && st_tar --extract -C "$2" -f "$1") || return
  [ -z "$3$4" ] || st_members "$1" "$2" chown -h "$3${4:+:$4}"
}
