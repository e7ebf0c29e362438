{{/* The files of a pod, all below /etc/threatrelay and read-only. Secrets are mounted, never put into the environment: a
mounted one follows its source. Modes are decimal, as readers of YAML differ in what 0440 is: 288 is 0440, 292 is 0444. */}}

{{/* A volume with one file of a Secret: `dict "name" VOLUME "reference" MAP "file" NAME`. */}}
{{- define "relay.oneFile" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .reference.name }}
    defaultMode: 288
    items: [{key: {{ .reference.key | quote }}, path: {{ .file }}}]
{{- end }}

{{/* One source of the projected keys: `dict "reference" MAP "file" NAME`. */}}
{{- define "relay.keySource" -}}
- secret:
    name: {{ .reference.name }}
    items: [{key: {{ .reference.key | default "api-key" | quote }}, path: {{ .file | quote }}}]
{{- end }}

{{- define "relay.volumes" -}}
- name: config
  configMap: {name: {{ include "relay.fullname" . }}-settings, defaultMode: 292}
{{- if .Values.credentials.keys }}
- name: keys
  secret: {secretName: {{ include "relay.fullname" . }}-otx-keys, defaultMode: 288}
{{- else if include "relay.hasKeys" . }}
- name: keys
  projected:
    defaultMode: 288
    sources:
      {{- if .Values.credentials.default.secretRef.name }}
      {{- include "relay.keySource" (dict "reference" .Values.credentials.default.secretRef "file" "default") | nindent 6 }}
      {{- end }}
      {{- range .Values.credentials.named }}
      {{- include "relay.keySource" (dict "reference" .secretRef "file" .name) | nindent 6 }}
      {{- end }}
{{- end }}
{{- with .Values.upstream.caBundle.configMapRef }}
{{- if .name }}
- name: ca
  configMap:
    name: {{ .name }}
    defaultMode: 292
    items: [{key: {{ .key | quote }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- if .Values.auth.hs256SecretRef.name }}
{{ include "relay.oneFile" (dict "name" "hs256" "reference" .Values.auth.hs256SecretRef "file" "secret") }}
{{- end }}
{{- if and .Values.cache.shared.url .Values.cache.shared.passwordSecretRef.name }}
{{ include "relay.oneFile" (dict "name" "shared-cache" "reference" .Values.cache.shared.passwordSecretRef "file" "password") }}
{{- end }}
{{- if and .Values.telemetry.otlp.endpoint .Values.telemetry.otlp.headersSecretRef.name }}
{{ include "relay.oneFile" (dict "name" "otlp" "reference" .Values.telemetry.otlp.headersSecretRef "file" "headers") }}
{{- end }}
{{- end }}
