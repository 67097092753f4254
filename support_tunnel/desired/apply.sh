# Library of every compiled role; runs under dash and busybox ash. Its names begin with st_ so that text of a role cannot meet
# them. The script around it sets st_check, st_journal and st_run_folder. Descriptor 3 is the report; nothing that a
# role runs inherits it, or a daemon started by a task would hold the channel open.

umask 077
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
exec 3>&1 >/dev/null
st_failed=
st_shows=
st_changed_ids=' '
st_pending=${st_journal:+$st_journal/pending}
st_pending=${st_pending:-$st_run_folder}

# --- steps and their report ---

st_say() { printf 'support-tunnel: %s %s %s\n' "$1" "$2" "${3-}" >&3; }

st_packed() { base64 | tr -d '\n'; }

st_complain() {
  printf '%s\n' "$1" >&2
  return 1
}

# st_step ID REPORTS IN_CHECK_MODE [HANDLER...]: check, and when that fails: record, remember whom to notify, fix.
st_step() {
  st_id=$1 st_reports=$2 st_dry=$3
  shift 3
  if [ -n "$st_failed" ]; then
    st_say "$st_id" skipped
    return 1
  fi
  if st_check_it >/dev/null 2>&1 3>&-; then
    st_say "$st_id" ok
    return 0
  fi
  for st_each in $st_shows; do
    st_say "$st_id" "$st_each" "$("st_$st_each" 2>/dev/null | st_packed)"
  done
  if [ -n "$st_check" ]; then
    [ "$st_dry" != changed ] || st_changed_ids="$st_changed_ids$st_id "
    st_say "$st_id" "$st_dry"
    return 0
  fi
  if st_output=$({ st_notify "$@" && { [ -z "$st_journal" ] || st_record; } && st_fix; } 2>&1 >/dev/null 3>&-); then
    [ "$st_reports" != changed ] || st_changed_ids="$st_changed_ids$st_id "
    st_say "$st_id" "$st_reports"
  else
    st_failed=1
    st_say "$st_id" failed "$(printf %s "$st_output" | tail -c 4000 | st_packed)"
    return 1
  fi
}

# st_changed ID...: one of these steps changed something in this run.
st_changed() {
  for st_each in "$@"; do
    case $st_changed_ids in *" $st_each "*) return 0 ;; esac
  done
  return 1
}

# A handler is owed from before the change until it has run, on disk, so that a run killed in between loses nothing.
st_notify() {
  [ "$#" -gt 0 ] || return 0
  mkdir -p -- "$st_pending" || return
  for st_each in "$@"; do
    : >"$st_pending/$st_each" || return
  done
}

# st_owed HANDLER ID...
st_owed() {
  [ ! -e "$st_pending/$1" ] || return 0
  shift
  [ -n "$st_check" ] && st_changed "$@"
}

st_settle() { [ -n "$st_check" ] || rm -f -- "$st_pending/$1"; }

# Open the undo journal, if there is to be one; without it nothing may be changed.
st_begin() {
  [ -n "$st_journal" ] && [ -z "$st_check" ] || return 0
  st_output=$(st_begin_journal 2>&1 3>&-) && return
  st_failed=1
  st_say journal failed "$(printf %s "$st_output" | st_packed)"
}

st_end() {
  [ ! -d "$st_pending" ] || rmdir -- "$st_pending" 2>/dev/null
  st_say end "${st_failed:+failed}"
  [ -z "$st_failed" ]
}

# Programs of the host get the umask they expect; ours is for what we write.
st_run() (
  umask 022
  exec "$@"
)

st_eval() (
  umask 022
  eval "$1"
)

# --- files: PATH MODE OWNER GROUP, where an empty word means "as it is" ---

st_has_attributes() {
  st_stat=$(stat -L -c '%a %U %G %u %g' -- "$1") || return
  # shellcheck disable=SC2086 # five words on purpose
  st_matches "$2" "$3" "$4" $st_stat
}

