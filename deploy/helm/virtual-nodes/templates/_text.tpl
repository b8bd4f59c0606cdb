{{/* A label's value as text: 8 and true need no quotes. */}}
{{- define "virtual-nodes.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else if not (kindIs "invalid" .) }}{{ toRawJson . }}{{ end -}}
{{- end -}}

{{/* Six characters from a number; no two numbers have the same (name.ts). */}}
{{- define "virtual-nodes.suffix" -}}
{{- $rest := mod (add (mul . 1345678901) 987654321) 2176782336 }}
{{- $suffix := "" }}
{{- range until 6 }}
{{- $digit := int (mod $rest 36) }}
{{- $suffix = printf "%s%s" (substr $digit (int (add1 $digit)) "0123456789abcdefghijklmnopqrstuvwxyz") $suffix }}
{{- $rest = div $rest 36 }}
{{- end }}
{{- $suffix }}
{{- end -}}
