{{- define "ml-secrets.name" -}}
{{- $name := printf "%s-%s" .Release.Name .Chart.Name -}}
{{- if contains .Chart.Name .Release.Name }}{{ $name = .Release.Name }}{{ end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "ml-secrets.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "ml-secrets.chosen" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ml-secrets.image" -}}
{{- $repository := required "image.repository is missing: the image made of deploy/Containerfile" .Values.image.repository -}}
{{- if .Values.image.digest }}{{ printf "%s@%s" $repository .Values.image.digest }}{{ else }}{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}{{ end }}
{{- end -}}

{{- define "ml-secrets.address" -}}
{{- if .Values.webhook.address }}{{ .Values.webhook.address }}
{{- else if .Values.server.enabled }}{{ printf "https://%s.%s.svc:8200" (include "ml-secrets.name" .) .Release.Namespace }}
{{- else }}{{ fail "webhook.address is missing: where pods find the server" }}{{ end }}
{{- end -}}

{{- define "ml-secrets.csiAddress" -}}
{{- if .Values.csi.address }}{{ .Values.csi.address }}{{ else }}{{ include "ml-secrets.address" . }}{{ end }}
{{- end -}}

{{- define "ml-secrets.csiAuthority" -}}
{{- .Values.csi.serverCa | default .Values.webhook.serverCa -}}
{{- end -}}

{{- define "ml-secrets.webhookTls" -}}
{{- if .Values.webhook.tls.certManager.enabled }}{{ printf "%s-webhook-tls" (include "ml-secrets.name" .) }}
{{- else }}{{ required "webhook.tls.secretName is missing, or webhook.tls.certManager" .Values.webhook.tls.secretName }}{{ end }}
{{- end -}}

{{- define "ml-secrets.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: { drop: [ALL] }
privileged: false
readOnlyRootFilesystem: true
{{- end -}}

{{- define "ml-secrets.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}
