#!/bin/sh
# Writes the addresses of the control plane and of warm pods for Prometheus' file_sd_configs:
#
#   targets.sh picofaas-targets.json
#
# Run it again when pods have come or gone, from cron or a timer. kubectl is called as KUBECTL says, and the namespace
# is picofaas unless NAMESPACE says another.
set -eu

file=${1:?the file to write}

# A list of targets, one a line, each with a comma behind it.
pods() {
    ${KUBECTL:-kubectl} --namespace "${NAMESPACE:-picofaas}" get pods --selector "$1" \
        --field-selector status.phase=Running \
        --output go-template="{{range .items}}{{if .status.podIP}}{\"targets\":[\"{{.status.podIP}}:$2\"],\"labels\":{$3}},{{\"\\n\"}}{{end}}{{end}}"
}

{
    echo '['
    {
        pods 'app.kubernetes.io/name=picofaas,app.kubernetes.io/component=control-plane' 8081 \
            '"pod":"{{.metadata.name}}"'
        # A pod of a JOB has an execution's id and lives too briefly to be scraped.
        pods 'app.kubernetes.io/managed-by=picofaas,!picofaas.dev/execution-id' 8080 \
            '"job":"picofaas-functions","pod":"{{.metadata.name}}","function":"{{index .metadata.labels "picofaas.dev/function"}}"'
    } | sed '$s/,$//'
    echo ']'
} > "$file.new"
# Prometheus never reads half a file.
mv "$file.new" "$file"
