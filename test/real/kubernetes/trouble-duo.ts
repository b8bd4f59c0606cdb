/**
 * Leader and standby on a real cluster: two compiled control planes on one libSQL server and one
 * fake cloud, each with a proxy of its own between it and the API server, which tells who of the
 * two asked what.
 *
 * Adapter: processes, files, network.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeView } from "../../../schema/api.ts";
import { type Plane, until } from "../../fixture/plane/plane.ts";
import { type Service, startService } from "../../fixture/plane/service.ts";
import { type Sqld, startSqld } from "../../fixture/plane/sqld.ts";
import { openProxy, type Proxy } from "./proxy.ts";
import type { Ground } from "./trouble-ground.ts";

export type Side = { plane: Plane; proxy: Proxy };

export class Duo {
  readonly nodes: readonly NodeView[];
  private readonly sides: readonly [Side, Side];
  private readonly sqld: Sqld;
  private readonly service: Service;

  private constructor(
    sides: readonly [Side, Side],
    nodes: readonly NodeView[],
    parts: { sqld: Sqld; service: Service },
  ) {
    this.sides = sides;
    this.nodes = nodes;
    this.sqld = parts.sqld;
    this.service = parts.service;
  }

  static async start(ground: Ground, size: number): Promise<Duo> {
    const { cluster } = ground;
    const sqld = await startSqld();
    const planes: Plane[] = [];
    const service = startService(() => planes.map((plane) => plane.url).filter(Boolean));
    const server = `  state_path: ${sqld.url}\n  external_address: ${service.address}`;
    const proxies = [
      await openProxy(cluster, cluster.folder),
      await openProxy(cluster, cluster.folder),
    ] as const;
    const own = cluster.kubeconfig("product");
    const first = ground.plane({ size, server }, proxies[0].kubeconfig(own));
    const second = ground.plane({ size, server }, proxies[1].kubeconfig(own));
    // The cloud is one, the caller it; the fleet keeps its identity on the server.
    mkdirSync(join(first.plane.state, "cloud"));
    symlinkSync(join(first.plane.state, "cloud"), join(second.plane.state, "cloud"));
    const identity = { fleetId: "duo", secret: "a secret for tests and nothing else" };
    writeFileSync(join(first.plane.state, "identity.json"), JSON.stringify(identity));
    planes.push(first.plane, second.plane);
    const nodes = await first.start(size);
    await second.plane.start();
    const sides = [
      { plane: first.plane, proxy: proxies[0] },
      { plane: second.plane, proxy: proxies[1] },
    ] as const;
    const duo = new Duo(sides, nodes, { sqld, service });
    await duo.waitReady(second.plane);
    return duo;
  }

  async roles(): Promise<{ leader: Side; standby: Side }> {
    const [a, b] = this.sides;
    return until("one of two leads", 30_000, async () => {
      const [first, second] = await Promise.all([leads(a.plane), leads(b.plane)]);
      if (first === second) return null;
      return first ? { leader: a, standby: b } : { leader: b, standby: a };
    });
  }

  async waitReady(plane: Plane): Promise<void> {
    await until("it is ready", 30_000, async () => {
      return (await plane.fetch("/readyz", { token: null })).ok ? true : null;
    });
  }

  /** Before the ground is cleared: the second one must not buy what the first one ends. */
  async close(): Promise<void> {
    const [first, second] = this.sides;
    for (const { plane } of this.sides) plane.signal("SIGCONT");
    await second.plane.stop();
    await first.plane.stop();
    this.service.stop();
    for (const { proxy } of this.sides) await proxy.close();
    await this.sqld.stop();
  }
}

/** Whether this one says that it leads; a process that does not answer does not. */
export async function leads(plane: Plane): Promise<boolean> {
  try {
    const answer = await fetch(`${plane.url}/metrics`, { signal: AbortSignal.timeout(1_000) });
    return /^navarch_leader 1$/m.test(await answer.text());
  } catch {
    return false;
  }
}

/** What it asked that changes something, from an instant on. */
export function writesOf({ proxy }: Side, sinceMs: number): string[] {
  return proxy.log
    .filter(({ method, atMs }) => method !== "GET" && atMs >= sinceMs)
    .map(({ method, path }) => `${method} ${path}`);
}
