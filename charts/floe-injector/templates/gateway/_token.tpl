{{/* A container that keeps the release's own token for the gateway up to date: (list $ "image"). The keys stay in it:
who has them can make every token. Beside the others and not before them: a rotated key needs no restart, and without a
key the pod serves all the same. */}}
{{- define "floe.gateway.tokenIssuer" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
name: gateway-token
image: {{ include "floe.image" (list $root $image) }}
imagePullPolicy: {{ (index $root.Values.images $image).pullPolicy }}
command: [/opt/floe/bin/python, -m, floe_sidecar.tokens]
args:
  - --keys=/var/run/floe/gateway-keys/keys
  - --keep=/var/run/floe/gateway/token
  - $(FLOE_RELEASE_NAMESPACE)
env:
  - name: FLOE_RELEASE_NAMESPACE
    valueFrom:
      fieldRef:
        fieldPath: metadata.namespace
resources:
  requests:
    cpu: 10m
    memory: 16Mi
  limits:
    memory: 64Mi
securityContext:
  {{- include "floe.containerSecurityContext" $root | nindent 2 }}
volumeMounts:
  - name: gateway-keys
    mountPath: /var/run/floe/gateway-keys
    readOnly: true
  - name: gateway-token
    mountPath: /var/run/floe/gateway
{{- end }}

{{/* The volumes that it needs. */}}
{{- define "floe.gateway.tokenVolumes" -}}
- name: gateway-keys
  secret:
    secretName: {{ include "floe.gateway.keysSecret" . }}
    optional: true
    defaultMode: 0440
- name: gateway-token
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}

{{/* The volume with the lineage backend's key: (list name of the Secret, its key). */}}
{{- define "floe.lineageKeyVolume" -}}
name: credentials
secret:
  secretName: {{ index . 0 }}
  defaultMode: 0440
  optional: true
  items:
    - key: {{ index . 1 }}
      path: lineage-api-key
{{- end }}
