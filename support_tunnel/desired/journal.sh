# The undo journal: before each change, what was there. An entry is a folder that is filled, synced and renamed into place, so
# that it is whole or absent; entries are data, never text that a shell would run. The first entry about a thing is the one
# that counts: it holds the state from before us.

st_begin_journal() {
  [ -d "$st_journal" ] || st_make_journal || return
  [ ! -L "$st_journal" ] || st_complain "$st_journal is a link" || return
  [ "$(stat -c '%u %a' -- "$st_journal")" = "$(id -u) 700" ] || st_complain "$st_journal must belong to root alone (mode 0700)" || return
  # What an apply that was killed had not yet named as an entry describes nothing that happened.
  rm -rf -- "$st_journal/new"
}

# The folder appears with its missing parents by one rename, and goes the same way (undo.sh); `made` names the highest of them.
st_make_journal() {
  st_highest "$st_journal"
  st_birth=$st_missing.st-new${st_journal#"$st_missing"}
  rm -rf -- "$st_missing.st-new" && mkdir -p -- "$st_birth" && printf %s "$st_missing" >"$st_birth/made" &&
    mv -- "$st_missing.st-new" "$st_missing"
}

# st_highest PATH: find the highest part of PATH that is missing.
st_highest() {
  st_missing=$1
  while [ -n "${st_missing%/*}" ] && st_is_absent "${st_missing%/*}"; do st_missing=${st_missing%/*}; done
}

# An entry is called NUMBER-KEY-KIND; the key stands for the thing's name, which may be anything and lies inside.

# st_known KEY KIND...: the journal holds an entry of one of these kinds about it.
st_known() {
  st_key=$1
  shift
  for st_kind; do
    for st_entry in "$st_journal"/[0-9]*-"$st_key-$st_kind"; do
      [ ! -d "$st_entry" ] || return 0
    done
  done
  return 1
}

# st_new_entry NAME: begin one; st_commit KEY KIND ends it.
st_new_entry() { rm -rf -- "$st_journal/new" && mkdir -- "$st_journal/new" && printf %s "$1" >"$st_journal/new/name"; }

st_commit() {
  st_number=100000
  for st_entry in "$st_journal"/[0-9]*; do
    [ ! -d "$st_entry" ] || st_number=${st_entry##*/}
  done
  st_number=$((${st_number%%-*} + 1))
  st_sync "$st_journal/new" && mv -- "$st_journal/new" "$st_journal/$st_number-$1-$2" && st_sync "$st_journal"
}

# The contents of a folder are synced one by one, a copied tree with its file system.
st_sync() {
  if [ -d "$1/data" ]; then
    sync -f -- "$1" 2>/dev/null || sync
  else
    find "$1" -exec sync -- '{}' + 2>/dev/null || sync
  fi
}

st_record_path() {
  ! st_known "$1" absent copy || return 0
  if st_is_absent "$2"; then
    st_new_entry "$2" && printf %s "$2" >"$st_journal/new/remove" && st_commit "$1" absent
  else
    st_new_entry "$2" && cp -a -- "$2" "$st_journal/new/data" && st_commit "$1" copy
  fi
}

# A folder that is to be filled: all of it. What a link leads to would be changed and not put back.
st_record_tree() {
  ! st_known "$1" absent copy || return 0
  [ ! -L "$2" ] || st_complain "$2 is a link; with undo an archive is unpacked into a folder of its own" || return
  st_record_path "$1" "$2" || return
  [ -z "$(find "$2" -type l -exec test -d '{}' ';' -print | head -n 1)" ] ||
    st_complain "a link below $2 leads to a folder; with undo an archive is unpacked beside no such link"
}

# A directory's missing parents are made with it, so what goes at the end is the highest that is missing.
st_record_directory() {
  ! st_known "$1" absent attributes copy || return 0
  if [ -d "$2" ]; then
    st_new_entry "$2" && stat -L -c '%a %u %g' -- "$2" >"$st_journal/new/attributes" && st_commit "$1" attributes
  elif st_is_absent "$2"; then
    st_highest "$2"
    st_new_entry "$2" && printf %s "$st_missing" >"$st_journal/new/remove" && st_commit "$1" absent
  else
    st_record_path "$1" "$2"
  fi
}

# Only new accounts can be undone exactly; one that is there already and differs is left alone.
st_record_group() {
  ! st_known "$1" group || return 0
  ! st_is_group "$2" || st_complain "the group $2 is there already and differs; with undo only new accounts are made" || return
  st_new_entry "$2" && st_save_leftovers && st_commit "$1" group
}

# st_record_user KEY NAME KEY_OF_GROUP
st_record_user() {
  ! st_known "$1" user || return 0
  ! st_user "$2" || st_complain "the user $2 is there already and differs; with undo only new accounts are made" || return
  # userdel takes a group of the same name with it, so that must be ours too
  ! st_is_group "$2" || st_known "$3" group || st_complain "a group $2 is there already" || return
  for st_each in $(st_belongings "$2"); do
    st_is_absent "$st_each" || st_complain "$st_each is there already" || return
  done
  st_new_entry "$2" && st_save_leftovers && st_orphans >"$st_journal/new/orphans" && st_commit "$1" user
}

st_save_leftovers() {
  mkdir -- "$st_journal/new/etc" || return
  for st_each in $st_leftovers; do
    [ ! -e "/etc/$st_each" ] || cp -a -- "/etc/$st_each" "$st_journal/new/etc/" || return
  done
}

st_record_unit() {
  ! st_known "$1" unit || return 0
  st_unit "$2" && st_new_entry "$2" && printf '%s\n' "$st_unit_is" >"$st_journal/new/was" && st_commit "$1" unit
}

st_record_reload() { st_known "$1" reload || { st_new_entry systemd && st_commit "$1" reload; }; }

# --- words that undo.sh needs too ---

# What useradd and its kin leave in /etc beside the database itself.
st_leftovers='passwd- shadow- group- gshadow- subuid- subgid- .pwd.lock'

# Where a session may leave files.
st_litter='/tmp /var/tmp /dev/shm'

# Files of no account, by device, inode and birth, some of which a new account may find itself the owner of. One that goes while we look is nobody's loss.
st_orphans() {
  for st_each in $st_litter; do
    [ ! -d "$st_each" ] || find "$st_each" -xdev -mindepth 1 -nouser -exec stat -c '%d:%i:%W' -- '{}' + 2>/dev/null || :
  done
}

# What a session may leave under the name of its account. Account names hold no blanks.
st_belongings() { echo "/var/mail/$1 /var/spool/cron/crontabs/$1 /var/lib/systemd/linger/$1"; }
