{{- /* Values are used as they are: no template needs a name of its own. */ -}}
