/**
 * The Slurm sink on a real controller, with the ticks of an event loop that must stay alive.
 *
 * Adapter: clock, files.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { SlurmClient } from "../../../reconciler/core/slurm/client.ts";
import type { SlurmMark } from "../../../reconciler/core/slurm/sink.ts";
import { openRestCall } from "../../../reconciler/slurm/rest-call.ts";
import { openRestClient } from "../../../reconciler/slurm/rest.ts";
import { Slurm } from "../../../reconciler/slurm/slurm.ts";
import { until } from "../../fixture/plane/plane.ts";
import type { SlurmCluster } from "./cluster.ts";

export const CLOCK: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

export const TIMEOUT_MS = 10_000;
const TICK_MS = 20;

export type SinkBed = {
  sink: Slurm;
  /** The longest pause of the event loop since the last call, in milliseconds. */
  longestPause(): number;
  drain(name: string, reason: string): Promise<SlurmMark>;
  undrain(name: string): Promise<SlurmMark>;
  /** Waits until the sink is dark with a reason that matches, and answers it. */
  untilDark(why: RegExp, limitMs: number): Promise<string>;
  untilFresh(limitMs: number): Promise<void>;
  close(): void;
};

export function openSinkBed(client: SlurmClient, pollMs = 1_000): SinkBed {
  const sink = new Slurm({ client, clock: CLOCK, log: () => undefined, pollMs });
  let [last, longest, fence] = [performance.now(), 0, 0];
  const ticks = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - TICK_MS);
    last = now;
  }, TICK_MS);
  sink.start(() => undefined);
  const fenceOf = (nodeId: string) => ({ nodeId, fence: (fence += 1), sessionId: "s-1" });
  return {
    sink,
    longestPause() {
      const found = longest;
      longest = 0;
      return found;
    },
    drain: (name, reason) => sink.drain(name, reason, fenceOf(name)),
    undrain: (name) => sink.undrain(name, fenceOf(name)),
    untilDark: (why, limitMs) =>
      until(`dark: ${why}`, limitMs, () => {
        const dark = sink.dark();
        if (dark !== null && why.test(dark)) return dark;
        throw new Error(dark ?? "it is not dark");
      }),
    untilFresh: (limitMs) =>
      until("fresh", limitMs, () => {
        const dark = sink.dark();
        if (dark !== null) throw new Error(dark);
        return true;
      }).then(() => undefined),
    close() {
      sink.stop();
      clearInterval(ticks);
    },
  };
}

/** Over the socket that asks for nothing; `beside` writes where the version cannot. */
export function restBySocket(slurm: SlurmCluster, beside: SlurmClient | null): SlurmClient {
  const place = { address: `unix:${slurm.restSocket}`, tokenFile: null, user: null };
  return openRestClient({ call: openRestCall(place, CLOCK, TIMEOUT_MS), beside });
}

/** Over HTTP with a token of `root`. */
export async function restByToken(
  slurm: SlurmCluster,
  beside: SlurmClient | null,
): Promise<SlurmClient> {
  const tokenFile = join(slurm.folder, "token");
  writeFileSync(tokenFile, `SLURM_JWT=${await slurm.token("root")}\n`, { mode: 0o600 });
  const place = { address: slurm.restUrl, tokenFile, user: "root" };
  return openRestClient({ call: openRestCall(place, CLOCK, TIMEOUT_MS), beside });
}

/** RPCs that the controller has answered since its start, without `sdiag`'s own, by type. */
export async function countRpcs(slurm: SlurmCluster): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const [, table = ""] = (await slurm.must("sdiag")).split("statistics by message type");
  for (const line of (table.split("statistics by user")[0] ?? "").split("\n")) {
    const [, name, count] = /^\s+(\w+)\s+\(\s*\d+\) count:(\d+)/.exec(line) ?? [];
    if (name !== undefined && name !== "REQUEST_STATS_INFO") counts.set(name, Number(count));
  }
  return counts;
}
