/**
 * Renders the configuration of a Slurm cluster: the same inventory gives the same bytes. Throws for
 * nothing that a checked inventory can hold. Pure.
 */
import type { SlurmGpus, SlurmHost, SlurmInventory, SlurmPool } from "./inventory.ts";
import { rulesOf, type SlurmRelease, type SlurmRules } from "./version.ts";

/** Where daemons run: pods, machines of their own, or all of them on one machine. */
export const SLURM_LAYOUTS = ["kubernetes", "hosts", "single-host"] as const;
export type SlurmLayout = (typeof SLURM_LAYOUTS)[number];

/** Every name that a rendering may have. */
export const RENDERED_NAMES = [
  "slurm.conf",
  "gres.conf",
  "cgroup.conf",
  "slurmdbd.conf",
  "node-aliases.yaml",
] as const;

export type SlurmFile = {
  name: string;
  text: string;
  /** slurmdbd refuses its file if others can read it. */
  mode: 0o600 | 0o644;
};

export type SlurmOptions = {
  layout: SlurmLayout;
  release: SlurmRelease;
  /** Of the database; `null`: slurmdbd is known by its user, or the line is added later. */
  databasePassword: string | null;
};

/** The Service of the compute pods. */
const COMPUTE_SERVICE = "slurm-compute";
/** slurmd of the first node on a single host. */
const FIRST_PORT = 17_001;

export function renderSlurm(inventory: SlurmInventory, options: SlurmOptions): SlurmFile[] {
  const rules = rulesOf(options.release);
  const { layout } = options;
  const head = `# Written by navarch slurm render for Slurm ${rules.release}, layout ${layout}.\n`;
  const file = (name: string, lines: readonly string[], mode: 0o600 | 0o644 = 0o644): SlurmFile => {
    return { name, text: `${head}${lines.map((line) => `${line}\n`).join("")}`, mode };
  };
  const database = inventory.accounting === null ? [] : slurmdbdConf(inventory, options);
  return [
    file("slurm.conf", slurmConf(inventory, layout, rules)),
    file("gres.conf", gresConf(inventory)),
    file("cgroup.conf", cgroupConf(inventory, rules)),
    ...(database.length === 0 ? [] : [file("slurmdbd.conf", database, 0o600)]),
    ...aliasFiles(inventory, file),
  ];
}

function slurmConf(inventory: SlurmInventory, layout: SlurmLayout, rules: SlurmRules): string[] {
  const { controller, programs } = inventory;
  const address = controller.address === null ? "" : `(${controller.address})`;
  return [
    `ClusterName=${inventory.cluster}`,
    `SlurmctldHost=${controller.host}${address}`,
    "SlurmUser=slurm",
    "SlurmctldPort=6817",
    "SlurmdPort=6818",
    "AuthType=auth/munge",
    ...jwtLines(inventory),
    "StateSaveLocation=/var/lib/slurm",
    ...daemonPaths(layout),
    ...processLines(inventory, layout),
    ...accountingLines(inventory),
    "SchedulerType=sched/backfill",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core",
    "GresTypes=gpu",
    `MpiDefault=${inventory.mpi}`,
    "MailProg=/bin/true",
    "ReturnToService=1",
    "SlurmdTimeout=300",
    `MaxNodeCount=${inventory.maxNodes}`,
    // Without it a powered-down node is absent from sinfo and scontrol.
    "PrivateData=cloud",
    ...(programs === null ? [] : healthLines(programs)),
    ...powerLines(inventory, rules),
    ...nodeLines(inventory, layout),
    ...partitionLines(inventory),
  ];
}

function jwtLines({ jwtKey }: SlurmInventory): string[] {
  if (jwtKey === null) return [];
  return ["AuthAltTypes=auth/jwt", `AuthAltParameters=jwt_key=${jwtKey}`];
}

function daemonPaths(layout: SlurmLayout): string[] {
  const name = layout === "single-host" ? "slurmd-%n" : "slurmd";
  const logs = [
    "SlurmctldLogFile=/var/log/slurm/slurmctld.log",
    `SlurmdLogFile=/var/log/slurm/${name}.log`,
  ];
  return [
    `SlurmdSpoolDir=/var/spool/${name}`,
    "SlurmctldPidFile=/run/slurm/slurmctld.pid",
    `SlurmdPidFile=/run/slurm/${name}.pid`,
    // Pods log to their standard error, which kubectl shows.
    ...(layout === "kubernetes" ? [] : logs),
  ];
}

