# HashiCorp's Packer: its function `vault` reads a variable of a build from KV 2. It takes VAULT_ADDR and VAULT_TOKEN by itself.
. "$(dirname "$0")/steps.sh"

cd "$(mktemp --directory)"
trap 'rm -r "$PWD"' EXIT
export PACKER_CACHE_DIR=$PWD CHECKPOINT_DISABLE=1 HOME=$PWD

# template PATH FIELD: a build that writes what it was given into a file.
template() {
    jq --null-input --arg read "{{ vault \`$1\` \`$2\` }}" '{
        variables: {word: $read},
        "sensitive-variables": ["word"],
        builders: [{type: "null", communicator: "none"}],
        provisioners: [{type: "shell-local", environment_vars: ["WORD={{user `word`}}"], inline: ["printf %s \"$WORD\" > word"]}]
    }' > build.json
}

template secret/data/job/app password
packer build build.json > log || { cat log >&2; exit 1; }
same "$(cat word)" fake-app-password
ok "a build reads a secret of KV 2"

template secret/data/others/app password
if packer build build.json > log 2>&1; then exit 1; fi
grep --quiet 'permission denied' log
ok "another team's secret fails the build"
