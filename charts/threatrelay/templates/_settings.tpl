{{/* The relay's configuration file, and what decides more than one object. */}}

{{/* "true" when the relay holds OTX keys. */}}
{{- define "relay.hasKeys" -}}
{{- $given := .Values.credentials.keys }}
{{- $named := or .Values.credentials.default.secretRef.name .Values.credentials.named }}
{{- if and $given $named }}
{{- fail "credentials.keys makes a Secret of this chart, credentials.default and credentials.named use Secrets that are there: set one or the other" }}
{{- end }}
{{- if or $given $named -}}
true
{{- end }}
{{- end }}

{{/* Fewest pods. */}}
{{- define "relay.fewest" -}}
{{- if .Values.autoscaling.maxReplicas -}}
{{- .Values.autoscaling.minReplicas }}
{{- else }}
{{- .Values.replicas }}
{{- end }}
{{- end }}

{{/* What values say of each other. */}}
{{- define "relay.refusals" -}}
{{- if and (eq .Values.auth.mode "jwks") (not .Values.auth.audiences) }}
{{- fail "auth.audiences is empty: name at least one accepted audience, such as the relay's own URL: --set auth.audiences='{https://otx.soc.example}'" }}
{{- end }}
{{- if ne (eq .Values.auth.mode "hs256") (not (empty .Values.auth.hs256SecretRef.name)) }}
{{- fail "auth.hs256SecretRef.name is required in hs256 mode and not allowed in jwks mode" }}
{{- end }}
{{- if and .Values.auth.jwks (ne .Values.auth.mode "jwks") }}
{{- fail "auth.jwks is not allowed in hs256 mode" }}
{{- end }}
{{- with .Values.autoscaling.maxReplicas }}
{{- if gt (int $.Values.autoscaling.minReplicas) (int .) }}
{{- fail "autoscaling.minReplicas must not be greater than autoscaling.maxReplicas" }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.tls.secretName (not .Values.ingress.tls.enabled) }}
{{- fail "ingress.tls.secretName is not allowed when ingress.tls.enabled is false" }}
{{- end }}
{{- range $name, $_ := .Values.ingress.annotations }}
{{- if or (contains "snippet" (lower $name)) (contains "/config-" (lower $name)) }}
{{- fail (printf "ingress.annotations: %s would put text into the controller's configuration" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The file. What is not here has the relay's own default. */}}
{{- define "relay.settings" -}}
listen: 0.0.0.0:9090
adminListen: 0.0.0.0:9091
answers: {{ .Values.answers }}
otx:
  baseUrl: {{ .Values.upstream.baseUrl | quote }}
  {{- with .Values.upstream.webUrl }}
  webUrl: {{ . | quote }}
  {{- end }}
  {{- if include "relay.hasKeys" . }}
  keysDir: /etc/threatrelay/keys
  {{- end }}
  {{- with .Values.upstream.proxy }}
  proxy: {{ . | quote }}
  {{- end }}
  connectTimeout: {{ .Values.upstream.connectTimeout }}
  callTimeout: {{ .Values.upstream.callTimeout }}
  deadline: {{ .Values.upstream.deadline }}
  hourlyBudget: {{ int64 .Values.upstream.hourlyBudget }}
auth:
  mode: {{ .Values.auth.mode }}
  {{- with .Values.auth.audiences }}
  audiences: {{ toJson . }}
  {{- end }}
  jwksHosts: {{ toJson .Values.auth.jwksHosts }}
  {{- if .Values.auth.jwks }}
  jwksFile: /etc/threatrelay/config/jwks.json
  {{- end }}
  requireExp: {{ .Values.auth.requireExp }}
  leeway: {{ .Values.auth.leeway }}
  {{- if .Values.auth.hs256SecretRef.name }}
  hs256SecretFile: /etc/threatrelay/hs256/secret
  {{- end }}
{{- if .Values.upstream.caBundle.configMapRef.name }}
extraCaFile: /etc/threatrelay/ca/ca.crt
{{- end }}
cache:
  enabled: {{ .Values.cache.enabled }}
  maxBytes: {{ int64 .Values.cache.maxBytes }}
  generalTtl: {{ .Values.cache.generalTtl }}
  negativeTtl: {{ .Values.cache.negativeTtl }}
  listingTtl: {{ .Values.cache.listingTtl }}
  maxStale: {{ .Values.cache.maxStale }}
  {{- with .Values.cache.shared.url }}
  shared:
    url: {{ . | quote }}
    {{- if $.Values.cache.shared.passwordSecretRef.name }}
    passwordFile: /etc/threatrelay/shared-cache/password
    {{- end }}
    timeout: {{ $.Values.cache.shared.timeout }}
  {{- end }}
shutdown:
  lameDuck: 5s
  drain: 25s
{{- with .Values.telemetry.otlp.endpoint }}
telemetry:
  otlp:
    endpoint: {{ . | quote }}
    {{- if $.Values.telemetry.otlp.headersSecretRef.name }}
    headersFile: /etc/threatrelay/otlp/headers
    {{- end }}
  sampleRatio: {{ $.Values.telemetry.sampleRatio | quote }}
  recordObservables: {{ $.Values.telemetry.recordObservables }}
  trustTraceparent: {{ $.Values.telemetry.trustTraceparent }}
{{- end }}
log:
  level: {{ .Values.log.level | quote }}
  format: {{ .Values.log.format }}
{{- end }}
