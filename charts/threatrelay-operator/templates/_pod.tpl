{{/* Parts of pods that are written in more than one place, or are long. */}}

{{/* The operator's settings. */}}
{{- define "operator.env" -}}
- name: THREATRELAY_OPERATOR_RELAY_IMAGE
  value: {{ include "operator.image" (dict "root" . "image" .Values.relay.image) | quote }}
- name: THREATRELAY_OPERATOR_IMAGE_PULL_POLICY
  value: {{ .Values.relay.image.pullPolicy }}
{{- with include "operator.pullSecrets" (dict "root" . "own" .Values.relay.imagePullSecrets) | fromYamlArray }}
- name: THREATRELAY_OPERATOR_IMAGE_PULL_SECRETS
  value: {{ range $index, $secret := . }}{{ if $index }},{{ end }}{{ $secret.name }}{{ end }}
{{- end }}
{{- with .Values.relay.allowedRepositories }}
- name: THREATRELAY_OPERATOR_ALLOWED_REPOSITORIES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.relay.allowedDestinations }}
- name: THREATRELAY_OPERATOR_ALLOWED_DESTINATIONS
  value: {{ join "," . | quote }}
{{- end }}
- name: THREATRELAY_OPERATOR_POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: THREATRELAY_OPERATOR_POD_LABELS
  {{- $labels := include "operator.selectorLabels" . | fromYaml }}
  {{- $pairs := list }}
  {{- range $name, $value := $labels }}{{ $pairs = append $pairs (printf "%s=%s" $name $value) }}{{ end }}
  value: {{ join "," $pairs | quote }}
{{- with .Values.watchNamespaces }}
- name: THREATRELAY_OPERATOR_NAMESPACES
  value: {{ uniq . | join "," | quote }}
{{- end }}
- name: THREATRELAY_OPERATOR_READ_SECRETS
  value: {{ .Values.credentials.managed | quote }}
- name: THREATRELAY_OPERATOR_LEADER_ELECTION
  value: {{ .Values.leaderElection.enabled | quote }}
{{- if .Values.leaderElection.enabled }}
- name: THREATRELAY_OPERATOR_LEASE_NAME
  value: {{ include "operator.leaseName" . }}
{{- end }}
- name: THREATRELAY_OPERATOR_LISTEN
  value: {{ printf "0.0.0.0:%v" .Values.metrics.port | quote }}
- name: THREATRELAY_OPERATOR_LOG
  value: {{ .Values.log.level | quote }}
- name: THREATRELAY_OPERATOR_LOG_FORMAT
  value: {{ .Values.log.format }}
{{- end }}

{{/* The account's token for one hour, renewed by the kubelet, where every client looks for it. */}}
{{- define "operator.tokenVolume" -}}
- name: token
  projected:
    # 0440, in the form that all readers of YAML read alike.
    defaultMode: 288
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
      - downwardAPI:
          items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
{{- end }}

{{- define "operator.tokenMount" -}}
- name: token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}
