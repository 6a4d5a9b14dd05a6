{{- define "rempart-gateway.name" -}}
{{- /* A pod's name is a label, and has its ordinal and a revision behind this. */ -}}
{{- printf "%s-gateway" (.Release.Name | trunc 40 | trimSuffix "-") -}}
{{- end -}}

{{- define "rempart-gateway.selector" -}}
app.kubernetes.io/name: rempart-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rempart-gateway.labels" -}}
{{ include "rempart-gateway.selector" . }}
app.kubernetes.io/part-of: rempart
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* Its own names inside the cluster, and those it was given: only these are routed by model. */ -}}
{{- define "rempart-gateway.names" -}}
{{- $name := include "rempart-gateway.name" . -}}
{{- $inside := printf "%s.%s" $name .Release.Namespace -}}
{{- $own := list $name $inside (printf "%s.svc" $inside) (printf "%s.svc.cluster.local" $inside) -}}
{{- join "," (concat $own .Values.names) -}}
{{- end -}}

{{- define "rempart-gateway.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .default }}
{{- end -}}
{{- end -}}

{{- define "rempart-gateway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* Both doors are on loopback, where the kubelet cannot ask: a command inside the pod does. */ -}}
{{- define "rempart-gateway.ask" -}}
- python
- -c
- "import sys, urllib.request as web; [web.urlopen(url, timeout=3) for url in sys.argv[1:]]"
{{- end -}}

{{- /* Refuse an address without a key, or a key without an address: either would report nothing, silently. */ -}}
{{- define "rempart-gateway.hasIngest" -}}
{{- if and .Values.ingest.url (not .Values.ingest.secretName) -}}
{{- fail "ingest.secretName: name the Secret with the usage producers' key (INGEST_KEY); without it the API refuses what is reported to ingest.url." -}}
{{- else if and .Values.ingest.secretName (not .Values.ingest.url) -}}
{{- fail "ingest.url: say where usage is reported to; ingest.secretName alone reports nothing." -}}
{{- else if .Values.ingest.url -}}
true
{{- end -}}
{{- end -}}
