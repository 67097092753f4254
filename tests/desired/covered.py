"""Small roles that together use every module, argument and key of the subset; each is applied by Ansible too, in twin places.

Text only. Which test applies which is said beside it; tests/desired/test_covered.py finds what none of them uses.
"""

from __future__ import annotations

__all__ = [
    "ACCOUNTS",
    "COVERING",
    "EVERYTHING",
    "HANDLER",
    "IMPORTED",
    "KEYS",
    "PACKAGES",
    "SUPPLIES",
    "UNITS",
    "UNIT_HANDLERS",
]

EVERYTHING = """
- name: Folders
  file: {path: "{{ root }}/a/b", state: directory, mode: "0750"}
- name: A template
  template: {src: t.j2, dest: "{{ root }}/a/b/t", mode: "0640"}
  notify: Say so
  register: written
- name: Text
  copy: {content: "x {{ item }}\\n", dest: "{{ root }}/{{ item }}", mode: "0600"}
  loop: [one, two]
- name: Bytes
  copy: {src: bytes, dest: "{{ root }}/bytes", mode: "4755"}
- name: A line
  lineinfile: {path: "{{ root }}/lines", regexp: '^y\\s', line: "y 1", create: true, mode: "0644"}
- name: A link
  file: {path: "{{ root }}/link", src: "one", state: link}
- name: Only then
  shell: {cmd: "echo hi > {{ root }}/when", creates: "{{ root }}/when"}
  when: written is changed
- name: Nothing
  file: {path: "{{ root }}/gone", state: absent}
- name: Words
  debug: {msg: "to {{ root }}"}
- name: True so far
  assert: {that: ["root is defined", "1 < 2"]}
"""
"""tests/desired/test_apply.py runs it in each shell; with KEYS and SUPPLIES it is judged by test_oracle.py."""

HANDLER = """
- name: Say so
  shell: {cmd: "echo ran >> {{ root }}/handled"}
  changed_when: true
"""

KEYS = """
- name: Keys of tasks
  copy: {content: "{{ word }} {{ item.a }}", dest: "{{ root }}/{{ item.a }}", mode: "{{ item.mode | default(omit) }}"}
  loop: [{a: k1, mode: "0640"}, {a: k2, mode: "0604"}]
  when: [root is defined, item.a != 'k3']
  vars: {word: "{{ default_word | upper }}"}
  tags: [some]
  become: false
  no_log: true
- import_tasks: more.yml
  when: root is defined
  vars: {from_import: "{{ default_word }}-imported"}
- import_tasks: {file: again.yml}
- name: Shared template
  template: {src: shared.j2, dest: "{{ root }}/shared", mode: "0644", owner: games, group: "8"}
- name: Line replaced
  lineinfile: {path: "{{ root }}/given", regexp: '^#?\\s*(Port|PORT)\\s+\\d+', line: "Port 22", state: present}
- name: Line already there
  lineinfile: {dest: "{{ root }}/given", regexp: '^Never{2,3}$', line: "last"}
- name: Line added
  lineinfile: {name: "{{ root }}/unended", regexp: '^q[a-z]+$', line: "added"}
- name: Line by other names
  lineinfile: {destfile: "{{ root }}/owned line", regex: '^x', value: "x", create: true, mode: "0600", owner: games, group: mail}
- name: Owned
  copy: {content: "", dest: "{{ root }}/owned", owner: games, group: mail, mode: "6711"}
- name: Folder deep
  file: {path: "{{ root }}/deep/er/est", state: directory, owner: games, group: "8", mode: "2750"}
- name: Gone
  file: {dest: "{{ root }}/tree", state: absent}
- name: Link changed
  file: {name: "{{ root }}/old_link", src: "{{ root }}/given", state: link}
- name: Command
  command: {argv: [cp, "{{ root }}/given", "{{ root }}/copied file"], creates: "{{ root }}/copied file"}
- name: Command line
  command: "touch '{{ root }}/quoted $(name)'"
  when: false
- name: Literal command
  command: {cmd: "touch '$(name) ~'", chdir: "{{ root }}", creates: "{{ root }}/$(name) ~", expand_argument_vars: false}
- name: Fed command
  command: {cmd: tee fed_first too, chdir: "{{ root }}", removes: "{{ root }}/unended", stdin: "{{ hostile }}", stdin_add_newline: false}
  changed_when: false
- name: Removing
  shell: {cmd: "rm {{ root }}/remove_me && umask > {{ root }}/umask", removes: "{{ root }}/remove_me", chdir: "{{ root }}"}
- name: Fed
  shell: {cmd: "cat > fed", stdin: "{{ hostile }}", stdin_add_newline: true, chdir: "{{ root }}", creates: "{{ root }}/fed"}
- name: Shell line
  shell: "[ -n '{{ root }}' ]"
  changed_when: false
- name: Reads only
  command: {cmd: "true"}
  changed_when: false
- assert: {that: root is defined, fail_msg: wrong, success_msg: right, quiet: true}
- assert: {that: root is defined, msg: wrong}
- debug: {msg: "for those who ask for more", verbosity: 2}
"""
IMPORTED = {
    "tasks__more": '- copy: {content: "{{ from_import }}", dest: "{{ root }}/imported", mode: "0600"}\n',
    "tasks__again": '- copy: {content: again, dest: "{{ root }}/again", mode: "0600"}\n',
}

