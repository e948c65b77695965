#compdef device-worker-ng
# zsh completion for device-worker-ng

_device_worker_ng_workloads() {
  local -a config names
  # the value of --config, if it is there already
  local at=${words[(I)--config]}
  (( at )) && config=(--config "${(Q)words[at + 1]}")
  # each workload's object begins like this (a small device has no jq)
  names=(${(f)"$(device-worker-ng status --json $config 2>/dev/null | grep -o '{"name":"[^"]*","pod":' | cut -d'"' -f4)"})
  _describe -t workloads workload names
}

_device_worker_ng() {
  local -a commands line
  local curcontext=$curcontext state state_descr
  typeset -A opt_args
  commands=(
    'status:the device, its link, workloads, profiles and metrics'
    'describe:all that is known of a workload'
    'logs:what the containers of a workload printed'
    'top:what workloads use of memory and processor'
    'explain:why a workload runs or does not'
    'history:what happened of late'
    'metrics:the posted values'
    'eval:what an expression is now'
    'doctor:look for what is wrong, and say what to do'
    'support-bundle:write what helps people elsewhere, without Secrets'
    'restart:start a workload anew'
    'stop:stop a workload until start'
    'start:let a stopped workload run again'
    'run:give a cron workload a run now'
    'update:what an update of a workload waits for'
    'rollback:let a workload return to what ran before'
    'register:let an unregistered device ask to be let in again'
  )
  _arguments -C \
    '--config[read the settings of this YAML file]:file:_files' \
    '--check[print what settings and manifests mean]' \
    '--strict[let --check fail for warnings, too]' \
    '--check-settings[only look whether the settings can be used]' \
    '--watch[status: again whenever it changes]' \
    '(-f --follow)'{-f,--follow}'[logs: go on with what comes]' \
    '--previous[logs: of the run before the present one]' \
    '--since[logs: not older than that]:age, like 10m:' \
    '--tail[logs: the last lines only]:lines:' \
    '--container[logs: of this container only]:container:' \
    '--output[support-bundle: the archive to write]:file:_files' \
    '--json[a command answers in JSON]' \
    '--until-changed[stop: ends with another content]' \
    '--now[update: let it go ahead]' \
    '--log-level[how much to log]:level:(error warn info debug trace)' \
    '--server[the URL of the edge API]:URL:' \
    '--ca-root[PEM file of its CA]:file:_files' \
    '--cert[PEM file of the bootstrap certificate]:file:_files' \
    '--key[PEM file of its key]:file:_files' \
    '--namespace[where the device is enrolled]:namespace:' \
    '(- *)--help[print a summary]' \
    '(- *)--version[print the version]' \
    '1:command:->command' \
    '2:argument:->argument'
  case $state in
    command) _describe -t commands command commands ;;
    argument)
      case $line[1] in
        describe | logs | top | explain | history | restart | stop | start | run | rollback | update) _device_worker_ng_workloads ;;
        eval) _message expression ;;
      esac ;;
  esac
}

# sourced, or loaded by compinit
if [[ $funcstack[1] == _device-worker-ng ]]; then _device_worker_ng "$@"; else compdef _device_worker_ng device-worker-ng; fi
