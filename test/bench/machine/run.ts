/**
 * How long a bare machine takes to become a node, and what that costs the control plane: the
 * compiled binary sets real machines up over SSH, the agent pushed. First one machine after the
 * other, then all of them at once, round after round.
 *
 * Adapter: /proc, sockets, timers.
 */
import { readFileSync } from "node:fs";
import type { NodeView } from "../../../schema/api.ts";
import { readBanner } from "../../real/machine/machine.ts";
import { BedPlane } from "../../real/machine/plane.ts";
import { type Figure, held, shown, spreadOf } from "../bench.ts";

export type Size = {
  /** Machines set up one after the other. */
  samples: number;
  /** Machines at once, and how many times. */
  machines: number;
  rounds: number;
};

/** The ship value of step 4. */
const REGISTERED_MS_MAX = 5_000;
/** One try to read a banner, and the pause before the next: the error of a sample. */
const BANNER_MS_MAX = 500;
const LOOK_MS = 10;
/** For all machines of a round, on two cores. */
const ROUND_MS_MAX = 120_000;

export type Outcome = { figures: Figure[]; broken: string[] };

export async function runMachines(size: Size, say: (line: string) => void): Promise<Outcome> {
  const one = await measureEach(size.samples, say);
  const all = await measureRounds(size, say);
  return {
    figures: [...one.figures, ...all.figures],
    broken: [...one.broken, ...all.broken],
  };
}

/** From the first banner of a machine's sshd to its agent's registration, one machine at a time. */
async function measureEach(samples: number, say: (line: string) => void): Promise<Outcome> {
  const on = await BedPlane.open();
  const spentMs: number[] = [];
  const broken: string[] = [];
  const old: string[] = [];
  try {
    for (let n = 0; n < samples; n++) {
      const node = await on.waitNode(old);
      const machine = await on.bed.machine(node.instance_id ?? "");
      const sshAt = await waitBanner(machine.address);
      await on.waitServing(1);
      const events = await on.plane.events();
      const registered = events.find(
        ({ kind, node_id }) => kind === "node.registered" && node_id === node.node_id,
      );
      const ms = Date.parse(registered?.at ?? "") - sshAt;
      spentMs.push(ms);
      broken.push(...(await troubleOf(on, [node])));
      say(`${n + 1} of ${samples}: SSH to registered ${(ms / 1_000).toFixed(2)} s`);
      old.push(node.node_id);
      if (n + 1 < samples) await end(on, [node.node_id]);
    }
  } finally {
    broken.push(...(await on.close()).map((left) => `left: ${left}`));
  }
  const { p50, p90, max } = spreadOf(spentMs);
  return {
    broken,
    figures: [
      held("SSH answers → registered, p50", p50, "ms", REGISTERED_MS_MAX),
      shown("SSH answers → registered, p90", p90, "ms"),
      shown("SSH answers → registered, max", max, "ms"),
      shown("machines, one by one", spentMs.length, "count"),
    ],
  };
}

/** All machines at once; every round's are ended together and replaced by the next round's. */
async function measureRounds(size: Size, say: (line: string) => void): Promise<Outcome> {
  const { machines, rounds } = size;
  const on = await BedPlane.open({ size: machines });
  const broken: string[] = [];
  const roundMs: number[] = [];
  const setUpMs: number[] = [];
  let cpuMs = 0;
  let peakMib = 0;
  let done = 0;
  const old = new Set<string>();
  try {
    for (let n = 0; n < rounds; n++) {
      const startMs = performance.now();
      const cpuBeforeMs = readOwnCpuMs(on.plane.pid);
      if (n > 0) await end(on, [...old].slice(-machines));
      const nodes = await waitFresh(on, machines, old);
      roundMs.push(performance.now() - startMs);
      cpuMs += readOwnCpuMs(on.plane.pid) - cpuBeforeMs;
      for (const node of nodes) {
        old.add(node.node_id);
        const [attempt] = await on.attempts(node.node_id);
        const { started_at = "", ended_at = "" } = attempt ?? {};
        setUpMs.push(Date.parse(ended_at ?? "") - Date.parse(started_at));
        done += attempt?.state === "done" ? 1 : 0;
      }
      broken.push(...(await troubleOf(on, nodes)));
      peakMib = readPeakMib(on.plane.pid);
      const seconds = ((roundMs.at(-1) ?? 0) / 1_000).toFixed(1);
      say(`round ${n + 1} of ${rounds}: ${nodes.length} machines serve after ${seconds} s`);
    }
  } finally {
    broken.push(...(await on.close()).map((left) => `left: ${left}`));
  }
  const setUps = spreadOf(setUpMs);
  return {
    broken,
    figures: [
      held("bootstraps at once that failed", machines * rounds - done, "count", 0),
      shown("bootstraps at once", done, "count"),
      shown("one bootstrap of them, p50", setUps.p50, "ms"),
      shown("one bootstrap of them, max", setUps.max, "ms"),
      shown("bought → all serve, p50 of rounds", spreadOf(roundMs).p50, "ms"),
      shown("control plane, CPU a bootstrap", cpuMs / Math.max(1, done), "ms"),
      shown("control plane, peak memory", peakMib, "MiB"),
    ],
  };
}

/** Wall time of the first banner: events are told in wall time too. */
async function waitBanner(address: string): Promise<number> {
  const endMs = performance.now() + ROUND_MS_MAX;
  while (performance.now() < endMs) {
    if ((await readBanner(address, BANNER_MS_MAX)).startsWith("SSH-2.0-")) return Date.now();
    await Bun.sleep(LOOK_MS);
  }
  throw new Error(`no SSH on ${address}`);
}

async function waitFresh(on: BedPlane, count: number, old: ReadonlySet<string>) {
  const endMs = performance.now() + ROUND_MS_MAX;
  for (;;) {
    const fresh = (await on.plane.serving()).filter(({ node_id }) => !old.has(node_id));
    if (fresh.length === count) return fresh;
    if (performance.now() > endMs) throw new Error(`${fresh.length} of ${count} machines serve`);
    await Bun.sleep(100);
  }
}

/** Ends nodes at once; the pool buys as many again. */
async function end(on: BedPlane, nodes: readonly string[]): Promise<void> {
  const { code, out } = await on.cli(
    ...["terminate", ...nodes, "--force", "--reason", "bench", "--yes"],
  );
  if (code !== 0) throw new Error(`terminate: ${out}`);
}

/** What did not go as it should with nodes that serve: each is set up once. */
async function troubleOf(on: BedPlane, nodes: readonly NodeView[]): Promise<string[]> {
  const all = await Promise.all(
    nodes.map(async ({ node_id }) => ({
      node_id,
      attempts: await on.attempts(node_id),
    })),
  );
  const failed = (await on.plane.events()).filter(({ kind, message }) => {
    return kind === "node.failed" && !message.includes("bench");
  });
  return [
    ...all
      .filter(({ attempts }) => attempts.length !== 1 || attempts[0]?.state !== "done")
      .map(({ node_id, attempts }) => `${node_id}: ${attempts.map((one) => one.error).join("; ")}`),
    ...failed.map(({ node_id, message }) => `${node_id}: ${message}`),
  ];
}

/** Its own, without the commands that the provider runs on the host; proc(5), fields 14 and 15. */
function readOwnCpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  return ((fields[11] ?? 0) + (fields[12] ?? 0)) * 10;
}

function readPeakMib(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+)/m.exec(text)?.[1] ?? Number.NaN) / 1_024;
}
