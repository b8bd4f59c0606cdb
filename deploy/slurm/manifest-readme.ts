/** The README beside the rendered manifests of a Slurm cluster. Pure. */
import { podName, realMemoryMiB, type SlurmManifestOptions } from "./manifest-option.ts";

export function renderReadme(options: SlurmManifestOptions): string {
  const { namespace, image, nodes, version } = options;
  const names = nodes === 1 ? podName(0) : `${podName(0)} to ${podName(nodes - 1)}`;
  return `# Slurm on Kubernetes

Rendered by \`navarch slurm manifests\`. Change its flags rather than these files: \`--check\`
compares them.

- Compute nodes: ${nodes} (${names}) with ${formatSize(options)} each
- Image: \`${image}\`, with Slurm ${version}
- Namespace: \`${namespace}\`

| file | objects |
|---|---|
| \`namespace.yaml\` | Namespace |
| \`secrets.yaml\` | Secret \`slurm-db-credentials\`, without values |
| \`storage.yaml\` | claims of the database and of the controller's state |
| \`slurm-config-template.yaml\` | ConfigMap \`slurm-config\`: the files of Slurm |
| \`mariadb-deployment.yaml\` | MariaDB, and the Namespace, because it is applied first |
| \`slurmdbd-deployment.yaml\` | slurmdbd, the accounting daemon |
| \`slurmctld-deployment.yaml\` | slurmctld, the controller |
| \`slurmd-statefulset.yaml\` | slurmd, the compute nodes |
| \`Kustomization\` | the same for \`kubectl apply -k\` |

## Apply
The Secret \`slurm-munge-key\` is not in this directory: \`scripts/generate-munge-key.sh\` makes its
key.

\`\`\`sh
kubectl apply -f .
navarch slurm manifests --secrets random | kubectl apply -f -
\`\`\`

The second command makes the passwords that the cluster lacks and keeps those that it has. The order
of starts does not matter: each pod waits up to five minutes for what it needs, says so in its log,
and is started again.

${CHANGE.replaceAll("NAMESPACE", namespace)}`;
}

function formatSize(options: SlurmManifestOptions): string {
  const { cpus, gpus } = options;
  const size = `${cpus} CPU and ${realMemoryMiB(options)} MiB`;
  return gpus === null ? size : `${size}, ${gpus.count} GPUs (${gpus.model})`;
}

const CHANGE = `## Change
To change the number of nodes, their size or their GPUs, render with other flags, apply, and start
the controller again:

\`\`\`sh
kubectl -n NAMESPACE rollout restart deployment/slurm-controller
\`\`\`

After another change of slurm.conf wait for the kubelet to renew the file, which takes a minute:

\`\`\`sh
kubectl -n NAMESPACE exec deployment/slurm-controller -- scontrol reconfigure
\`\`\`

A compute pod is never replaced by itself, because that kills its jobs. Drain its node, wait until
it is \`drained\`, then delete the pod:

\`\`\`sh
scontrol update nodename=NODE state=drain reason=WHY
kubectl -n NAMESPACE delete pod NODE
\`\`\`

Compute pods are not privileged. \`--cgroup\` tracks processes by cgroup and makes them so.
\`--host-ports none\` leaves out the ports on the pods' machines, which Pod Security \`baseline\`
refuses.
`;
