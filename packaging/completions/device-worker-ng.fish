# fish completion for device-worker-ng

function __device_worker_ng_workloads
    set -l words (commandline -opc)
    set -l config
    if set -l at (contains -i -- --config $words)
        set config --config $words[(math $at + 1)]
    end
    # each workload's object begins like this (a small device has no jq)
    device-worker-ng status --json $config 2>/dev/null | string match -ar '(?<={"name":")[^"]*(?=","pod":)'
end

set -l commands status describe logs top explain history metrics eval doctor support-bundle restart stop start run rollback update register
set -l none "not __fish_seen_subcommand_from $commands"

complete -c device-worker-ng -f
complete -c device-worker-ng -n $none -a status -d 'The device, its link, workloads, profiles and metrics'
complete -c device-worker-ng -n $none -a describe -d 'All that is known of a workload'
complete -c device-worker-ng -n $none -a logs -d 'What the containers of a workload printed'
complete -c device-worker-ng -n $none -a top -d 'What workloads use of memory and processor'
complete -c device-worker-ng -n $none -a explain -d 'Why a workload runs or does not'
complete -c device-worker-ng -n $none -a history -d 'What happened of late'
complete -c device-worker-ng -n $none -a metrics -d 'The posted values'
complete -c device-worker-ng -n $none -a eval -d 'What an expression is now'
complete -c device-worker-ng -n $none -a doctor -d 'Look for what is wrong, and say what to do'
complete -c device-worker-ng -n $none -a support-bundle -d 'Write what helps people elsewhere, without Secrets'
complete -c device-worker-ng -n $none -a restart -d 'Start a workload anew'
complete -c device-worker-ng -n $none -a stop -d 'Stop a workload until start'
complete -c device-worker-ng -n $none -a start -d 'Let a stopped workload run again'
complete -c device-worker-ng -n $none -a run -d 'Give a cron workload a run now'
complete -c device-worker-ng -n $none -a rollback -d 'Let a workload return to what ran before'
complete -c device-worker-ng -n $none -a update -d 'What an update waits for'
complete -c device-worker-ng -n $none -a register -d 'Let an unregistered device ask to be let in again'
complete -c device-worker-ng -n '__fish_seen_subcommand_from describe logs top explain history restart stop start run rollback update' -a '(__device_worker_ng_workloads)'
complete -c device-worker-ng -n "not $none; and not __fish_seen_subcommand_from register" -l json -d 'Answer in JSON'
complete -c device-worker-ng -n '__fish_seen_subcommand_from status' -l watch -d 'Again whenever it changes'
complete -c device-worker-ng -n '__fish_seen_subcommand_from logs' -s f -l follow -d 'Go on with what comes'
complete -c device-worker-ng -n '__fish_seen_subcommand_from logs' -l previous -d 'Of the run before the present one'
complete -c device-worker-ng -n '__fish_seen_subcommand_from logs' -l since -x -d 'Not older than 30s, 10m or 2h'
complete -c device-worker-ng -n '__fish_seen_subcommand_from logs' -l tail -x -d 'The last lines only'
complete -c device-worker-ng -n '__fish_seen_subcommand_from logs' -l container -x -d 'Of this container only'
complete -c device-worker-ng -n '__fish_seen_subcommand_from support-bundle' -l output -rF -d 'The archive to write'
complete -c device-worker-ng -n '__fish_seen_subcommand_from stop' -l until-changed -d 'Let it end with another content'
complete -c device-worker-ng -n '__fish_seen_subcommand_from update' -l now -d 'Let it go ahead'
complete -c device-worker-ng -l config -rF -d 'Read the settings of this YAML file'
complete -c device-worker-ng -n $none -l check -d 'Print what settings and manifests mean'
complete -c device-worker-ng -n $none -l strict -d 'Let --check fail for warnings, too'
complete -c device-worker-ng -n $none -l check-settings -d 'Only look whether the settings can be used'
complete -c device-worker-ng -n $none -l log-level -x -a 'error warn info debug trace' -d 'How much to log'
complete -c device-worker-ng -n $none -l server -x -d 'The URL of the edge API'
complete -c device-worker-ng -n $none -l ca-root -rF -d 'PEM file of its CA'
complete -c device-worker-ng -n $none -l cert -rF -d 'PEM file of the bootstrap certificate'
complete -c device-worker-ng -n $none -l key -rF -d 'PEM file of its key'
complete -c device-worker-ng -n $none -l namespace -x -d 'Where the device is enrolled'
complete -c device-worker-ng -n $none -l help -d 'Print a summary'
complete -c device-worker-ng -n $none -l version -d 'Print the version'
