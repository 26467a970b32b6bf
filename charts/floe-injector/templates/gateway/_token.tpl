{{/* An init container that issues the release's own token for the gateway: (list $ "image"). The keys stay in it: who
has them can make every token. */}}
{{- define "floe.gateway.tokenIssuer" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
name: gateway-token
image: {{ include "floe.image" (list $root $image) }}
imagePullPolicy: {{ (index $root.Values.images $image).pullPolicy }}
command: [/opt/floe/bin/python, -c]
args:
  - |
    import os
    from pathlib import Path
    from floe_sidecar.tokens import issue, keys_of
    file = Path("/var/run/floe/gateway-keys/keys")
    try:
        keys = keys_of(file.read_text())
    except (OSError, UnicodeDecodeError):
        keys = []  # without a key the pod serves all the same
    if keys:
        Path("/var/run/floe/gateway/token").write_text(issue(keys[0], os.environ["FLOE_RELEASE_NAMESPACE"]))
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
