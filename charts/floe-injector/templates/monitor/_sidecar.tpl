{{/* Whether the sidecar runs beside the monitor: there has to be a place where lineage goes, and Kubernetes has to know
native sidecars (KEP-753; an API server before 1.29 drops the field, and the pod would wait for ever). */}}
{{- define "floe.monitor.hasSidecar" -}}
{{- $lineage := include "floe.gateway.lineage" . | fromYaml -}}
{{- if and .Values.monitor.sidecar.enabled $lineage.url (semverCompare ">=1.29-0" .Capabilities.KubeVersion.Version) }}yes{{ end -}}
{{- end }}

{{/* The sidecar: it keeps the monitor's lineage until the backend has it, and hands what is left to the gateway. */}}
{{- define "floe.monitor.sidecar" -}}
{{- $lineage := include "floe.gateway.lineage" . | fromYaml -}}
{{- $sidecar := .Values.monitor.sidecar -}}
name: floe-sidecar
image: {{ include "floe.image" (list . "sidecar") }}
imagePullPolicy: {{ .Values.images.sidecar.pullPolicy }}
restartPolicy: Always
env:
  {{- $gateway := .Values.gateway.enabled }}
  {{- range $variable, $value := mergeOverwrite (dict
    "HEALTH_HOST" "0.0.0.0"
    "SPOOL_DIRECTORY" "/var/lib/floe/spool"
    "SPOOL_MAX_BYTES" (include "floe.bytes" (list $sidecar.spoolSize 75))
    "LINEAGE_URL" $lineage.url
    "LINEAGE_ENDPOINT" $lineage.endpoint
    "LINEAGE_API_KEY_FILE" $lineage.apiKeyFile
    "GATEWAY_URL" (ternary (include "floe.gateway.url" .) "" $gateway)
    "GATEWAY_TOKEN_FILE" (ternary "/var/run/floe/gateway/token" "" $gateway)
    "SHUTDOWN_SECONDS" "20") $sidecar.settings }}
  {{- if $value }}
  - name: FLOE_SIDECAR_{{ $variable }}
    value: {{ $value | quote }}
  {{- end }}
  {{- end }}
ports:
  - name: floe-health
    containerPort: 4328
# The monitor starts when it listens: what is told first is not lost.
startupProbe:
  httpGet:
    path: /healthz
    port: floe-health
  periodSeconds: 1
  failureThreshold: 60
resources:
  {{- toYaml $sidecar.resources | nindent 2 }}
securityContext:
  {{- include "floe.containerSecurityContext" . | nindent 2 }}
volumeMounts:
  - name: spool
    mountPath: /var/lib/floe
  {{- if $lineage.apiKeyFile }}
  - name: credentials
    mountPath: /var/run/floe/credentials
    readOnly: true
  {{- end }}
  {{- if $gateway }}
  - name: gateway-token
    mountPath: /var/run/floe/gateway
    readOnly: true
  {{- end }}
{{- end }}

{{/* The volumes that it needs. */}}
{{- define "floe.monitor.sidecarVolumes" -}}
- name: spool
  emptyDir:
    sizeLimit: {{ .Values.monitor.sidecar.spoolSize }}
{{- with .Values.gateway.lineage.apiKey }}
{{- if .secret }}
- {{- include "floe.lineageKeyVolume" (list .secret .key) | nindent 2 }}
{{- end }}
{{- end }}
{{- if .Values.gateway.enabled }}
{{ include "floe.gateway.tokenVolumes" . }}
{{- end }}
{{- end }}
