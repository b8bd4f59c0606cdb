/** The ConfigMap of a Slurm cluster on Kubernetes: its configuration files. Pure. */
import type { SlurmInventory, SlurmPool } from "./inventory.ts";
import { podName, realMemoryMiB, type SlurmManifestOptions } from "./manifest-option.ts";
import { block } from "./manifest-pod.ts";
import { renderSlurm } from "./render.ts";

export function renderConfigMap(options: SlurmManifestOptions): string {
  // The entrypoint appends the password, which must not stand in a ConfigMap.
  const password = { databasePassword: null };
  const layout = { layout: "kubernetes", release: options.version, ...password } as const;
  const files = renderSlurm(inventoryOf(options), layout);
  const data = files.map(({ name, text }) => `  ${name}: |\n${block(4, text)}`).join("");
  return `# Links in the pods lead here: after a change \`scontrol reconfigure\` in the controller
# is enough, unless a line of a node changed: then the controller has to be started again.
apiVersion: v1
kind: ConfigMap
metadata:
  name: slurm-config
  namespace: ${options.namespace}
data:
${data}`;
}

function inventoryOf(options: SlurmManifestOptions): SlurmInventory {
  return {
    cluster: "slurm-cluster",
    controller: { host: "slurm-controller", address: null },
    defaultPartition: "compute",
    accounting: {
      host: "slurm-dbdaemon",
      database: { host: "slurm-mariadb", name: "slurm_acct_db", user: "slurm" },
    },
    programs: null,
    cgroup: options.hasCgroup,
    mpi: "none",
    jwtKey: null,
    maxNodes: options.nodes,
    suspendSeconds: 0,
    resumeSeconds: 0,
    pools: [poolOf(options)],
  };
}

function poolOf(options: SlurmManifestOptions): SlurmPool {
  const { cpus, gpus } = options;
  const names = Array.from({ length: options.nodes }, (_, index) => podName(index));
  return {
    name: "compute",
    partition: "compute",
    state: "static",
    cpus,
    topology: null,
    memoryMb: realMemoryMiB(options),
    gpus: gpus === null ? null : { ...gpus, files: deviceFiles(gpus.count) },
    features: [],
    nodes: names.map((name) => ({ name, address: null, hostname: null, instance: null })),
    hostlist: names.length === 1 ? podName(0) : `slurm-compute-[0-${names.length - 1}]`,
  };
}

const deviceFiles = (count: number): string =>
  count === 1 ? "/dev/nvidia0" : `/dev/nvidia[0-${count - 1}]`;