st_matches() {
  [ -z "$1" ] || [ "$1" = "$4" ] || return
  case $2 in '' | "$5" | "$7") ;; *) return 1 ;; esac
  case $3 in '' | "$6" | "$8") ;; *) return 1 ;; esac
}

st_set_attributes() {
  [ -z "$3$4" ] || chown -- "$3${4:+:$4}" "$1" || return
  # after chown, which drops setuid; 00 because GNU chmod otherwise leaves a folder its setgid bit
  [ -z "$2" ] || chmod -- "00$2" "$1"
}

st_has() { [ -f "$1" ] && st_has_attributes "$1" "$2" "$3" "$4" && "$5" | cmp -s - "$1"; }

# st_write PATH MODE OWNER GROUP PRINTER: written beside its target with owner and mode, then renamed.
st_write() {
  [ ! -d "$1" ] || st_complain "$1 is a directory" || return
  set -- "$1" "$2" "$3" "$4" "$5" "$1.st-new"
  if [ -e "$1" ]; then
    st_stat=$(stat -L -c '%a %u %g' -- "$1") || return
    # shellcheck disable=SC2086 # three words on purpose
    st_write_as "$@" $st_stat
  else
    st_write_as "$@" 644 '' ''
  fi || {
    rm -f -- "$6"
    return 1
  }
}

st_write_as() {
  rm -f -- "$6" &&
    # noclobber opens with O_EXCL: a link that somebody planted under this name is refused, not followed
    (set -C && "$5" >"$6") &&
    st_set_attributes "$6" "${2:-$7}" "${3:-$8}" "${4:-$9}" &&
    mv -f -- "$6" "$1"
}

st_is_directory() { [ -d "$1" ] && st_has_attributes "$1" "$2" "$3" "$4"; }

st_directory() {
  [ -d "$1" ] || st_make_directory "$1" "$2" "$3" "$4" || return
  st_set_attributes "$1" "$2" "$3" "$4"
}

st_make_directory() {
  [ -z "${1%/*}" ] || [ -d "${1%/*}" ] || st_make_directory "${1%/*}" "$2" "$3" "$4" || return
  mkdir -- "$1" && st_set_attributes "$1" "$2" "$3" "$4"
}

st_is_link() { [ -L "$1" ] && [ "$(readlink -- "$1" && echo .)" = "$(printf '%s\n.' "$2")" ]; }

