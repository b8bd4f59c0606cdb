/**
 * One whole repair of a node in Slurm, and in Kubernetes too if wanted, into which crashes are
 * injected: jobs on both nodes, an XID on the first, and what must hold at the end, by the journals
 * of the controller, the API server and the cloud, whichever process died.
 */
import type { InstanceId } from "../../../schema/id.ts";
import { clusterOf, isMarked, kubeWrongs, schedulerWrongs } from "../cluster.ts";
import { Crash, CrashInjector, type Point } from "../crash-injector.ts";
import { poolYaml } from "../setting.ts";
import { counts, instanceOf, open } from "../story.ts";
import type { World } from "../world.ts";
import type { VirtualJob } from "./show.ts";
import { isJobOrder } from "./write.ts";
import type { SlurmSide } from "./side.ts";

const MINUTE = 60_000;
/** Longer than the way to the drain, shorter than the drain's time limit. */
const JOB_MS = 20_000;

/** `pool`: more lines of the pool, indented by four. */
function slurmYaml(pool: string): string {
  return `${poolYaml(
    2,
    `    health: { unhealthy_threshold: 1 }
    slurm: { partition: compute, nodes: "n[0-1]" }
${pool}`,
  )}
slurm: { enabled: true, poll_interval: 5s }
`;
}

export type Repair = {
  world: World;
  injector: CrashInjector;
  sick: string;
  /** Its NodeName. */
  name: string;
  machine: InstanceId;
  /** The job that runs on it. */
  job: string;
};

type RepairOptions = { pool?: string; job?: Partial<VirtualJob> };

export function sideOf(world: World): SlurmSide {
  if (world.slurm === null) throw new Error("the world has no Slurm");
  return world.slurm;
}

/** A fleet at rest with a job on both nodes, and its first node about to fall. */
export async function openRepair(
  isBoth: boolean,
  { pool = "", job: kind = { lastsMs: JOB_MS } }: RepairOptions = {},
): Promise<Repair> {
  const injector = new CrashInjector();
  const slurmed = slurmYaml(pool);
  const yaml = isBoth ? `${slurmed}kubernetes: { enabled: true }\n` : slurmed;
  const world = await open(yaml, {
    prepare: injector,
    store: "memory",
    slurm: { nodes: 2, slurmdTimeoutMs: 60_000, slurmdLagMs: 15_000 },
    ...(isBoth ? { kubernetes: {} } : {}),
  });
  world.tolerant = true;
  await world.start();
  const { slurm } = sideOf(world);
  const isUp = (): boolean =>
    world.serving().length === 2 &&
    world.nodes().every((node) => node.slurm !== null && (!isBoth || node.kube !== null)) &&
    slurm.nodes().every(({ base, flags }) => base === "IDLE" && flags.length === 0);
  if (!(await world.advance(isUp, 3 * MINUTE))) throw new Error("the fleet never came up");
  if (isBoth) clusterOf(world).run({ name: "web", replicas: 4, minAvailable: 3, stopMs: 2_000 });
  await world.advance(() => false, 15_000);
  const [sick = ""] = world.serving();
  const name = world.node(sick).slurm?.name ?? "";
  for (let i = 0; i < 2; i++) slurm.submit(kind);
  const job = slurm.jobs().find(({ nodes }) => nodes.includes(name))?.id ?? "";
  return { world, injector, sick, name, machine: instanceOf(world, sick), job };
}

export function isOver({ world, machine }: Repair): boolean {
  if (world.serving().length !== 2 || world.reconciler.fleet().operations.size > 0) return false;
  const { slurm, machines } = sideOf(world);
  if ([...machines.values()].includes(machine)) return false;
  const isFree = slurm.nodes().every(({ base, flags }) => base === "IDLE" && flags.length === 0);
  if (!isFree || world.cluster === null) return isFree;
  return world.cluster.nodes().every((one) => !isMarked(one));
}

/** A point, and a sign of what a death there leaves behind: the same sign, the same world. */
export type Mark = Point & { leaves: string };

/** Lives through it; `dies` names the points at which the process of the moment dies. */
export async function liveThrough(
  repair: Repair,
  dies: (point: Point, life: number) => boolean,
): Promise<Mark[]> {
  const { world, injector, sick } = repair;
  const points: Mark[] = [];
  const begun = injector.count;
  let life = 0;
  let isUp = true;
  injector.watch = ({ n, side, what }) => {
    const point = { n: n - begun, side, what };
    points.push({ ...point, leaves: leftBy(world) });
    if (!dies(point, life)) return;
    injector.dead = true;
    throw new Crash(`dead at ${point.n}${side} ${what}`);
  };
  world.xid(sick, 79);
  const end = world.clock.monoMs() + 30 * MINUTE;
  for (;;) {
    try {
      if (!isUp) await world.start();
      isUp = true;
      if (injector.dead) throw new Crash("dead");
      const left = end - world.clock.monoMs();
      if (!(await world.advance(() => isOver(repair), left))) throw new Error(sayState(world));
      // A call of the last moment may have been what died.
      if (!injector.dead) break;
    } catch (error) {
      if (!(error instanceof Crash) && !injector.dead) throw error;
      life++;
      await world.crash();
      await world.clock.pass(500);
      injector.revive();
      isUp = false;
    }
  }
  injector.watch = null;
  await world.advance(() => false, MINUTE);
  return points;
}