SUPPLIES = """
- name: Fetched
  get_url: {url: "{{ server }}/archive", dest: "{{ root }}/fetched", checksum: "sha256:{{ digest }}", mode: "0640", owner: games, group: mail}
- name: Fetched and only of another mode
  get_url: {url: "{{ server }}/nowhere", dest: "{{ root }}/archive", checksum: "sha256:{{ digest | upper }}", mode: "0604"}
- name: Where it is unpacked
  file: {path: "{{ root }}/{{ item }}", state: directory, mode: "0755"}
  loop: [unpacked, unpacked for games]
- name: Unpacked
  unarchive: {src: "{{ root }}/fetched", dest: "{{ root }}/unpacked", remote_src: true}
- name: Unpacked for somebody
  unarchive: {src: "{{ root }}/fetched", dest: "{{ root }}/unpacked for games", remote_src: true, owner: games, group: "8"}
- name: Not unpacked again
  unarchive: {src: "{{ root }}/no archive", dest: "{{ root }}", remote_src: true, creates: "{{ root }}/given"}
"""

ACCOUNTS = """
- group: {name: plain, gid: 4242, state: present}
- group: {name: daemonic, system: true}
- user: {name: st0a1b2c3d, group: daemonic, system: true, password: "*", comment: a session, home: /run/nowhere, create_home: false, shell: /bin/sh}
- user: {name: alice, uid: 4243, comment: "it's $(a) person", shell: /bin/sh, groups: [games, plain], password: "$6$salt$x"}
- user: {user: bob, groups: games, append: true, state: present}
- user: {name: news, comment: changed, groups: [mail], append: true, create_home: false}
- user: {name: irc, state: absent, remove: true, force: true}
- group: {name: src, state: absent}
"""
"""Judged by tests/desired/test_accounts.py."""

UNIT = "[Service]\\nExecStart=/bin/sleep {seconds}\\nExecReload=/bin/touch /run/reloaded\\n[Install]\\nWantedBy=multi-user.target\\n"
UNITS = f"""
- copy: {{dest: /etc/systemd/system/ours.service, content: "{UNIT.format(seconds=7001)}", mode: "0644"}}
  notify: Reload ours
- systemd_service: {{name: ours.service, state: started, enabled: true, daemon_reload: true}}
- copy: {{dest: /etc/systemd/system/theirs.service, content: "{UNIT.format(seconds=7002)}", mode: "0644"}}
  notify: Restart theirs
- systemd_service: {{service: theirs.service, enabled: false}}
- systemd: {{unit: idle.service, state: started, enabled: true}}
- service: {{name: busy.service, state: stopped}}
- systemd_service: {{daemon-reload: true}}
"""
UNIT_HANDLERS = """
- name: Restart theirs
  systemd_service: {name: theirs.service, state: restarted, daemon_reload: true}
- name: Reload ours
  service: {name: ours.service, state: reloaded, enabled: true}
"""
"""Judged by tests/desired/test_units.py."""

PACKAGES = """
- apt: {name: [oracle-one, oracle-two], state: present, update_cache: true, cache_valid_time: 0, install_recommends: false}
- apt: {pkg: oracle-three}
- apt: {package: oracle-old, state: absent}
- package: {name: oracle-four, state: present}
"""
"""Judged by tests/desired/test_packages_installed.py."""

COVERING = (EVERYTHING, HANDLER, KEYS, *IMPORTED.values(), SUPPLIES, ACCOUNTS, UNITS, UNIT_HANDLERS, PACKAGES)
