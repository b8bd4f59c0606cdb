/**
 * One whole replacement in a cluster, into which crashes and freezes are injected: a fleet of two
 * with pods on both, an XID on the first, and what must hold at the end, whichever process died.
 */
import type { Point } from "./crash-injector.ts";
import { Crash, CrashInjector } from "./crash-injector.ts";
import type { InstanceId } from "../../schema/id.ts";
import type { Workload } from "./workload.ts";
import type { World } from "./world.ts";
import { chronicle, clusterOf, kubeWrongs, yamlOf } from "./cluster.ts";
import { counts, instanceOf, open } from "./story.ts";

const MINUTE = 60_000;

export type Replacement = {
  world: World;
  injector: CrashInjector;
  web: Workload;
  sick: string;
  machine: InstanceId;
  uid: string;
};

export const REPLACED = yamlOf(2);

/** A fleet at rest, and its first node about to fall. */
export async function openReplacement(): Promise<Replacement> {
  const injector = new CrashInjector();
  const world = await open(REPLACED, { prepare: injector, store: "memory", kubernetes: {} });
  world.tolerant = true;
  await world.start();
  const cluster = clusterOf(world);
  const isUp = (): boolean =>
    world.serving().length === 2 && world.nodes().every(({ kube }) => kube !== null);
  if (!(await world.advance(isUp, 3 * MINUTE))) throw new Error("the fleet never came up");
  const web = cluster.run({ name: "web", replicas: 4, minAvailable: 3, stopMs: 2_000 });
  await world.advance(() => false, 15_000);
  const [sick = ""] = world.serving();
  const machine = instanceOf(world, sick);
  const uid = cluster.node(cluster.nameOf(machine))?.uid ?? "";
  return { world, injector, web, sick, machine, uid };
}

export const isOver = ({ world, machine }: Replacement): boolean => {
  const cluster = clusterOf(world);
  if (cluster.node(cluster.nameOf(machine)) !== null) return false;
  return world.serving().length === 2 && world.reconciler.fleet().operations.size === 0;
};

/** A point, and a sign of what a death there leaves behind: the same sign, the same world. */
export type Mark = Point & { leaves: string };

/**
 * Lives through it. `dies` names the points at which the process of the moment dies; it comes up
 * again half a second later. Answers the points that were passed.
 */
export async function liveThrough(
  story: Replacement,
  dies: (point: Point, life: number) => boolean,
): Promise<Mark[]> {
  const { world, injector } = story;
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
  world.xid(story.sick, 79);
  const end = world.clock.monoMs() + 30 * MINUTE;
  for (;;) {
    try {
      if (!isUp) await world.start();
      isUp = true;
      if (injector.dead) throw new Crash("dead");
      const left = end - world.clock.monoMs();
      if (!(await world.advance(() => isOver(story), left))) throw new Error("never over");
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

function leftBy(world: World): string {
  const { kube } = clusterOf(world);
  const rows = world.database?.writes ?? 0;
  const { version } = kube.journal.at(-1) ?? { version: "" };
  const cloud = world.cloud.entries().length;
  return [rows, kube.journal.length, version, cloud, world.clock.wallMs(), world.said].join(" ");
}

/** What is wrong when it is over, in words, by the two journals. */
export function judgeReplacement(story: Replacement): string[] {
  const { world, web, machine, uid } = story;
  const cluster = clusterOf(world);
  const out = kubeWrongs(world);
  const steps = chronicle(world, machine, [web]);
  const count = (what: string): number => steps.filter((step) => step.what === what).length;
  const only = (what: string): void => {
    if (count(what) !== 1) out.push(`${what}: ${count(what)} times`);
  };
  // The termination may be repeated after a lost answer; the machine ends once.
  only("terminated");
  only("delete Node by api");
  if (count("create Node by api") > 0) out.push("a Node was created");
  if (steps.some((step) => step.what === "delete Node by api" && step.uid !== uid))
    out.push("another Node was deleted");
  if (count("delete pod by api") > 0) out.push("a pod was deleted past its budget");
  const end = steps.find(({ what }) => what === "terminate.accepted")?.at ?? 0;
  const last = steps.findLast(({ what }) => what === "gone")?.at ?? 0;
  if (count("gone") !== 2) out.push(`${count("gone")} pods left the node, not 2`);
  if (last > end) out.push("the machine was ended before its pods were gone");
  const { live, ended } = counts(world);
  if (live !== 2 || ended !== 1) out.push(`${live} live, ${ended} ended`);
  for (const node of cluster.nodes()) if (node.unschedulable) out.push(`${node.name} is cordoned`);
  if (cluster.nodes().length !== 2) out.push(`${cluster.nodes().length} Nodes`);
  if (web.pods().length !== 4) out.push(`${web.pods().length} pods`);
  return out;
}
