{{- define "rempart-controlplane.name" -}}
{{- /* The longest suffix is -watcher; a Service's name has at most 63 characters. */ -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 54 | trimSuffix "-") .component -}}
{{- end -}}

{{- define "rempart-controlplane.release" -}}
app.kubernetes.io/name: rempart-controlplane
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rempart-controlplane.selector" -}}
{{ include "rempart-controlplane.release" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "rempart-controlplane.labels" -}}
{{ include "rempart-controlplane.selector" . }}
app.kubernetes.io/part-of: rempart
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "rempart-controlplane.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Each program: which secret settings it reads, whether it talks to cells, how long it may take to stop. */ -}}
{{- define "rempart-controlplane.components" -}}
api:
  secrets: [REMPART_DATABASE_URL, REMPART_SYSTEM_DATABASE_URL, REDIS_URL, REMPART_HASH_KEYS, REMPART_SEALING_KEYS, REMPART_TOKEN_KEYS]
  cluster: true
  port: 8080
  live: /healthz
  ready: /readyz
  # Five seconds until no door sends calls here, 25 for those that run.
  stopSeconds: 40
worker:
  secrets: [REMPART_DATABASE_URL, REMPART_SYSTEM_DATABASE_URL, REDIS_URL, REMPART_SEALING_KEYS]
  cluster: true
  stopSeconds: 60
beat:
  secrets: [REMPART_SYSTEM_DATABASE_URL, REDIS_URL]
  cluster: false
  stopSeconds: 30
relay:
  secrets: [REMPART_SYSTEM_DATABASE_URL, REDIS_URL]
  cluster: false
  stopSeconds: 30
watcher:
  secrets: [REMPART_SYSTEM_DATABASE_URL, REDIS_URL]
  cluster: true
  stopSeconds: 30
{{- if .Values.portal.enabled }}
portal:
  # It knows the API and no database.
  secrets: [REDIS_URL, REMPART_SESSION_KEYS]
  cluster: false
  port: 8084
  live: /livez
  ready: /readyz
  stopSeconds: 30
{{- end }}
{{- end -}}

{{- define "rempart-controlplane.secretEnvironment" -}}
{{- range .names }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $.secret | quote }}
      key: {{ . }}
{{- end }}
{{- end -}}

{{- define "rempart-controlplane.environment" -}}
- name: REMPART_ENVIRONMENT
  value: production
- name: REMPART_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
- name: REMPART_DATABASE_POOL_SIZE
  value: {{ .Values.databasePoolSize | quote }}
- name: REMPART_METRICS_HOST
  value: "0.0.0.0"
- name: REMPART_METRICS_PORT
  value: "9100"
{{- end -}}

{{- /* Asks the program in the same container whether its loops turn; see controlplane/plumbing/pulse.py. */ -}}
{{- define "rempart-controlplane.ask" -}}
exec:
  command:
    - python
    - -m
    - controlplane.entrypoints.alive
    - --max-age
    # The slowest loop waits up to 60 s for an API server that is silent.
    - "120"
    {{- with .more }}
    - {{ . }}
    {{- end }}
timeoutSeconds: 10
{{- end -}}

{{- define "rempart-controlplane.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "rempart-controlplane.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "rempart-controlplane.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
