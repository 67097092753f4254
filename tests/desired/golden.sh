
st_begin
# roles/demo/tasks/main.yml:2
st_check_it() {
st_is_group st0a1b2c3d
}
st_fix() {
if st_is_group st0a1b2c3d; then
st_run groupmod st0a1b2c3d
else
st_run groupadd -r st0a1b2c3d
fi
}
st_record() {
st_record_group b5ff6981cfb03df1 st0a1b2c3d
}
st_shows=''
st_step 0 changed changed
# roles/demo/tasks/main.yml:3
st_body() {
printf %s Kg== | base64 -d
}
st_check_it() {
{ st_user st0a1b2c3d &&
test "x$st_shell" = x/bin/sh &&
st_primary st0a1b2c3d &&
st_password st0a1b2c3d; }
}
st_fix() {
{ if st_user st0a1b2c3d; then
st_run usermod -g st0a1b2c3d -s /bin/sh -- st0a1b2c3d
else
st_run useradd -l -M -r -g st0a1b2c3d -s /bin/sh -- st0a1b2c3d
fi &&
st_set_password st0a1b2c3d; }
}
st_record() {
st_record_user 1dbd5a0d91a9af0f st0a1b2c3d b5ff6981cfb03df1
}
st_shows=''
st_step 1 changed changed
# roles/demo/tasks/main.yml:4
st_check_it() {
st_is_directory '/etc/x y' 750 root adm
}
st_fix() {
st_directory '/etc/x y' 750 root adm
}
st_record() {
st_record_directory 21b22ce38db9070a '/etc/x y'
}
st_shows=''
st_step 2 changed changed
# roles/demo/tasks/main.yml:5
st_body() {
printf %s aGVsbG8geW91Cg== | base64 -d
}
st_check_it() {
st_has '/etc/x y/t' 600 '' '' st_body
}
st_fix() {
st_write '/etc/x y/t' 600 '' '' st_body
}
st_record() {
st_record_path 6e241a605f7c8064 '/etc/x y/t'
}
st_before() {
cat -- '/etc/x y/t'
}
st_shows=before
st_step 3 changed changed 6281883c7273adfb
if st_changed 3; then
# roles/demo/tasks/main.yml:8
st_body() {
printf %s UG9ydCAyMg== | base64 -d
}
st_check_it() {
st_line_holds /etc/conf '' '' '' '^#?Port[[:space:]]'
}
st_fix() {
st_line /etc/conf '' '' '' '^#?Port[[:space:]]' ''
}
st_record() {
st_record_path 3a8d0bce059ac4e7 /etc/conf
}
st_before() {
cat -- /etc/conf
}
st_after() {
st_lined /etc/conf '^#?Port[[:space:]]'
}
st_shows='before after'
st_step 4 changed changed
else
st_say 4 skipped
fi
# roles/demo/tasks/main.yml:10
st_check_it() {
st_is_link /etc/l /etc/conf
}
st_fix() {
st_link /etc/l /etc/conf
}
st_record() {
st_record_path 82731650a17dd889 /etc/l
}
st_shows=''
st_step 5 changed changed
# roles/demo/tasks/main.yml:11
st_check_it() {
st_is_absent /etc/gone
}
st_fix() {
rm -rf -- /etc/gone
}
st_record() {
st_record_path e3bbe32cef8061d3 /etc/gone
}
st_shows=''
st_step 6 changed changed
# roles/demo/tasks/main.yml:12
st_check_it() {
{ st_systemd_is_current &&
st_unit it.service &&
st_unit_enabled yes &&
st_unit_active yes; }
}
st_fix() {
{ st_run systemctl daemon-reload &&
st_enable enable it.service &&
st_run systemctl start -- it.service; }
}
st_record() {
st_record_unit 89af24244c658e00 it.service
}
st_shows=''
st_step 7 changed changed
# roles/demo/tasks/main.yml:13
st_body() {
printf %s d29yZHMK | base64 -d
}
st_check_it() {
false
}
st_fix() {
st_body | st_run true
}
st_record() {
:
}
st_shows=''
st_step 8 ok skipped
if st_owed 6281883c7273adfb 3; then
# roles/demo/handlers/main.yml:1
st_check_it() {
false
}
st_fix() {
st_run systemctl restart -- it.service
}
st_record() {
st_record_unit 89af24244c658e00 it.service
}
st_shows=''
st_step 9 changed changed
if [ -z "$st_failed" ]; then
st_settle 6281883c7273adfb
else
:
fi
else
st_say 9 skipped
fi
st_end
}
main </dev/null