st_link() {
  [ -L "$1" ] || [ ! -e "$1" ] || st_complain "$1 is there and not a link" || return
  case $2 in
    /*) [ -e "$2" ] ;;
    *) [ -e "${1%/*}/$2" ] ;;
  esac || st_complain "the target $2 does not exist" || return
  ln -sfn -- "$2" "$1"
}

st_is_absent() { [ ! -e "$1" ] && [ ! -L "$1" ]; }

# --- one line in a file; st_body prints the line ---

# st_lined PATH EXPRESSION: print the file as it should be.
st_lined() {
  if [ ! -e "$1" ]; then
    st_body && echo
    return
  fi
  st_at=$(grep -nE -e "$2" -- "$1" | tail -n 1)
  [ -n "$st_at" ] || st_at=$(st_body | grep -nxF -f - -- "$1" | tail -n 1)
  st_at=${st_at%%:*}
  if [ -n "$st_at" ]; then
    head -n "$((st_at - 1))" -- "$1" && st_body && echo && tail -n "+$((st_at + 1))" -- "$1"
  else
    cat -- "$1" && { [ -z "$(tail -c 1 -- "$1")" ] || echo; } && st_body && echo
  fi
}

st_line_holds() {
  [ -f "$1" ] || return
  st_path=$1 st_expression=$5
  st_has "$1" "$2" "$3" "$4" st_lined_now
}

st_lined_now() { st_lined "$st_path" "$st_expression"; }

# st_line PATH MODE OWNER GROUP EXPRESSION CREATE
st_line() {
  [ -e "$1" ] || [ -n "$6" ] || st_complain "$1 does not exist" || return
  st_path=$1 st_expression=$5
  st_write "$1" "$2" "$3" "$4" st_lined_now
}

# --- accounts ---

st_is_group() {
  st_entry=$(getent group -- "$1") || return
  IFS=: read -r st_name st_x st_gid st_members <<GROUP
$st_entry
GROUP
  # getent also answers to a number
  [ "$st_name" = "$1" ] && [ "${2:-$st_gid}" = "$st_gid" ]
}

st_user() {
  st_entry=$(getent passwd -- "$1") || return
  IFS=: read -r st_name st_x st_uid st_gid st_comment st_home st_shell <<PASSWD
$st_entry
PASSWD
  [ "$st_name" = "$1" ]
}

# After st_user: its primary group is this one.
st_primary() {
  st_primary_gid=$st_gid
  st_is_group "$1" "$st_primary_gid"
}

# After st_user. st_member all GROUP...: in these supplementary groups and no others; st_member some: in these at least.
st_member() {
  st_kind=$1
  shift
  st_in=" $(id -Gn -- "$st_name") " st_own=$(id -gn -- "$st_name")
  for st_each in "$@"; do
    case $st_in in *" $st_each "*) ;; *) return 1 ;; esac
  done
  [ "$st_kind" = all ] || return 0
  for st_each in $st_in; do
    [ "$st_each" != "$st_own" ] || continue
    case " $* " in *" $st_each "*) ;; *) return 1 ;; esac
  done
}

st_password() {
  st_wanted=$(st_body)
  while IFS=: read -r st_name st_x st_rest; do
    [ "$st_name" != "$1" ] || {
      [ "$st_x" = "$st_wanted" ]
      return
    }
  done </etc/shadow
  return 1
}

st_set_password() {
  st_password "$1" || { printf '%s:' "$1" && st_body && echo; } | st_run chpasswd -e
}

st_home_exists() {
  st_user "$1" && { [ -d "$st_home" ] || st_complain "the home $st_home of $1 does not exist; make it with a file task"; }
}

# --- packages ---

st_installed() {
  for st_each in "$@"; do st_any_installed "$st_each" || return; done
}

st_any_installed() {
  dpkg-query -W -f '${db:Status-Status}\n' -- "$@" 2>/dev/null | grep -qx installed
}

st_apt() { DEBIAN_FRONTEND=noninteractive st_run apt-get -q -y -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"; }

# --- units ---

st_unit() {
  st_unit_is=$(systemctl show -p LoadState -p ActiveState -p UnitFileState -- "$1" | tr '\n' ' ')
  [ -n "$st_unit_is" ]
}

# After st_unit.
st_unit_active() {
  case $st_unit_is in
    *ActiveState=active* | *ActiveState=activating* | *ActiveState=reloading*) [ "$1" = yes ] ;;
    *LoadState=not-found*) [ "$1" = no ] && return 1 ;;
    *ActiveState=inactive* | *ActiveState=failed*) [ "$1" = no ] ;;
    *) return 1 ;;
  esac
}

st_unit_enabled() {
  case "$st_unit_is " in
    *"UnitFileState=enabled "* | *"UnitFileState=static "* | *"UnitFileState=alias "* | *"UnitFileState=indirect "* | *"UnitFileState=generated "*) [ "$1" = yes ] ;;
    *"LoadState=not-found "*) return 1 ;;
    *) [ "$1" = no ] ;;
  esac
}

# Nothing changed in this run, and systemd says that no file of a loaded unit is newer than what it has read.
st_systemd_is_current() {
  [ "$st_changed_ids" = ' ' ] || return
  st_needs=$(systemctl show -p NeedDaemonReload '*') || return
  case $st_needs in *=yes*) return 1 ;; esac
}

# Static and generated units cannot be enabled or disabled, and count as enabled.
st_enable() {
  st_unit "$2" || return
  if [ "$1" = enable ] && st_unit_enabled yes; then return 0; fi
  st_run systemctl -q "$1" -- "$2"
}
