/**
 * Where the agent's GPUs come from: the vendor library behind its probe child together with the PCI
 * bus, or made-up ones with a made-up bus.
 * Adapter: environment, files.
 */
import { existsSync } from "node:fs";
import { openBus } from "../bus.ts";
import { type ReleasableNvml, releasableNvml } from "../nvml/release.ts";
import { PROBE_COMMAND } from "../nvml/message.ts";
import { openNvml } from "../nvml/parent.ts";
import { keepPulse } from "../nvml/pulse.ts";
import type { Options } from "../option.ts";
import type { Bus, Clock } from "../port.ts";

export type Gpus = ReleasableNvml & { readBus: () => Bus };

/**
 * What the probe child gets: nothing of the agent's own environment but what is named here.
 */
function childEnvironment(): Record<string, string> {
  const named = (process.env["NAVARCH_NVML_ENV"] ?? "").split(",").filter((name) => name !== "");
  const pairs = ["LD_LIBRARY_PATH", ...named].map((name) => [name, process.env[name]]);
  return Object.fromEntries(pairs.filter(([, value]) => value !== undefined));
}

/** True in the binary, false from source. */
export function isCompiled(): boolean {
  return Bun.main.startsWith("/$bunfs/");
}

/**
 * `onSilent` is called when the driver stops answering between two readings, `onEvents` when the
 * library has events.
 */
export async function openGpus(
  options: Options,
  clock: Clock,
  onSilent: () => void,
  onEvents: () => void,
): Promise<Gpus> {
  const { hostSys, fake, hostRoot, nodeId } = options;
  if (fake) {
    const { openSimulatedGpus } = await import("../nvml/simulated.ts");
    const { count, faultPath, name } = fake;
    const { nvml, readBus } = openSimulatedGpus({ count, name, seed: nodeId, clock, faultPath });
    return { ...releasableNvml(nvml), readBus };
  }
  let libraryPath = options.nvmlPath;
  if (libraryPath === null && hostRoot !== null) {
    const { libraryCandidates } = await import("../nvml/library.ts");
    const arch = process.arch === "arm64" ? "arm64" : "x64";
    const inside = libraryCandidates(null, arch).map((path) => `${hostRoot}${path}`);
    libraryPath = inside.find((path) => existsSync(path)) ?? null;
  }
  const execArgv = isCompiled() ? [process.execPath] : [process.execPath, "run", Bun.main];
  const env = childEnvironment();
  const nvml = openNvml({
    execArgv,
    childArgv: [PROBE_COMMAND],
    env,
    clock,
    libraryPath,
    onEvents,
  });
  const root = hostSys ?? (existsSync("/host/sys/bus/pci/devices") ? "/host/sys" : "/sys");
  const readBus = openBus(root, process.env["NVIDIA_VISIBLE_DEVICES"]);
  return { ...releasableNvml(keepPulse(nvml, clock, onSilent)), readBus };
}
