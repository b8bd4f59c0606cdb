/** Renders the Secret with the munge key of a Slurm cluster on Kubernetes. Pure. */

export const MUNGE_SECRET = "slurm-munge-key";
export const SLURM_NAMESPACE = "slurm";

/** `key` is not text: it is written in base64. */
export function renderMungeSecret(key: Uint8Array, namespace: string): string {
  return `apiVersion: v1
kind: Secret
metadata:
  name: ${MUNGE_SECRET}
  namespace: ${namespace}
type: Opaque
data:
  munge.key: ${Buffer.from(key).toString("base64")}
`;
}
