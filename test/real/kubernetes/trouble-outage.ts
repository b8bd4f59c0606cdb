/**
 * The API server is away in the middle of a drain, and the drain's time is over before it is back:
 * nobody may end the machine while nobody can see it (law 9), and afterwards it goes on.
 *
 * Adapter: processes, network, clock.
 */
import type { KubernetesView, NodeView } from "../../../schema/api.ts";
import { endsOf, type Ground, status, waitReplaced } from "./trouble-ground.ts";

export type Outage = {
  /** How long the server is away. */
  awayMs: number;
  /** Of the drain: over while the server is away. */
  drainMs: number;
  told?: (line: string) => void;
};

export type OutageResult = {
  broken: string[];
  /** From the server's return until the machine was asked to end. */
  resumedMs: number;
  evictedBefore: number;
  evictedAfter: number;
  darkMs: number;
};

/** The product's patience with a server that does not answer, and its tick. */
const DARK_MS_MAX = 25_000;

export async function playOutage(ground: Ground, outage: Outage): Promise<OutageResult> {
  const { awayMs, drainMs, told = () => undefined } = outage;
  const { cluster } = ground;
  const seconds = `${drainMs / 1_000}s`;
  const drain = `timeout: ${seconds}, fatal_timeout: ${seconds}, grace_period: 1s`;
  const joined = ground.plane({ size: 3, pool: `    drain: { ${drain} }` });
  const { plane } = joined;
  const [sick] = await joined.start(3);
  if (sick === undefined) throw new Error("no node");
  const work = await ground.work(15, 1);
  const id = ground.breakNode(plane, sick);
  await ground.waitBegun(work);
  await cluster.stopApiserver();
  const awayAt = Date.now();
  const evictedBefore = ground.evicted(work);
  told(`away, ${evictedBefore} pods were evicted before`);
  const broken: string[] = [];
  let darkMs = 0;
  while (Date.now() - awayAt < awayMs) {
    if (endsOf(plane.cloudDir).length > 0) {
      broken.push(`a machine was ended ${Date.now() - awayAt} ms after the server went away`);
      break;
    }
    const { dark } = await plane.get<KubernetesView>("/kubernetes");
    if (dark !== null && darkMs === 0) {
      darkMs = Date.now() - awayAt;
      told(`dark after ${darkMs} ms: ${dark}`);
    }
    await Bun.sleep(200);
  }
  const { phase } = await plane.get<NodeView>(`/nodes/${sick.node_id}`);
  if (phase !== "draining") broken.push(`it was ${phase}: ${await status(plane, sick.node_id)}`);
  if (darkMs === 0 || darkMs > DARK_MS_MAX) broken.push(`it told of the outage after ${darkMs} ms`);
  await ground.returnApiserver();
  await ground.allow(work);
  const backAt = Date.now();
  told("back");
  await waitReplaced(plane, sick, drainMs + 120_000);
  const end = endsOf(plane.cloudDir).find((one) => one.id === id);
  broken.push(...ground.judge(plane.cloudDir, drainMs));
  const evictedAfter = ground.evicted(work) - evictedBefore;
  return { broken, resumedMs: (end?.atMs ?? 0) - backAt, evictedBefore, evictedAfter, darkMs };
}
