# bash completion for device-worker-ng

_device_worker_ng() {
  local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' config=() words i
  local commands='status describe logs top explain history metrics eval doctor support-bundle restart stop start run rollback update register'
  local flags='--config --check --strict --check-settings --log-level --server --ca-root --cert --key --namespace --help --version'
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == --config ]]; then
      config=(--config "${COMP_WORDS[i + 1]}")
    # (the value of a flag may be called like a command)
    elif [[ -z $command && " $commands " == *" ${COMP_WORDS[i]} "* && ${COMP_WORDS[i - 1]} != --* ]]; then
      command=${COMP_WORDS[i]}
    fi
  done
  case $previous in
    --config | --ca-root | --cert | --key | --output)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return ;;
    --log-level)
      mapfile -t COMPREPLY < <(compgen -W 'error warn info debug trace' -- "$cur")
      return ;;
    --server | --namespace | --since | --tail | --container) return ;;
  esac
  case $command in
    '') words="$commands $flags" ;;
    register) words=--config ;;
    describe | logs | top | explain | history | restart | stop | start | run | rollback | update)
      words='--config --json'
      [[ $command != logs ]] || words+=' --follow --previous --since --tail --container'
      [[ $command != stop ]] || words+=' --until-changed'
      [[ $command != update ]] || words+=' --now'
      if [[ $cur != -* ]]; then
        # each workload's object begins like this (a small device has no jq)
        words+=" $(device-worker-ng status --json "${config[@]}" 2>/dev/null |
          grep -o '{"name":"[^"]*","pod":' | cut -d'"' -f4)"
      fi ;;
    status) words='--config --json --watch' ;;
    support-bundle) words='--config --json --output' ;;
    *) words='--config --json' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _device_worker_ng device-worker-ng