function sayState(world: World): string {
  const nodes = world.nodes().map(({ id, phase, slurm }) => `${id} ${phase.kind} ${slurm?.owner}`);
  const rows = sideOf(world)
    .slurm.nodes()
    .map(({ name, base, flags, reason }) => `${name} ${[base, ...flags].join("+")} ${reason}`);
  const { waits } = world.reconciler.lastPlan();
  return `never over: ${nodes.join(", ")}; ${rows.join(", ")}; ${JSON.stringify(waits)}`;
}

function leftBy(world: World): string {
  const { slurm } = sideOf(world);
  const kube = world.cluster?.kube.journal;
  const version = kube?.at(-1)?.version ?? "";
  const rows = world.database?.writes ?? 0;
  const cloud = world.cloud.entries().length;
  const books = [slurm.journal.length, slurm.ends.length, kube?.length ?? 0, version];
  return [rows, ...books, cloud, world.clock.wallMs(), world.said].join(" ");
}

/** What is wrong when it is over, in words. */
export function judgeRepair({ world, sick, name, job }: Repair): string[] {
  const out = world.cluster === null ? schedulerWrongs(world) : kubeWrongs(world);
  const { slurm } = sideOf(world);
  const ours = slurm.journal.filter(({ by, what }) => by === "api" && !isJobOrder(what));
  if (ours.some((write) => write.node !== name)) out.push("another node was changed in Slurm");
  const drains = ours.filter(({ what }) => what === "drain");
  const sessions = new Set(drains.map(({ reason }) => reason?.split(" ")[0] ?? ""));
  if (drains.length === 0) out.push("it was never drained in Slurm");
  if (sessions.size > 1) out.push(`drained by several sessions: ${[...sessions].join(", ")}`);
  const release = ours.find(({ what }) => what === "undrain")?.at ?? 0;
  const ended = world.cloud.entries().find(({ kind }) => kind === "terminated");
  const boot = slurm.journal.findLast((write) => write.node === name && write.what === "up");
  if (ended === undefined) out.push("its machine was never ended");
  else if (release < ended.atMs) out.push("released in Slurm before its machine was gone");
  if (boot !== undefined && release < boot.at) out.push("released before the new machine was up");
  out.push(
    ...auditWrongs(
      world,
      sick,
      ours.map(({ what }) => what),
    ),
  );
  const lost = slurm.ends.filter(({ how }) => how === "NODE_FAIL");
  if (lost.length > 0) out.push(`jobs cut off: ${lost.map(({ id }) => id).join(", ")}`);
  if (!slurm.ends.some(({ id, how }) => id === job && how === "COMPLETED")) {
    out.push(`job ${job} never completed`);
  }
  const { live, ended: gone } = counts(world);
  if (live !== 2 || gone !== 1) out.push(`${live} live, ${gone} ended`);
  for (const { name: one, flags } of slurm.nodes()) {
    if (flags.includes("DRAIN")) out.push(`${one} stays drained`);
  }
  for (const node of world.cluster?.nodes() ?? []) {
    if (node.unschedulable) out.push(`${node.name} is cordoned`);
  }
  return out;
}

type MarkRow = { verb: string; code: string; target: string; repair: string | null };

/** The rows of marks in the audit. */
export function marksIn(world: World): MarkRow[] {
  const sql = "SELECT verb, code, target, mark FROM audit WHERE mark IS NOT NULL ORDER BY id";
  return (world.database?.rows(sql) ?? []).map(([verb, code, target, mark]) => {
    const { repair } = JSON.parse(String(mark)) as { repair: string | null };
    return { verb: String(verb), code: String(code), target: String(target), repair };
  });
}

/** Each change that Slurm's journal has is one row, of one repair, whichever process died. */
function auditWrongs(world: World, sick: string, changes: readonly string[]): string[] {
  const rows = marksIn(world);
  const out = ["drain", "undrain"].flatMap((verb) => {
    const told = rows.filter((row) => row.verb === verb && row.code === "ok").length;
    const done = changes.filter((what) => what === verb).length;
    return told === done ? [] : [`${done} times ${verb} in Slurm, ${told} rows in the audit`];
  });
  const repairs = new Set(rows.map(({ repair }) => repair));
  if (repairs.size !== 1) out.push(`rows of several repairs: ${[...repairs].join(", ")}`);
  if (world.cluster !== null) {
    const cordons = rows.filter((row) => row.verb === "cordon" && row.target === sick);
    if (cordons.length !== 1) out.push(`${cordons.length} rows of a cordon in the audit`);
  }
  return out;
}