function processLines({ cgroup }: SlurmInventory, layout: SlurmLayout): string[] {
  const lines = cgroup
    ? [
        "ProctrackType=proctrack/cgroup",
        "TaskPlugin=task/affinity,task/cgroup",
        "JobAcctGatherType=jobacct_gather/cgroup",
      ]
    : [
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
      ];
  // slurmd sees the CPUs of the whole machine, and not the part that a pod or one of many has.
  if (layout !== "hosts") lines.push("SlurmdParameters=config_overrides");
  // A pod that starts again has another address under the same name.
  if (layout === "kubernetes") lines.push("CommunicationParameters=NoAddrCache");
  return lines;
}

function accountingLines({ accounting, pools }: SlurmInventory): string[] {
  if (accounting === null) return ["AccountingStorageType=accounting_storage/none"];
  const hasGpus = pools.some(({ gpus }) => gpus !== null);
  return [
    "AccountingStorageType=accounting_storage/slurmdbd",
    `AccountingStorageHost=${accounting.host}`,
    "AccountingStoragePort=6819",
    ...(hasGpus ? ["AccountingStorageTRES=gres/gpu"] : []),
  ];
}

function healthLines(programs: string): string[] {
  return [
    `HealthCheckProgram=${programs}/slurm-healthcheck`,
    "HealthCheckInterval=60",
    "HealthCheckNodeState=CYCLE,ANY",
  ];
}

/** Never `idle_on_node_suspend`: it clears the drain of a node that powers down. */
function powerLines(inventory: SlurmInventory, rules: SlurmRules): string[] {
  const { pools, programs } = inventory;
  if (programs === null || !pools.some(({ state }) => state === "cloud")) return [];
  const isSteady = ({ state, nodes }: SlurmPool) => state === "static" && nodes.length > 0;
  const steady = pools.filter(isSteady).map(({ hostlist }) => hostlist);
  return [
    `ResumeProgram=${programs}/slurm-resume`,
    `ResumeFailProgram=${programs}/slurm-resume-fail`,
    `SuspendProgram=${programs}/slurm-suspend`,
    `ResumeTimeout=${inventory.resumeSeconds}`,
    `SuspendTime=${inventory.suspendSeconds}`,
    "SuspendTimeout=300",
    ...(steady.length === 0 ? [] : [`SuspendExcNodes=${steady.join(",")}`]),
    ...(rules.suspendExcStates ? ["SuspendExcStates=DOWN,DRAIN,FAIL,DYNAMIC_NORM"] : []),
  ];
}

/** One line for each node: text after the bracket of a hostlist is fatal in `NodeAddr`. */
function nodeLines({ pools }: SlurmInventory, layout: SlurmLayout): string[] {
  let port = FIRST_PORT;
  return pools.flatMap((pool) =>
    pool.nodes.map((host) => {
      const place = placeOf(pool, host, layout, port);
      port += 1;
      return ["NodeName=", host.name, ...place, shapeOf(pool)].join("");
    }),
  );
}

function placeOf(pool: SlurmPool, host: SlurmHost, layout: SlurmLayout, port: number): string[] {
  if (layout === "single-host") {
    return [` NodeHostname=localhost NodeAddr=127.0.0.1 Port=${port}`];
  }
  const hostname = host.hostname === null ? [] : [` NodeHostname=${host.hostname}`];
  // Slurm is told the address of a powered-up node when it has one.
  if (pool.state === "cloud") return hostname;
  const service = layout === "kubernetes" ? `${host.name}.${COMPUTE_SERVICE}` : null;
  const address = host.address ?? service;
  return address === null ? hostname : [...hostname, ` NodeAddr=${address}`];
}

