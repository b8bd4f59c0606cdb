/** The controller and the compute nodes of a Slurm cluster on Kubernetes. Pure. */
import type { SlurmManifestOptions } from "./manifest-option.ts";
import {
  block,
  hostAffinity,
  MOUNTS,
  POD_DEFAULTS,
  REAL_NODES,
  port,
  probes,
  resources,
  SECCOMP,
  securityContext,
  service,
  VOLUMES,
} from "./manifest-pod.ts";

const CONTROLLER_SIZE = { request: "250m/512Mi", limit: "500m/1Gi" };
const CONTROLLER_RIGHTS = resources(CONTROLLER_SIZE) + securityContext(false);

export function renderSlurmctld(options: SlurmManifestOptions): string {
  const { namespace, image, hostPorts, nodes } = options;
  return `${service(options, { name: "slurm-controller", port: "slurmctld", number: 6817 })}---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: slurm-controller
  namespace: ${namespace}
  labels:
    app: slurm-controller
spec:
  replicas: 1
  # Two controllers on one state directory would corrupt it.
  strategy:
    type: Recreate
  selector:
    matchLabels:
      app: slurm-controller
  template:
    metadata:
      labels:
        app: slurm-controller
    spec:
      # SlurmctldHost of slurm.conf: slurmctld refuses to start on a host of another name.
      hostname: slurm-controller
${block(6, searchDomain(options), POD_DEFAULTS, SECCOMP, hostAffinity(options))}      containers:
      - name: slurmctld
        image: ${image}
        imagePullPolicy: IfNotPresent
        env:
        - name: SLURM_ROLE
          value: controller
        ports:
${block(8, port("slurmctld", 6817, hostPorts !== "none"), starting(nodes), CONTROLLER_RIGHTS)}\
        volumeMounts:
${block(8, MOUNTS)}        - name: state
          mountPath: /var/lib/slurm
      volumes:
${block(6, VOLUMES)}      - name: state
        persistentVolumeClaim:
          claimName: slurm-state-pvc
`;
}

/** slurmctld tries for 11 s to resolve each node that has no pod yet, before it serves. */
const starting = (nodes: number): string => probes(120 + 3 * nodes);

/** Resolves the bare NodeName, which `srun` and steps use, to the pod's record. */
const searchDomain = ({ namespace }: SlurmManifestOptions): string => `dnsConfig:
  searches:
  - slurm-compute.${namespace}.svc.cluster.local
`;

export function renderSlurmd(options: SlurmManifestOptions): string {
  const { namespace, image, nodes, gpus, hostPorts, hasCgroup } = options;
  const headless = { name: "slurm-compute", port: "slurmd", number: 6818, isHeadless: true };
  const published = "  # slurmctld and slurmd need each other's address before either is ready.\n";
  const publish = `${published}  publishNotReadyAddresses: true\n`;
  const limits = gpus === null ? "" : `    nvidia.com/gpu: ${gpus.count}\n`;
  const place = `${REAL_NODES}${gpus === null ? "" : GPU_PLACE}`;
  const size = resources(computeSize(options), limits);
  return `${service(options, headless, publish)}---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: slurm-compute
  namespace: ${namespace}
  labels:
    app: slurm-compute
spec:
  serviceName: slurm-compute
  replicas: ${nodes}
  podManagementPolicy: Parallel
  # A pod that is replaced kills its jobs: drain the node in Slurm first, then delete the pod.
  updateStrategy:
    type: OnDelete
  selector:
    matchLabels:
      app: slurm-compute
  template:
    metadata:
      labels:
        app: slurm-compute
    spec:
${block(6, searchDomain(options), POD_DEFAULTS, SECCOMP, place)}      containers:
      - name: slurmd
        image: ${image}
        imagePullPolicy: IfNotPresent
        env:
        - name: SLURM_ROLE
          value: compute
        - name: SLURM_NODE_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        ports:
${block(8, port("slurmd", 6818, hostPorts === "all"), probes(), size)}\
${block(8, securityContext(hasCgroup))}        volumeMounts:
${block(8, MOUNTS)}      volumes:
${block(6, VOLUMES)}`;
}

const GPU_PLACE = `nodeSelector:
  nvidia.com/gpu.present: "true"
tolerations:
- key: nvidia.com/gpu
  operator: Exists
  effect: NoSchedule
`;

/** Half of the limits are requested. */
function computeSize({ cpus, memoryMiB }: SlurmManifestOptions): {
  request: string;
  limit: string;
} {
  return {
    request: `${cpus * 500}m/${formatMemory(Math.floor(memoryMiB / 2))}`,
    limit: `${cpus}/${formatMemory(memoryMiB)}`,
  };
}

const formatMemory = (mib: number): string => (mib % 1024 === 0 ? `${mib / 1024}Gi` : `${mib}Mi`);
