/**
 * What one agent costs its node: the compiled binary with a probe child and eight GPUs of the
 * stand-in library, at the cadence that production has (sample 10 s, heartbeat 30 s, full check 60
 * s, kernel log at once), reporting to a control plane that is not counted.
 *
 * Budget: PSS of agent and children ≤ 64 MiB and CPU ≤ 0.2 % of a core; goals 48 MiB and 0.1 %.
 *
 * The sketch: two processes of one binary share 35 MiB of it and need 6 MiB each of their own, and
 * pairs of that kind were measured at 39 and 53 MiB. A tick with 200 library calls takes 0.3 ms
 * (docs/reference/runtime.md#memory); in a minute there are 6 samples, 2 heartbeats, 1 check: 10 ms
 * with the report around them, 0.02 %. The rest is timers and what the runtime does by itself.
 */
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { buildNvml } from "../fixture/nvml/build.ts";
import { openNvmlWorld } from "../fixture/nvml/state.ts";
import { type Bench, type BenchOptions, type Figure, held, shown } from "./bench.ts";
import { commandOf, openFolder, openPlane, type Plane } from "./plane.ts";
import { closeProcess, openProcess, readCpuMs, readMemory, treeOf } from "./process.ts";
import { waitFor, watchTree } from "./process.ts";

const GPUS = 8;
const NODE = "footprint";
const WINDOW_S = 600;
/** Starting up is not what a node pays for: its garbage is gone after one idle collection. */
const WARM_MS = 30_000;
/** Regular files are asked ten times a second, which only rehearsals pay for. */
const KERNEL_LOG = "/dev/kmsg";

/** Under a name of its own, so that an agent started by somebody else bears none of its pages. */
function copyAgent(dist: string, folder: string): string[] {
  const [binary = "", ...rest] = commandOf("navarch-node", dist);
  if (rest.length > 0) return [binary, ...rest];
  copyFileSync(binary, join(folder, "navarch-node"));
  return [join(folder, "navarch-node")];
}

function openAgent(options: BenchOptions, plane: Plane, folder: string, library: string) {
  const token = join(folder, "token");
  // The library's own book-keeping is left out: it writes a file at every call.
  const { statePath } = openNvmlWorld(folder, { count: GPUS });
  const words = [...copyAgent(options.dist, folder), "--server", plane.url];
  const flags = ["--node-id", NODE, "--auth-token-file", token, "--spool", join(folder, "spool")];
  const parts = ["--nvml-path", library, "--kernel-log", KERNEL_LOG, "--log-level", "error"];
  const env = { NAVARCH_NVML_ENV: "FAKE_NVML_STATE", FAKE_NVML_STATE: statePath };
  const open = () => openProcess([...words, ...flags, ...parts], { env });
  return Bun.write(token, plane.tokenOf(NODE)).then(open);
}

/** Each process for itself: which of the two a figure that is too high comes from. */
function openShares(root: number): () => Figure[] {
  const startedMs = performance.now();
  const before = new Map(treeOf(root).map((pid) => [pid, readCpuMs([pid])]));
  return () => {
    const hundredthMs = (performance.now() - startedMs) / 100;
    return treeOf(root).flatMap((pid) => {
      const who = pid === root ? "agent" : "probe child";
      const { pss, anon } = readMemory([pid]);
      const cpuMs = readCpuMs([pid]) - (before.get(pid) ?? 0);
      return [
        shown(`${who}: PSS at the end`, pss, "MiB"),
        shown(`${who}: anonymous at the end`, anon, "MiB"),
        shown(`${who}: CPU, share of a core`, cpuMs / hundredthMs, "%"),
      ];
    });
  };
}

async function measure(options: BenchOptions, library: string): Promise<Figure[]> {
  const folder = openFolder();
  const plane = await openPlane(options.dist);
  try {
    const agent = await openAgent(options, plane, folder.path, library);
    try {
      await waitFor("the node to serve", 60_000, async () => {
        return (await plane.readNode(NODE))?.phase === "serving" ? true : null;
      });
      await Bun.sleep(options.tiny ? 0 : WARM_MS);
      const processes = treeOf(agent.pid).length;
      const first = readMemory(treeOf(agent.pid));
      const watch = watchTree(agent.pid);
      const shares = openShares(agent.pid);
      const seconds = options.tiny ? 1 : (options.seconds ?? WINDOW_S);
      options.say(`  agent with ${processes} processes, ${seconds} s`);
      await Bun.sleep(seconds * 1_000);
      const { max, last, cpuPercent } = watch.mark();
      watch.close();
      const each = shares();
      const gpus = (await plane.readNode(NODE))?.gpus.length ?? 0;
      return [
        held("PSS of agent and children, max", max.pss, "MiB", 64, 48),
        held("CPU, share of a core", cpuPercent, "%", 0.2, 0.1),
        held("GPUs not seen", GPUS - gpus, "count", 0),
        // The collector's cycle is longer than ten minutes: an end above the start still climbs.
        shown("PSS at the start", first.pss, "MiB"),
        shown("PSS at the end", last.pss, "MiB"),
        ...each,
        shown("RSS, summed", max.rss, "MiB"),
        shown("anonymous", max.anon, "MiB"),
        shown("processes", processes, "count"),
        shown("window", seconds, "s"),
      ];
    } finally {
      await closeProcess(agent);
    }
  } finally {
    await plane.close();
    folder.close();
  }
}

export const footprint: Bench = {
  name: "footprint",
  summary: "memory and CPU of one agent with eight GPUs at production cadence, ten minutes",
  async run(options) {
    const built = buildNvml("full");
    if (built.kind === "absent") throw new Error(`no stand-in library: ${built.reason}`);
    if (!existsSync(KERNEL_LOG)) throw new Error(`${KERNEL_LOG} does not exist`);
    return measure(options, built.path);
  },
};
