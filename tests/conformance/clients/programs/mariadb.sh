# MariaDB's plug-in hashicorp_key_management: tables encrypted with keys that it reads from KV 2, and with nothing without them.
. "$(dirname "$0")/steps.sh"

here=$(mktemp --directory)
chmod 755 "$here"
server=""
stop() { if [[ $server ]]; then kill "$server" 2>/dev/null || true; wait "$server" || true; server=""; fi; }
trap 'stop; rm -r "$here"' EXIT

cat > "$here/my.cnf" <<END
[mariadbd]
user = $(id --user --name)
datadir = $here/data
socket = $here/socket
pid-file = $here/pid
skip-networking
plugin-load-add = hashicorp_key_management
hashicorp-key-management-vault-url = $VAULT_ADDR/v1/mariadb
hashicorp-key-management-token = $VAULT_TOKEN
hashicorp-key-management-vault-ca = ${VAULT_CACERT:-}
END
chmod 600 "$here/my.cnf"

sql() { mariadb --no-defaults --socket "$here/socket" --batch --skip-column-names --execute "$1"; }
start() {
    mariadbd --defaults-file="$here/my.cnf" > "$here/log" 2>&1 &
    server=$!
    until sql 'select 1' > /dev/null 2>&1; do
        kill -0 "$server" || { cat "$here/log" >&2; exit 1; }
        sleep 0.1
    done
}

mariadb-install-db --no-defaults --datadir="$here/data" --user="$(id --user --name)" --auth-root-authentication-method=normal > "$here/log" 2>&1
start
sql "create database d; create table d.t (word varchar(99)) encrypted=yes encryption_key_id=1; insert into d.t values ('a fake secret row')"
ok "a table is encrypted with a key of KV 2"

stop
if grep --quiet --text 'a fake secret row' "$here/data/d/t.ibd"; then exit 1; fi
ok "its rows are not readable in the file"

start
same "$(sql 'select word from d.t')" 'a fake secret row'
ok "after a restart the key is read again"

if sql 'create table d.u (word varchar(9)) encrypted=yes encryption_key_id=2' 2>/dev/null; then exit 1; fi
ok "a key that is not there is refused"
