/**
 * Everything that machines stand on, opened together: the programs, the image, the network, and the
 * provider over them. Opening returns at once, because an image takes half a minute and a control
 * plane must not wait for it; what is bought meanwhile is booted as soon as there is something to
 * boot.
 *
 * Adapter: processes, files.
 */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ProviderConfig } from "../../../schema/config.ts";
import type { CloudClock } from "../fake/cloud.ts";
import { runCommand, withoutAddresses } from "./command.ts";
import { readGroupTrees } from "./group.ts";
import { candidatesFrom, parseHub, formatClear, formatHub } from "./hub-script.ts";
import { installPrograms, prepareImage, whyNoMachines } from "./image.ts";
import { openMachineProvider, type MachineProvider } from "./machine.ts";
import { NspawnMachines, type Ready } from "./nspawn.ts";
import { placeOf } from "./place.ts";
import { isPlainPath, readMachineSettings, type MachineSettings } from "./setting.ts";

export type BedOptions = {
  /** The provider's name in the configuration. */
  name: string;
  /** Unless the settings name another folder. */
  stateDir: string;
  settings: ProviderConfig["settings"];
  clock: CloudClock;
  random: () => number;
  fleetId: string;
  /** Something a person should know. */
  problem: (message: string) => void;
  /** Something takes a while. */
  tell?: (message: string) => void;
};

export type MachineBed = {
  provider: MachineProvider;
  machines: NspawnMachines;
  stateDir: string;
  /** `null` until it is there. */
  ready(): Ready | null;
  /** Why nothing can be booted, or `null`, once that is known. */
  readonly prepared: Promise<string | null>;
};

export type OpenedBed = { kind: "ok"; bed: MachineBed } | { kind: "unavailable"; why: string };

/** A hub is a dozen short commands; another bed's may come first. */
const HUB_MS_MAX = 90_000;

function putScript(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o700 });
  renameSync(`${path}.new`, path);
}

/** Opens the bed in its folder, making it if there is none. */
export function openMachineBed(options: BedOptions): OpenedBed {
  const { name, clock, random, fleetId, problem } = options;
  const settings = readMachineSettings(name, options.settings);
  const stateDir = resolve(settings.stateDir ?? options.stateDir);
  const why = whyNoMachines();
  if (why !== null) return { kind: "unavailable", why };
  if (!isPlainPath(stateDir)) {
    return { kind: "unavailable", why: `${stateDir}: only plain characters can be mounted` };
  }
  mkdirSync(join(stateDir, "instance"), { recursive: true, mode: 0o700 });
  chmodSync(stateDir, 0o700);
  let ready: Ready | null = null;
  let trouble: string | null = null;
  const prepared = prepare(stateDir, settings, options).then((found) => {
    if (typeof found === "string") {
      trouble = found;
      problem(`provider ${name}: ${found}`);
    } else ready = found;
    return typeof found === "string" ? found : null;
  });
  const { disk, gpuCount, bootDelayMs, tellHostKeys } = settings;
  const made = { stateDir, disk, gpuCount, tellHostKeys };
  const machines = new NspawnMachines({ ...made, ready: () => ready, problem });
  const provider = openMachineProvider({
    name,
    stateDir,
    machines,
    bootDelayMs,
    clock,
    random,
    fleetId,
    problem,
    trouble: () => trouble,
  });
  return { kind: "ok", bed: { provider, machines, stateDir, ready: () => ready, prepared } };
}

/** What the machines of this bed stand on, or why they cannot. */
async function prepare(
  stateDir: string,
  settings: MachineSettings,
  options: BedOptions,
): Promise<Ready | string> {
  const tell = options.tell ?? (() => undefined);
  const trees = readGroupTrees();
  if (trees === null) return "no cgroup v2 here";
  const missing = await installPrograms(tell);
  if (missing !== null) return missing;
  const image = await findImage(settings.image, tell);
  if (!image.ok) return image.why;
  const { network } = settings;
  const digest = createHash("sha256").update(stateDir).digest();
  const candidates = network.number === null ? candidatesFrom(digest[0] ?? 0) : [network.number];
  const hub = { folder: stateDir, network, candidates, trees: trees.own };
  putScript(join(stateDir, "hub.sh"), formatHub(hub));
  putScript(join(stateDir, "clear.sh"), formatClear(stateDir));
  const ran = await runCommand(["sh", join(stateDir, "hub.sh"), "up"], { limitMs: HUB_MS_MAX });
  const place = parseHub(ran.stdout, (number) => placeOf(network.base, number));
  if (ran.code === 0 && place !== null) return { image: image.path, place, trees };
  return `no network for machines (exit ${ran.code}): ${withoutAddresses(ran.stderr).trim()}`;
}

async function findImage(given: string | null, tell: (message: string) => void) {
  if (given === null) return prepareImage({ tell });
  if (existsSync(join(given, "etc/os-release"))) return { ok: true, path: given } as const;
  return { ok: false, why: `${given}: no root file system there` } as const;
}
