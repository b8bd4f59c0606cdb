/**
 * Opens what the agent measures: GPUs and PCI bus, the machine around the GPUs, the kernel log. The
 * GPUs come from the vendor library behind its probe child, or are simulated with a simulated bus.
 * Adapter: environment, files, /proc, /sys.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { openBus } from "../host/bus.ts";
import { hostRoots, openHost } from "../host/read.ts";
import { EMPTY_HOST_MEMORY } from "../host/probe.ts";
import { NoticeWatch } from "../host/notice.ts";
import { HostWatch } from "../host/watch.ts";
import { type KernelLogStats, openKernelLog } from "../kernel/read.ts";
import { PROBE_COMMAND } from "../nvml/message.ts";
import { ownGpus, POD_BUS } from "../nvml/own-gpus.ts";
import { openNvml } from "../nvml/parent.ts";
import { keepPulse } from "../nvml/pulse.ts";
import { type ReleasableNvml, releasableNvml } from "../nvml/release.ts";
import type { Options } from "./option.ts";
import type { Bus, Clock } from "../port/port.ts";
import type { OpenKernelLog } from "../report/listen.ts";
import type { Identity, Log } from "../report/part.ts";
import { loadMemory, readText, type StateFiles } from "../spool/state-file.ts";

/** The probe child inherits none of the agent's environment but the variables named here. */
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
): Promise<ReleasableNvml & { readBus: () => Bus }> {
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
  const nvml = openNvml({
    execArgv: isCompiled() ? [process.execPath] : [process.execPath, "run", Bun.main],
    childArgv: [PROBE_COMMAND],
    env: childEnvironment(),
    clock,
    libraryPath,
    onEvents,
  });
  if (options.worker !== null) {
    const given = { visible: process.env["NVIDIA_VISIBLE_DEVICES"], hasDevices: hasGpuDevices() };
    const own = ownGpus(keepPulse(nvml, clock, onSilent), given);
    return { ...releasableNvml(own), readBus: () => POD_BUS };
  }
  const root = hostSys ?? (existsSync("/host/sys/bus/pci/devices") ? "/host/sys" : "/sys");
  const readBus = openBus(root, process.env["NVIDIA_VISIBLE_DEVICES"]);
  return { ...releasableNvml(keepPulse(nvml, clock, onSilent)), readBus };
}

function hasGpuDevices(): boolean {
  return readdirSync("/dev").some((name) => /^nvidia\d+$/.test(name));
}

/** Which cloud made this machine, by its firmware. */
function cloudOf(sys: string): "aws" | "gcp" | null {
  const dmi = (name: string) => readText(`${sys}/class/dmi/id/${name}`)?.trim();
  if (["sys_vendor", "board_vendor"].some((name) => dmi(name) === "Amazon EC2")) return "aws";
  return dmi("product_name") === "Google Compute Engine" ? "gcp" : null;
}

/** The address in the variable that the cloud's own tools read, or the link-local one. */
function metadataBase(name: string, given: (value: string) => string): URL {
  const value = process.env[name]?.trim() ?? "";
  return new URL(value === "" ? "http://169.254.169.254" : given(value));
}

/**
 * `null` where no cloud announces ends to the machine itself, on a simulated node, and where
 * `AWS_EC2_METADATA_DISABLED` or `NO_GCE_CHECK` is true, which the clouds' own tools obey too.
 */
export async function openNoticeWatch(
  { fake, worker, hostSys, hostRoot, hostProc }: Options,
  clock: Clock,
  log: Log,
): Promise<NoticeWatch | null> {
  const proc = hostProc ?? "/proc";
  const cloud = fake || worker ? null : cloudOf(hostRoots({ proc, hostSys, hostRoot }).sys);
  if (cloud === null) return null;
  const off = cloud === "aws" ? "AWS_EC2_METADATA_DISABLED" : "NO_GCE_CHECK";
  if (/^(true|1)$/i.test(process.env[off] ?? "")) return null;
  const { openEc2Notice, openGceNotice } = await import("../host/metadata.ts");
  try {
    const ask =
      cloud === "aws"
        ? openEc2Notice(
            metadataBase("AWS_EC2_METADATA_SERVICE_ENDPOINT", (url) => url),
            clock,
          )
        : openGceNotice(
            metadataBase("GCE_METADATA_HOST", (host) => `http://${host}`),
            clock,
          );
    return new NoticeWatch({ ask, clock, log });
  } catch {
    log("warn", "interruption notices are not read: the metadata address is no URL");
    return null;
  }
}

const HOST_FILE = "host.json";

/**
 * `null` on a simulated node and in a pod, which must not report the machine below them. `save` is
 * `null` for a single look, which must not replace the memory of the running agent.
 */
export function openHostWatch(
  options: Options,
  parts: {
    proc: string;
    clock: Clock;
    files: StateFiles;
    save: ((name: string, text: string) => void) | null;
  },
): HostWatch | null {
  const { expectedPorts, fake, hostRoot, hostSys, worker } = options;
  if (fake || worker) return null;
  const { clock, files, proc, save } = parts;
  return new HostWatch({
    read: openHost(hostRoots({ proc, hostSys, hostRoot }), clock),
    memory: loadMemory(files, HOST_FILE, EMPTY_HOST_MEMORY),
    save: (memory) => save?.(HOST_FILE, JSON.stringify(memory)),
    expectedPorts,
  });
}

/**
 * How often the kernel log is read. A device wakes the agent when it has records, so its poll only
 * proves that it can still be read. A FIFO or a file wakes nothing; without a log the poll serves
 * the events of the simulated library.
 */
const POLL_MS = { device: 10_000, file: 100, none: 250 };

export function pollMsOf(path: string | null): number {
  if (path === null) return POLL_MS.none;
  try {
    return statSync(path).isCharacterDevice() ? POLL_MS.device : POLL_MS.file;
  } catch {
    return POLL_MS.file;
  }
}

/** Opens the log, and reports its counters. `wake` is called whenever a device has records. */
export function createLogOpener(
  options: Options,
  identity: Identity,
  clock: Clock,
  wake: (() => void) | null,
): { open: OpenKernelLog; stats: () => KernelLogStats | null } {
  const { kernelLog: path, sinceMs } = options;
  const { bootId, bootWallMs } = identity;
  let opened: ReturnType<typeof openKernelLog> | null = null;
  const open: OpenKernelLog = (cursor, gpus) => {
    if (path === null) return null;
    const since = sinceMs === null ? {} : { since: sinceMs };
    const follow = wake === null ? {} : { wake };
    opened = openKernelLog({ path, bootId, bootWallMs, clock, gpus, cursor, ...since, ...follow });
    return opened;
  };
  return { open, stats: () => opened?.stats() ?? null };
}
