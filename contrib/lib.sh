# shellcheck shell=bash disable=SC2154
# Shared by quickstart and check; sourced, with `here` set to the checkout.

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$1" >&2; [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2; exit 1; }

# packages GROUP...: names of the packages in these groups.
packages() {
    local group name
    while read -r group name _; do
        case " $* " in *" $group "*) printf '%s\n' "$name" ;; esac
    done < "$here/contrib/packages"
}

reason_of() {
    local group name why
    while read -r group name why; do
        [ "$name" != "$1" ] || [ "$group" = guest ] || printf '%s\n' "$why"
    done < "$here/contrib/packages"
}

is_debian() { command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; }

# missing PACKAGE...: those that dpkg does not know as installed.
missing() {
    local p
    for p in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || printf '%s\n' "$p"
    done
}

# as_root CMD...: run it with root's rights; 1 when there is no way.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif can_sudo; then sudo -- "$@"; else return 1; fi
}

can_sudo() { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; }

# apt_install PACKAGE...: the package lists may be absent or stale (fresh image), so a failure is tried again after an update.
apt_install() {
    local cmd=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -qq --no-install-recommends -y install "$@")
    as_root "${cmd[@]}" >/dev/null 2>&1 </dev/null && return
    # One dead source among several must not matter: whether the packages can be had, the second try tells.
    as_root apt-get -o DPkg::Lock::Timeout=120 -qq update </dev/null || :
    as_root "${cmd[@]}" </dev/null >/dev/null
}

# find_python: a Python >= 3.11 whose headers the distribution's packages provide; its own first.
find_python() {
    local p
    for p in ${PYTHON-} /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        p=$(command -v "$p") || continue
        if "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then printf '%s\n' "$p"; return; fi
    done
    return 1
}

# copy_checkout DEST: what belongs to the project, without git's data and earlier builds.
copy_checkout() {
    tar -C "$here" -c --exclude=./.git --exclude='./build*' --exclude=./dist --exclude=./.venv --exclude=__pycache__ \
        --exclude='./.*_cache' --exclude='./.mesonpy-*' . | tar -C "$1" -x --no-same-owner
}

# has_subids USER FILE: whether FILE (/etc/subuid or /etc/subgid) grants USER at least 65536 ids.
has_subids() {
    local uid; uid=$(id -u "$1")
    awk -F: -v u="$1" -v n="$uid" '($1 == u || $1 == n) && $3 >= 65536 { ok = 1 } END { exit !ok }' "$2" 2>/dev/null
}

# free_subid_range: "FIRST-LAST", 65536 ids above every range already given out in either file.
free_subid_range() {
    awk -F: 'BEGIN { top = 100000 } $2 + $3 > top { top = $2 + $3 } END { print top "-" top + 65535 }' \
        /etc/subuid /etc/subgid /dev/null 2>/dev/null
}

# subid_command USER: the usermod call that gives USER what is missing, or nothing.
subid_command() {
    local range args=()
    range=$(free_subid_range)
    has_subids "$1" /etc/subuid || args+=(--add-subuids "$range")
    has_subids "$1" /etc/subgid || args+=(--add-subgids "$range")
    [ ${#args[@]} = 0 ] || printf 'usermod %s %s\n' "${args[*]}" "$1"
}
