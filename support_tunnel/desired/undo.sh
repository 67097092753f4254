# Put back what a journal describes, newest first, then remove the journal. Every part may run again after being killed:
# the journal goes only when all of it is done, and it goes by one rename.

st_undo() {
  st_forget
  [ -d "$st_journal" ] || return 0
  st_backwards=
  for st_entry in "$st_journal"/[0-9]*; do
    [ ! -d "$st_entry" ] || st_backwards="${st_entry##*/} $st_backwards"
  done
  st_units=
  for st_number in $st_backwards; do st_undo_one "$st_number" st_put_back; done
  if [ -n "$st_units" ]; then
    st_undo_systemd
    for st_number in $st_backwards; do
      case $st_number in *-unit) st_undo_one "$st_number" st_revive ;; esac
    done
  fi
  [ -z "$st_failed" ] || return
  mv -- "$st_journal" "$(cat -- "$st_journal/made").st-new" && st_forget
}

# Remove a journal that is done, or was never begun: it lies beside the highest folder that was made for it, under a name that
# tells which one that is. Folders on the way stay while another session's journal is in them.
st_forget() {
  st_top=$st_journal
  while [ -n "$st_top" ]; do
    if [ -d "$st_top.st-new" ]; then
      st_parent=$st_journal
      while [ "$st_parent" != "$st_top" ]; do
        st_parent=${st_parent%/*}
        rmdir -- "$st_parent" 2>/dev/null
      done
      rm -rf -- "$st_top.st-new" || return
    fi
    st_top=${st_top%/*}
  done
}

# st_undo_one ENTRY FUNCTION: one failure does not keep the rest from being put back.
st_undo_one() {
  st_at=$st_journal/$1
  st_name=$(cat -- "$st_at/name" && echo .)
  st_name=${st_name%.}
  case $1 in *-unit | *-reload) st_units=1 ;; esac
  if st_output=$("$2" "${1##*-}" "$st_name" 2>&1 >/dev/null 3>&-); then
    st_say "$1" changed "$(printf %s "$st_name" | st_packed)"
  else
    st_failed=1
    st_say "$1" failed "$(printf '%s: %s' "$st_name" "$st_output" | tail -c 4000 | st_packed)"
  fi
}

st_undo_systemd() {
  if st_output=$(st_run systemctl daemon-reload 2>&1 3>&-); then
    return
  fi
  st_failed=1
  st_say systemd failed "$(printf %s "$st_output" | st_packed)"
}

# st_put_back KIND NAME, with the entry at $st_at
st_put_back() {
  case $1 in
    absent) rm -rf -- "$(cat -- "$st_at/remove")" "$2.st-new" ;;
    copy) st_put_copy "$2" ;;
    attributes)
      read -r st_mode st_uid st_gid <"$st_at/attributes"
      chown -- "$st_uid:$st_gid" "$2" && chmod -- "00$st_mode" "$2"
      ;;
    user) st_remove_user "$2" && st_put_leftovers ;;
    group) st_remove_group "$2" && st_put_leftovers ;;
    unit) st_retire "$2" ;;
    reload) ;;
    *) st_complain "unknown entry $1" ;;
  esac
}

st_put_copy() {
  rm -rf -- "$1.st-new" && cp -a -- "$st_at/data" "$1.st-new" && st_shed_setgid "$1.st-new" || return
  # rename replaces a file or link in one step, and only that; a folder must go first
  if [ -d "$1" ] && [ ! -L "$1" ] || [ -d "$1.st-new" ]; then rm -rf -- "$1"; fi
  if [ -L "$1" ]; then rm -f -- "$1"; fi # or mv would follow it into a folder
  mv -f -- "$1.st-new" "$1"
}

# Below a setgid folder cp -a gives that bit to every folder it makes.
st_shed_setgid() {
  [ -d "$1" ] && [ ! -L "$1" ] || return 0
  (cd -- "$st_at/data" && find . -type d ! -perm -2000 -exec sh -c 'cd -- "$0" && chmod g-s -- "$@"' "$1" '{}' +)
}

# --- accounts ---

st_remove_user() {
  if st_user "$1"; then
    st_kill_all "$st_uid" && st_remove_files_of "$st_uid" || return
  elif st_half_there "$1" passwd shadow subuid subgid; then
    # killed between two of the files: complete the account, so that userdel takes it out of all of them
    st_clear_locks
    st_run useradd -l -r -M -N -- "$1" || return
  fi
  # shellcheck disable=SC2046 # words on purpose
  rm -rf -- $(st_belongings "$1") || return
  if st_user "$1"; then
    st_clear_locks
    st_run userdel -- "$1" || return
  fi
  st_remove_group "$1"
}

# Not those that were there before the account was, left by another one of the same number.
st_remove_files_of() {
  for st_each in $st_litter; do
    [ ! -d "$st_each" ] || find "$st_each" -xdev -depth -mindepth 1 -user "$1" -exec sh -c '
      orphans=$0
      for file; do
        { [ -s "$orphans" ] && grep -qxF -e "$(stat -c %d:%i:%W -- "$file")" -- "$orphans"; } || rm -rf -- "$file" || exit
      done' "$st_at/orphans" '{}' + || return
  done
}

st_remove_group() {
  if ! st_is_group "$1"; then
    st_half_there "$1" group gshadow || return 0
    st_clear_locks
    st_run groupadd -- "$1" || return
  fi
  st_clear_locks
  st_run groupdel -- "$1"
}

# st_half_there NAME FILE...: some file of the database names it.
st_half_there() {
  st_half=$1
  shift
  for st_each in "$@"; do
    [ ! -e "/etc/$st_each" ] || ! grep -q -e "^$st_half:" "/etc/$st_each" || return 0
  done
  return 1
}

# A lock file holds the number of its holder. One whose holder is dead was left by a useradd that was killed, and so was what
# that useradd was writing.
st_clear_locks() {
  for st_each in passwd shadow group gshadow subuid subgid; do
    for st_lock in "/etc/$st_each.lock" "/etc/$st_each".[0-9]*; do
      [ -f "$st_lock" ] || continue
      st_holder=$(tr -d '\0\n' <"$st_lock")
      case $st_lock in *.lock | *."$st_holder") ;; *) continue ;; esac
      case $st_holder in '' | *[!0-9]*) ;; *) ! kill -0 "$st_holder" 2>/dev/null || continue ;; esac
      rm -f -- "$st_lock"
    done
    [ -e "/etc/$st_each.lock" ] || rm -f -- "/etc/$st_each+"
  done
}

st_put_leftovers() {
  st_clear_locks
  for st_each in $st_leftovers; do
    if [ ! -e "$st_at/etc/$st_each" ]; then
      rm -f -- "/etc/$st_each"
    elif [ "$st_each" != .pwd.lock ]; then # somebody may hold that one just now
      cp -a -- "$st_at/etc/$st_each" "/etc/$st_each.st-new" && mv -f -- "/etc/$st_each.st-new" "/etc/$st_each"
    fi || return
  done
}

# userdel refuses while the account has processes, and they could start more: kill until a pass finds none.
st_kill_all() {
  [ "$1" != 0 ] || st_complain "an account of uid 0 is never ended" || return
  st_rounds=0
  while st_kill_once "$1"; do
    st_rounds=$((st_rounds + 1))
    [ "$st_rounds" -lt 200 ] || st_complain "processes of user $1 do not end" || return
    sleep 0.05 2>/dev/null || sleep 1
  done
}

st_kill_once() {
  st_found=1
  for st_process in /proc/[0-9]*; do
    st_state=
    # shellcheck disable=SC2034 # the names document the line's columns
    while read -r st_key st_real st_effective st_saved st_fs; do
      case $st_key in
        State:) st_state=$st_real ;;
        Uid:)
          case " $st_real $st_effective $st_saved $st_fs " in
            # a zombie is already dead and waits for its parent only
            *" $1 "*) [ "$st_state" = Z ] || ! st_of_this_host "$st_process" || { st_found=0 && kill -KILL "${st_process#/proc/}"; } ;;
          esac
          break
          ;;
      esac
    done 2>/dev/null <"$st_process/status"
  done 2>/dev/null
  return "$st_found"
}

# The first free system uid is also the uid of half the world's containers, whose processes are in /proc as well.
st_of_this_host() { [ "$1/root" -ef / ] || [ "$1/ns/pid" -ef /proc/self/ns/pid ]; }

# --- units ---

st_retire() {
  read -r st_was <"$st_at/was" || [ -n "$st_was" ]
  case $st_was in *ActiveState=active* | *ActiveState=activating*) ;; *) st_stop "$1" || return ;; esac
  case "$st_was " in *"UnitFileState=enabled "* | *"UnitFileState=static "*) ;; *) st_unit "$1" && { ! st_unit_enabled yes || st_run systemctl -q disable -- "$1"; } ;; esac
}

st_stop() {
  st_unit "$1" || return
  case $st_unit_is in *LoadState=not-found*) return 0 ;; esac
  st_run systemctl stop -- "$1" && { st_run systemctl reset-failed -- "$1" 2>/dev/null || :; }
}

# After every file is back: a unit that ran before runs on its old files again.
st_revive() {
  read -r st_was <"$st_at/was" || [ -n "$st_was" ]
  case "$st_was " in *"UnitFileState=enabled "*) st_run systemctl -q enable -- "$2" || return ;; esac
  case $st_was in *ActiveState=active* | *ActiveState=activating*) st_run systemctl restart -- "$2" ;; esac
}

st_end_undo() {
  st_say end "${st_failed:+failed}"
  [ -z "$st_failed" ] && [ ! -d "$st_journal" ]
}
