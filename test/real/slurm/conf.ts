/**
 * Writes the configuration of one throw-away Slurm: several slurmd on one host, GPUs that are
 * device nodes without a device, everything under one folder. Keys that a test adds come last,
 * where Slurm takes the later value.
 */
import type { SlurmVersion } from "./package.ts";

export type ClusterLayout = {
  /** Every path below is in it. */
  folder: string;
  hostname: string;
  /** Names with their ports; cloud nodes are apart, they register when they are started. */
  nodes: ReadonlyMap<string, number>;
  cloud: ReadonlyMap<string, number>;
  gpus: number;
  cpus: number;
  ports: { controller: number; dynamic: number; database: number; storage: number; rest: number };
  isAccounting: boolean;
  more: readonly string[];
  version: SlurmVersion;
};

export const paths = (folder: string) => ({
  conf: `${folder}/etc/slurm.conf`,
  database: `${folder}/etc/slurmdbd.conf`,
  jwtKey: `${folder}/etc/jwt.key`,
  mungeKey: `${folder}/etc/munge.key`,
  mungeSocket: `${folder}/munge/munge.socket`,
  restSocket: `${folder}/rest/rest.socket`,
  state: `${folder}/state`,
  resumed: `${folder}/power/resumed`,
  suspended: `${folder}/power/suspended`,
});

/** One line as sites write it: with a line for each of 1,000 nodes a command reads for 30 ms. */
function nodeLine(layout: ClusterLayout, nodes: ReadonlyMap<string, number>, more: string) {
  if (nodes.size === 0) return [];
  const gres = layout.gpus === 0 ? "" : ` Gres=gpu:h100:${layout.gpus}`;
  const ports = [...nodes.values()].join(",");
  const port = nodes.size === 1 ? ports : `[${ports}]`;
  const place = `NodeHostname=${layout.hostname} NodeAddr=127.0.0.1 Port=${port}`;
  const names = [...nodes.keys()].join(",");
  return [`NodeName=${names} ${place} CPUs=${layout.cpus} RealMemory=1000${gres} ${more}`];
}

export function formatSlurmConf(layout: ClusterLayout): string {
  const { folder, ports } = layout;
  const at = paths(folder);
  const accounting = layout.isAccounting
    ? [
        "AccountingStorageType=accounting_storage/slurmdbd",
        "AccountingStorageHost=127.0.0.1",
        `AccountingStoragePort=${ports.database}`,
        `AccountingStoragePass=${at.mungeSocket}`,
        "AccountingStorageTRES=gres/gpu",
      ]
    : ["AccountingStorageType=accounting_storage/none"];
  const power = [
    `ResumeProgram=${folder}/power/resume`,
    `SuspendProgram=${folder}/power/suspend`,
    "SuspendTime=3600",
    "SuspendTimeout=5",
    "ResumeTimeout=60",
    "PrivateData=cloud",
  ];
  return [
    "ClusterName=navarch",
    `SlurmctldHost=${layout.hostname}(127.0.0.1)`,
    `SlurmctldPort=${ports.controller}`,
    // Of nodes without a port of their own: one dynamic node.
    `SlurmdPort=${ports.dynamic}`,
    "SlurmUser=slurm",
    "AuthType=auth/munge",
    `AuthInfo=socket=${at.mungeSocket}`,
    "AuthAltTypes=auth/jwt",
    `AuthAltParameters=jwt_key=${at.jwtKey}`,
    `StateSaveLocation=${at.state}`,
    `SlurmctldPidFile=${folder}/run/slurmctld.pid`,
    `SlurmdSpoolDir=${folder}/spool/%n`,
    `SlurmdPidFile=${folder}/run/slurmd-%n.pid`,
    "SlurmdParameters=config_overrides",
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "JobAcctGatherType=jobacct_gather/none",
    "MpiDefault=none",
    "MailProg=/bin/true",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core",
    "GresTypes=gpu",
    "ReturnToService=1",
    // A job whose node is not ready at once is looked at again after 60 s by default.
    "SchedulerParameters=sched_interval=2,bf_interval=2",
    "SlurmctldTimeout=30",
    "SlurmdTimeout=10",
    "InactiveLimit=0",
    "KillWait=2",
    ...accounting,
    ...(layout.cloud.size > 0 ? power : []),
    ...layout.more,
    ...nodeLine(layout, layout.nodes, "State=UNKNOWN"),
    ...nodeLine(layout, layout.cloud, "Feature=cloud State=CLOUD"),
    ...(layout.more.some((line) => line.startsWith("PartitionName="))
      ? []
      : ["PartitionName=compute Nodes=ALL Default=YES MaxTime=INFINITE State=UP"]),
    "",
  ].join("\n");
}

export function formatGresConf({ folder, gpus }: ClusterLayout): string {
  const device = gpus === 1 ? "gpu0" : `gpu[0-${gpus - 1}]`;
  const line = gpus === 0 ? "" : `Name=gpu Type=h100 File=${folder}/gpu/${device}\n`;
  return `AutoDetect=off\n${line}`;
}

export function formatDatabaseConf({ folder, hostname, ports }: ClusterLayout): string {
  return [
    "AuthType=auth/munge",
    `AuthInfo=socket=${paths(folder).mungeSocket}`,
    "AuthAltTypes=auth/jwt",
    `AuthAltParameters=jwt_key=${paths(folder).jwtKey}`,
    `DbdHost=${hostname}`,
    "DbdAddr=127.0.0.1",
    `DbdPort=${ports.database}`,
    "SlurmUser=slurm",
    "StorageType=accounting_storage/mysql",
    "StorageHost=127.0.0.1",
    `StoragePort=${ports.storage}`,
    "StorageUser=slurm",
    "StoragePass=throw-away",
    "StorageLoc=slurm_acct_db",
    `PidFile=${folder}/run/slurmdbd.pid`,
    "",
  ].join("\n");
}

/** What Slurm calls with the hostlist of nodes to power: it writes it down and does no more. */
export const powerScript = (file: string): string => `#!/bin/sh\necho "$1" >>${file}\n`;

/** 22.05 dies on a hybrid tree of cgroups unless told version 1; later ones can do without. */
export const formatCgroupConf = ({ version }: ClusterLayout): string =>
  `CgroupPlugin=${version === "22.05" ? "cgroup/v1" : "disabled"}\n`;
