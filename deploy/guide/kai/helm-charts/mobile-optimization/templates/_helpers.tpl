{{- /* The payload is an application of its own: nothing is rendered here. */ -}}
