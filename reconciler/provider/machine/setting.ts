/**
 * The settings of a `machine` provider, as `reconciler/config/provider.ts` leaves them in the flat
 * record. Pure: a value that cannot be used is refused with its key, what was expected and what was
 * found.
 */
import type { ProviderConfig } from "../../../schema/config.ts";
import { DEFAULT_NETWORK, parseNetwork, type Network } from "./place.ts";

/** Where a machine's changes go: a folder of the host, memory, or a file system of its own. */
export type Disk = { kind: "disk" } | { kind: "tmpfs" | "ext4"; size: string };

export type MachineSettings = {
  /** Where the bed keeps everything; `null` is the provider's own folder. */
  stateDir: string | null;
  /** A root file system, unpacked; `null` is the one that is made and cached. */
  image: string | null;
  network: Network;
  disk: Disk;
  /** From an accepted create to power on. Milliseconds. */
  bootDelayMs: number;
  gpuCount: number;
  /** As a cloud that tells the SSH host keys of its machines, or one that does not. */
  tellHostKeys: boolean;
};

/** GPUs that the agent of a machine makes up, as on a simulated instance. */
const GPU_COUNT = 8;

/** Any character that a mount option or a unit file could read otherwise is left out. */
const PATH = /^\/[A-Za-z0-9/._@+-]+$/;

/** Whether a path can stand in a mount option as it is. */
export const isPlainPath = (path: string): boolean => PATH.test(path);

/** `disk`, `tmpfs:64m` or `ext4:256m`; `null` if it is none of them. */
export function parseDisk(text: string): Disk | null {
  if (text === "disk") return { kind: "disk" };
  const match = /^(tmpfs|ext4):([1-9]\d{0,5}[mMgG])$/.exec(text);
  const kind = match?.[1] === "tmpfs" ? "tmpfs" : "ext4";
  return match?.[2] === undefined ? null : { kind, size: match[2].toLowerCase() };
}

/** Reads the settings. Throws an `Error` whose message is meant for the person who wrote them. */
export function readMachineSettings(
  name: string,
  settings: ProviderConfig["settings"],
): MachineSettings {
  const bad = (key: string, expected: string): never => {
    const found = JSON.stringify(settings[key]);
    throw new Error(`providers.${name}.${key}: expected ${expected}, found ${found}`);
  };
  const path = (key: string): string | null => {
    const value = settings[key] ?? null;
    if (value === null) return null;
    const fits = typeof value === "string" && isPlainPath(value);
    return fits ? value : bad(key, "an absolute path of plain characters");
  };
  const whole = (key: string, fallback: number, min: number): number => {
    const value = settings[key] ?? fallback;
    const fits = typeof value === "number" && Number.isInteger(value) && value >= min;
    return fits ? value : bad(key, `a whole number from ${min}`);
  };
  const flag = (key: string, fallback: boolean): boolean => {
    const value = settings[key] ?? fallback;
    return typeof value === "boolean" ? value : bad(key, "true or false");
  };
  const network = parseNetwork(String(settings["network"] ?? DEFAULT_NETWORK));
  const disk = parseDisk(String(settings["disk"] ?? "disk"));
  return {
    stateDir: path("stateDir"),
    image: path("image"),
    network: network ?? bad("network", "two or three octets of a private network, as 10.77"),
    disk: disk ?? bad("disk", "disk, tmpfs:SIZE or ext4:SIZE, with a size as 256m"),
    bootDelayMs: whole("bootDelayMs", 0, 0),
    gpuCount: whole("gpuCount", GPU_COUNT, 1),
    tellHostKeys: flag("tellHostKeys", true),
  };
}
