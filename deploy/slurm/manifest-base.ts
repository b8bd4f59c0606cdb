/** Namespace, Secret and claims of a Slurm cluster on Kubernetes. Pure. */
import { DB_KEYS, DB_SECRET, KEYS_ANNOTATION } from "./manifest-option.ts";
import type { SlurmManifestOptions } from "./manifest-option.ts";

export function renderNamespace({ namespace }: SlurmManifestOptions): string {
  return `apiVersion: v1
kind: Namespace
metadata:
  name: ${namespace}
  labels:
    name: ${namespace}
    component: hpc
`;
}

/** Without values, so that applying it again never overwrites those that are in the cluster. */
export function renderDbSecret({ namespace }: SlurmManifestOptions): string {
  return `# Without keys on purpose: applying it never overwrites passwords. Until they are set,
# pods wait with the event "references non-existent secret key". To set what is missing:
#   navarch slurm manifests --secrets random | kubectl apply -f -
apiVersion: v1
kind: Secret
metadata:
  name: ${DB_SECRET}
  namespace: ${namespace}
  annotations:
    ${KEYS_ANNOTATION}: ${DB_KEYS.join(",")}
type: Opaque
`;
}

/**
 * The Secret with values for `missing`. They are `stringData`: a later apply of the template
 * without keys would prune them from `data`.
 */
export function fillDbSecret(
  options: SlurmManifestOptions,
  missing: Readonly<Record<string, string>>,
): string {
  const entries = Object.entries(missing);
  if (entries.length === 0) return renderDbSecret(options);
  const values = entries.map(([key, value]) => `  ${key}: ${value}\n`).join("");
  return `${renderDbSecret(options).replace(/^(#.*\n)+/, "")}stringData:\n${values}`;
}

export function renderStorage(options: SlurmManifestOptions): string {
  return `# One claim a workload: the database's data, and the state of the controller.
${claim(options, "slurm-db-pvc", "10Gi")}---
${claim(options, "slurm-state-pvc", "5Gi")}`;
}

function claim(options: SlurmManifestOptions, name: string, size: string): string {
  const { namespace, storageClass } = options;
  return `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: ${name}
  namespace: ${namespace}
spec:
  accessModes: [ReadWriteOnce]
${storageClass === "" ? "" : `  storageClassName: ${storageClass}\n`}  resources:
    requests:
      storage: ${size}
`;
}
