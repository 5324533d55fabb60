{{- define "twinway.name" -}}
{{- if contains "twinway" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-twinway" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "twinway.selector" -}}
app.kubernetes.io/name: twinway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "twinway.labels" -}}
{{ include "twinway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "twinway.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* The port of config.metrics.address, which the probes ask. */ -}}
{{- define "twinway.port" -}}
{{- $address := dig "metrics" "address" "" .Values.config -}}
{{- if not $address }}{{ fail "config.metrics.address: is empty: the probes ask there, give HOST:PORT" }}{{ end -}}
{{- regexFind "[0-9]+$" $address -}}
{{- end -}}

{{- define "twinway.probeHost" -}}
{{- $host := regexReplaceAll ":[0-9]+$" (dig "metrics" "address" "" .Values.config) "" -}}
{{- if or (eq $host "0.0.0.0") (eq $host "[::]") }}127.0.0.1{{ else }}{{ $host | trimPrefix "[" | trimSuffix "]" }}{{ end -}}
{{- end -}}

{{- /* What a pod has that runs on every node, beside its containers. */ -}}
{{- define "twinway.onEachNode" -}}
hostNetwork: true
# The cgroups of the node name its processes, and sockets that are there already are found by them.
hostPID: true
priorityClassName: {{ .Values.priorityClassName }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
