/**
 * Reads the machine's own values: boot, kernel, firmware, addresses, load. Nothing is guessed: an
 * unreadable value is absent.
 *
 * Adapter: /proc, /sys, network interfaces.
 */
import { networkInterfaces } from "node:os";
import { readText } from "../spool/state-file.ts";

export type Machine = {
  bootId: string | null;
  kernelVersion: string | null;
  /** SMBIOS UUID in lower case and, where the firmware holds it, the cloud's instance id. */
  providerIds: string[];
  provider: string | null;
  instanceType: string | null;
  internalIp: string | null;
};

/** `sys_vendor` of SMBIOS type 1 (the clouds' documents on detecting an instance). */
const VENDORS: Record<string, string> = { "Amazon EC2": "aws", Google: "gcp" };
/** EC2 puts the instance id into the board asset tag of Nitro instances. */
const EC2_ID = /^i-[0-9a-f]{8,17}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** UUIDs of firmware without one. */
const NO_UUID = /^(0{8}|f{8})-/;

/** Reads everything once; `proc` is `/proc` or where the node's is mounted. */
export function readMachine(proc: string): Machine {
  const line = (path: string) => readText(path)?.trim() || null;
  const dmi = (name: string) => line(`/sys/class/dmi/id/${name}`);
  const uuid = dmi("product_uuid")?.toLowerCase() ?? "";
  const tag = dmi("board_asset_tag") ?? "";
  const provider = VENDORS[dmi("sys_vendor") ?? ""] ?? null;
  const known = UUID.test(uuid) && !NO_UUID.test(uuid);
  return {
    bootId: line(`${proc}/sys/kernel/random/boot_id`),
    kernelVersion: line(`${proc}/sys/kernel/osrelease`),
    providerIds: [...(EC2_ID.test(tag) ? [tag] : []), ...(known ? [uuid] : [])],
    provider,
    // On EC2 the product name is the instance type; elsewhere it names the hypervisor.
    instanceType: provider === "aws" ? dmi("product_name") : null,
    internalIp: readAddress(),
  };
}

/** The first reachable address; IPv4 before IPv6, real interfaces before virtual ones. */
function readAddress(): string | null {
  const found: { rank: number; address: string }[] = [];
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    const virtual = /^(docker|veth|br-|cni|flannel|cali|virbr|lxc|cilium|tunl|kube)/.test(name);
    for (const { address, family, internal } of addresses ?? []) {
      if (internal || address.startsWith("fe80:") || address.startsWith("169.254.")) continue;
      found.push({ rank: (virtual ? 2 : 0) + (family === "IPv4" ? 0 : 1), address });
    }
  }
  found.sort((a, b) => a.rank - b.rank);
  return found[0]?.address ?? null;
}

/** Per cent of all CPUs and of memory; `null` if unknown. */
export type Load = { cpuPercent: number | null; memoryPercent: number | null };

/** The load since the last call, from `stat` and `meminfo` (proc(5)). */
export function createLoadReader(proc: string): () => Load {
  let before: { busy: number; all: number } | null = null;
  return () => {
    const now = parseStat(readText(`${proc}/stat`) ?? "");
    const all = now && before ? now.all - before.all : 0;
    const busy = now && before ? now.busy - before.busy : 0;
    before = now;
    return {
      cpuPercent: all > 0 ? Math.round((busy / all) * 1_000) / 10 : null,
      memoryPercent: parseMemory(readText(`${proc}/meminfo`) ?? ""),
    };
  };
}

function parseStat(text: string): { busy: number; all: number } | null {
  const line = /^cpu +(.*)$/m.exec(text)?.[1];
  if (line === undefined) return null;
  const ticks = line.split(" ").map(Number).slice(0, 8);
  const all = ticks.reduce((sum, n) => sum + n, 0);
  // Columns 4 and 5 are idle and iowait.
  return { busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0), all };
}

function parseMemory(text: string): number | null {
  const total = Number(/^MemTotal: +(\d+)/m.exec(text)?.[1]);
  const free = Number(/^MemAvailable: +(\d+)/m.exec(text)?.[1]);
  if (!(total > 0) || Number.isNaN(free)) return null;
  return Math.round((1 - free / total) * 1_000) / 10;
}
