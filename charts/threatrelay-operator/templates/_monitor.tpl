{{/* Whether a monitor is made: `dict "root" $ "kind" KIND "values" MAP` gives "true" or nothing. */}}
{{- define "operator.monitorWanted" -}}
{{- if .values.enabled }}
{{- $known := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}
{{- if or $known (eq .values.renderMode "alwaysRender") -}}
true
{{- else if eq .values.renderMode "failIfMissing" }}
{{- fail (printf "this cluster has no %s (monitoring.coreos.com/v1): install the Prometheus operator first, or set renderMode to skipIfMissing" .kind) }}
{{- end }}
{{- end }}
{{- end }}

{{/* One endpoint of a monitor, from its values. */}}
{{- define "operator.endpoint" -}}
- port: metrics
  path: /metrics
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
