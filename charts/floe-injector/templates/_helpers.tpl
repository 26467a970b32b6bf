{{/* The first part of every object's name. */}}
{{- define "floe.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Labels of every object: (list $ "component"). */}}
{{- define "floe.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "floe.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: floe
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels by which a component's pods are found; they never change: a Deployment's selector is immutable. */}}
{{- define "floe.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* An image's reference: (list $ "webhook"). */}}
{{- define "floe.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{- define "floe.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a component's pods may run: its values. */}}
{{- define "floe.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Pod Security "restricted", for the pod and for each container; the user is the images' own. */}}
{{- define "floe.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "floe.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "floe.webhook.name" -}}
{{ include "floe.fullname" . }}-webhook
{{- end }}

{{- define "floe.gateway.name" -}}
{{ include "floe.fullname" . }}-gateway
{{- end }}

{{- define "floe.gateway.url" -}}
http://{{ include "floe.gateway.name" . }}.{{ .Release.Namespace }}.svc:5055
{{- end }}

{{- define "floe.gateway.keysSecret" -}}
{{ .Values.gateway.keysSecret | default (printf "%s-keys" (include "floe.gateway.name" .)) }}
{{- end }}

{{- define "floe.monitor.name" -}}
{{ include "floe.fullname" . }}-monitor
{{- end }}

{{- define "floe.certificateSecret" -}}
{{ .Values.certificates.secretName | default (printf "%s-certificate" (include "floe.webhook.name" .)) }}
{{- end }}

{{- define "floe.priorityClass" -}}
{{- $class := .Values.webhook.priorityClass -}}
{{ $class.name | default (ternary (include "floe.fullname" .) "" $class.create) }}
{{- end }}

{{/* The manifest, with what only the chart knows where the manifest does not say it itself. */}}
{{- define "floe.manifest" -}}
{{- $sidecar := dict "image" (include "floe.image" (list . "sidecar")) "image_pull_policy" .Values.images.sidecar.pullPolicy -}}
{{- $injection := dict "sidecar" $sidecar -}}
{{- if .Values.gateway.enabled -}}
{{- $_ := set $injection "gateway" (dict "url" (include "floe.gateway.url" .)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (dict "injection" $injection) .Values.manifest) -}}
{{- end }}

{{/* Credentials that a plugin names ${env:NAME}, as a component's own environment. */}}
{{- define "floe.credentials" -}}
{{- range $name, $source := .Values.manifest.credentials }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $source.secret }}
      key: {{ $source.key }}
      optional: true
{{- end }}
{{- end }}

{{/* Where the gateway delivers: its own values, otherwise as the manifest's lineage backend says. */}}
{{- define "floe.gateway.lineage" -}}
{{- $backend := (.Values.manifest.plugins | default dict).lineage_backend | default dict -}}
{{- $config := $backend.config | default dict -}}
{{- $endpoints := dict
  "marquez" "api/v1/lineage"
  "openmetadata" "api/v1/openlineage/lineage"
  "atlan" (printf "events/openlineage/%s/api/v1/lineage" ($config.source | default "generic-openlineage")) -}}
{{- $own := .Values.gateway.lineage -}}
{{- $url := $own.url | default $config.url | default "" -}}
{{- if contains "${env:" $url -}}
{{- fail "gateway.lineage.url: has to be given, because the manifest takes the lineage backend's URL from a credential" -}}
{{- end -}}
url: {{ $url | quote }}
endpoint: {{ $own.endpoint | default (get $endpoints ($backend.type | default "marquez")) | default "api/v1/lineage" }}
apiKeyFile: {{ ternary "/var/run/floe/credentials/lineage-api-key" "" (ne $own.apiKey.secret "") | quote }}
{{- end }}

{{/* A share of a volume's size in bytes: (list "8Gi" 75). */}}
{{- define "floe.bytes" -}}
{{- $size := index . 0 -}}
{{- $unit := regexFind "[KMGT]i$" $size -}}
{{- $factors := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- div (mul (trimSuffix $unit $size | int64) (get $factors $unit) (index . 1)) 100 -}}
{{- end }}

{{/* What the webhook may ask the cluster for: everything that it has the right to. */}}
{{- define "floe.webhook.lookups" -}}
{{- $lookups := list -}}
{{- range $value, $lookup := dict
  "nativeSidecars" "native-sidecars"
  "sidecarHealth" "sidecar-health"
  "quotas" "quotas"
  "envFrom" "env-from"
  "secrets" "secrets"
  "owners" "owners" -}}
{{- if get $.Values.rbac $value }}{{ $lookups = append $lookups $lookup }}{{ end -}}
{{- end -}}
{{- toJson $lookups -}}
{{- end }}
