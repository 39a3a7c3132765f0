# curl and jq, as the documents of Vault show them: a token, both logins, both versions of KV, wrapping, refusals.
. "$(dirname "$0")/steps.sh"

api="$VAULT_ADDR/v1"

get() { curl --silent --show-error --fail "$@"; }
as() { printf 'X-Vault-Token: %s' "$1" | get --header @- "${@:2}"; }
vault() { as "$VAULT_TOKEN" "$@"; }
status() { printf 'X-Vault-Token: %s' "$VAULT_TOKEN" | curl --silent --output /dev/null --write-out '%{http_code}' --header @- "$@"; }

same "$(get "$api/sys/seal-status" | jq .sealed)" false
same "$(curl --silent --head --output /dev/null --write-out '%{http_code}' "$api/sys/health")" 200
ok "seal status and health"

same "$(vault --data '{"data": {"a": "1"}}' "$api/secret/data/job/curl" | jq .data.version)" 1
same "$(vault --request PUT --data '{"data": {"a": "2"}}' "$api/secret/data/job/curl" | jq .data.version)" 2
same "$(vault --request PATCH --header 'Content-Type: application/merge-patch+json' \
    --data '{"data": {"b": "x"}}' "$api/secret/data/job/curl" | jq .data.version)" 3
same "$(vault "$api/secret/data/job/curl" | jq -c .data.data)" '{"a":"2","b":"x"}'
same "$(vault "$api/secret/data/job/curl?version=1" | jq -r .data.data.a)" 1
ok "KV 2: POST, PUT, PATCH and GET"

same "$(vault --request LIST "$api/secret/metadata/job" | jq '.data.keys | index("curl") != null')" true
same "$(vault "$api/secret/metadata/job?list=true" | jq '.data.keys | index("curl") != null')" true
ok "LIST, and GET with list=true"

vault --request DELETE "$api/secret/data/job/curl"
same "$(status "$api/secret/data/job/curl")" 404
vault --data '{"versions": [3]}' "$api/secret/undelete/job/curl"
vault --data '{"versions": [1]}' "$api/secret/destroy/job/curl"
same "$(vault "$api/secret/metadata/job/curl" | jq -c '[.data.versions[].destroyed]')" '[true,false,false]'
vault --request DELETE "$api/secret/metadata/job/curl"
ok "KV 2: delete, undelete, destroy, metadata"

vault --data '{"a": "1"}' "$api/kv1/job/curl"
same "$(vault "$api/kv1/job/curl" | jq -r .data.a)" 1
vault --request DELETE "$api/kv1/job/curl"
same "$(status "$api/kv1/job/curl")" 404
ok "KV 1: write, read, delete"

same "$(status "$api/secret/data/others/app")" 403
same "$(curl --silent --output /dev/null --write-out '%{http_code}' "$api/secret/data/job/app")" 403
same "$(status --data '{"data": {}, "options": {"cas": 7}}' "$api/secret/data/job/app")" 400
ok "refusals: 403 and 400"

answer=$(jq --null-input '{role_id: env.ROLE_ID, secret_id: env.SECRET_ID}' | get --data @- "$api/auth/approle/login")
job=$(jq -r .auth.client_token <<<"$answer")
same "$(as "$job" "$api/secret/data/job/app" | jq -r .data.data.user)" ada
same "$(get --header @<(echo "Authorization: Bearer $job") "$api/auth/token/lookup-self" | jq -r .data.path)" auth/approle/login
ok "login: AppRole, and the token as a bearer"

answer=$(jq --null-input '{password: env.USER_PASSWORD}' | get --data @- "$api/auth/userpass/login/$USER_NAME")
same "$(as "$(jq -r .auth.client_token <<<"$answer")" "$api/kv1/job/app" | jq -r .data.user)" ada
ok "login: userpass"

same "$(as "$job" --data '{"increment": "5m"}' "$api/auth/token/renew-self" | jq .auth.lease_duration)" 300
as "$job" --request POST "$api/auth/token/revoke-self"
same "$(printf 'X-Vault-Token: %s' "$job" | curl --silent --output /dev/null --write-out '%{http_code}' --header @- "$api/auth/token/lookup-self")" 403
ok "a token: renew, revoke"

wrapped=$(vault --header 'X-Vault-Wrap-TTL: 60s' "$api/secret/data/job/app" | jq -r .wrap_info.token)
same "$(as "$wrapped" --request POST "$api/sys/wrapping/unwrap" | jq -r .data.data.user)" ada
same "$(status --data "{\"token\": \"$wrapped\"}" "$api/sys/wrapping/unwrap")" 400
ok "wrapping: an answer is opened once"
