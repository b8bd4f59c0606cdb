/** The ConfigMap of a Slurm cluster on Kubernetes: its configuration files. Pure. */
import { block } from "./manifest-pod.ts";
import { podName, realMemoryMiB, type SlurmManifestOptions } from "./manifest-option.ts";

export function renderConfigMap(options: SlurmManifestOptions): string {
  const files = Object.entries(configFiles(options));
  const data = files.map(([name, text]) => `  ${name}: |\n${block(4, text)}`).join("");
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

export function configFiles(options: SlurmManifestOptions): Record<string, string> {
  const { gpus } = options;
  return {
    "slurm.conf": slurmConf(options),
    ...(gpus === null ? {} : { "gres.conf": gresConf(gpus) }),
    "cgroup.conf": options.hasCgroup ? CGROUP_ON : CGROUP_OFF,
    "slurmdbd.conf": SLURMDBD,
  };
}

const CGROUP_OFF = "CgroupPlugin=cgroup/v1\n";
const CGROUP_ON = "CgroupPlugin=autodetect\nConstrainRAMSpace=yes\nConstrainDevices=yes\n";

const SLURMDBD = `# The entrypoint appends the password from the Secret.
AuthType=auth/munge
DbdHost=slurm-dbdaemon
DbdPort=6819
SlurmUser=slurm
PidFile=/run/slurm/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=slurm-mariadb
StoragePort=3306
StorageLoc=slurm_acct_db
StorageUser=slurm
`;

const gresConf = ({ model, count }: { model: string; count: number }): string =>
  `AutoDetect=off\nName=gpu Type=${model} File=${deviceFiles(count)}\n`;

const deviceFiles = (count: number): string =>
  count === 1 ? "/dev/nvidia0" : `/dev/nvidia[0-${count - 1}]`;

function slurmConf(options: SlurmManifestOptions): string {
  const { gpus, cpus, hasCgroup } = options;
  const gres = gpus === null ? "" : ` Gres=gpu:${gpus.model}:${gpus.count}`;
  const node = (_: unknown, index: number): string => {
    const name = podName(index);
    const size = `CPUs=${cpus} RealMemory=${realMemoryMiB(options)}`;
    return `NodeName=${name} NodeAddr=${name}.slurm-compute ${size}${gres} State=UNKNOWN\n`;
  };
  return `ClusterName=slurm-cluster
SlurmctldHost=slurm-controller
SlurmUser=slurm
SlurmctldPort=6817
SlurmdPort=6818
AuthType=auth/munge
StateSaveLocation=/var/lib/slurm
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.pid
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=slurm-dbdaemon
AccountingStoragePort=6819
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ProctrackType=${hasCgroup ? "proctrack/cgroup" : "proctrack/linuxproc"}
TaskPlugin=${hasCgroup ? "task/cgroup" : "task/none"}
JobAcctGatherType=${hasCgroup ? "jobacct_gather/cgroup" : "jobacct_gather/none"}
SlurmdParameters=config_overrides
CommunicationParameters=NoAddrCache
MpiDefault=none
MailProg=/bin/true
ReturnToService=1
${Array.from({ length: options.nodes }, node).join("").trimEnd()}
PartitionName=compute Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
}