function shapeOf({ name, cpus, topology, memoryMb, gpus, features, state }: SlurmPool): string {
  const parts =
    topology === null
      ? []
      : [
          `Sockets=${topology.sockets}`,
          `CoresPerSocket=${topology.cores}`,
          `ThreadsPerCore=${topology.threads}`,
        ];
  return [
    "",
    `CPUs=${cpus}`,
    ...parts,
    `RealMemory=${memoryMb}`,
    ...(gpus === null ? [] : [`Gres=gpu:${gpus.model}:${gpus.count}`]),
    `Feature=${[...new Set([name, ...features])].join(",")}`,
    `State=${state === "cloud" ? "CLOUD" : "UNKNOWN"}`,
  ].join(" ");
}

/** A partition holds its pools by a feature, so that nodes that join later are in it too. */
function partitionLines({ pools, defaultPartition }: SlurmInventory): string[] {
  const byPartition = Map.groupBy(pools, ({ partition }) => partition);
  const own = byPartition.get(defaultPartition)?.map(({ name }) => name) ?? ["ALL"];
  const rest = [...byPartition].filter(([partition]) => partition !== defaultPartition);
  const line = (partition: string, nodes: readonly string[], isDefault: boolean): string => {
    const words = `PartitionName=${partition} Nodes=${nodes.join(",")}`;
    return `${words}${isDefault ? " Default=YES" : ""} MaxTime=INFINITE State=UP`;
  };
  return [
    ...pools.map(({ name }) => `NodeSet=${name} Feature=${name}`),
    line(defaultPartition, own, true),
    ...rest.map(([partition, all]) =>
      line(
        partition,
        all.map(({ name }) => name),
        false,
      ),
    ),
  ];
}

/**
 * A GPU resource without `File` counts 0, and its node becomes invalid. Where all nodes have the
 * same GPUs no node is named, so that the line is for nodes that join later, too.
 */
function gresConf({ pools }: SlurmInventory): string[] {
  const line = ({ model, files }: SlurmGpus): string => `Name=gpu Type=${model} File=${files}`;
  const [first] = pools;
  if (first?.gpus != null && hasEqualGpus(pools)) return ["AutoDetect=off", line(first.gpus)];
  const lines = pools.flatMap((pool) => {
    if (pool.gpus === null || pool.nodes.length === 0) return [];
    return [`NodeName=${pool.hostlist} ${line(pool.gpus)}`];
  });
  return ["AutoDetect=off", ...lines];
}

/** True if the nodes of all pools have as many GPUs of one model, under the same files. */
export function hasEqualGpus(pools: readonly SlurmPool[]): boolean {
  const kinds = pools.map(({ gpus }) => (gpus === null ? "" : Object.values(gpus).join(" ")));
  return new Set(kinds).size <= 1;
}

function cgroupConf({ cgroup }: SlurmInventory, { withoutCgroup }: SlurmRules): string[] {
  if (!cgroup) return [`CgroupPlugin=${withoutCgroup}`];
  return [
    "CgroupPlugin=autodetect",
    "ConstrainCores=yes",
    "ConstrainDevices=yes",
    "ConstrainRAMSpace=yes",
  ];
}

function slurmdbdConf(inventory: SlurmInventory, options: SlurmOptions): string[] {
  const { accounting } = inventory;
  if (accounting === null) return [];
  const { host, database } = accounting;
  const isPod = options.layout === "kubernetes";
  return [
    "AuthType=auth/munge",
    ...jwtLines(inventory),
    `DbdHost=${host}`,
    "DbdPort=6819",
    "SlurmUser=slurm",
    "PidFile=/run/slurm/slurmdbd.pid",
    ...(isPod ? [] : ["LogFile=/var/log/slurm/slurmdbd.log"]),
    "StorageType=accounting_storage/mysql",
    `StorageHost=${database.host}`,
    `StorageUser=${database.user}`,
    `StorageLoc=${database.name}`,
    ...(options.databasePassword === null ? [] : [`StoragePass=${options.databasePassword}`]),
  ];
}

/** Which machine has which NodeName, for the configuration of the control plane. */
function aliasFiles(
  { pools }: SlurmInventory,
  file: (name: string, lines: readonly string[]) => SlurmFile,
): SlurmFile[] {
  const named = pools.flatMap(({ nodes }) => nodes).filter(({ instance }) => instance !== null);
  if (named.length === 0) return [];
  const lines = named.map(({ name, instance }) => `    ${name}: ${JSON.stringify(instance)}`);
  return [file("node-aliases.yaml", ["slurm:", "  node_aliases:", ...lines])];
}
