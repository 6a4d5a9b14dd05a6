{{- define "rempart-operators.name" -}}
{{- printf "%s-operators" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "rempart-operators.selector" -}}
app.kubernetes.io/name: rempart-operators
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rempart-operators.labels" -}}
{{ include "rempart-operators.selector" . }}
app.kubernetes.io/part-of: rempart
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "rempart-operators.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Refuse an address without a key, or a key without an address: either would report nothing, silently. */ -}}
{{- define "rempart-operators.hasIngest" -}}
{{- if and .Values.ingest.url (not .Values.ingest.secretName) -}}
{{- fail "ingest.secretName: name the Secret with the usage producers' key (INGEST_KEY); without it the API refuses what is reported to ingest.url." -}}
{{- else if and .Values.ingest.secretName (not .Values.ingest.url) -}}
{{- fail "ingest.url: say where usage is reported to; ingest.secretName alone reports nothing." -}}
{{- else if .Values.ingest.url -}}
true
{{- end -}}
{{- end -}}
