{{/* Where the store is: a file on the volume, or a libSQL server that replicas share. */}}
{{- define "navarch.database" -}}
{{- if .Values.ha.enabled -}}
{{- .Values.ha.databaseUrl | default (printf "http://libsql.%s.svc.cluster.local:8080" .Values.namespace) -}}
{{- else -}}
/var/lib/navarch/navarch.db
{{- end -}}
{{- end -}}
