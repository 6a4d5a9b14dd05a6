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
