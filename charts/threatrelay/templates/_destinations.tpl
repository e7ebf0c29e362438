{{/* Where the settings lead beside OTX and JWKS hosts, as lines `HOST PORT`, sorted, each once. */}}
{{- define "relay.destinations" -}}
{{- $found := list }}
{{- $named := list (list .Values.upstream.baseUrl 443) (list .Values.upstream.proxy 443) (list .Values.cache.shared.url 6379) (list .Values.telemetry.otlp.endpoint 443) }}
{{- range $named }}
{{- $url := index . 0 }}
{{- if $url }}
{{- $parts := urlParse $url }}
{{- $host := regexReplaceAll ":[0-9]+$" $parts.host "" | trimPrefix "[" | trimSuffix "]" }}
{{- $port := regexFind ":[0-9]+$" $parts.host | trimPrefix ":" | default (get (dict "http" "80" "https" "443") $parts.scheme) | default (toString (index . 1)) }}
{{- if not (and (eq $parts.scheme "https") (eq $host "otx.alienvault.com") (eq $port "443")) }}
{{- $found = append $found (printf "%s %05d" $host (atoi $port)) }}
{{- end }}
{{- end }}
{{- end }}
{{- $found | sortAlpha | uniq | join "\n" }}
{{- end }}

{{/* Ports of JWKS hosts, and 443, as a list in order. */}}
{{- define "relay.publicPorts" -}}
{{- $ports := list "00443" }}
{{- range .Values.auth.jwksHosts }}
{{- with regexFind ":[0-9]+$" . | trimPrefix ":" }}
{{- $ports = append $ports (printf "%05d" (atoi .)) }}
{{- end }}
{{- end }}
{{- $ports | sortAlpha | uniq | toJson }}
{{- end }}

{{/* The peers of a destination: its address, or for a name any address but that of a cloud's metadata service. */}}
{{- define "relay.addresses" -}}
{{- if regexMatch "^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$" . }}
- ipBlock: {cidr: {{ . }}/32}
{{- else if contains ":" . }}
- ipBlock: {cidr: {{ printf "%s/128" . | quote }}}
{{- else }}
- ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}
- ipBlock: {cidr: "::/0", except: ["fd00:ec2::254/128"]}
{{- end }}
{{- end }}
