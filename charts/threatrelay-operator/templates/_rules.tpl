{{/* The operator's rights in the namespaces it works in, each with its reason. Reads of everything but ThreatRelays are
of metadata when watched, and of one object by name when a relay is reconciled. */}}
{{- define "operator.rules" -}}
# What is wanted. The operator never changes a specification.
- apiGroups: [threatrelay.dev]
  resources: [threatrelays]
  verbs: [get, list, watch]
# What came of it.
- apiGroups: [threatrelay.dev]
  resources: [threatrelays/status]
  verbs: [patch]
# What every relay consists of: made and kept as described. The garbage collector removes it.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
{{- if .Values.credentials.managed }}
# Keys are read from the Secrets that a ThreatRelay refers to and written to the relay's own Secret. Not granted with
# `credentials.managed: false`.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
# What can be switched off, and is removed then.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# Optional APIs: nothing is asked of a cluster that lacks them.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
# Why a pod does not start is told in the status; the relays' own health is asked at their addresses.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Transitions are told once as events.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
