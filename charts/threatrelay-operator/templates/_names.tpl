{{/* Names, labels and images. */}}

{{- define "operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for the suffixes that objects add. */}}
{{- define "operator.fullname" -}}
{{- $name := include "operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Objects without a namespace carry it in their name, so that releases of one name in two namespaces do not meet. */}}
{{- define "operator.clusterName" -}}
{{- printf "%s-%s" (include "operator.namespace" .) (include "operator.fullname" .) }}
{{- end }}

{{- define "operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of an object: `dict "root" $ "component" "operator"`. */}}
{{- define "operator.labelsOf" -}}
{{- with .root -}}
app.kubernetes.io/name: {{ include "operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: {{ $.component }}
app.kubernetes.io/part-of: threatrelay
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "operator.labels" -}}
{{- include "operator.labelsOf" (dict "root" . "component" "operator") }}
{{- end }}

{{/* The `annotations` of an object, or nothing: `dict "root" $ "own" MAP`. An object's own come before the common ones. */}}
{{- define "operator.annotations" -}}
{{- with merge (dict) (.own | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The full reference of an image: `dict "root" $ "image" MAP`. */}}
{{- define "operator.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry }}
{{- $repository := empty $registry | ternary .image.repository (printf "%s/%s" (trimSuffix "/" $registry) .image.repository) }}
{{- $tag := .image.tag | default .root.Chart.AppVersion }}
{{- printf "%s:%s" $repository $tag }}
{{- with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Names of Secrets, as a list of maps: `dict "root" $ "own" LIST`. */}}
{{- define "operator.pullSecrets" -}}
{{- concat .root.Values.global.imagePullSecrets .own | uniq | toYaml }}
{{- end }}

{{- define "operator.leaseName" -}}
{{- .Values.leaderElection.leaseName | default (include "operator.fullname" .) }}
{{- end }}
