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
import { openSlurmClient, type SlurmPlace } from "../../../reconciler/slurm/open.ts";
import { Slurm } from "../../../reconciler/slurm/slurm.ts";
import { HOST_ENV } from "../../fixture/machine/command.ts";
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

/** As the product opens it; `via` is a transport of the configuration. */
export function clientOf(
  slurm: SlurmCluster,
  via: "cli" | "socket" | "token",
  more: Partial<SlurmPlace> = {},
): SlurmClient {
  const place: SlurmPlace = {
    ...{ transport: via === "cli" ? "cli" : "rest", timeoutMs: TIMEOUT_MS },
    ...{ commandDir: slurm.commandDir, conf: slurm.conf },
    rest: via === "token" ? slurm.restUrl : `unix:${slurm.restSocket}`,
    ...(via === "token" ? { tokenFile: tokenFile(slurm), user: "root" } : NO_TOKEN),
    ...more,
  };
  return openSlurmClient(place, { clock: CLOCK, env: HOST_ENV });
}

const NO_TOKEN = { tokenFile: null, user: null };
const tokenFile = (slurm: SlurmCluster): string => join(slurm.folder, "token");

/** In the form of `scontrol token`. */
export async function writeToken(slurm: SlurmCluster): Promise<void> {
  const text = `SLURM_JWT=${await slurm.token("root")}\n`;
  writeFileSync(tokenFile(slurm), text, { mode: 0o600 });
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
