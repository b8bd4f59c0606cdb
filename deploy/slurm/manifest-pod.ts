/** Pieces that the pods of a Slurm cluster share. Pure. */
import { HOST_PORT_LABEL, type SlurmManifestOptions } from "./manifest-option.ts";

/** The pieces as one text with each line moved to the right. */
export const block = (by: number, ...pieces: readonly string[]): string =>
  pieces.join("").replace(/^(?=.)/gm, " ".repeat(by));

/**
 * Root places files with their owners and starts munged and the daemon as their own users, which
 * takes these rights and no more.
 */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];

export function securityContext(isPrivileged: boolean): string {
  if (isPrivileged) return "securityContext:\n  privileged: true\n";
  return `securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
    add: [${CAPABILITIES.join(", ")}]
`;
}

export type Resources = { request: string; limit: string };

/** `250m/256Mi`, with further resources of the limits. */
export function resources({ request, limit }: Resources, more = ""): string {
  const [requestCpu, requestMemory] = request.split("/");
  const [limitCpu, limitMemory] = limit.split("/");
  return `resources:
  requests:
    cpu: ${requestCpu}
    memory: ${requestMemory}
  limits:
    cpu: "${limitCpu}"
    memory: ${limitMemory}
${more}`;
}

/** Of a start that waits for its dependency, and longer than the wait of the entrypoint. */
const START_CHECKS = 120;

/** The role's own check, each 5 s of `checks` at the start. */
export function probes(checks = START_CHECKS): string {
  const check = `exec:\n    command: [/usr/local/bin/entrypoint.sh, probe]\n  timeoutSeconds: 10\n`;
  return `startupProbe:
  ${check}  periodSeconds: 5
  failureThreshold: ${checks}
readinessProbe:
  ${check}  periodSeconds: 15
# Restarts only after five minutes without an answer, when Slurm has given the daemon up as well.
livenessProbe:
  ${check}  periodSeconds: 30
  failureThreshold: 10
`;
}

/** Volumes and mounts of the configuration and the munge key, which every role needs. */
export const MOUNTS = `- name: config
  mountPath: /etc/slurm-config
  readOnly: true
- name: munge
  mountPath: /etc/slurm-munge
  readOnly: true
`;

export const VOLUMES = `- name: config
  configMap:
    name: slurm-config
- name: munge
  secret:
    secretName: slurm-munge-key
    defaultMode: 256 # 0400
`;

/** A port of a container, on its machine too if asked. */
export function port(name: string, number: number, isOnHost: boolean): string {
  const host = isOnHost ? `  hostPort: ${number}\n` : "";
  return `- name: ${name}\n  containerPort: ${number}\n${host}`;
}

/** Never a virtual node, whose pods do nothing (docs/virtual-nodes.md). */
export const REAL_NODES = `affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
      - matchExpressions:
        - key: type
          operator: NotIn
          values: [kwok]
`;

/** Also prefers the machine whose ports a kind cluster maps, where there is one. */
export function hostAffinity({ hostPorts }: SlurmManifestOptions): string {
  if (hostPorts === "none") return REAL_NODES;
  return `${REAL_NODES}    preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      preference:
        matchExpressions:
        - key: ${HOST_PORT_LABEL}
          operator: Exists
`;
}

/** Without links: their variables begin with SLURM_, and Slurm's commands read those as options. */
export const POD_DEFAULTS = `enableServiceLinks: false
automountServiceAccountToken: false
`;

export const SECCOMP = `securityContext:
  seccompProfile:
    type: RuntimeDefault
`;

type Service = { name: string; port: string; number: number; isHeadless?: boolean };

export function service(options: SlurmManifestOptions, of: Service, more = ""): string {
  const headless = of.isHeadless === true ? "  clusterIP: None\n" : "";
  return `apiVersion: v1
kind: Service
metadata:
  name: ${of.name}
  namespace: ${options.namespace}
  labels:
    app: ${of.name}
spec:
${headless}${more}  selector:
    app: ${of.name}
  ports:
  - name: ${of.port}
    port: ${of.number}
    targetPort: ${of.port}
`;
}
